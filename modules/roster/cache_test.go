package roster

import (
	"context"
	"path/filepath"
	"slices"
	"testing"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/sqlite"
)

// counting counts the queries; before lets a test do something between a query
// and its result.
type counting struct {
	*sqlite.DB
	queries int
	before  func()
}

func (s *counting) Roster(ctx context.Context, owner jid.JID) ([]storage.RosterItem, uint64, error) {
	s.queries++
	items, version, err := s.DB.Roster(ctx, owner)
	if s.before != nil {
		s.before()
	}
	return items, version, err
}

// put creates an account with these contacts.
func (s *counting) put(t *testing.T, owner jid.JID, items ...storage.RosterItem) {
	t.Helper()
	if err := s.CreateAccount(t.Context(), owner, nil); err != nil {
		t.Fatal(err)
	}
	for _, item := range items {
		if _, err := s.UpdateRoster(t.Context(), owner, item.Contact, 0, func(i *storage.RosterItem) error {
			*i = item
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func database(t *testing.T) *counting {
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "test.db"), Durability: "normal"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return &counting{DB: db}
}

func TestCache(t *testing.T) {
	t.Parallel()
	alice, bob, carol := jid.MustParse("alice@x"), jid.MustParse("bob@x"), jid.MustParse("carol@x")
	db := database(t)
	db.put(t, alice, storage.RosterItem{Contact: bob, Sub: storage.SubBoth, Listed: true},
		storage.RosterItem{Contact: carol, Sub: storage.SubFrom, Listed: true},
		storage.RosterItem{Contact: jid.MustParse("a@y"), Sub: storage.SubTo, Listed: true},
		storage.RosterItem{Contact: jid.MustParse("b@y"), Listed: true},
		storage.RosterItem{Contact: jid.MustParse("c@y"), PendingIn: []byte("<presence/>")})
	db.put(t, bob, storage.RosterItem{Contact: alice, Sub: storage.SubBoth, Listed: true})
	m := New(db, nil)
	m.cache.SetLimit(5)
	ctx := t.Context()
	contacts := func(owner jid.JID, want storage.Subscription) (all []string) {
		seq, err := m.Contacts(ctx, owner, want)
		if err != nil {
			t.Fatal(err)
		}
		for c := range seq {
			all = append(all, c.String())
		}
		return all
	}
	queries := func(want int) {
		t.Helper()
		if db.queries != want {
			t.Errorf("%d queries, want %d", db.queries, want)
		}
		db.queries = 0
	}

	for want, expected := range map[storage.Subscription][]string{
		storage.SubFrom: {"bob@x", "carol@x"}, storage.SubTo: {"a@y", "bob@x"}, storage.SubBoth: {"bob@x"},
	} {
		if got := contacts(alice, want); !slices.Equal(got, expected) {
			t.Errorf("%v: %q", want, got)
		}
	}
	for contact, want := range map[jid.JID]storage.Subscription{bob: storage.SubBoth, carol: storage.SubFrom, alice: storage.SubNone} {
		if got, err := m.Subscription(ctx, alice, contact); got != want || err != nil {
			t.Errorf("%s: %v, %v", contact, got, err)
		}
	}
	queries(1)
	if requests, err := m.Requests(ctx, alice); len(requests) != 1 || err != nil {
		t.Errorf("%q, %v", requests, err)
	}
	queries(1)

	// An account that does not exist has no contacts.
	if got := contacts(carol, storage.SubFrom); got != nil {
		t.Errorf("got %q", got)
	}
	queries(1)
	// alice makes room for bob.
	contacts(bob, storage.SubFrom)
	contacts(bob, storage.SubFrom)
	queries(1)
	contacts(alice, storage.SubFrom)
	queries(1)
	contacts(bob, storage.SubFrom)
	db.queries = 0

	// What changes while it is read is not kept.
	m.Invalidated(bob)
	db.before = func() { m.Invalidated(bob) }
	contacts(bob, storage.SubFrom)
	db.before = nil
	queries(1)
	if err := db.RemoveAccount(ctx, bob); err != nil {
		t.Fatal(err)
	}
	if got := contacts(bob, storage.SubFrom); got != nil {
		t.Errorf("an old roster was kept: %q", got)
	}
	queries(1)

	// Nothing fits: nothing is held.
	m.cache.SetLimit(0)
	m.Invalidated(bob)
	contacts(bob, storage.SubFrom)
	contacts(bob, storage.SubFrom)
	queries(2)
}

func TestSubscriptionAllocations(t *testing.T) {
	alice, bob := jid.MustParse("alice@x"), jid.MustParse("bob@x")
	db := database(t)
	db.put(t, alice, storage.RosterItem{Contact: bob, Sub: storage.SubBoth, Listed: true})
	m := New(db, nil)
	m.cache.SetLimit(10)
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { m.Subscription(ctx, alice, bob) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}
