package blocking

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/jid"
)

func jids(list ...string) []jid.JID {
	var all []jid.JID
	for _, s := range list {
		all = append(all, jid.MustParse(s))
	}
	return all
}

func texts(list []jid.JID) []string {
	var all []string
	for _, j := range list {
		all = append(all, j.String())
	}
	return all
}

// XEP-0191 §6.
func TestMatching(t *testing.T) {
	t.Parallel()
	addresses := []string{
		"romeo@a.example/home", "romeo@a.example/phone", "romeo@a.example", "juliet@a.example/home",
		"a.example/home", "a.example/phone", "a.example", "b.a.example", "romeo@b.a.example/home", "example", "romeo@a.examples",
	}
	for item, want := range map[string][]string{
		"romeo@a.example/home": {"romeo@a.example/home"},
		"romeo@a.example":      {"romeo@a.example/home", "romeo@a.example/phone", "romeo@a.example"},
		"a.example/home":       {"a.example/home"},
		"a.example": {"romeo@a.example/home", "romeo@a.example/phone", "romeo@a.example", "juliet@a.example/home",
			"a.example/home", "a.example/phone", "a.example"},
		"A.Example/home": {"a.example/home"},
		"c.example":      nil,
	} {
		l := newList(jids(item, "other@c.example/x"))
		var got []string
		for _, a := range addresses {
			if l.has(jid.MustParse(a)) {
				got = append(got, a)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s stands for (-want +got):\n%s", item, diff)
		}
	}
	if empty.has(jid.MustParse("a.example")) {
		t.Error("nothing is blocked, and yet")
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	l := newList(jids("c@x", "a@x", "c@x", "b@x"))
	for name, tt := range map[string]struct {
		got  *list
		want []string
	}{
		"sorted, once":     {l, []string{"a@x", "b@x", "c@x"}},
		"with":             {l.with(jids("d@x", "a@x", "0@x")), []string{"0@x", "a@x", "b@x", "c@x", "d@x"}},
		"without":          {l.without(jids("c@x", "z@x", "a@x")), []string{"b@x"}},
		"without nothing":  {l.without(nil), []string{"a@x", "b@x", "c@x"}},
		"unchanged itself": {l, []string{"a@x", "b@x", "c@x"}},
	} {
		if diff := cmp.Diff(tt.want, texts(tt.got.items)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if l.without(jids("a@x", "b@x", "c@x")) != empty {
		t.Error("a list without items is not the empty one")
	}
}

// Nobody blocks itself or its server.
func TestOwn(t *testing.T) {
	t.Parallel()
	owner := jid.MustParse("romeo@a.example")
	for address, want := range map[string]bool{
		"romeo@a.example": true, "romeo@a.example/home": true, "a.example": true, "a.example/x": true,
		"juliet@a.example": false, "b.example": false, "romeo@b.example": false,
	} {
		if got := own(owner, jid.MustParse(address)); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}
