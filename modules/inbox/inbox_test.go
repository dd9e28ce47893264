package inbox_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/internal/routertest"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/archive"
	"github.com/xmppd/xmppd/modules/inbox"
	"github.com/xmppd/xmppd/modules/retraction"
	"github.com/xmppd/xmppd/router"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage/sqlite"
)

func limits() config.Limits { return config.Defaults().Limits }

func list(db *sqlite.DB, r *router.Router) []modules.Module {
	a := archive.New(db, nil, nil, nil, limits)
	r.OnInvalidate("archive", a.Invalidated)
	return []modules.Module{a, inbox.New(db, limits), retraction.New()}
}

// befriend makes the accounts of a world.
func befriend(t *testing.T, w *routertest.World) {
	w.Account("romeo@localhost", "juliet@localhost", "nurse@localhost")
	t.Cleanup(func() {
		if logs := w.Logs.String(); logs != "" {
			t.Errorf("logged:\n%s", logs)
		}
	})
}

// login binds a session that takes messages to the bare address.
func login(n *routertest.Node, full string) *routertest.Client {
	c := n.Login(full)
	n.Registry.SetPresence(c.Session, []byte("<presence/>"), 0)
	return c
}

func world(t *testing.T) *routertest.World {
	w := routertest.New(t, list, "localhost")
	befriend(t, w)
	return w
}

// chat is a message as a client sends it.
func chat(to, id, content string) string {
	return "<message type='chat' to='" + to + "' id='" + id + "'>" + content + "</message>"
}

func text(to, id string) string { return chat(to, id, "<body>"+id+"</body>") }

func displayed(to, id string) string {
	return chat(to, "m-"+id, "<displayed xmlns='urn:xmpp:chat-markers:0' id='"+id+"'/>")
}

func correction(to, id, of string) string {
	return chat(to, id, "<body>"+id+"</body><replace xmlns='urn:xmpp:message-correct:0' id='"+of+"'/>")
}

func retract(to, id, of string) string {
	return chat(to, id, "<body>gone</body><retract xmlns='urn:xmpp:message-retract:1' id='"+of+"'/>")
}

// entries is the inbox as a client gets it, a line for each conversation, and the
// totals.
func entries(t *testing.T, c *routertest.Client) []string {
	t.Helper()
	c.Received()
	c.Send("<iq type='get' id='q'><inbox xmlns='urn:xmpp:inbox:1'/></iq>")
	lines := strings.Split(strings.TrimSpace(c.Received()), "\n")
	for i, l := range lines {
		var st stanza.Stanza
		if err := st.Parse([]byte(l), stanza.Limits{}); err != nil {
			t.Fatal(err)
		}
		if fin := st.Root().Child("urn:xmpp:inbox:1", "fin"); fin.OK() {
			total, _ := fin.Attr("total")
			unread, _ := fin.Attr("unread")
			all, _ := fin.Attr("all-unread")
			lines[i] = total + " chats, " + unread + " unread, " + all + " messages"
			continue
		}
		e := st.Root().Child("urn:xmpp:inbox:1", "entry")
		address, _ := e.Attr("jid")
		unread, _ := e.Attr("unread")
		message := st.Root().Child("urn:xmpp:mam:2", "result").Child("urn:xmpp:forward:0", "forwarded").Child(stanza.NSClient, "message")
		what := message.Child(stanza.NSClient, "body").Text()
		if r := message.Child("urn:xmpp:message-retract:1", "retracted"); r.OK() {
			what, _ = r.Attr("id")
			what = "tombstone of " + what
		}
		lines[i] = address + " " + unread + " " + what
	}
	return lines
}

func check(t *testing.T, when string, c *routertest.Client, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, entries(t, c)); diff != "" {
		t.Errorf("%s: inbox of %s (-want +got):\n%s", when, c.JID, diff)
	}
}

// Unread is what came after the last marker of any own device; a marker that comes
// late, or names what nobody knows, changes nothing.
func TestReadState(t *testing.T) {
	t.Parallel()
	w := world(t)
	romeo, phone := login(w.Node, "romeo@localhost/home"), login(w.Node, "romeo@localhost/phone")
	juliet, nurse := login(w.Node, "juliet@localhost/balcony"), login(w.Node, "nurse@localhost/kitchen")
	check(t, "before", romeo, "0 chats, 0 unread, 0 messages")

	for i := range 4 {
		juliet.Send(text("romeo@localhost", fmt.Sprint("j", i)))
	}
	nurse.Send(text("romeo@localhost/home", "n0"))
	check(t, "unread", romeo, "nurse@localhost 1 n0", "juliet@localhost 4 j3", "2 chats, 2 unread, 5 messages")
	check(t, "what was sent", juliet, "romeo@localhost 0 j3", "1 chats, 0 unread, 0 messages")

	phone.Send(displayed("juliet@localhost", "j1"))
	check(t, "read on the phone", romeo, "nurse@localhost 1 n0", "juliet@localhost 2 j3", "2 chats, 2 unread, 3 messages")
	romeo.Send(displayed("juliet@localhost/balcony", "j0"), displayed("juliet@localhost", "unknown"), displayed("nurse@localhost", "j3"))
	check(t, "late markers", romeo, "nurse@localhost 1 n0", "juliet@localhost 2 j3", "2 chats, 2 unread, 3 messages")
	juliet.Send(displayed("romeo@localhost", "j3"))
	check(t, "the other side marks", romeo, "nurse@localhost 1 n0", "juliet@localhost 2 j3", "2 chats, 2 unread, 3 messages")
	romeo.Send(chat("juliet@localhost", "r", "<received xmlns='urn:xmpp:chat-markers:0' id='j3'/>"),
		chat("juliet@localhost", "r2", "<received xmlns='urn:xmpp:receipts' id='j3'/>"))
	check(t, "received is not read", romeo, "nurse@localhost 1 n0", "juliet@localhost 2 j3", "2 chats, 2 unread, 3 messages")
	romeo.Send(chat("juliet@localhost", "a", "<acknowledged xmlns='urn:xmpp:chat-markers:0' id='j3'/>"))
	check(t, "acknowledged", phone, "nurse@localhost 1 n0", "juliet@localhost 0 j3", "2 chats, 1 unread, 1 messages")

	romeo.Send(displayed("juliet@localhost", "j4")) // it comes later: nobody knows it now
	juliet.Send(text("romeo@localhost", "j4"))
	check(t, "a marker for what comes later", romeo, "juliet@localhost 1 j4", "nurse@localhost 1 n0", "2 chats, 2 unread, 2 messages")
	phone.Close()
	romeo.Close()
	for i := range 3 {
		nurse.Send(text("romeo@localhost", fmt.Sprint("n", i+1)))
	}
	romeo = login(w.Node, "romeo@localhost/home")
	check(t, "after a reconnect", romeo, "nurse@localhost 4 n3", "juliet@localhost 1 j4", "2 chats, 2 unread, 5 messages")
	romeo.Send(displayed("nurse@localhost", "n2"))
	check(t, "read again", romeo, "nurse@localhost 1 n3", "juliet@localhost 1 j4", "2 chats, 2 unread, 2 messages")
}

// Who answers has read; what refers to a message is no answer.
func TestReadByAnswer(t *testing.T) {
	t.Parallel()
	w := world(t)
	romeo, juliet := login(w.Node, "romeo@localhost/home"), login(w.Node, "juliet@localhost/balcony")
	juliet.Send(text("romeo@localhost", "j0"), text("romeo@localhost", "j1"))
	romeo.Send(chat("juliet@localhost", "r", "<reactions xmlns='urn:xmpp:reactions:0' id='j1'><reaction>x</reaction></reactions>"),
		chat("juliet@localhost", "c", "<composing xmlns='http://jabber.org/protocol/chatstates'/>"))
	check(t, "reacted", romeo, "juliet@localhost 2 j1", "1 chats, 1 unread, 2 messages")
	romeo.Send(text("juliet@localhost", "r0"))
	check(t, "answered", romeo, "juliet@localhost 0 r0", "1 chats, 0 unread, 0 messages")
	check(t, "the answer", juliet, "romeo@localhost 1 r0", "1 chats, 1 unread, 1 messages")
	juliet.Send(text("romeo@localhost", "j2"))
	check(t, "once more", romeo, "juliet@localhost 1 j2", "1 chats, 1 unread, 1 messages")
}

// The newest correction of the last message stands in the inbox and counts for
// nothing; a tombstone stays in its place.
func TestCorrectionsAndTombstones(t *testing.T) {
	t.Parallel()
	w := world(t)
	romeo, juliet := login(w.Node, "romeo@localhost/home"), login(w.Node, "juliet@localhost/balcony")
	juliet.Send(text("romeo@localhost", "j0"), text("romeo@localhost", "j1"), correction("romeo@localhost", "c1", "j1"))
	check(t, "corrected", romeo, "juliet@localhost 2 c1", "1 chats, 1 unread, 2 messages")
	juliet.Send(correction("romeo@localhost", "c2", "j1"), correction("romeo@localhost", "c0", "j0"))
	check(t, "corrected again, and another", romeo, "juliet@localhost 2 c2", "1 chats, 1 unread, 2 messages")

	juliet.Send(retract("romeo@localhost", "x0", "j0"))
	check(t, "an unread message retracted", romeo, "juliet@localhost 1 c2", "1 chats, 1 unread, 1 messages")
	romeo.Send(retract("juliet@localhost", "x1", "j1"))
	check(t, "the other's cannot be retracted", romeo, "juliet@localhost 1 c2", "1 chats, 1 unread, 1 messages")
	juliet.Send(retract("romeo@localhost", "x2", "j1"))
	check(t, "the last one retracted", romeo, "juliet@localhost 0 tombstone of x2", "1 chats, 0 unread, 0 messages")
	check(t, "both sides", juliet, "romeo@localhost 0 tombstone of x2", "1 chats, 0 unread, 0 messages")
	juliet.Send(text("romeo@localhost", "j2"))
	check(t, "the next", romeo, "juliet@localhost 1 j2", "1 chats, 1 unread, 1 messages")
	romeo.Send(displayed("juliet@localhost", "j1"))
	check(t, "a tombstone read", romeo, "juliet@localhost 1 j2", "1 chats, 1 unread, 1 messages")
}

// A conversation with oneself is never unread; one with an occupant of a room stands
// alone.
func TestConversations(t *testing.T) {
	t.Parallel()
	w := world(t)
	romeo, phone := login(w.Node, "romeo@localhost/home"), login(w.Node, "romeo@localhost/phone")
	juliet := login(w.Node, "juliet@localhost/balcony")
	const occupant = "<body>psst</body><x xmlns='http://jabber.org/protocol/muc#user'/>"
	romeo.Send(text("romeo@localhost", "note"))
	check(t, "note", phone, "romeo@localhost 0 note", "1 chats, 0 unread, 0 messages")
	juliet.Send(text("romeo@localhost", "hi"), chat("romeo@localhost", "1", occupant))
	check(t, "an occupant", romeo, "juliet@localhost/balcony 1 psst", "juliet@localhost 1 hi", "romeo@localhost 0 note",
		"3 chats, 2 unread, 2 messages")
	romeo.Send(displayed("juliet@localhost/balcony", "1"))
	check(t, "a marker elsewhere", romeo, "juliet@localhost/balcony 1 psst", "juliet@localhost 1 hi", "romeo@localhost 0 note",
		"3 chats, 2 unread, 2 messages")
	romeo.Send(chat("juliet@localhost/balcony", "2", "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/><x xmlns='http://jabber.org/protocol/muc#user'/>"))
	check(t, "read", romeo, "juliet@localhost/balcony 0 psst", "juliet@localhost 1 hi", "romeo@localhost 0 note",
		"3 chats, 1 unread, 1 messages")
}

// What has been removed from the archive is not unread; what has been read stays so.
func TestRemoval(t *testing.T) {
	t.Parallel()
	w := world(t)
	romeo, juliet := login(w.Node, "romeo@localhost/home"), login(w.Node, "juliet@localhost/balcony")
	for i := range 5 {
		juliet.Send(text("romeo@localhost", fmt.Sprint("j", i)))
	}
	romeo.Send(displayed("juliet@localhost", "j1"))
	remove := func(n int) {
		t.Helper()
		if _, err := w.DB.RemoveArchive(t.Context(), jid.MustParse("romeo@localhost"), jid.JID{}, n); err != nil {
			t.Fatal(err)
		}
	}
	remove(1)
	check(t, "a read one gone", romeo, "juliet@localhost 3 j4", "1 chats, 1 unread, 3 messages")
	remove(2)
	check(t, "an unread one gone", romeo, "juliet@localhost 2 j4", "1 chats, 1 unread, 2 messages")
	remove(100)
	check(t, "all gone", romeo, "0 chats, 0 unread, 0 messages")
	juliet.Send(text("romeo@localhost", "j5"))
	check(t, "the next", romeo, "juliet@localhost 1 j5", "1 chats, 1 unread, 1 messages")
}

// What one node writes the other sees.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	w := routertest.Pair(t, list, "localhost")
	befriend(t, w)
	home, phone := login(w.Node, "romeo@localhost/home"), login(w.Other, "romeo@localhost/phone")
	juliet := login(w.Other, "juliet@localhost/balcony")
	juliet.Send(text("romeo@localhost", "j0"), text("romeo@localhost", "j1"))
	check(t, "here", home, "juliet@localhost 2 j1", "1 chats, 1 unread, 2 messages")
	home.Send(displayed("juliet@localhost", "j0"))
	check(t, "there", phone, "juliet@localhost 1 j1", "1 chats, 1 unread, 1 messages")
	phone.Send(text("juliet@localhost", "r0"))
	check(t, "here again", home, "juliet@localhost 0 r0", "1 chats, 0 unread, 0 messages")
}

// To make an inbox anew changes nothing, whoever asks for it.
func TestRebuild(t *testing.T) {
	t.Parallel()
	w := world(t)
	romeo, juliet := login(w.Node, "romeo@localhost/home"), login(w.Node, "juliet@localhost/balcony")
	for i := range 20 {
		juliet.Send(text("romeo@localhost", fmt.Sprint("j", i)))
		if i%5 == 4 {
			romeo.Send(displayed("juliet@localhost", fmt.Sprint("j", i-2)))
		}
	}
	juliet.Send(correction("romeo@localhost", "c", "j19"), retract("romeo@localhost", "x", "j18"))
	romeo.Send(text("nurse@localhost", "n"))
	want := []string{"nurse@localhost 0 n", "juliet@localhost 1 c", "2 chats, 1 unread, 1 messages"}
	check(t, "before", romeo, want...)
	for _, tt := range []struct{ call, want string }{
		{"rebuild_inbox romeo localhost", "1 account, 27 messages"},
		{"rebuild_inbox nobody localhost", "error: not_found: no account nobody@localhost"},
		{"rebuild_inbox romeo example.org", "error: unknown_host: Unknown virtual host"},
		{"rebuild_inbox_status localhost", "none was started"},
		{"abort_rebuild_inbox localhost", "none was started"},
		{"rebuild_inbox_status example.org", "error: unknown_host: Unknown virtual host"},
		{"rebuild_inbox_batch example.org", "error: unknown_host: Unknown virtual host"},
	} {
		got, err := w.Call(strings.Fields(tt.call)...)
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.call, got, tt.want)
		}
		check(t, tt.call, romeo, want...)
	}

	if got, err := w.Call("rebuild_inbox_batch", "localhost"); err != nil || !strings.Contains(got, " of 3 accounts, ") {
		t.Errorf("started: %s, %v", got, err)
	}
	for {
		got, err := w.Call("rebuild_inbox_status", "localhost")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(got, ": running") {
			if got != "3 of 3 accounts, 54 messages: done" {
				t.Errorf("ended: %s", got)
			}
			break
		}
	}
	check(t, "all accounts", romeo, want...)
}
