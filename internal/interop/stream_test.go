package interop

import (
	"strings"
	"testing"
)

// TestWrongPassword is the error that people see most.
func TestWrongPassword(t *testing.T) {
	t.Parallel()
	s := serve(t, "sqlite")
	t.Run("clients", func(t *testing.T) {
		for name, k := range kinds() {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				u := newUser(t, s, k, strings.ReplaceAll(name, " ", "-"))
				u.client = k.start(t, s)
				r := k.connect(s)
				r.Do, r.JID, r.Password, r.Resource = "login", u.bare, "not the password", "x"
				if _, err := u.try(r); err == nil || !strings.Contains(err.Error(), "not-authorized") {
					t.Errorf("login with a wrong password: %v, want not-authorized", err)
				}
			})
		}
	})
}

// TestAsItIs has slixmpp log in as Debian ships it: it tries what TLS 1.3 does not
// have with each -PLUS mechanism, then the lie that there is none, and comes to
// PLAIN in the end. None of that is a guess at a password.
func TestAsItIs(t *testing.T) {
	t.Parallel()
	s := serve(t, "sqlite")
	s.register(t, "romeo")
	for _, k := range kinds() {
		if !strings.HasPrefix(k.name, "slixmpp") {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			u := &user{T: t, kind: k, server: s, name: "romeo", bare: "romeo@localhost"}
			u.client = k.start(t, s)
			r := k.connect(s)
			r.Do, r.JID, r.Password, r.Resource, r.AsIs = "login", u.bare, password, "phone", true
			if a := u.do(r); a.Mechanism != "PLAIN" {
				t.Errorf("logged in with %q", a.Mechanism)
			}
		})
	}
}

// TestShutdown tells every client that cannot resume why its stream ends, and
// does not wait for clients that stay. The others find their stream unfinished
// (XEP-0198 §6).
func TestShutdown(t *testing.T) {
	t.Parallel()
	s := serve(t, "sqlite")
	s.register(t, "romeo")
	var users []*user
	for _, k := range kinds() {
		u := &user{T: t, kind: k, server: s, name: "romeo", bare: "romeo@localhost", resource: strings.ReplaceAll(k.name, " ", "-")}
		u.login()
		u.do(request{Do: "presence"})
		users = append(users, u)
	}
	s.stop(t)
	for _, u := range users {
		e := u.await("the end", func(e event) bool { return e.Event == "stream-error" || e.Event == "disconnected" })
		if resumes := u.kind.tagged; resumes && e.Event != "disconnected" || !resumes && e.Type != "system-shutdown" {
			t.Errorf("%s: %+v", u.kind.name, e)
		}
	}
}
