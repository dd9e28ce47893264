package storagetest

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

func snapshot(id string, owner jid.JID, h uint32, data string) storage.Snapshot {
	return storage.Snapshot{Stream: *stream(id, owner, h), Data: []byte(data)}
}

// take takes all snapshots, limit at a time.
func take(t *testing.T, s Store, limit int) (all []storage.Snapshot) {
	t.Helper()
	for {
		some, err := s.TakeSnapshots(t.Context(), limit)
		must(t, err)
		if len(some) > limit {
			t.Errorf("got %d snapshots, the limit is %d", len(some), limit)
		}
		all = append(all, some...)
		if len(some) < limit {
			return all
		}
		if len(all) > 100000 {
			t.Fatal("there is no end of snapshots")
		}
	}
}

func wantSnapshots(t *testing.T, got []storage.Snapshot, want ...storage.Snapshot) {
	t.Helper()
	slices.SortFunc(got, func(a, b storage.Snapshot) int { return strings.Compare(a.ID, b.ID) })
	for i := range want {
		want[i].Until = want[i].Kept()
		want[i].Owner = want[i].Owner.Bare()
	}
	if diff := cmp.Diff(want, got, byValue[0], cmp.Comparer(bytes.Equal)); diff != "" {
		t.Errorf("snapshots (-want +got):\n%s", diff)
	}
}

func snapshots(t *testing.T, d Database) {
	ctx, s := t.Context(), openWith(t, d, Options{}, romeo, juliet)
	wantSnapshots(t, take(t, s, 3))
	must(t, s.SaveSnapshots(ctx, nil))

	noise := make([]byte, 70000) // cannot be compressed
	rand.NewChaCha8([32]byte{}).Read(noise)
	wantErrors(t, write(s, stream("known", romeo, 1), stream("other", romeo, 1)), nil, nil)
	full := snapshot("full", jid.MustParse("juliet@example.org/balcony"), 3, "\x00\xff")
	known := snapshot("known", romeo, math.MaxUint32, string(noise))
	known.Until = noon.Add(30 * time.Hour)
	none := snapshot("none", romeo, 4, "")
	none.Data = nil
	must(t, s.SaveSnapshots(ctx, []storage.Snapshot{
		snapshot("twice", romeo, 1, "first"), full, snapshot("nobody", nurse, 1, "data"), known, none, snapshot("twice", romeo, 2, "second"),
	}))
	wantNoStream(t, s, "nobody")
	wantH(t, s, "other", 1)
	want := []storage.Snapshot{full, known, none, snapshot("twice", romeo, 2, "second")}
	wantSnapshots(t, take(t, s, 3), want...)
	wantSnapshots(t, take(t, s, 3))

	// What is left is the stream.
	for _, w := range want {
		if got, err := s.Stream(ctx, w.ID); err != nil || got != w.Stream {
			t.Errorf("stream is %+v, %v; want %+v", got, err, w.Stream)
		}
	}
	// It can be saved again.
	must(t, s.SaveSnapshots(ctx, []storage.Snapshot{snapshot("known", romeo, 0, "again")}))
	wantSnapshots(t, take(t, s, 1), snapshot("known", romeo, 0, "again"))
}

// snapshotOutlived: a stream that goes on ends its snapshot, that of no other.
func snapshotOutlived(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo)
	must(t, s.SaveSnapshots(t.Context(), []storage.Snapshot{snapshot("a", romeo, 1, "old"), snapshot("b", romeo, 1, "kept"), snapshot("c", romeo, 1, "kept")}))
	wantErrors(t, write(s, message(romeo, "1"), stream("a", romeo, 2)), nil, nil)
	wantH(t, s, "a", 2)
	wantSnapshots(t, take(t, s, 10), snapshot("b", romeo, 1, "kept"), snapshot("c", romeo, 1, "kept"))
	wantErrors(t, write(s, stream("b", romeo, 2)), nil)
	wantSnapshots(t, take(t, s, 10))
}

// snapshotsTogether: if one cannot be stored, none is.
func snapshotsTogether(t *testing.T, d Database) {
	ctx, s := t.Context(), openWith(t, d, Options{}, romeo)
	wantErrors(t, write(s, stream("s5", romeo, math.MaxUint32)), nil)
	all := many(romeo, 2500, 100)
	all[2000].H = all[10].H
	d.Exec(t, "CREATE UNIQUE INDEX each ON stream (h)")
	if err := s.SaveSnapshots(ctx, all); err == nil {
		t.Error("two streams have the same h in spite of the index")
	}
	wantSnapshots(t, take(t, s, 100))
	wantNoStream(t, s, "s1")
	wantH(t, s, "s5", math.MaxUint32)
	all[2000].H = math.MaxInt32
	must(t, s.SaveSnapshots(ctx, all))
	if got := take(t, s, 1000); len(got) != len(all) {
		t.Errorf("took %d snapshots of %d", len(got), len(all))
	}
}

// many returns n snapshots of size bytes, of one account.
func many(owner jid.JID, n, size int) []storage.Snapshot {
	random := rand.NewChaCha8([32]byte{})
	all := make([]storage.Snapshot, n)
	for i := range all {
		text := bytes.Repeat([]byte("<message to='juliet@example.org' type='chat'/>"), 1+size/45)[:size]
		random.Read(text[:size/2])
		all[i] = snapshot(fmt.Sprint("s", i), owner, uint32(i), string(text))
	}
	return all
}

func snapshotRace(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo)
	SnapshotRace(t, romeo, s)
}

// SnapshotRace lets several stores on the same database take snapshots at once,
// while one of them goes on with other streams. Each snapshot is taken once.
func SnapshotRace(t *testing.T, owner jid.JID, stores ...Store) {
	t.Helper()
	const total = 500
	all := many(owner, total, 3000)
	must(t, stores[0].SaveSnapshots(t.Context(), all))
	var mu sync.Mutex
	var got []storage.Snapshot
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for {
				some, err := stores[i%len(stores)].TakeSnapshots(t.Context(), 7)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				got = append(got, some...)
				end := len(some) == 0 || len(got) > total
				mu.Unlock()
				if end {
					return
				}
			}
		})
	}
	wg.Go(func() {
		for h := range uint32(30) {
			for _, err := range write(stores[0], message(owner, "meanwhile"), stream("live", owner, h)) {
				if err != nil {
					t.Error(err)
				}
			}
		}
	})
	wg.Wait()
	slices.SortFunc(all, func(a, b storage.Snapshot) int { return strings.Compare(a.ID, b.ID) })
	wantSnapshots(t, got, all...)
	for _, s := range stores {
		wantSnapshots(t, take(t, s, 10))
		if live, err := s.Stream(t.Context(), "live"); err != nil || live.H != 29 {
			t.Errorf("live stream: %+v, %v", live, err)
		}
	}
}

// streamsReopen: they are as durable as messages are.
func streamsReopen(t *testing.T, d Database) {
	s, err := d.Open(t.Context(), Options{CommitTimeout: Patience})
	must(t, err)
	must(t, s.CreateAccount(t.Context(), romeo, nil))
	wantErrors(t, write(s, message(romeo, "1"), stream("a", romeo, math.MaxUint32)), nil, nil)
	must(t, s.SaveSnapshots(t.Context(), []storage.Snapshot{snapshot("b", romeo, 1, "kept"), snapshot("c", romeo, 2, "kept")}))
	if some, err := s.TakeSnapshots(t.Context(), 1); len(some) != 1 || err != nil {
		t.Errorf("took %d snapshots, %v", len(some), err)
	}
	must(t, s.Close())
	wantError(t, s.SaveSnapshots(t.Context(), many(romeo, 1, 1)), storage.ErrUnavailable)
	_, err = s.TakeSnapshots(t.Context(), 1)
	wantError(t, err, storage.ErrUnavailable)

	s = open(t, d, Options{})
	wantH(t, s, "a", math.MaxUint32)
	wantH(t, s, "b", 1)
	wantH(t, s, "c", 2)
	if got := take(t, s, 10); len(got) != 1 {
		t.Errorf("%d snapshots are left, want 1", len(got))
	}
}
