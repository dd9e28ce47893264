package blocking

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/moduletest"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// memory is a Store of blocklists that cannot be changed; it counts queries.
type memory struct {
	Store
	lists   map[string][]string
	queries int
	before  func() // the answer
	err     error
}

func (s *memory) Blocklists(_ context.Context, owners []jid.JID) (rows []storage.Blocked, err error) {
	s.queries++
	if len(owners) > page {
		return nil, fmt.Errorf("%d owners in one query", len(owners))
	}
	for _, owner := range owners {
		for _, item := range s.lists[owner.String()] {
			rows = append(rows, storage.Blocked{Owner: owner, JID: jid.MustParse(item)})
		}
	}
	if s.before != nil {
		s.before()
	}
	return rows, s.err
}

// world is a domain in which nothing but the module runs.
func world(t *testing.T, s *memory, options map[string]any) (*moduletest.World, *Module) {
	w := moduletest.New(t)
	m := New(s, nil)
	w.InitWith(m, options)
	return w, m
}

func TestCache(t *testing.T) {
	t.Parallel()
	s := &memory{lists: map[string][]string{"romeo@capulet.lit": {"tybalt@x", "paris@x"}}}
	_, m := world(t, s, nil)
	m.cache.SetLimit(4)
	romeo, juliet, nurse := jid.MustParse("romeo@capulet.lit"), jid.MustParse("juliet@capulet.lit"), jid.MustParse("nurse@elsewhere.lit")
	check := func(owner jid.JID, other string, want bool, queries int) {
		t.Helper()
		got, err := m.Blocked(t.Context(), owner, jid.MustParse(other))
		if got != want || err != nil || s.queries != queries {
			t.Errorf("%s, %s: %v, %v, %d queries, want %d", owner, other, got, err, s.queries, queries)
		}
		s.queries = 0
	}
	check(romeo, "tybalt@x/y", true, 1)
	check(romeo, "juliet@capulet.lit", false, 0)
	check(juliet, "tybalt@x", false, 1)
	check(juliet, "romeo@capulet.lit", false, 0) // that there is none is known too
	check(romeo, "paris@x", true, 0)
	check(nurse, "paris@x", false, 0) // not of this server

	// There is room for two items and the two accounts, not for a third.
	check(jid.MustParse("peter@capulet.lit"), "x", false, 1)
	for _, owner := range []jid.JID{romeo, juliet} {
		if _, err := m.Blocked(t.Context(), owner, nurse); err != nil {
			t.Fatal(err)
		}
	}
	if s.queries == 0 {
		t.Error("the lists of three are held")
	}
	s.queries = 0

	// What changes while it is read is not kept.
	m.Invalidated(juliet)
	s.before = func() { m.Invalidated(juliet) }
	check(juliet, "tybalt@x", false, 1)
	s.before = nil
	s.lists["juliet@capulet.lit"] = []string{"tybalt@x"}
	check(juliet, "tybalt@x", true, 1)

	// One that is longer than the limit is read each time.
	s.lists["juliet@capulet.lit"] = []string{"a@x", "b@x", "c@x", "d@x"}
	m.Invalidated(juliet)
	check(juliet, "a@x", true, 1)
	check(juliet, "a@x", true, 1)

	s.err = errors.New("gone")
	if _, err := m.Blocked(t.Context(), juliet, romeo); !errors.Is(err, s.err) {
		t.Errorf("error is %v", err)
	}
}

// The contacts of a session that becomes available cost few queries.
func TestLoad(t *testing.T) {
	t.Parallel()
	s := &memory{lists: map[string][]string{"c7@capulet.lit": {"romeo@capulet.lit"}}}
	_, m := world(t, s, nil)
	var contacts []jid.JID
	for i := range 2*page + 1 {
		contacts = append(contacts, jid.MustParse(fmt.Sprintf("c%d@capulet.lit", i)), jid.MustParse(fmt.Sprintf("c%d@elsewhere.lit", i)))
	}
	for _, want := range []int{3, 0} {
		s.queries = 0
		if err := m.Load(t.Context(), slices.Values(contacts)); err != nil || s.queries != want {
			t.Errorf("%v, %d queries, want %d", err, s.queries, want)
		}
	}
	for i, c := range contacts[:20] {
		if got, err := m.Blocked(t.Context(), c, jid.MustParse("romeo@capulet.lit/home")); got != (i == 14) || err != nil {
			t.Errorf("%s: %v, %v", c, got, err)
		}
	}
	if s.queries != 0 {
		t.Errorf("%d queries", s.queries)
	}
}

// A module that is switched off blocks nobody and reads nothing.
func TestSwitchedOff(t *testing.T) {
	t.Parallel()
	m := New(&memory{err: errors.New("called")}, nil)
	romeo := jid.MustParse("romeo@capulet.lit")
	if got, err := m.Blocked(t.Context(), romeo, jid.MustParse("x")); got || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	if err := m.Load(t.Context(), slices.Values([]jid.JID{romeo})); err != nil {
		t.Error(err)
	}
}

// A message between accounts that block nobody allocates nothing.
func TestCheckAllocations(t *testing.T) {
	for name, lists := range map[string]map[string][]string{
		"no blocklists": nil,
		"others blocked": {
			"romeo@capulet.lit":  {"a@x", "b@x", "c@x/y"},
			"juliet@capulet.lit": {"d.example", "e@x"},
		},
	} {
		w, _ := world(t, &memory{lists: lists}, nil)
		f := &modules.Flight{
			Ctx: t.Context(), Stanza: w.Parse("<message to='juliet@capulet.lit/balcony'><body>x</body></message>"),
			From: jid.MustParse("romeo@capulet.lit/home"), To: jid.MustParse("juliet@capulet.lit/balcony"),
		}
		n := testing.AllocsPerRun(100, func() {
			for _, s := range []modules.Side{modules.Sent, modules.Received} {
				f.Owner = f.From.Bare()
				if s == modules.Received {
					f.Owner = f.To.Bare()
				}
				if _, err := w.Tables.Pass(stanza.Message, s, modules.Check, f); err != nil {
					t.Fatal(err)
				}
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	w := moduletest.New(b)
	m := New(&memory{}, nil)
	w.Init(m)
	romeo, juliet := jid.MustParse("romeo@capulet.lit/home"), jid.MustParse("juliet@capulet.lit/balcony")
	b.ReportAllocs()
	for b.Loop() {
		m.Blocked(b.Context(), romeo.Bare(), juliet)
		m.Blocked(b.Context(), juliet.Bare(), romeo)
	}
}
