package interop

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/internal/pgtest"
)

// bodies hold what goes wrong first: markup, other scripts and directions,
// characters beyond 16 bits and made of several, white space that counts. The
// long one is ASCII because @xmpp/client 0.14 over TCP decodes every read by
// itself and breaks characters that lie across two.
var bodies = []string{
	"Wherefore art thou?",
	`<b>"&amp;"</b> & ]]> '`,
	"Где же ты? איפה אתה 你在哪里 e\u0301",
	"👩‍👩‍👧‍👦 🏳️‍🌈 \U0001F9C0",
	"line one\nline two\n\ttab  two spaces ",
	strings.Repeat("long ", 8_000),
}

// soon lets clients that might read their archive have what waits for them when they
// have not read it for a second.
const soon = "modules: {offline: {idle: 1s}}"

// TestWalk is what two people do on their first day, with every client and over
// every transport.
func TestWalk(t *testing.T) {
	t.Parallel()
	pairs := [][2]string{
		{"slixmpp STARTTLS", "slixmpp TLS"},
		{"xmpp.js ws", "xmpp.js STARTTLS"},
		{"xmpp.js TLS", "xmpp.js wss"},
		{"mellium STARTTLS", "mellium TLS"},
		{"slixmpp STARTTLS", "xmpp.js ws"},
		{"xmpp.js wss", "mellium STARTTLS"},
		{"mellium STARTTLS", "slixmpp TLS"},
	}
	s := serve(t, "sqlite", soon)
	all := kinds()
	t.Run("SQLite", func(t *testing.T) {
		for i, p := range pairs {
			t.Run(p[0]+" and "+p[1], func(t *testing.T) {
				t.Parallel()
				walk(t, s, all[p[0]], all[p[1]], i)
			})
		}
	})
}

func TestWalkPostgreSQL(t *testing.T) {
	t.Parallel()
	s := serve(t, pgtest.URL(t), soon)
	all := kinds()
	walk(t, s, all["slixmpp STARTTLS"], all["xmpp.js ws"], 0)
}

func walk(t *testing.T, s *server, a, b kind, n int) {
	romeo := newUser(t, s, a, fmt.Sprintf("romeo%d", n))
	juliet := newUser(t, s, b, fmt.Sprintf("juliet%d", n))
	romeo.login()
	juliet.login()
	for _, u := range []*user{romeo, juliet} {
		if c := u.do(request{Do: "roster"}).Contacts; len(c) != 0 {
			t.Errorf("a new roster has %v", c)
		}
		u.do(request{Do: "presence"})
		u.awaitPresence(u.full, "", "", "") // RFC 6121 §4.2.2
	}
	befriend(romeo, juliet)
	queries(t, romeo, juliet)
	queries(t, juliet, romeo)
	talk(romeo, juliet)

	juliet.close()
	romeo.awaitPresence(juliet.full, "unavailable", "", "")
	away(romeo, juliet)

	romeo.close()
	juliet.awaitPresence(romeo.full, "unavailable", "", "")
	juliet.close()
}

// befriend subscribes both to each other's presence.
func befriend(romeo, juliet *user) {
	romeo.do(request{Do: "presence", To: juliet.bare, Type: "subscribe"})
	romeo.awaitPush(juliet.bare, "none")
	juliet.awaitPresence(romeo.bare, "subscribe", "", "")
	juliet.do(request{Do: "presence", To: romeo.bare, Type: "subscribed"})
	juliet.awaitPush(romeo.bare, "from")
	romeo.awaitPresence(juliet.bare, "subscribed", "", "")
	romeo.awaitPush(juliet.bare, "to")
	romeo.awaitPresence(juliet.full, "", "", "")

	juliet.do(request{Do: "presence", To: romeo.bare, Type: "subscribe"})
	romeo.awaitPresence(juliet.bare, "subscribe", "", "")
	romeo.do(request{Do: "presence", To: juliet.bare, Type: "subscribed"})
	juliet.awaitPresence(romeo.bare, "subscribed", "", "")
	juliet.awaitPresence(romeo.full, "", "", "")
	for _, u := range [][2]*user{{romeo, juliet}, {juliet, romeo}} {
		u[0].awaitPush(u[1].bare, "both")
		roster := u[0].do(request{Do: "roster"}).Contacts
		if len(roster) != 1 || roster[0].JID != u[1].bare || roster[0].Subscription != "both" || roster[0].Ask != "" {
			u[0].Errorf("the roster of %s is %+v", u[0].name, roster)
		}
	}

	romeo.do(request{Do: "presence", Show: "dnd", Status: "кино 🎬 <&>"})
	juliet.awaitPresence(romeo.full, "", "dnd", "кино 🎬 <&>")
}

// talk sends messages in both directions at the same time.
func talk(romeo, juliet *user) {
	for i := range 20 {
		romeo.chat(juliet.full, fmt.Sprint("to juliet ", i))
		juliet.chat(romeo.bare, fmt.Sprint("to romeo ", i))
	}
	for i := range 20 {
		juliet.awaitMessage(romeo.full, fmt.Sprint("to juliet ", i))
		romeo.awaitMessage(juliet.full, fmt.Sprint("to romeo ", i))
	}
	for _, body := range bodies {
		romeo.chat(juliet.bare, body)
		juliet.awaitMessage(romeo.full, body)
		juliet.chat(romeo.full, body)
		romeo.awaitMessage(juliet.full, body)
	}
	if _, err := romeo.try(request{Do: "version", To: juliet.bare + "/nobody"}); err == nil {
		romeo.Error("a session that does not exist has a version")
	}
}

// away sends to an account without a session, which then comes back twice: it
// gets everything once.
func away(romeo, juliet *user) {
	for _, body := range bodies {
		romeo.chat(juliet.bare, body)
	}
	romeo.noMessage() // nothing came back as an error
	juliet.login()
	juliet.do(request{Do: "presence"})
	romeo.awaitPresence(juliet.full, "", "", "")
	for _, body := range bodies {
		e := juliet.awaitMessage(romeo.full, body)
		if at, err := time.Parse(time.RFC3339, e.Delay); err != nil || time.Since(at).Abs() > time.Hour {
			juliet.Errorf("%s: delay %q of a message that was kept", juliet.kind.name, e.Delay)
		}
	}
	juliet.noMessage()
	juliet.close()
	romeo.awaitPresence(juliet.full, "unavailable", "", "")

	juliet.login()
	juliet.do(request{Do: "presence"})
	juliet.awaitPresence(romeo.full, "", "dnd", "кино 🎬 <&>")
	juliet.noMessage()
}

// queries asks the server, the own account and the other client.
func queries(t *testing.T, u, other *user) {
	u.do(request{Do: "ping", To: "localhost"})
	u.do(request{Do: "ping", To: other.full})
	if v := u.do(request{Do: "version", To: "localhost"}); v.Name == "" || v.Version == "" {
		t.Errorf("%s: version is %+v", u.kind.name, v)
	}
	at := u.do(request{Do: "time", To: "localhost"})
	if utc, err := time.Parse(time.RFC3339, at.UTC); err != nil || time.Since(utc).Abs() > time.Hour || at.TZO == "" {
		t.Errorf("%s: time is %+v", u.kind.name, at)
	}
	info := u.do(request{Do: "disco", To: "localhost"})
	if !slices.Contains(info.Identities, "server/im") {
		t.Errorf("%s: the server is %v", u.kind.name, info.Identities)
	}
	for _, f := range []string{"http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/disco#items", "urn:xmpp:ping", "jabber:iq:version", "urn:xmpp:time"} {
		if !slices.Contains(info.Features, f) {
			t.Errorf("%s: the server does not announce %s in %v", u.kind.name, f, info.Features)
		}
	}
	if own := u.do(request{Do: "disco", To: u.bare}); !slices.Contains(own.Identities, "account/registered") {
		t.Errorf("%s: the account is %v", u.kind.name, own.Identities)
	}
	u.do(request{Do: "items", To: "localhost"})
}
