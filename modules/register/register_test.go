package register_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/moduletest"
	"github.com/xmppd/xmppd/modules/register"
	"github.com/xmppd/xmppd/storage"
)

// accounts keeps passwords in the clear, by address.
type accounts map[string]string

func (a accounts) funcs() register.Accounts {
	set := func(user jid.JID, password string) error {
		if password == "\x07" || password == "unusable" {
			return auth.ErrPassword
		}
		a[user.String()] = password
		return nil
	}
	return register.Accounts{
		Register: func(_ context.Context, user jid.JID, password string) error {
			if _, ok := a[user.String()]; ok {
				return fmt.Errorf("register: %w", storage.ErrExists)
			}
			return set(user, password)
		},
		SetPassword: func(_ context.Context, user jid.JID, password string) error { return set(user, password) },
		Remove: func(_ context.Context, user jid.JID) error {
			if user.Local() == "undying" {
				return errors.New("cannot remove")
			}
			delete(a, user.String())
			return nil
		},
	}
}

func world(t *testing.T, o *register.Options) (*moduletest.World, accounts) {
	w, a := moduletest.New(t), accounts{"bill@capulet.lit": "Calliope"}
	w.Init(register.New(a.funcs(), func() register.Options { return *o }))
	return w, a
}

// failed is an error answer; XEP-0077 §3.1.1 wants no password in it.
func failed(head, errorType, condition, text string) string {
	const ns = ` xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'`
	return `<iq` + head + ` type='error'><error type='` + errorType + `'><` + condition + ns + `/><text` + ns + `>` + text + `</text></error></iq>`
}

func set(fields string) string {
	return `<query xmlns='jabber:iq:register'>` + fields + `</query>`
}

func TestStrangers(t *testing.T) {
	t.Parallel()
	w, a := world(t, &register.Options{Enabled: true})
	const head = ` from='capulet.lit' id='reg'`
	tests := []struct{ kind, payload, want string }{
		{"get", `<query xmlns='jabber:iq:register'/>`, `<iq type='result' id='reg' from='capulet.lit'><query xmlns='jabber:iq:register'>` +
			`<instructions>Choose a username and a password for your account on capulet.lit.</instructions><username/><password/></query></iq>`},
		{"set", set(`<username>Juliet</username><password>R0m30</password>`), `<iq type='result' id='reg' from='capulet.lit'/>`},
		{"set", set(`<username>juliet</username><password>x</password>`),
			failed(head, "cancel", "conflict", "this username is taken")},
		{"set", set(`<username>romeo</username>`),
			failed(head, "modify", "not-acceptable", "username and password are needed")},
		{"set", set(`<username/><password>x</password>`),
			failed(head, "modify", "not-acceptable", "username and password are needed")},
		{"set", set(``), failed(head, "modify", "not-acceptable", "username and password are needed")},
		{"set", set(`<username>a b</username><password>x</password>`),
			failed(head, "modify", "jid-malformed", "this username cannot be used")},
		{"set", set(`<username>x@evil.lit/</username><password>x</password>`),
			failed(head, "modify", "jid-malformed", "this username cannot be used")},
		{"set", set(`<username>romeo</username><password>unusable</password>`),
			failed(head, "modify", "not-acceptable", "this password cannot be used")},
	}
	for _, tt := range tests {
		got := w.Stranger("192.0.2.1", `<iq type='`+tt.kind+`' id='reg'>`+tt.payload+`</iq>`)
		if got != tt.want {
			t.Errorf("%s\ngot  %s\nwant %s", tt.payload, got, tt.want)
		}
	}
	if a["juliet@capulet.lit"] != "R0m30" || len(a) != 2 {
		t.Errorf("accounts: %v", a)
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	o := register.Options{}
	w, _ := world(t, &o)
	if got := w.Features(modules.Unauthenticated); got != "" {
		t.Errorf("announced: %s", got)
	}
	for kind, payload := range map[string]string{"get": set(""), "set": set(`<username>a</username><password>b</password>`)} {
		want := failed(` from='capulet.lit' id='reg'`, "cancel", "service-unavailable", "registration is closed")
		if got := w.Stranger("192.0.2.1", `<iq type='`+kind+`' id='reg'>`+payload+`</iq>`); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	o.Enabled = true // by a reload
	if got := w.Features(modules.Unauthenticated); got != `<register xmlns='http://jabber.org/features/iq-register'/>` {
		t.Errorf("announced: %s", got)
	}
}

func TestRate(t *testing.T) {
	t.Parallel()
	w, a := world(t, &register.Options{Enabled: true, PerAddressPerHour: 2})
	n := 0
	try := func(addr, name string) bool {
		payload := set(`<username>` + name + `</username><password>x</password>`)
		before := len(a)
		got := w.Stranger(addr, `<iq type='set' id='reg'>`+payload+`</iq>`)
		refused := failed(` from='capulet.lit' id='reg'`, "wait", "resource-constraint", "too many accounts from this address, try again later")
		if made := len(a) > before; made != (got != refused) && name != "bill" {
			t.Errorf("made %v, answer %s", made, got)
		}
		return got != refused
	}
	fresh := func(addr string) bool { n++; return try(addr, fmt.Sprint("user", n)) }
	steps := []struct {
		addr string
		want bool
	}{
		{"192.0.2.1", true}, {"192.0.2.1", true}, {"192.0.2.1", false}, {"192.0.2.2", true}, {"::ffff:192.0.2.1", false},
		{"2001:db8::1", true}, {"2001:db8::ffff:2", true}, {"2001:db8::3", false}, {"2001:db8:0:1::3", true},
	}
	for i, s := range steps {
		if got := fresh(s.addr); got != s.want {
			t.Errorf("step %d, %s: %v", i, s.addr, got)
		}
	}
	w.Advance(time.Hour)
	if !fresh("192.0.2.1") {
		t.Error("refused after an hour")
	}
	// Names that are taken make no account, but are not to be guessed at for ever.
	taken := 0
	for try("192.0.2.9", "bill") {
		if taken++; taken > 100 {
			break
		}
	}
	if taken != 20 {
		t.Errorf("%d tries", taken)
	}
}

func TestOwner(t *testing.T) {
	t.Parallel()
	const head = ` to='bill@capulet.lit/globe' id='1'`
	ok := `<iq type='result' id='1' to='bill@capulet.lit/globe'/>`
	tests := []struct {
		name, kind, payload, want, password string
	}{
		{"get", "get", set(""), `<iq type='result' id='1' to='bill@capulet.lit/globe'><query xmlns='jabber:iq:register'>` +
			`<registered/><username>bill</username><password/></query></iq>`, "Calliope"},
		{"change", "set", set(`<username>Bill</username><password>newpass</password>`), ok, "newpass"},
		{"empty", "set", set(`<username>bill</username><password/>`),
			failed(head, "modify", "bad-request", "username and password are needed"), "Calliope"},
		{"nameless", "set", set(`<password>x</password>`),
			failed(head, "modify", "bad-request", "username and password are needed"), "Calliope"},
		{"other", "set", set(`<username>juliet</username><password>x</password>`),
			failed(head, "cancel", "not-allowed", "only the own password can be changed"), "Calliope"},
		{"unusable", "set", set(`<username>bill</username><password>unusable</password>`),
			failed(head, "modify", "not-acceptable", "this password cannot be used"), "Calliope"},
		{"remove and more", "set", set(`<remove/><username>bill</username>`),
			failed(head, "modify", "bad-request", "remove stands alone"), "Calliope"},
		{"more and remove", "set", set(`<username>bill</username><remove/>`),
			failed(head, "modify", "bad-request", "remove stands alone"), "Calliope"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, a := world(t, &register.Options{})
			if got := w.IQ("bill@capulet.lit/globe", `<iq type='`+tt.kind+`' id='1'>`+tt.payload+`</iq>`); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if a["bill@capulet.lit"] != tt.password {
				t.Errorf("password is %q", a["bill@capulet.lit"])
			}
		})
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()
	w, a := world(t, &register.Options{})
	globe, rose := w.Login("bill@capulet.lit/globe"), w.Login("bill@capulet.lit/rose")
	other := w.Login("juliet@capulet.lit/balcony")
	got := w.IQ("bill@capulet.lit/globe", `<iq type='set' id='unreg1'>`+set(`<remove/>`)+`</iq>`)
	if want := `<iq type='result' id='unreg1' to='bill@capulet.lit/globe'/>`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if len(a) != 0 {
		t.Errorf("left: %v", a)
	}
	want := []string{"[not-authorized: account removed][end]", "[not-authorized: account removed][end]", ""}
	if got := []string{globe.Received(), rose.Received(), other.Received()}; !slices.Equal(got, want) {
		t.Errorf("received %q", got)
	}
}

func TestRemoveFails(t *testing.T) {
	t.Parallel()
	w, _ := world(t, &register.Options{})
	c := w.Login("undying@capulet.lit/globe")
	got := w.IQ("undying@capulet.lit/globe", `<iq type='set' id='1'>`+set(`<remove/>`)+`</iq>`)
	if got != "error: cannot remove" || c.Received() != "" {
		t.Errorf("got %s", got)
	}
}

func TestOtherDomain(t *testing.T) {
	t.Parallel()
	w, _ := world(t, &register.Options{})
	for kind, payload := range map[string]string{"get": set(""), "set": set(`<remove/>`)} {
		want := failed(` from='capulet.lit' to='bill@montague.lit/r' id='1'`, "cancel", "not-allowed", "not an account of this domain")
		if got := w.IQ("bill@montague.lit/r", `<iq type='`+kind+`' id='1' to='capulet.lit'>`+payload+`</iq>`); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
