package blocking

import (
	"context"
	"iter"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/moduletest"
	"github.com/xmppd/xmppd/storage"
)

// What a session is sent so that it knows the present list.
func TestCatchUp(t *testing.T) {
	t.Parallel()
	w, m := world(t, &memory{}, nil)
	c := w.Login("romeo@capulet.lit/home")
	for name, tt := range map[string]struct {
		known, now string
		e          edit
		want       string
	}{
		"nothing":                   {"a b", "a b", edit{}, ""},
		"block":                     {"a", "a b", edit{block: jids("b")}, "block b"},
		"block again":               {"a b", "a b", edit{block: jids("b")}, "block b"},
		"block, others blocked too": {"a", "a b c", edit{block: jids("b")}, "block c b"},
		"block, others unblocked":   {"a c", "b", edit{block: jids("b")}, "unblock a c; block b"},
		"unblock":                   {"a b", "a", edit{unblock: jids("b")}, "unblock b"},
		"unblock nobody":            {"a", "a", edit{unblock: jids("b")}, "unblock b"},
		"unblock the last ones":     {"a b", "", edit{unblock: jids("a", "b")}, "unblock a b"},
		"unblock, others too":       {"a b c", "a", edit{unblock: jids("b")}, "unblock c b"},
		"unblock, others blocked":   {"a b", "a c", edit{unblock: jids("b")}, "unblock b; block c"},
		"all":                       {"a b", "", edit{all: true}, "unblock"},
		"all of nothing":            {"", "", edit{all: true}, "unblock"},
		"elsewhere: block":          {"a", "a b c", edit{}, "block b c"},
		"elsewhere: unblock":        {"a b c", "b", edit{}, "unblock a c"},
		"elsewhere: the last":       {"a", "", edit{}, "unblock a"},
		"elsewhere: all":            {"a b", "", edit{}, "unblock"},
		"elsewhere: both":           {"a b", "b c", edit{}, "unblock a; block c"},
	} {
		now := newList(jids(strings.Fields(tt.now)...))
		m.catchUp(c.Session, newList(jids(strings.Fields(tt.known)...)), now, tt.e)
		var got []string
		for iq := range w.Parse("<all>" + c.Received() + "</all>").Root().Children() {
			words := []string{string(iq.First().Name())}
			for item := range iq.First().Children() {
				address, _ := item.Attr("jid")
				words = append(words, address)
			}
			got = append(got, strings.Join(words, " "))
		}
		if diff := cmp.Diff(tt.want, strings.Join(got, "; ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if m.told.Load(c.Session) != now {
			t.Errorf("%s: the session is taken to know another list", name)
		}
	}
}

// watched tells when the store and the roster are called.
type watched struct {
	memory
	Roster
	called func(string)
}

func (s *watched) Block(context.Context, storage.Block) ([]jid.JID, int, error) {
	s.called("store")
	return nil, 0, nil
}

func (s *watched) Contacts(context.Context, jid.JID, storage.Subscription) (iter.Seq[jid.JID], error) {
	s.called("presence")
	return func(func(jid.JID) bool) {}, nil
}

// The line of an account is held from the transaction until all has been sent,
// and not when other nodes are told, who may be waiting for this one.
func TestLine(t *testing.T) {
	t.Parallel()
	w := moduletest.New(t)
	s := &watched{}
	m := New(s, s)
	w.Init(m)
	romeo := jid.MustParse("romeo@capulet.lit")
	held := func() bool {
		free := m.line(romeo).TryLock()
		if free {
			m.line(romeo).Unlock()
		}
		return !free
	}
	var calls []string
	s.called = func(what string) {
		calls = append(calls, what)
		if !held() || len(w.Invalidated) != 0 {
			t.Errorf("%s: line held %v, told %q", what, held(), w.Invalidated)
		}
	}
	w.IQ("romeo@capulet.lit/home", "<iq type='set' id='1'><block xmlns='urn:xmpp:blocking'><item jid='x'/></block></iq>")
	if diff := cmp.Diff([]string{"store", "presence", "presence"}, calls); diff != "" || held() {
		t.Errorf("line held %v, calls (-want +got):\n%s", held(), diff)
	}
	if diff := cmp.Diff([]string{"blocking romeo@capulet.lit"}, w.Invalidated); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// A session that outlives the process goes on being told.
func TestRestored(t *testing.T) {
	t.Parallel()
	w, m := world(t, &memory{lists: map[string][]string{"romeo@capulet.lit": {"a"}}}, nil)
	c := w.Login("romeo@capulet.lit/home")
	if m.told.Load(c.Session) != nil {
		t.Error("told before it has asked")
	}
	w.Tables.Fire(modules.Restored, &modules.Flight{Ctx: t.Context(), From: c.JID, Owner: c.JID.Bare(), Session: c.Session})
	if l := m.told.Load(c.Session); l == nil || !l.holds(jid.MustParse("a")) {
		t.Errorf("known: %v", l)
	}
}
