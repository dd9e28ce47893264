package carbons_test

import (
	"strings"
	"testing"

	"github.com/xmppd/xmppd/internal/routertest"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/carbons"
	"github.com/xmppd/xmppd/modules/internal/moduletest"
	"github.com/xmppd/xmppd/router"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage/sqlite"
)

func list(*sqlite.DB, *router.Router) []modules.Module { return []modules.Module{carbons.New()} }

const (
	enable  = `<iq type='set' id='e'><enable xmlns='urn:xmpp:carbons:2'/></iq>`
	disable = `<iq type='set' id='d'><disable xmlns='urn:xmpp:carbons:2'/></iq>`
)

// copying logs in and enables copies.
func copying(t *testing.T, n *routertest.Node, full string) *routertest.Client {
	t.Helper()
	c := n.Login(full)
	c.Send(enable)
	if got := c.Received(); got != `<iq type='result' id='e' to='`+full+`'/>`+"\n" || !c.Entry().Carbons {
		t.Fatalf("enable was answered by %s", got)
	}
	return c
}

// copyOf is a copy as XEP-0280 §7 and §8 have it.
func copyOf(direction, owner, to, inner string) string {
	typ := ""
	if strings.Contains(inner, "type='chat'") {
		typ = " type='chat'"
	}
	inner = strings.Replace(inner, "<message", "<message xmlns='jabber:client'", 1)
	return `<message from='` + owner + `' to='` + to + `'` + typ + `><` + direction + ` xmlns='urn:xmpp:carbons:2'>` +
		`<forwarded xmlns='urn:xmpp:forward:0'>` + inner + `</forwarded></` + direction + `></message>` + "\n"
}

func expect(t *testing.T, c *routertest.Client, want string) {
	t.Helper()
	if got := c.Received(); got != want {
		t.Errorf("%s received\n%s\nwant\n%s", c.JID, got, want)
	}
}

// On one node and on two: all other sessions of both accounts get a copy, those
// that did not ask for it get none.
func TestBothSides(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{1, 2} {
		var w *routertest.World
		var other *routertest.Node
		if nodes == 1 {
			w = routertest.New(t, list, "localhost")
			other = w.Node
		} else {
			w = routertest.Pair(t, list, "localhost")
			other = w.Other
		}
		w.Account("romeo@localhost", "juliet@localhost")
		home, phone, plain := copying(t, w.Node, "romeo@localhost/home"), copying(t, other, "romeo@localhost/phone"), other.Login("romeo@localhost/plain")
		balcony, tablet, watch := w.Login("juliet@localhost/balcony"), copying(t, w.Node, "juliet@localhost/tablet"), copying(t, other, "juliet@localhost/watch")
		home.Send(`<message to='juliet@localhost/balcony' type='chat' id='1'><body>a &amp; b</body></message>`)

		const first = `<message from='romeo@localhost/home' to='juliet@localhost/balcony' type='chat' id='1'><body>a &amp; b</body></message>`
		expect(t, home, "")
		expect(t, plain, "")
		expect(t, balcony, first+"\n")
		expect(t, phone, copyOf("sent", "romeo@localhost", "romeo@localhost/phone", first))
		expect(t, tablet, copyOf("received", "juliet@localhost", "juliet@localhost/tablet", first))
		expect(t, watch, copyOf("received", "juliet@localhost", "juliet@localhost/watch", first))

		// From the other side, by a client that has no copies itself.
		plain.Send(`<message to='juliet@localhost/watch'><body>x</body></message>`)
		const next = `<message from='romeo@localhost/plain' to='juliet@localhost/watch'><body>x</body></message>`
		expect(t, watch, next+"\n")
		expect(t, home, copyOf("sent", "romeo@localhost", "romeo@localhost/home", next))
		expect(t, phone, copyOf("sent", "romeo@localhost", "romeo@localhost/phone", next))
		expect(t, tablet, copyOf("received", "juliet@localhost", "juliet@localhost/tablet", next))
		expect(t, balcony, "")
		expect(t, plain, "")
	}
}

// Whoever writes to himself gets the message or one copy in each session.
func TestToOneself(t *testing.T) {
	t.Parallel()
	w := routertest.Pair(t, list, "localhost")
	w.Account("romeo@localhost")
	home, phone, tablet := copying(t, w.Node, "romeo@localhost/home"), copying(t, w.Node, "romeo@localhost/phone"), copying(t, w.Other, "romeo@localhost/tablet")
	w.Registry.SetPresence(home.Session, []byte("<presence/>"), 0)
	w.Registry.SetPresence(phone.Session, []byte("<presence/>"), 0)
	for _, tt := range []struct{ to, message, home, phone, tablet string }{
		{" to='romeo@localhost/phone'", "", "", "m", "s"},
		{" to='romeo@localhost/tablet'", "", "", "s", "m"},
		{" to='romeo@localhost/home'", "", "m", "s", "s"},
		{" to='romeo@localhost'", "", "m", "m", "s"},
		{"", " to='romeo@localhost'", "m", "m", "s"},
	} {
		home.Send(`<message type='chat'` + tt.to + `><body>note</body></message>`)
		for _, c := range []struct {
			*routertest.Client
			want string
		}{{home, tt.home}, {phone, tt.phone}, {tablet, tt.tablet}} {
			got := c.Received()
			want := map[string]string{
				"": "", "m": "<message from='romeo@localhost/home' type='chat'" + tt.to + "><body>note</body></message>\n",
				"s": copyOf("sent", "romeo@localhost", c.JID.String(),
					"<message from='romeo@localhost/home'"+tt.message+" type='chat'"+tt.to+"><body>note</body></message>"),
			}[c.want]
			if got != want {
				t.Errorf("message%s: %s received\n%s\nwant\n%s", tt.to, c.JID, got, want)
			}
		}
	}
}

// Enabling and disabling again and again is no error (XEP-0280 §10.1); other
// accounts cannot be asked for it (§4.1).
func TestSwitch(t *testing.T) {
	t.Parallel()
	w := routertest.New(t, list, "localhost")
	w.Account("romeo@localhost", "juliet@localhost")
	c := w.Login("romeo@localhost/home")
	for _, tt := range []struct {
		iq string
		on bool
	}{{disable, false}, {enable, true}, {enable, true}, {disable, false}, {disable, false}, {enable, true}} {
		c.Send(tt.iq)
		if got := c.Received(); !strings.HasPrefix(got, "<iq type='result'") || c.Entry().Carbons != tt.on {
			t.Errorf("%s: %v, %s", tt.iq, c.Entry().Carbons, got)
		}
	}
	c.Send(`<iq type='set' id='1' to='juliet@localhost'><disable xmlns='urn:xmpp:carbons:2'/></iq>`)
	if got := c.Received(); !strings.Contains(got, "<not-allowed") {
		t.Errorf("received %s", got)
	}
}

// Nobody but the server makes copies (XEP-0280 §11).
func TestForged(t *testing.T) {
	t.Parallel()
	w := routertest.New(t, list, "localhost")
	w.Account("romeo@localhost", "juliet@localhost")
	home, phone := w.Login("romeo@localhost/home"), copying(t, w.Node, "romeo@localhost/phone")
	juliet, tablet := w.Login("juliet@localhost/balcony"), copying(t, w.Node, "juliet@localhost/tablet")
	for _, direction := range []string{"sent", "received"} {
		forged := `<` + direction + ` xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>` +
			`<message xmlns='jabber:client' from='nurse@localhost' to='juliet@localhost'><body>poison</body></message></forwarded></` + direction + `>`
		for _, to := range []string{"juliet@localhost/balcony", "romeo@localhost/phone"} {
			home.Send(`<message type='chat' id='1' to='` + to + `'>` + forged + `</message>`)
			if got := home.Received(); !strings.Contains(got, "<not-allowed") {
				t.Errorf("forged %s to %s was answered by %s", direction, to, got)
			}
			// As what a client returns that could not use a copy: silence.
			home.Send(`<message type='error' id='1' to='` + to + `'>` + forged + `<error type='cancel'/></message>`)
			expect(t, home, "")
		}
	}
	for _, c := range []*routertest.Client{phone, juliet, tablet} {
		expect(t, c, "")
	}
}

// Each side looks for itself: what comes from elsewhere has only the Received one.
func TestForgedOnEitherSide(t *testing.T) {
	t.Parallel()
	w := moduletest.New(t)
	w.Init(carbons.New())
	for _, side := range []modules.Side{modules.Sent, modules.Received} {
		_, err := w.Pass(side, modules.Check, "tybalt@capulet.lit/home", `<message to='romeo@capulet.lit'><sent xmlns='urn:xmpp:carbons:2'/></message>`, nil)
		if e, ok := err.(*stanza.Error); !ok || e.Condition != "not-allowed" {
			t.Errorf("side %d: %v", side, err)
		}
	}
}

// signer adds something to each side of a message.
type signer struct{}

func (signer) Info() modules.Info { return modules.Info{Name: "signer"} }

func (signer) Init(h *modules.Host) error {
	for side, xml := range map[modules.Side]string{modules.Sent: "<s/>", modules.Received: "<r/>"} {
		h.Message(side, modules.Amend, func(f *modules.Flight) error {
			f.Stanza.Append(side, []byte(xml))
			return nil
		})
	}
	return nil
}

// A copy shows the message as the owner's side sees it.
func TestSides(t *testing.T) {
	t.Parallel()
	w := routertest.New(t, func(*sqlite.DB, *router.Router) []modules.Module { return []modules.Module{carbons.New(), signer{}} }, "localhost")
	w.Account("romeo@localhost", "juliet@localhost")
	home, phone := w.Login("romeo@localhost/home"), copying(t, w.Node, "romeo@localhost/phone")
	balcony, tablet := w.Login("juliet@localhost/balcony"), copying(t, w.Node, "juliet@localhost/tablet")
	home.Send(`<message to='juliet@localhost/balcony'><body>x</body></message>`)
	sees := func(s string) string {
		return `<message from='romeo@localhost/home' to='juliet@localhost/balcony'><body>x</body>` + s + `</message>`
	}
	expect(t, balcony, sees("<r/>")+"\n")
	expect(t, phone, copyOf("sent", "romeo@localhost", "romeo@localhost/phone", sees("<s/>")))
	expect(t, tablet, copyOf("received", "juliet@localhost", "juliet@localhost/tablet", sees("<r/>")))
	expect(t, home, "")
}

// XEP-0386: the element in <bind/> does what the IQ does, before the session can
// be reached.
func TestInline(t *testing.T) {
	t.Parallel()
	w := moduletest.New(t)
	w.Init(carbons.New())
	in := w.Tables.Inline()
	if len(in) != 1 || in[0].Feature != "urn:xmpp:carbons:2" || in[0].NS != "urn:xmpp:carbons:2" || in[0].Name != "enable" {
		t.Fatalf("offered: %+v", in)
	}
	c := w.Login("romeo@capulet.lit/home")
	w.Registry.Remove(c.Session)
	bound := stanza.NewBuilder(nil).Open("bound", "urn:xmpp:bind:0")
	in[0].Fn(&modules.Flight{Session: c.Session, From: c.JID, Owner: c.JID.Bare()}, stanza.Elem{}, bound)
	if got := string(bound.Bytes()); got != "<bound xmlns='urn:xmpp:bind:0'><enabled xmlns='urn:xmpp:carbons:2'/></bound>" {
		t.Errorf("bound: %s", got)
	}
	w.Registry.Add(c.Session)
	if e := w.Sessions(nil, c.JID.Bare()); len(e) != 1 || !e[0].Carbons || e[0].Copies == 0 {
		t.Errorf("sessions: %+v", e)
	}
}
