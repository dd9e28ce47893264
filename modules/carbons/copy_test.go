package carbons

import (
	"testing"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/moduletest"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
)

const (
	body    = `<body>hi</body>`
	state   = `<composing xmlns='http://jabber.org/protocol/chatstates'/>`
	private = `<private xmlns='urn:xmpp:carbons:2'/>`
	noCopy  = `<no-copy xmlns='urn:xmpp:hints'/>`
	mucUser = `<x xmlns='http://jabber.org/protocol/muc#user'/>`
	direct  = `<x xmlns='jabber:x:conference' jid='room@rooms.lit'/>`
	invite  = `<x xmlns='http://jabber.org/protocol/muc#user'><invite from='nurse@capulet.lit'/></x>`
	gone    = `<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`
)

// The rules of XEP-0280 §6.1, one after the other.
func TestEligible(t *testing.T) {
	t.Parallel()
	const (
		neither = iota
		sent
		received
		both
	)
	tests := []struct {
		name, attrs, children string
		want                  int
	}{
		{"chat", " type='chat'", body, both},
		{"chat without content", " type='chat'", "", both},
		{"chat with unknown content", " type='chat'", `<x xmlns='urn:example'/>`, both},
		{"encrypted chat", " type='chat'", `<encrypted xmlns='eu.siacs.conversations.axolotl'/>`, both},
		{"private chat", " type='chat'", body + private, neither},
		{"chat not to be copied", " type='chat'", body + noCopy, neither},
		{"both marks", " type='chat'", body + private + noCopy, neither},
		{"somebody else's private", " type='chat'", `<private xmlns='urn:example'/>`, both},

		{"normal", "", body, both},
		{"normal by name", " type='normal'", body, both},
		{"unknown type is normal", " type='mood'", body, both},
		{"normal without body", "", `<subject>news</subject>`, neither},
		{"normal with unknown content", "", `<x xmlns='urn:example'/>`, neither},
		{"private normal", "", body + private, neither},

		{"receipt", "", `<received xmlns='urn:xmpp:receipts' id='1'/>`, both},
		{"receipt wanted", "", `<request xmlns='urn:xmpp:receipts'/>`, both},
		{"state", "", state, both},
		{"marker", "", `<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>`, both},
		{"marker wanted", "", `<markable xmlns='urn:xmpp:chat-markers:0'/>`, both},
		{"headline", " type='headline'", body, neither},
		{"headline with a state", " type='headline'", body + state, both},
		{"event", " type='headline'", `<event xmlns='http://jabber.org/protocol/pubsub#event'/>`, neither},
		{"private receipt", "", `<received xmlns='urn:xmpp:receipts' id='1'/>` + private, neither},
		{"call", "", `<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>`, both},

		{"error", " type='error'", gone, both},
		{"error that repeats", " type='error'", body + gone, both},
		{"answer to a private message", " type='error'", body + private + gone, neither},
		{"answer to one not to be copied", " type='error'", body + noCopy + gone, neither},
		{"answer to an occupant's message", " type='error'", body + mucUser + gone, received}, // the other got it from an occupant
		{"answer to a subject", " type='error'", `<subject>news</subject>` + gone, neither},
		{"answer to an empty subject", " type='error'", `<subject/>` + gone, neither},
		{"answer to a message with a subject", " type='error'", `<subject>news</subject>` + body + gone, both},
		{"answer to a receipt", " type='error'", `<received xmlns='urn:xmpp:receipts' id='1'/>` + gone, both},
		{"answer to a call", " type='error'", `<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>` + gone, both},

		{"groupchat", " type='groupchat'", body, neither},
		{"groupchat state", " type='groupchat'", state, neither},
		{"groupchat invitation", " type='groupchat'", direct, neither},
		{"direct invitation", "", direct, both},
		{"mediated invitation by an occupant", "", invite, sent},
		{"occupant's chat", " type='chat'", body + mucUser, sent},
		{"occupant's normal message", "", body + mucUser, sent},
		{"occupant's message without body", "", mucUser, sent},
		{"occupant's state", "", state + mucUser, sent},
		{"direct invitation by an occupant", "", direct + mucUser, sent},
		{"occupant's private message", " type='chat'", body + mucUser + private, neither},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := flight(t, `<message`+tt.attrs+`>`+tt.children+`</message>`, "juliet@capulet.lit/balcony", "romeo@montague.lit/orchard")
			if got := eligible(modules.Sent, f); got != (tt.want&sent != 0) {
				t.Errorf("sent: %v", got)
			}
			if got := eligible(modules.Received, f); got != (tt.want&received != 0) {
				t.Errorf("received: %v", got)
			}
			// Errors are not left behind.
			if got := (session.Entry{Copies: 1}).HasCopy(f.Stanza, 2); got != (tt.want == both && f.Stanza.Type != stanza.ErrorType) {
				t.Errorf("had: %v", got)
			}
		})
	}
}

// What comes from a room and not from an occupant is no private message, and what
// goes there is none either.
func TestEligibleByRoom(t *testing.T) {
	t.Parallel()
	const room, juliet, answer = "room@rooms.lit", "juliet@capulet.lit/balcony", " type='error'"
	for _, tt := range []struct {
		attrs, children string
		want            bool
	}{
		{"", invite, true},
		{"", mucUser, false},
		{"", `<x xmlns='http://jabber.org/protocol/muc#user'><decline/></x>`, false},
		{"", `<x xmlns='http://jabber.org/protocol/muc#user'><status code='104'/></x>`, false},
		{"", body + mucUser, true},
		{answer, gone, true}, // as from an account
		{answer, body + gone, true},
		{answer, invite + gone, true},
		{answer, body + mucUser + gone, false},
		{answer, mucUser + gone, false},
		{answer, `<subject>news</subject>` + gone, false},
	} {
		xml := `<message` + tt.attrs + `>` + tt.children + `</message>`
		if got := eligible(modules.Received, flight(t, xml, room, juliet)); got != tt.want {
			t.Errorf("%s received: %v", xml, got)
		}
		if got := eligible(modules.Sent, flight(t, xml, juliet, room)); got != tt.want {
			t.Errorf("%s sent: %v", xml, got)
		}
	}
}

func flight(t testing.TB, xml, from, to string) *modules.Flight {
	t.Helper()
	st := new(stanza.Stanza)
	if err := st.Parse([]byte(xml), stanza.Limits{}); err != nil {
		t.Fatal(err)
	}
	return &modules.Flight{
		Ctx: t.Context(), Stanza: st, From: jid.MustParse(from), To: jid.MustParse(to), Run: discard{},
	}
}

// A session is taken to have had a copy only of what is copied, on whichever side:
// else nobody would get the message.
func TestHadOnlyWhatIsEligible(t *testing.T) {
	t.Parallel()
	e := session.Entry{Copies: 1}
	had := 0
	children := []string{
		"", body, state, private, noCopy, mucUser, direct, invite, gone, `<subject>news</subject>`,
		`<request xmlns='urn:xmpp:receipts'/>`, `<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>`,
		`<encrypted xmlns='eu.siacs.conversations.axolotl'/>`,
	}
	try := func(xml, from string) {
		f := flight(t, xml, from, "juliet@capulet.lit/balcony")
		if !e.HasCopy(f.Stanza, 2) {
			return
		}
		had++
		if !eligible(modules.Received, f) {
			t.Errorf("%s of %s is not eligible when received", xml, from)
		}
		f.From, f.To = f.To, f.From
		if !eligible(modules.Sent, f) {
			t.Errorf("%s to %s is not eligible when sent", xml, from)
		}
	}
	for _, typ := range []string{"", "normal", "chat", "groupchat", "headline", "error", "mood"} {
		for _, one := range children {
			for _, other := range children {
				xml := `<message type='` + typ + `'>` + one + other + `</message>`
				try(xml, "room@rooms.lit")
				try(xml, "room@rooms.lit/romeo")
			}
		}
	}
	if had == 0 {
		t.Error("nobody has had anything")
	}
}

// discard is a modules.Runner that takes everything.
type discard struct{ modules.Runner }

func (discard) Send(session.Ref, []byte) bool           { return true }
func (discard) SendRow(session.Ref, []byte, int64) bool { return true }

// Without a session that wants copies a message costs no memory, and one with
// copies none that stays.
func TestAllocs(t *testing.T) {
	w := moduletest.New(t)
	m := New()
	w.Init(m)
	romeo, juliet := w.Login("romeo@capulet.lit/orchard"), w.Login("juliet@capulet.lit/balcony")
	w.SetCarbons(romeo.Session, true) // the sender
	w.SetCarbons(juliet.Session, true)
	f := flight(t, `<message to='juliet@capulet.lit' type='chat' id='1'><body>hi</body></message>`, "romeo@capulet.lit/orchard", "juliet@capulet.lit")
	f.Session, f.Planned = romeo.Session, []session.Entry{juliet.Entry()}
	pass := func() {
		f.Owner = f.From.Bare()
		_, _ = w.Tables.Pass(stanza.Message, modules.Sent, modules.Copy, f)
		f.Owner = f.To.Bare()
		_, _ = w.Tables.Pass(stanza.Message, modules.Received, modules.Copy, f)
	}
	for range 3 {
		if n := testing.AllocsPerRun(100, pass); n != 0 && !raceEnabled { // the detector makes pools forget
			t.Errorf("%v allocations with %d sessions", n, w.Registry.Len())
		}
		for _, full := range []string{"romeo@capulet.lit/", "juliet@capulet.lit/"} {
			other := w.Login(full + string(rune('a'+w.Registry.Len())))
			w.SetCarbons(other.Session, true)
		}
	}
}
