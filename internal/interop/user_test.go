package interop

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// kind is a client and the way in which it connects.
type kind struct {
	name      string
	start     func(*testing.T, *server) client
	connect   func(*server) request // where to, for login
	mechanism string                // the strongest that it and the server have
	// forgetful clients ask for the resource in the stream header that the server
	// sent, where RFC 6120 §4.7.2 wants a bare JID, so that they ask for none.
	forgetful bool
	// tagged clients ask for a resource that only begins as they say (XEP-0386 §4).
	tagged bool
}

func kinds() map[string]kind {
	slixmpp := func(t *testing.T, _ *server) client {
		return startProcess(t, []string{"PYTHONDONTWRITEBYTECODE=1"}, "/usr/bin/python3", "py/client.py")
	}
	xmppjs := func(t *testing.T, s *server) client {
		if _, err := os.Stat("js/node_modules/@xmpp/client"); err != nil {
			t.Fatalf("find @xmpp/client (`make test` installs it): %v", err)
		}
		return startProcess(t, []string{"NODE_EXTRA_CA_CERTS=" + s.certificate()}, "node", "js/client.js")
	}
	mellium := func(t *testing.T, _ *server) client { return startMellium(t) }
	tcp := func(key, tls string) func(*server) request {
		return func(s *server) request {
			return request{Host: "127.0.0.1", Port: s.port(key), TLS: tls, CA: s.certificate()}
		}
	}
	service := func(key, format string) func(*server) request {
		return func(s *server) request { return request{Service: fmt.Sprintf(format, s.port(key))} }
	}
	all := make(map[string]kind)
	for _, k := range []kind{
		{"slixmpp STARTTLS", slixmpp, tcp("c2s", "starttls"), "SCRAM-SHA-512", false, false},
		{"slixmpp TLS", slixmpp, tcp("c2s_tls", "direct"), "SCRAM-SHA-512", false, false},
		{"xmpp.js ws", xmppjs, service("http", "ws://127.0.0.1:%d/ws"), "SCRAM-SHA-1", false, true},
		{"xmpp.js wss", xmppjs, service("https", "wss://localhost:%d/xmpp-websocket"), "SCRAM-SHA-1", false, true},
		{"xmpp.js STARTTLS", xmppjs, service("c2s", "xmpp://localhost:%d"), "SCRAM-SHA-1", false, true},
		{"xmpp.js TLS", xmppjs, service("c2s_tls", "xmpps://localhost:%d"), "SCRAM-SHA-1", false, true},
		{"mellium STARTTLS", mellium, tcp("c2s", "starttls"), "SCRAM-SHA-256-PLUS", true, false},
		{"mellium TLS", mellium, tcp("c2s_tls", "direct"), "SCRAM-SHA-256-PLUS", true, false},
	} {
		all[k.name] = k
	}
	return all
}

// managed is a client with stream management.
func managed(k kind) kind {
	connect := k.connect
	k.connect = func(s *server) request {
		r := connect(s)
		r.SM = true
		return r
	}
	return k
}

// user is an account with one client.
type user struct {
	*testing.T
	kind   kind
	server *server
	name   string
	bare   string
	full   string // once logged in
	// resource is what to ask for; the default is a difficult one.
	resource string
	client   client
	kept     []event // received and not yet asked for
	logins   int
	confirms bool           // by stream management (XEP-0198)
	had      map[string]int // the login in which a message came, by its stanza-id
}

// newUser registers an account.
func newUser(t *testing.T, s *server, k kind, name string) *user {
	t.Helper()
	s.register(t, name)
	return &user{T: t, kind: k, server: s, name: name, bare: name + "@localhost"}
}

// do asks the client for something that must succeed.
func (u *user) do(r request) answer {
	u.Helper()
	a, err := u.try(r)
	if err != nil {
		u.Fatalf("%s (%s) %s %s: %v", u.name, u.kind.name, r.Do, r.To, err)
	}
	return a
}

func (u *user) try(r request) (answer, error) {
	ctx, cancel := deadline()
	defer cancel()
	return u.client.do(ctx, r)
}

// login starts a client and logs in, with initial presence.
func (u *user) login() {
	u.Helper()
	u.client, u.kept = u.kind.start(u.T, u.server), nil
	u.logins++
	r := u.kind.connect(u.server)
	r.Do, r.JID, r.Password, r.Resource = "login", u.bare, password, cmp.Or(u.resource, "Жук 1")
	u.confirms = r.SM || u.kind.tagged
	a := u.do(r)
	switch want := u.bare + "/" + r.Resource; {
	case u.kind.forgetful && strings.HasPrefix(a.JID, u.bare+"/"):
	case u.kind.tagged && strings.HasPrefix(a.JID, want):
	case a.JID != want:
		u.Fatalf("%s is bound to %q, not to %q", u.kind.name, a.JID, want)
	}
	if a.Mechanism != u.kind.mechanism {
		u.Errorf("%s logged in with %q, want %q", u.kind.name, a.Mechanism, u.kind.mechanism)
	}
	u.full = a.JID
}

// repeated reports whether a message comes once more, as it may to a client without
// stream management: at the next login, if the server pinged it before the message
// and not again before the end. Any other message that has come before is an error.
func (u *user) repeated(e event) bool {
	u.Helper()
	if e.Event != "message" || e.StanzaID == "" {
		return false
	}
	if u.had == nil {
		u.had = make(map[string]int)
	}
	at, ok := u.had[e.StanzaID]
	if ok && (u.confirms || at != u.logins-1) {
		u.Errorf("%s (%s) received a message of login %d in login %d: %+v", u.name, u.kind.name, at, u.logins, e)
	}
	u.had[e.StanzaID] = u.logins
	return ok
}

// await returns the first event that matches and was not returned before.
func (u *user) await(what string, match func(event) bool) event {
	u.Helper()
	if i := slices.IndexFunc(u.kept, match); i >= 0 {
		e := u.kept[i]
		u.kept = slices.Delete(u.kept, i, i+1)
		return e
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case e, ok := <-u.client.events():
			switch {
			case !ok:
				u.Fatalf("%s (%s) ended instead of receiving %s; received %+v", u.name, u.kind.name, what, u.kept)
			case u.repeated(e):
			case match(e):
				return e
			default:
				u.kept = append(u.kept, e)
			}
		case <-timeout.C:
			u.Fatalf("%s (%s) never received %s; received %+v", u.name, u.kind.name, what, u.kept)
		}
	}
}

func (u *user) awaitPresence(from, typ, show, status string) {
	u.Helper()
	u.await(fmt.Sprintf("presence %q (%s %s) from %s", typ, show, status, from), func(e event) bool {
		return e.Event == "presence" && e.From == from && e.Type == typ && e.Show == show && e.Status == status
	})
}

// awaitMessage returns the next message, which must be this one.
func (u *user) awaitMessage(from, body string) event {
	u.Helper()
	e := u.await(fmt.Sprintf("the message %q", body), func(e event) bool { return e.Event == "message" })
	if e.From != from || e.Body != body || e.Type != "chat" {
		u.Fatalf("%s (%s) received %+v instead of %q from %s", u.name, u.kind.name, e, body, from)
	}
	return e
}

func (u *user) awaitPush(jid, subscription string) {
	u.Helper()
	u.await("a roster push: "+jid+" "+subscription, func(e event) bool {
		return e.Event == "roster" && e.JID == jid && e.Subscription == subscription
	})
}

// noMessage proves that no message is on its way or was left over: what the
// server sent before it answers a ping has arrived with the answer.
func (u *user) noMessage() {
	u.Helper()
	u.do(request{Do: "ping", To: "localhost"})
	for {
		select {
		case e := <-u.client.events():
			if !u.repeated(e) {
				u.kept = append(u.kept, e)
			}
			continue
		default:
		}
		break
	}
	if i := slices.IndexFunc(u.kept, func(e event) bool { return e.Event == "message" }); i >= 0 {
		u.Fatalf("%s (%s) received a message too many: %+v", u.name, u.kind.name, u.kept[i])
	}
}

func (u *user) chat(to, body string) {
	u.Helper()
	u.do(request{Do: "message", To: to, Type: "chat", Body: body, ID: "m1"})
}

func (u *user) close() {
	u.Helper()
	u.do(request{Do: "close"})
	u.await("the end of the stream", func(e event) bool { return e.Event == "closed" })
	u.client.kill()
}
