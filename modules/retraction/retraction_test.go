package retraction_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/internal/routertest"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/archive"
	"github.com/xmppd/xmppd/modules/internal/moduletest"
	"github.com/xmppd/xmppd/modules/retraction"
	"github.com/xmppd/xmppd/router"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/sqlite"
)

// Which messages leave a tombstone, where, and for what.
func TestRetractions(t *testing.T) {
	t.Parallel()
	const (
		retract  = "<retract xmlns='urn:xmpp:message-retract:1' id='1'/>"
		occupant = "<x xmlns='http://jabber.org/protocol/muc#user'/>"
		juliet   = "juliet@capulet.lit"
	)
	for _, tt := range []struct{ name, to, attrs, children, sent, received string }{
		{"chat", juliet, "type='chat' id='r'", retract, juliet + " 1", "romeo@capulet.lit 1"},
		{"normal", juliet + "/balcony", "id='r'", retract, juliet + " 1", "romeo@capulet.lit 1"},
		{"with a text for others", juliet, "type='chat' id='r'", "<body>gone</body><fallback xmlns='urn:xmpp:fallback:0'/>" + retract, juliet + " 1", "romeo@capulet.lit 1"},
		{"before 0.4", juliet, "type='chat' id='r'", "<apply-to xmlns='urn:xmpp:fasten:0' id='1&amp;2'><retract xmlns='urn:xmpp:message-retract:0'/></apply-to>", juliet + " 1&2", "romeo@capulet.lit 1&2"},
		{"on the way to 0.4", juliet, "type='chat' id='r'", "<retract xmlns='urn:xmpp:message-retract:0' id='1'/>", juliet + " 1", "romeo@capulet.lit 1"},
		{"occupant", "coven@chat.shakespeare.lit/witch", "type='chat' id='r'", retract + occupant, "coven@chat.shakespeare.lit/witch 1", "romeo@capulet.lit/home 1"},
		{"to oneself", "romeo@capulet.lit", "type='chat' id='r'", retract, "", "romeo@capulet.lit 1"},
		{"groupchat", juliet, "type='groupchat' id='r'", retract, "", ""},
		{"headline", juliet, "type='headline' id='r'", retract, "", ""},
		{"error", juliet, "type='error' id='r'", retract, "", ""},
		{"without an id of its own", juliet, "type='chat'", retract, "", ""},
		{"of itself", juliet, "type='chat' id='1'", retract, "", ""},
		{"without the id of a message", juliet, "type='chat' id='r'", "<retract xmlns='urn:xmpp:message-retract:1'/>", "", ""},
		{"something else attached", juliet, "type='chat' id='r'", "<apply-to xmlns='urn:xmpp:fasten:0' id='1'><x xmlns='urn:x'/></apply-to>", "", ""},
		{"wrapped", juliet, "type='chat' id='r'", "<x xmlns='urn:x'>" + retract + "</x>", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := moduletest.New(t)
			w.Init(retraction.New())
			xml := "<message to='" + tt.to + "' " + tt.attrs + ">" + tt.children + "</message>"
			for side, want := range []string{tt.sent, tt.received} {
				f, err := w.Pass(modules.Side(side), modules.Archive, "romeo@capulet.lit/home", xml, nil)
				if err != nil {
					t.Fatal(err)
				}
				got := ""
				for _, r := range f.Run.(*moduletest.Run).Rows {
					r := r.(*storage.Retraction)
					got += r.Chat.String() + " " + r.ID
					if r.FromOwner != (side == 0) || r.Owner != f.Owner || r.By != f.Row {
						t.Errorf("side %d: of %s, his own %v", side, r.Owner, r.FromOwner)
					}
					const tombstone = "<retracted xmlns='urn:xmpp:message-retract:1' id='r' stamp='2026-07-14T23:08:25.000Z'/>"
					if string(r.Element) != tombstone {
						t.Errorf("tombstone %s", r.Element)
					}
				}
				if got != want {
					t.Errorf("side %d: retracted %q, want %q", side, got, want)
				}
			}
			f, err := w.Pass(modules.Received, modules.Archive, "romeo@capulet.lit/home", xml, func(f *modules.Flight) { f.Owed = true })
			if err != nil || len(f.Run.(*moduletest.Run).Rows) > 0 {
				t.Errorf("retracted again when it was delivered again: %v", err)
			}
		})
	}
}

func limits() config.Limits { return config.Defaults().Limits }

// refusing refuses what is sent to the nurse, as a blocklist does.
type refusing struct{}

func (refusing) Info() modules.Info { return modules.Info{Name: "refusing"} }

func (refusing) Init(h *modules.Host) error {
	h.Message(modules.Received, modules.Check, func(f *modules.Flight) error {
		if f.To.Local() == "nurse" && f.Stanza.Class.Has(stanza.Retraction) {
			return stanza.ServiceUnavailable("")
		}
		return nil
	})
	return nil
}

func list(db *sqlite.DB, r *router.Router) []modules.Module {
	a := archive.New(db, nil, nil, nil, limits)
	r.OnInvalidate("archive", a.Invalidated)
	return []modules.Module{a, retraction.New(), refusing{}}
}

// contents are what the messages of an archive hold.
func contents(t *testing.T, w *routertest.World, owner string) (all []string) {
	t.Helper()
	q := storage.ArchiveQuery{Owner: jid.MustParse(owner), Limit: 1000}
	err := w.DB.Archive(t.Context(), q, func(m *storage.Message) error {
		var st stanza.Stanza
		if err := st.Parse(m.XML, stanza.Limits{}); err != nil {
			return err
		}
		line := string(st.ID()) + ":"
		for e := range st.Root().Children() {
			id, _ := e.Attr("id")
			line += fmt.Sprintf(" %s %s%s", e.Name(), id, e.Text())
		}
		all = append(all, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A tombstone stands in both archives and nowhere else; the retraction stays.
func TestTombstones(t *testing.T) {
	t.Parallel()
	w := routertest.New(t, list, "localhost")
	w.Account("romeo@localhost", "juliet@localhost", "nurse@localhost")
	romeo, juliet, nurse := w.Login("romeo@localhost/home"), w.Login("juliet@localhost/balcony"), w.Login("nurse@localhost/kitchen")
	for _, c := range []*routertest.Client{romeo, juliet, nurse} {
		w.Registry.SetPresence(c.Session, []byte("<presence/>"), 0)
	}
	send := func(c *routertest.Client, to, id, children string) {
		t.Helper()
		c.Send("<message type='chat' to='" + to + "@localhost' id='" + id + "'>" + children + "</message>")
	}
	retract := func(id string) string { return "<retract xmlns='urn:xmpp:message-retract:1' id='" + id + "'/>" }
	check := func(when, owner string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, contents(t, w, owner+"@localhost")); diff != "" {
			t.Errorf("%s: archive of %s (-want +got):\n%s", when, owner, diff)
		}
	}
	send(romeo, "juliet", "1", "<body>a</body>")
	send(juliet, "romeo", "1", "<body>b</body>")
	send(romeo, "nurse", "1", "<body>c</body>")
	send(romeo, "juliet", "2", "<body>d</body><replace xmlns='urn:xmpp:message-correct:0' id='1'/>")
	send(nurse, "juliet", "1", "<body>e</body>")

	send(romeo, "nurse", "r", retract("1"))
	check("refused", "nurse", "1: body c", "1: body e")
	check("refused", "romeo", "1: body a", "1: body b", "1: body c", "2: body d replace 1")
	send(juliet, "romeo", "r", retract("2"))
	check("the other's", "romeo", "1: body a", "1: body b", "1: body c", "2: body d replace 1", "r: retract 2")
	send(romeo, "juliet", "s", retract("1"))
	check("retracted", "romeo", "1: retracted s", "1: body b", "1: body c", "2: retracted s", "r: retract 2", "s: retract 1")
	check("retracted", "juliet", "1: retracted s", "1: body b", "2: retracted s", "1: body e", "r: retract 2", "s: retract 1")
	send(romeo, "juliet", "t", retract("1"))
	check("twice", "romeo", "1: retracted s", "1: body b", "1: body c", "2: retracted s", "r: retract 2", "s: retract 1", "t: retract 1")

	// A text may come again under the same id; the newest is meant.
	send(juliet, "romeo", "u", retract("1"))
	check("from the other side", "juliet", "1: retracted s", "1: retracted u", "2: retracted s", "1: body e", "r: retract 2", "s: retract 1",
		"t: retract 1", "u: retract 1")
	check("others are left alone", "nurse", "1: body c", "1: body e")
}

// A note to oneself can be retracted.
func TestNote(t *testing.T) {
	t.Parallel()
	w := routertest.New(t, list, "localhost")
	w.Account("romeo@localhost")
	romeo := w.Login("romeo@localhost/home")
	w.Registry.SetPresence(romeo.Session, []byte("<presence/>"), 0)
	romeo.Send("<message type='chat' to='romeo@localhost' id='1'><body>note</body></message>",
		"<message type='chat' to='romeo@localhost' id='2'><retract xmlns='urn:xmpp:message-retract:1' id='1'/></message>")
	if diff := cmp.Diff([]string{"1: retracted 2", "2: retract 1"}, contents(t, w, "romeo@localhost")); diff != "" {
		t.Errorf("archive (-want +got):\n%s", diff)
	}
}
