package storagetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// slowDisk delays each commit as a disk would.
func slowDisk(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-time.After(5 * time.Millisecond):
	}
	return nil
}

// gate holds the first commit until it is opened, so that a test can fill the
// next group. It lets set-up pass until it is armed.
type gate struct {
	armed   atomic.Bool
	waiting chan struct{}
	release chan struct{}
	groups  atomic.Int64
}

func newGate() *gate {
	return &gate{waiting: make(chan struct{}), release: make(chan struct{})}
}

func (g *gate) pass(context.Context) error {
	g.groups.Add(1)
	if g.armed.CompareAndSwap(true, false) {
		close(g.waiting)
		<-g.release
	}
	return nil
}

// hold starts a group of one message and returns when it is about to commit,
// with a function that waits for it.
func (g *gate) hold(t *testing.T, s Store, owner jid.JID) (wait func()) {
	t.Helper()
	g.armed.Store(true)
	r := &storage.Run{Writes: []storage.Write{message(owner, "first")}}
	s.Join(r)
	<-g.waiting
	return func() { r.Wait(); must(t, r.Errs[0]) }
}

func groupOrder(t *testing.T, d Database) {
	owners := []jid.JID{romeo, juliet, nurse}
	s := openWith(t, d, Options{BeforeCommit: slowDisk}, owners...)
	GroupOrder(t, owners, s)
}

// GroupOrder writes from many goroutines through several stores on the same
// accounts. What joins one store keeps its order for each owner; each owner's
// numbers have neither gaps nor repetitions.
func GroupOrder(t *testing.T, owners []jid.JID, stores ...Store) {
	t.Helper()
	const joiners, runs, size = 8, 8, 5
	type key struct {
		store int
		owner jid.JID
	}
	joined := make(map[key][]string)
	locks := make([]sync.Mutex, len(stores))
	var mu sync.Mutex
	var wg sync.WaitGroup
	for j := range joiners {
		wg.Go(func() {
			var r storage.Run
			for n := range runs {
				store := (j + n) % len(stores)
				locks[store].Lock()
				for i := range size {
					owner := owners[(i+j+n)%len(owners)]
					m := message(owner, fmt.Sprintf("%d %d %d", j, n, i))
					r.Writes = append(r.Writes, m)
					mu.Lock()
					joined[key{store, owner}] = append(joined[key{store, owner}], string(m.XML))
					mu.Unlock()
				}
				stores[store].Join(&r)
				locks[store].Unlock()
				r.Wait()
				if err := errors.Join(r.Errs...); err != nil {
					t.Error(err)
				}
				r.Reset()
			}
		})
	}
	wg.Wait()
	total := 0
	for _, owner := range owners {
		for i, m := range pending(t, stores[0], owner, 0, 10000) {
			total++
			if m.Seq != int64(i+1) {
				t.Fatalf("message %d of %s has seq %d", i, owner, m.Seq)
			}
			found := false
			for store := range stores {
				if q := joined[key{store, owner}]; len(q) > 0 && q[0] == string(m.XML) {
					joined[key{store, owner}] = q[1:]
					found = true
				}
			}
			if !found {
				t.Fatalf("message %d of %s is out of order: %s", i, owner, m.XML)
			}
		}
	}
	if total != joiners*runs*size {
		t.Errorf("%d messages are stored, want %d", total, joiners*runs*size)
	}
}

// groupBadRow: a row that the database refuses fails alone.
func groupBadRow(t *testing.T, d Database) {
	g := newGate()
	s := openWith(t, d, Options{BeforeCommit: g.pass}, romeo, juliet)
	wait := g.hold(t, s, juliet)
	bad := message(romeo, "")
	bad.XML = []byte{} // the schema refuses it
	runs := []*storage.Run{
		{Writes: []storage.Write{message(romeo, "1"), message(juliet, "2")}},
		{Writes: []storage.Write{message(romeo, "3"), bad, message(romeo, "4")}},
		{Writes: []storage.Write{bad}},
		{Writes: []storage.Write{message(romeo, "5")}},
	}
	for _, r := range runs {
		s.Join(r)
	}
	close(g.release)
	wait()
	for i, r := range runs {
		r.Wait()
		for j, err := range r.Errs {
			if isBad := r.Writes[j] == storage.Write(bad); isBad != (err != nil) || errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("run %d, write %d: %v", i, j, err)
			}
		}
	}
	want := []string{"1", "3", "4", "5"}
	got := pending(t, s, romeo, 0, 10)
	if len(got) != len(want) {
		t.Fatalf("%d messages, want %d", len(got), len(want))
	}
	for i, m := range got {
		if string(m.XML) != string(message(romeo, want[i]).XML) || m.Seq != int64(i+1) {
			t.Errorf("message %d is %d: %s", i, m.Seq, m.XML)
		}
	}
	wantCount(t, s, romeo, len(want))
}

// groupRefusedRows: rows that the store refuses do not cost the group its
// transaction.
func groupRefusedRows(t *testing.T, d Database) {
	g := newGate()
	s := openWith(t, d, Options{BeforeCommit: g.pass}, romeo)
	limited := message(romeo, "one too many")
	limited.Limit = 2
	r := &storage.Run{Writes: []storage.Write{message(nurse, "nobody"), message(romeo, "1"), message(romeo, "2"), limited, message(romeo, "3")}}
	s.Join(r)
	r.Wait()
	for i, want := range []error{storage.ErrNotFound, nil, nil, storage.ErrTooMany, nil} {
		wantError(t, r.Errs[i], want)
	}
	wantCount(t, s, romeo, 3)
	if n := g.groups.Load(); n != 1 {
		t.Errorf("%d transactions", n)
	}
	wantError(t, store(s, message(nurse, "nobody")), storage.ErrNotFound)
	must(t, store(s, message(romeo, "4")))
}

// groupReaders: nobody who reads waits for a group.
func groupReaders(t *testing.T, d Database) {
	g := newGate()
	s := openWith(t, d, Options{BeforeCommit: g.pass}, romeo)
	wait := g.hold(t, s, romeo)
	wantCount(t, s, romeo, 0)
	_, err := s.Account(t.Context(), romeo)
	must(t, err)
	_, _, err = s.Roster(t.Context(), romeo)
	must(t, err)
	must(t, s.Ping(t.Context()))
	close(g.release)
	wait()
	wantCount(t, s, romeo, 1)
}

// groupDeadline: the writer gives up on time, the store goes on afterwards, and
// what waited behind it is not lost if its own time is not up.
func groupDeadline(t *testing.T, d Database) {
	var hang atomic.Bool
	s := openWith(t, d, Options{CommitTimeout: 200 * time.Millisecond, BeforeCommit: func(ctx context.Context) error {
		if !hang.Load() {
			return nil
		}
		<-ctx.Done()
		return fmt.Errorf("%w: %w", storage.ErrUnavailable, ctx.Err())
	}}, romeo)
	hang.Store(true)
	runs := []*storage.Run{{Writes: []storage.Write{message(romeo, "1"), message(romeo, "2")}}, {Writes: []storage.Write{message(romeo, "3")}}}
	for _, r := range runs {
		s.Join(r)
	}
	for _, r := range runs {
		r.Wait()
		for _, err := range r.Errs {
			wantError(t, err, storage.ErrUnavailable)
		}
	}
	hang.Store(false)
	// A loaded machine may need more than one attempt within so short a time.
	for store(s, message(romeo, "4")) != nil {
		if t.Context().Err() != nil {
			return
		}
	}
	got := pending(t, s, romeo, 0, 10)
	if len(got) == 0 || string(got[0].XML) != string(message(romeo, "4").XML) {
		t.Errorf("stored: %+v", got)
	}
}

// groupTriesAgain: a failure that may pass is not the waiter's business.
func groupTriesAgain(t *testing.T, d Database) {
	var failures atomic.Int64
	s := openWith(t, d, Options{BeforeCommit: func(context.Context) error {
		if failures.Add(1) <= 3 {
			return fmt.Errorf("no: %w", storage.ErrUnavailable)
		}
		return nil
	}}, romeo)
	must(t, store(s, message(romeo, "1"), message(romeo, "2")))
	wantCount(t, s, romeo, 2)
	if got := pending(t, s, romeo, 0, 10); got[0].Seq != 1 {
		t.Errorf("the first seq is %d", got[0].Seq)
	}
}

// groupRemembers: what a failed group has counted, of logs and chats that were known
// before it, is not counted.
func groupRemembers(t *testing.T, d Database) {
	var failures atomic.Int64
	s := openWith(t, d, Options{BeforeCommit: func(context.Context) error {
		if failures.Add(-1) >= 0 {
			return fmt.Errorf("no: %w", storage.ErrUnavailable)
		}
		return nil
	}}, romeo, juliet)
	send := func(id string, after int64) *storage.Message {
		t.Helper()
		failures.Store(after)
		copies := exchange(juliet, romeo, id, "x", noon)
		copies[1].Flags |= storage.Waiting
		must(t, store(s, copies[0], copies[1]))
		return copies[1]
	}
	for i := range int64(4) {
		if m := send(fmt.Sprint(i), i%2*3); m.Seq != i+1 {
			t.Errorf("message %d has seq %d", i, m.Seq)
		}
	}
	wantCount(t, s, romeo, 4)
	lines, _ := inboxOf(t, s, storage.InboxQuery{Messages: true, Limit: 10})
	if want := "juliet@example.org: 4 unread, last 4, shown 4"; len(lines) != 1 || lines[0] != want {
		t.Errorf("the inbox is %v, want %s", lines, want)
	}
	// Nor is overwritten what others have changed meanwhile: this process,
	confirm(t, s, romeo, 1, 2)
	send("confirmed", 0)
	wantCount(t, s, romeo, 3)
	_, err := s.RemoveArchive(t.Context(), romeo, jid.JID{}, 1)
	must(t, err)
	send("removed", 0)
	if n, err := s.CountArchive(t.Context(), storage.ArchiveQuery{Owner: romeo}); n != 5 || err != nil {
		t.Errorf("the archive has %d rows, %v", n, err)
	}
	// or another one.
	d.Exec(t, "UPDATE owner SET next_seq = 100")
	if m := send("later", 0); m.Seq != 100 {
		t.Errorf("seq is %d", m.Seq)
	}
}

// groupRemovalRace: messages for an account that is being removed leave nothing.
func groupRemovalRace(t *testing.T, d Database) {
	s := openWith(t, d, Options{BeforeCommit: slowDisk}, juliet)
	before := d.Tables(t)
	for range 5 {
		must(t, s.CreateAccount(t.Context(), romeo, credentials("salt")))
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 5 {
					if err := store(s, message(romeo, "x")); err != nil && !errors.Is(err, storage.ErrNotFound) {
						t.Error(err)
					}
					_, err := s.UpdateRoster(t.Context(), romeo, nurse, 0, func(i *storage.RosterItem) error {
						i.Listed = !i.Listed
						return nil
					})
					if err != nil && !errors.Is(err, storage.ErrNotFound) {
						t.Error(err)
					}
					for _, err := range write(s, stream("group", romeo, 1), message(juliet, "x")) {
						if err != nil && !errors.Is(err, storage.ErrNotFound) {
							t.Error(err)
						}
					}
					if err := s.SaveSnapshots(t.Context(), many(romeo, 3, 100)); err != nil {
						t.Error(err)
					}
					if err := s.KV("test").Put(t.Context(), romeo, "k", nil); err != nil && !errors.Is(err, storage.ErrNotFound) {
						t.Error(err)
					}
				}
			})
		}
		must(t, s.RemoveAccount(t.Context(), romeo))
		wg.Wait()
	}
	confirm(t, s, juliet, 1, 1000)
	for table, rows := range d.Tables(t) {
		if rows != before[table] {
			t.Errorf("table %s has %d rows more", table, rows-before[table])
		}
	}
}

// closeFlushes: what has joined before Close is written.
func closeFlushes(t *testing.T, d Database) {
	s, err := d.Open(t.Context(), Options{CommitTimeout: Patience, BeforeCommit: slowDisk})
	must(t, err)
	must(t, s.CreateAccount(t.Context(), romeo, nil))
	runs := make([]*storage.Run, 20)
	for i := range runs {
		runs[i] = &storage.Run{Writes: []storage.Write{message(romeo, fmt.Sprint(i))}}
		s.Join(runs[i])
	}
	must(t, s.Close())
	for _, r := range runs {
		r.Wait()
		must(t, r.Errs[0])
	}
	wantError(t, store(s, message(romeo, "late")), storage.ErrUnavailable)
	_, err = s.Account(t.Context(), romeo)
	wantError(t, err, storage.ErrUnavailable)
	wantError(t, s.SetBan(t.Context(), romeo, nil), storage.ErrUnavailable)
	wantError(t, s.Ping(t.Context()), storage.ErrUnavailable)
	wantCount(t, open(t, d, Options{}), romeo, len(runs))
}
