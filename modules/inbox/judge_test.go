package inbox

import (
	"testing"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/moduletest"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

func limits() config.Limits { return config.Defaults().Limits }

const (
	body     = "<body>hi</body>"
	read     = storage.Shown | storage.ReadsChat
	unread   = storage.Shown | storage.Unread
	occupant = "<x xmlns='http://jabber.org/protocol/muc#user'/>"
)

// What a message is for the inbox of who has sent it and of who gets it.
func TestFlags(t *testing.T) {
	t.Parallel()
	m := New(nil, limits)
	moduletest.New(t).Init(m)
	for _, tt := range []struct {
		name, kind, children string
		sent, received       storage.Flags
	}{
		{"text", "chat", body, read, unread},
		{"normal", "", body, read, unread},
		{"empty text", "chat", "<body/>", 0, 0},
		{"a text in one of two languages", "chat", "<body/><body xml:lang='fr'>oui</body>", read, unread},
		{"unknown type", "x", body, read, unread},
		{"with a request for a receipt, a marker and a chat state", "chat", body + "<request xmlns='urn:xmpp:receipts'/>" +
			"<markable xmlns='urn:xmpp:chat-markers:0'/><active xmlns='http://jabber.org/protocol/chatstates'/>", read, unread},
		{"reply", "chat", body + "<reply xmlns='urn:xmpp:reply:0' id='1'/>", read, unread},
		{"correction", "chat", body + "<replace xmlns='urn:xmpp:message-correct:0' id='1'/>", read, unread},
		{"OMEMO", "chat", "<encrypted xmlns='eu.siacs.conversations.axolotl'><header/><payload>x</payload></encrypted>" +
			"<encryption xmlns='urn:xmpp:eme:0' namespace='eu.siacs.conversations.axolotl'/>", read, unread},
		{"OMEMO with a text for others", "chat", "<encrypted xmlns='urn:xmpp:omemo:2'><header/><payload>x</payload></encrypted>" + body, read, unread},
		{"OMEMO keys only", "chat", "<encrypted xmlns='eu.siacs.conversations.axolotl'><header/></encrypted><store xmlns='urn:xmpp:hints'/>", 0, 0},
		{"OMEMO keys only, announced", "chat", "<encryption xmlns='urn:xmpp:eme:0' namespace='urn:xmpp:omemo:2'/><encrypted xmlns='urn:xmpp:omemo:2'><header/></encrypted>", 0, 0},
		{"OpenPGP", "chat", "<openpgp xmlns='urn:xmpp:openpgp:0'>x</openpgp>", read, unread},
		{"old OpenPGP", "chat", "<x xmlns='jabber:x:encrypted'>x</x>", read, unread},
		{"groupchat", "groupchat", body, 0, 0},
		{"headline", "headline", body, 0, 0},
		{"error", "error", body + "<error type='cancel'/>", 0, 0},
		{"subject alone", "", "<subject>news</subject>", 0, 0},
		{"displayed", "chat", "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>", 0, 0},
		{"receipt", "", "<received xmlns='urn:xmpp:receipts' id='1'/>", 0, 0},
		{"chat state", "chat", "<composing xmlns='http://jabber.org/protocol/chatstates'/>", 0, 0},
		{"reaction", "chat", "<reactions xmlns='urn:xmpp:reactions:0' id='1'><reaction>x</reaction></reactions>", 0, 0},
		{"reaction with a text for others", "chat", body + "<reactions xmlns='urn:xmpp:reactions:0' id='1'/>", 0, 0},
		{"retraction with a text for others", "chat", body + "<retract xmlns='urn:xmpp:message-retract:1' id='1'/>", 0, 0},
		{"invitation", "", "<x xmlns='jabber:x:conference' jid='coven@chat.shakespeare.lit'/>", 0, 0},
		{"invitation with a text", "", body + "<x xmlns='jabber:x:conference' jid='coven@chat.shakespeare.lit'/>", read, unread},
		{"call", "chat", "<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>", 0, 0},
		{"what nobody knows", "chat", "<x xmlns='urn:x:unknown'/>", 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var st stanza.Stanza
			if err := st.Parse([]byte("<message type='"+tt.kind+"'>"+tt.children+"</message>"), stanza.Limits{}); err != nil {
				t.Fatal(err)
			}
			if got := m.flags(&st, true); got != tt.sent {
				t.Errorf("sent: flags %b, want %b", got, tt.sent)
			}
			if got := m.flags(&st, false); got != tt.received {
				t.Errorf("received: flags %b, want %b", got, tt.received)
			}
		})
	}
}

// Which messages move a read position, and in which conversation.
func TestMarkers(t *testing.T) {
	t.Parallel()
	const ns = "xmlns='urn:xmpp:chat-markers:0'"
	for _, tt := range []struct{ name, to, kind, children, want string }{
		{"displayed", "juliet@capulet.lit", "chat", "<displayed " + ns + " id='1'/>", "juliet@capulet.lit 1"},
		{"to a full address", "juliet@capulet.lit/balcony", "", "<displayed " + ns + " id='1&amp;2'/>", "juliet@capulet.lit 1&2"},
		{"with a text", "juliet@capulet.lit", "chat", body + "<displayed " + ns + " id='1'/>", "juliet@capulet.lit 1"},
		{"acknowledged", "juliet@capulet.lit", "chat", "<acknowledged " + ns + " id='1'/>", "juliet@capulet.lit 1"},
		{"behind received", "juliet@capulet.lit", "chat", "<received " + ns + " id='2'/><displayed " + ns + " id='1'/>", "juliet@capulet.lit 1"},
		{"of an occupant", "coven@chat.shakespeare.lit/witch", "chat", "<displayed " + ns + " id='1'/>" + occupant, "coven@chat.shakespeare.lit/witch 1"},
		{"received", "juliet@capulet.lit", "chat", "<received " + ns + " id='1'/>", ""},
		{"markable", "juliet@capulet.lit", "chat", body + "<markable " + ns + "/>", ""},
		{"without an id", "juliet@capulet.lit", "chat", "<displayed " + ns + "/>", ""},
		{"foreign", "juliet@capulet.lit", "chat", "<received " + ns + " id='1'/><displayed xmlns='urn:x' id='1'/>", ""},
		{"wrapped", "juliet@capulet.lit", "chat", "<x xmlns='urn:x'><displayed " + ns + " id='1'/></x>", ""},
		{"groupchat", "coven@chat.shakespeare.lit", "groupchat", "<displayed " + ns + " id='1'/>", ""},
		{"error", "juliet@capulet.lit", "error", "<displayed " + ns + " id='1'/>", ""},
		{"to oneself", "romeo@capulet.lit", "chat", "<displayed " + ns + " id='1'/>", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := moduletest.New(t)
			w.Init(New(nil, limits))
			xml := "<message to='" + tt.to + "' type='" + tt.kind + "' id='m'>" + tt.children + "</message>"
			for _, side := range []modules.Side{modules.Sent, modules.Received} {
				f, err := w.Pass(side, modules.Archive, "romeo@capulet.lit/home", xml, withRow)
				if err != nil {
					t.Fatal(err)
				}
				want, got := "", ""
				if side == modules.Sent {
					want = tt.want
				}
				for _, r := range f.Run.(*moduletest.Run).Rows {
					r := r.(*storage.Read)
					got += r.Chat.String() + " " + r.ID
					if r.Owner.String() != "romeo@capulet.lit" || r.By != f.Row {
						t.Errorf("the owner is %s", r.Owner)
					}
				}
				if got != want {
					t.Errorf("side %d: read %q, want %q", side, got, want)
				}
			}
		})
	}
}

func withRow(f *modules.Flight) { f.Row = new(storage.Message) }

// Who writes to himself has read it; there is one copy, that of the recipient.
// What is delivered a second time is not counted again.
func TestSides(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		to             string
		options        map[string]any
		owed           bool
		sent, received storage.Flags
	}{
		{"juliet@capulet.lit", nil, false, read, unread},
		{"romeo@capulet.lit/phone", nil, false, 0, read},
		{"juliet@capulet.lit", nil, true, read, 0},
		{"juliet@capulet.lit", map[string]any{"read_by_answer": false}, false, storage.Shown, unread},
		{"romeo@capulet.lit", map[string]any{"read_by_answer": false}, false, 0, storage.Shown},
	} {
		w := moduletest.New(t)
		w.InitWith(New(nil, limits), tt.options)
		for side, want := range []storage.Flags{tt.sent, tt.received} {
			f, err := w.Pass(modules.Side(side), modules.Archive, "romeo@capulet.lit/home",
				"<message type='chat' to='"+tt.to+"'><body>hi</body></message>",
				func(f *modules.Flight) { f.Row, f.Owed = new(storage.Message), tt.owed })
			if err != nil || f.Row.Flags != want {
				t.Errorf("to %s, owed %v, options %v, side %d: flags %b, %v; want %b", tt.to, tt.owed, tt.options, side, f.Row.Flags, err, want)
			}
		}
	}
}

// Stored rows are judged as the messages were.
func TestJudge(t *testing.T) {
	t.Parallel()
	m := New(nil, limits)
	moduletest.New(t).Init(m)
	romeo := jid.MustParse("romeo@capulet.lit")
	const marker = "<displayed xmlns='urn:xmpp:chat-markers:0' id='7'/>"
	for _, tt := range []struct {
		peer, children string
		own            storage.Flags
		want           storage.Judgement
	}{
		{"juliet@capulet.lit/balcony", body, 0, storage.Judgement{Flags: unread, Chat: jid.MustParse("juliet@capulet.lit")}},
		{"juliet@capulet.lit", body, storage.FromOwner, storage.Judgement{Flags: read, Chat: jid.MustParse("juliet@capulet.lit")}},
		{"coven@chat.shakespeare.lit/witch", body + occupant, 0, storage.Judgement{Flags: unread, Chat: jid.MustParse("coven@chat.shakespeare.lit/witch")}},
		{"romeo@capulet.lit/home", body, 0, storage.Judgement{Flags: read, Chat: romeo}},
		{"juliet@capulet.lit", marker, storage.FromOwner, storage.Judgement{Chat: jid.MustParse("juliet@capulet.lit"), Read: "7"}},
		{"juliet@capulet.lit", marker, 0, storage.Judgement{Chat: jid.MustParse("juliet@capulet.lit")}},
		{"romeo@capulet.lit/home", marker, 0, storage.Judgement{Chat: romeo}},
		{"juliet@capulet.lit", "</message>", 0, storage.Judgement{Chat: jid.MustParse("juliet@capulet.lit")}},
	} {
		got := m.judge(&storage.Message{
			Owner: romeo, Peer: jid.MustParse(tt.peer), Flags: storage.Archived | tt.own,
			XML: []byte("<message type='chat'>" + tt.children + "</message>"),
		})
		if got != tt.want {
			t.Errorf("%s with %s: %+v, want %+v", tt.children, tt.peer, got, tt.want)
		}
	}
}

// A message costs nothing on its way.
func TestAllocations(t *testing.T) {
	w := moduletest.New(t)
	m := New(nil, limits)
	w.Init(m)
	st := w.Parse("<message type='chat' id='1'>" + body + "<markable xmlns='urn:xmpp:chat-markers:0'/></message>")
	row := new(storage.Message)
	romeo, juliet := jid.MustParse("romeo@capulet.lit/home"), jid.MustParse("juliet@capulet.lit")
	f := &modules.Flight{Stanza: st, From: romeo, To: juliet, Row: row}
	n := testing.AllocsPerRun(100, func() {
		f.Owner = romeo.Bare()
		m.sent(f)
		f.Owner = juliet
		m.received(f)
	})
	if n != 0 || row.Flags != read|unread {
		t.Errorf("%v allocations, flags %b", n, row.Flags)
	}
}
