package archive_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/internal/routertest"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/archive"
	"github.com/xmppd/xmppd/modules/internal/moduletest"
	"github.com/xmppd/xmppd/storage"
)

// prefs is what a client sends and gets.
func prefs(policy string, always, never []string) string {
	list := func(name string, addresses []string) string {
		if len(addresses) == 0 {
			return "<" + name + "/>"
		}
		return "<" + name + "><jid>" + strings.Join(addresses, "</jid><jid>") + "</jid></" + name + ">"
	}
	return "<prefs xmlns='urn:xmpp:mam:2' default='" + policy + "'>" + list("always", always) + list("never", never) + "</prefs>"
}

// What is set is told, and counts for the next message of either direction (XEP-0441
// §2.3).
func TestPreferences(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		policy        string
		always, never []string
		peer          string
		want          bool
	}{
		{"always", nil, nil, "nurse@capulet.lit/room", true},
		{"never", nil, nil, "nurse@capulet.lit/room", false},
		{"never", nil, nil, "romeo@capulet.lit/orchard", false},
		{"roster", nil, nil, "nurse@capulet.lit/room", false},
		{"roster", nil, nil, "juliet@localhost/balcony", true},
		{"roster", nil, nil, "juliet@localhost", true},
		{"roster", nil, nil, "romeo@capulet.lit/orchard", true},
		{"roster", nil, []string{"juliet@localhost"}, "juliet@localhost/balcony", false},
		{"always", nil, []string{"nurse@capulet.lit"}, "nurse@capulet.lit/room", false},
		{"always", nil, []string{"nurse@capulet.lit"}, "nurse@capulet.lit", false},
		{"always", nil, []string{"nurse@capulet.lit/room"}, "nurse@capulet.lit/room", false},
		{"always", nil, []string{"nurse@capulet.lit/room"}, "nurse@capulet.lit/garden", true},
		{"always", nil, []string{"nurse@capulet.lit/room"}, "nurse@capulet.lit", true},
		{"never", []string{"nurse@capulet.lit"}, nil, "nurse@capulet.lit/room", true},
		{"never", []string{"nurse@capulet.lit/room"}, []string{"nurse@capulet.lit"}, "nurse@capulet.lit/room", true},
		{"never", []string{"nurse@capulet.lit/room"}, []string{"nurse@capulet.lit"}, "nurse@capulet.lit/garden", false},
		{"always", nil, []string{"a@capulet.lit", "b@capulet.lit", "nurse@capulet.lit", "z@capulet.lit"}, "nurse@capulet.lit/room", false},
		{"always", nil, []string{"capulet.lit"}, "nurse@capulet.lit/room", true},
	} {
		w := moduletest.New(t)
		w.Init(archive.New(nil, contacts{"juliet@localhost"}, nil, nil, limits))
		want := prefs(tt.policy, tt.always, tt.never)
		const question = "<iq type='get' id='p'><prefs xmlns='urn:xmpp:mam:2'/></iq>"
		if got := w.Payload(w.IQ("romeo@capulet.lit/orchard", question)); got != prefs("always", nil, nil) {
			t.Errorf("preferences of who has none: %s", got)
		}
		for _, iq := range []string{"<iq type='set' id='p'>" + want + "</iq>", question} {
			if got := w.Payload(w.IQ("romeo@capulet.lit/orchard", iq)); got != want {
				t.Errorf("%s was answered by %s, want %s", iq, got, want)
			}
		}
		if got := fmt.Sprint(w.Invalidated); got != "[archive romeo@capulet.lit]" {
			t.Errorf("told other nodes of %s", got)
		}
		for _, m := range []struct{ from, to string }{{"romeo@capulet.lit/orchard", tt.peer}, {tt.peer, "romeo@capulet.lit"}} {
			side := modules.Received
			if m.to == tt.peer && !strings.HasPrefix(tt.peer, "romeo@") {
				side = modules.Sent
			}
			f, err := w.Pass(side, modules.Archive, m.from, "<message to='"+m.to+"'><body>hi</body></message>", func(f *modules.Flight) {
				f.Row = new(storage.Message)
			})
			if err != nil || f.Row.Flags.Has(storage.Archived) != tt.want {
				t.Errorf("%s, from %s to %s: flags %b, %v", want, m.from, m.to, f.Row.Flags, err)
			}
		}
	}
}

func TestWrongPreferences(t *testing.T) {
	t.Parallel()
	w := moduletest.New(t)
	w.Init(archive.New(nil, contacts{}, nil, nil, limits))
	many := make([]string, 1001)
	for i := range many {
		many[i] = fmt.Sprintf("user%d@capulet.lit", i)
	}
	for inner, want := range map[string]string{
		"<prefs xmlns='urn:xmpp:mam:2'/>":                     "bad-request",
		"<prefs xmlns='urn:xmpp:mam:2' default='sometimes'/>": "bad-request",
		prefs("always", []string{"@"}, nil):                   "bad-request",
		prefs("always", []string{""}, nil):                    "bad-request",
		prefs("always", many, nil):                            "resource-constraint",
		prefs("always", many[:501], many[500:]):               "resource-constraint",
	} {
		if got := w.IQ("romeo@capulet.lit/orchard", "<iq type='set' id='p'>"+inner+"</iq>"); !strings.Contains(got, "<"+want+" ") {
			t.Errorf("%.80s: %.200s", inner, got)
		}
	}
	for inner, want := range map[string]string{
		"<prefs xmlns='urn:xmpp:mam:2' default='never'/>":                                                     prefs("never", nil, nil),
		prefs("always", []string{"B@capulet.lit", "a@capulet.lit", "b@capulet.lit"}, nil):                     prefs("always", []string{"a@capulet.lit", "b@capulet.lit"}, nil),
		prefs("always", []string{"a@capulet.lit", "b@capulet.lit"}, []string{"a@capulet.lit"}):                prefs("always", []string{"b@capulet.lit"}, []string{"a@capulet.lit"}),
		"<prefs xmlns='urn:xmpp:mam:2' default='never'><x xmlns='urn:example'/><always><x/></always></prefs>": prefs("never", nil, nil),
	} {
		if got := w.Payload(w.IQ("romeo@capulet.lit/orchard", "<iq type='set' id='p'>"+inner+"</iq>")); got != want {
			t.Errorf("%s: %s, want %s", inner, got, want)
		}
	}
}

func TestDefaultPolicy(t *testing.T) {
	t.Parallel()
	for policy, want := range map[string]bool{"always": true, "never": false, "roster": false} {
		w := moduletest.New(t)
		w.InitWith(archive.New(nil, contacts{}, nil, nil, limits), map[string]any{"default_policy": policy})
		f, err := w.Pass(modules.Received, modules.Archive, "nurse@capulet.lit/room", "<message to='romeo@capulet.lit'><body>hi</body></message>",
			func(f *modules.Flight) { f.Row = new(storage.Message) })
		if err != nil || f.Row.Flags.Has(storage.Archived) != want {
			t.Errorf("%s: flags %b, %v", policy, f.Row.Flags, err)
		}
		if got := w.Payload(w.IQ("romeo@capulet.lit/orchard", "<iq type='get' id='p'><prefs xmlns='urn:xmpp:mam:2'/></iq>")); got != prefs(policy, nil, nil) {
			t.Errorf("%s: told %s", policy, got)
		}
	}
}

// Preferences that one node has set count on the others at once, and those of a
// removed account not for the next one of its name.
func TestPreferencesElsewhere(t *testing.T) {
	t.Parallel()
	w := routertest.Pair(t, list, "localhost")
	w.Account("romeo@localhost", "juliet@localhost")
	home, phone, juliet := w.Login("romeo@localhost/home"), w.Other.Login("romeo@localhost/phone"), w.Other.Login("juliet@localhost/balcony")
	count := 0
	writes := func(want bool) {
		t.Helper()
		for _, m := range []struct {
			c  *routertest.Client
			to string
		}{{home, "juliet@localhost"}, {phone, "juliet@localhost"}, {juliet, "romeo@localhost/home"}, {juliet, "romeo@localhost/phone"}} {
			m.c.Send("<message to='" + m.to + "'>" + body + "</message>")
			if want {
				count++
			}
			if n := len(rows(t, w, "romeo@localhost")); n != count {
				t.Fatalf("%d rows after a message of %s, want %d", n, m.c.JID, count)
			}
		}
	}
	writes(true)
	for range 2 {
		home.Send("<iq type='set' id='p'>" + prefs("never", nil, nil) + "</iq>")
		writes(false)
		phone.Send("<iq type='set' id='p'>" + prefs("always", nil, nil) + "</iq>")
		writes(true)
	}
	home.Send("<iq type='set' id='p'>" + prefs("never", nil, nil) + "</iq>")
	writes(false)
	w.Remove("romeo@localhost")
	w.Account("romeo@localhost")
	count = 0
	writes(true)
}
