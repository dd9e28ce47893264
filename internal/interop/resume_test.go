package interop

import (
	"slices"
	"strings"
	"testing"
)

// resumable are the clients that can resume a session.
var resumable = []string{"slixmpp STARTTLS", "slixmpp TLS", "xmpp.js ws", "xmpp.js wss", "xmpp.js STARTTLS", "xmpp.js TLS"}

// TestResume cuts connections in the middle of a conversation. Each client
// comes back to its session, which has lost and repeated nothing.
func TestResume(t *testing.T) {
	t.Parallel()
	for _, name := range resumable {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLoad(t, "sqlite")
			peer := l.phone("juliet", &flow{to: "romeo"})
			m := l.library(kinds()[name], "romeo", &flow{to: "juliet"})
			l.all = []member{peer, m}
			l.each(func(m member) { m.login(l) })
			l.befriend(peer)
			before := l.presences(peer)
			for range 3 {
				l.further(5, 3)
				m.do(request{Do: "cut"})
				m.awaitDown(l)
				peer.further(5)
				if o := m.reconnect(l); !o.resumed {
					t.Fatalf("the session was not resumed: %+v", o)
				}
				l.settle()
			}
			l.each(func(m member) { m.quiet(l) })
			if after := l.presences(peer); !slices.Equal(before, after) {
				t.Errorf("presence that was seen: %v", after[len(before):])
			}
		})
	}
}

// TestToken logs in by password once and then by the token of XEP-0484, with
// the session resumed and bound in the same round trip (XEP-0388).
func TestToken(t *testing.T) {
	t.Parallel()
	s := serve(t, "sqlite")
	t.Run("clients", func(t *testing.T) {
		for name, k := range kinds() {
			if !k.tagged {
				continue
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				const token = "HT-SHA-256-NONE"
				u := newUser(t, s, k, strings.ToLower(strings.ReplaceAll(name, " ", "-")))
				u.login()
				first := u.full
				u.do(request{Do: "cut"})
				u.await("the end", func(e event) bool { return e.Event == "disconnected" })
				if a := u.do(request{Do: "reconnect"}); !a.Resumed || a.Mechanism != token || a.JID != first {
					t.Errorf("the session of %s was not resumed by its token: %+v", first, a)
				}
				u.do(request{Do: "ping", To: "localhost"})
				u.do(request{Do: "close"})
				if a := u.do(request{Do: "relogin"}); a.Mechanism != token || !strings.HasPrefix(a.JID, u.bare+"/") {
					t.Errorf("no login by token: %+v", a)
				}
				u.do(request{Do: "ping", To: "localhost"})
			})
		}
	})
}

// TestSeveralDevices is what people with two devices see of each other:
// carbons, blocking and a phone in a pocket.
func TestSeveralDevices(t *testing.T) {
	t.Parallel()
	s := serve(t, "sqlite")
	device := managed(kinds()["slixmpp TLS"])
	juliet := newUser(t, s, kinds()["xmpp.js TLS"], "juliet")
	desk := newUser(t, s, device, "romeo")
	pocket := &user{T: t, kind: device, server: s, name: desk.name, bare: desk.bare, resource: "pocket"}
	for _, u := range []*user{juliet, desk, pocket} {
		u.login()
		u.do(request{Do: "roster"})
		u.do(request{Do: "presence"})
	}
	befriend(desk, juliet)

	pocket.do(request{Do: "carbons"})
	juliet.chat(desk.full, "to the desk")
	desk.awaitMessage(juliet.full, "to the desk")
	desk.chat(juliet.full, "from the desk")
	for _, want := range []string{"to the desk", "from the desk"} {
		if e := pocket.await("a copy", func(e event) bool { return e.Event == "copy" }); e.Body != want {
			t.Errorf("copied %+v instead of %q", e, want)
		}
	}

	pocket.do(request{Do: "inactive"})
	juliet.do(request{Do: "presence", Show: "xa"})
	juliet.do(request{Do: "presence", Show: "chat"})
	desk.awaitPresence(juliet.full, "", "chat", "")
	pocket.do(request{Do: "active"})
	pocket.awaitPresence(juliet.full, "", "chat", "")
	for _, e := range pocket.kept {
		if e.Event == "presence" && e.Show == "xa" {
			t.Error("a phone in a pocket got a presence that was out of date")
		}
	}

	desk.do(request{Do: "block", To: juliet.bare})
	juliet.awaitPresence(desk.full, "unavailable", "", "")
	juliet.chat(desk.bare, "blocked")
	juliet.await("an error", func(e event) bool { return e.Event == "message" && e.Type == "error" })
	if a := pocket.do(request{Do: "blocked"}); len(a.Items) != 1 || a.Items[0] != juliet.bare {
		t.Errorf("blocked are %v", a.Items)
	}
	pocket.do(request{Do: "unblock", To: juliet.bare})
	juliet.awaitPresence(desk.full, "", "dnd", "кино 🎬 <&>")
	juliet.chat(desk.full, "again")
	desk.awaitMessage(juliet.full, "again")
}
