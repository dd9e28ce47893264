package storagetest

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// set is an UpdateRoster that replaces an item.
func set(t *testing.T, s Store, owner jid.JID, item storage.RosterItem) storage.RosterChange {
	t.Helper()
	c, err := s.UpdateRoster(t.Context(), owner, item.Contact, 0, func(i *storage.RosterItem) error {
		*i = item
		return nil
	})
	must(t, err)
	return c
}

func contact(i int) jid.JID { return jid.MustParse(fmt.Sprintf("contact%03d@example.net", i)) }

func roster(t *testing.T, d Database) {
	ctx, s := t.Context(), openWith(t, d, Options{}, romeo, juliet)
	_, start, err := s.Roster(ctx, romeo)
	must(t, err)

	full := jid.MustParse("nurse@example.com/kitchen")
	c, err := s.UpdateRoster(ctx, romeo, full, 0, func(i *storage.RosterItem) error {
		if diff := cmp.Diff(storage.RosterItem{Contact: nurse}, *i, byValue); diff != "" {
			t.Errorf("new item (-want +got):\n%s", diff)
		}
		i.Listed, i.Name, i.Groups = true, `Nurse "N" <ü>`, []string{"servants", "a,b", "servants", "[]", ""}
		i.Sub, i.Ask, i.Approved = storage.SubFrom, true, true
		i.PendingIn = []byte("<presence type='subscribe'/>")
		i.Contact, i.Version = juliet, 7 // not fn's to set
		return nil
	})
	must(t, err)
	want := storage.RosterItem{Contact: nurse, Listed: true, Name: `Nurse "N" <ü>`, Groups: []string{"", "[]", "a,b", "servants"},
		Sub: storage.SubFrom, Ask: true, Approved: true, PendingIn: []byte("<presence type='subscribe'/>"), Version: start + 1}
	change := storage.RosterChange{Old: storage.RosterItem{Contact: nurse}, New: want, Version: start + 1, Changed: true}
	if diff := cmp.Diff(change, c, byValue); diff != "" {
		t.Errorf("change (-want +got):\n%s", diff)
	}
	got, err := s.RosterItem(ctx, romeo, full)
	must(t, err)
	if diff := cmp.Diff(want, got, byValue); diff != "" {
		t.Errorf("item (-want +got):\n%s", diff)
	}
	_, err = s.RosterItem(ctx, juliet, nurse)
	wantError(t, err, storage.ErrNotFound)

	hidden := storage.RosterItem{Contact: juliet, PendingIn: []byte("<p/>")}
	if c = set(t, s, romeo, hidden); !c.Changed || c.Version != start+1 {
		t.Errorf("a pending request made version %d: %+v", c.Version-start, c)
	}
	items, version, err := s.Roster(ctx, romeo)
	must(t, err)
	if diff := cmp.Diff([]storage.RosterItem{hidden, want}, items, byValue); diff != "" || version != start+1 {
		t.Errorf("roster of version %d (-want +got):\n%s", version-start, diff)
	}
	if n, err := s.CountRoster(ctx, romeo); n != 1 || err != nil {
		t.Errorf("CountRoster = %d, %v", n, err)
	}

	if c = set(t, s, romeo, want); c.Changed || c.Version != start+1 {
		t.Errorf("writing the same made a change: %+v", c)
	}
	set(t, s, romeo, storage.RosterItem{Contact: juliet})
	_, err = s.RosterItem(ctx, romeo, juliet)
	wantError(t, err, storage.ErrNotFound)
}

func rosterErrors(t *testing.T, d Database) {
	ctx, s := t.Context(), openWith(t, d, Options{}, romeo)
	_, start, err := s.Roster(ctx, romeo)
	must(t, err)
	mine := errors.New("mine")
	_, err = s.UpdateRoster(ctx, romeo, nurse, 0, func(i *storage.RosterItem) error { i.Listed = true; return mine })
	wantError(t, err, mine)
	if items, version, err := s.Roster(ctx, romeo); len(items) != 0 || version != start || err != nil {
		t.Errorf("an aborted update left %v, %d, %v", items, version-start, err)
	}

	called := func(*storage.RosterItem) error { t.Error("called without an account"); return nil }
	_, err = s.UpdateRoster(ctx, juliet, nurse, 0, called)
	wantError(t, err, storage.ErrNotFound)
	_, _, err = s.Roster(ctx, juliet)
	wantError(t, err, storage.ErrNotFound)
	_, _, _, _, err = s.RosterSince(ctx, juliet, 0)
	wantError(t, err, storage.ErrNotFound)
	if n, err := s.CountRoster(ctx, juliet); n != 0 || err != nil {
		t.Errorf("CountRoster = %d, %v", n, err)
	}
}

func rosterVersions(t *testing.T, d Database) {
	ctx, s := t.Context(), openWith(t, d, Options{}, romeo)
	_, start, err := s.Roster(ctx, romeo)
	must(t, err)
	listed := func(i int, name string) storage.RosterItem {
		return storage.RosterItem{Contact: contact(i), Listed: true, Name: name}
	}
	// Versions 1 to 7; 3 and 6 are changes of what has gone or came again.
	set(t, s, romeo, listed(1, "one"))
	set(t, s, romeo, listed(2, "two"))
	set(t, s, romeo, listed(3, "three"))
	set(t, s, romeo, listed(1, "uno"))
	set(t, s, romeo, storage.RosterItem{Contact: contact(3), PendingIn: []byte("<p/>")})
	set(t, s, romeo, storage.RosterItem{Contact: contact(2)})
	set(t, s, romeo, listed(2, "due"))

	for since, want := range map[uint64]struct {
		changed []uint64
		removed []uint64
	}{
		0: {[]uint64{4, 7}, []uint64{5}},
		3: {[]uint64{4, 7}, []uint64{5}},
		4: {[]uint64{7}, []uint64{5}},
		5: {[]uint64{7}, nil},
		7: {nil, nil},
	} {
		changed, removed, version, known, err := s.RosterSince(ctx, romeo, start+since)
		must(t, err)
		var gotChanged, gotRemoved []uint64
		for _, i := range changed {
			gotChanged = append(gotChanged, i.Version-start)
		}
		for _, r := range removed {
			gotRemoved = append(gotRemoved, r.Version-start)
			if r.Contact != contact(3) {
				t.Errorf("since %d: %s was removed", since, r.Contact)
			}
		}
		if diff := cmp.Diff(want.changed, gotChanged) + cmp.Diff(want.removed, gotRemoved); diff != "" || version != start+7 || !known {
			t.Errorf("since %d: version %d, known %v (-want +got):\n%s", since, version-start, known, diff)
		}
	}
}

// rosterVersionBounds: a version that cannot be told apart is not known.
func rosterVersionBounds(t *testing.T, d Database) {
	ctx, s := t.Context(), openWith(t, d, Options{}, romeo)
	_, start, err := s.Roster(ctx, romeo)
	must(t, err)
	check := func(since uint64, want bool, removals int) {
		t.Helper()
		_, removed, _, known, err := s.RosterSince(ctx, romeo, since)
		must(t, err)
		if known != want || len(removed) != removals {
			t.Errorf("since %d: known %v, %d removals", int64(since-start), known, len(removed))
		}
	}
	check(start, true, 0)
	check(start-1, false, 0) // of an earlier account of that name
	check(start+1, false, 0) // of the future

	for i := range storage.RosterRemovals {
		set(t, s, romeo, storage.RosterItem{Contact: contact(i), Listed: true})
		set(t, s, romeo, storage.RosterItem{Contact: contact(i)})
	}
	check(start, true, storage.RosterRemovals)
	set(t, s, romeo, storage.RosterItem{Contact: nurse, Listed: true})
	set(t, s, romeo, storage.RosterItem{Contact: nurse})
	check(start+1, false, 0)
	check(start+2, true, storage.RosterRemovals)
}

func rosterLimit(t *testing.T, d Database) {
	ctx, s := t.Context(), openWith(t, d, Options{}, romeo)
	add := func(i int, item storage.RosterItem) error {
		_, err := s.UpdateRoster(ctx, romeo, contact(i), 2, func(r *storage.RosterItem) error { *r = item; return nil })
		return err
	}
	listed, hidden := storage.RosterItem{Listed: true}, storage.RosterItem{PendingIn: []byte("<p/>")}
	must(t, add(1, listed))
	must(t, add(2, hidden))
	must(t, add(3, hidden))
	wantError(t, add(4, hidden), storage.ErrTooMany)
	must(t, add(2, listed)) // strangers who ask take no place of contacts
	wantError(t, add(3, listed), storage.ErrTooMany)
	wantError(t, add(4, listed), storage.ErrTooMany)
	must(t, add(1, storage.RosterItem{Listed: true, Name: "known"}))
	must(t, add(1, storage.RosterItem{}))
	must(t, add(3, listed))
	if n, err := s.CountRoster(ctx, romeo); n != 2 || err != nil {
		t.Errorf("CountRoster = %d, %v", n, err)
	}
}

// rosterRace: concurrent changes of one item all count.
func rosterRace(t *testing.T, d Database) {
	RosterRace(t, openWith(t, d, Options{}, romeo))
}

// RosterRace updates one roster item through several stores at once.
func RosterRace(t *testing.T, stores ...Store) {
	t.Helper()
	const writers, updates = 6, 10
	_, start, err := stores[0].Roster(t.Context(), romeo)
	must(t, err)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for range updates {
				_, err := stores[w%len(stores)].UpdateRoster(t.Context(), romeo, nurse, 1, func(i *storage.RosterItem) error {
					n, _ := strconv.Atoi(i.Name)
					i.Listed, i.Name = true, strconv.Itoa(n+1)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	items, version, err := stores[0].Roster(t.Context(), romeo)
	must(t, err)
	if len(items) != 1 || items[0].Name != strconv.Itoa(writers*updates) || version != start+writers*updates || items[0].Version != version {
		t.Errorf("roster is %+v of version %d", items, version-start)
	}
}
