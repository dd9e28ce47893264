package storagetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

func stream(id string, owner jid.JID, h uint32) *storage.Stream {
	return &storage.Stream{ID: id, Owner: owner, H: h, Until: noon}
}

// write writes rows in one run and returns their errors.
func write(s Store, writes ...storage.Write) []error {
	r := &storage.Run{Writes: writes}
	s.Join(r)
	r.Wait()
	return r.Errs
}

func wantErrors(t *testing.T, got []error, want ...error) {
	t.Helper()
	for i, err := range got {
		wantError(t, err, want[i])
	}
}

// wantH checks what is kept of a stream of romeo.
func wantH(t *testing.T, s Store, id string, h uint32) {
	t.Helper()
	want := storage.Stream{ID: id, Owner: romeo, H: h, Until: noon.Truncate(time.Hour).Add(time.Hour)}
	got, err := s.Stream(t.Context(), id)
	must(t, err)
	if diff := cmp.Diff(want, got, byValue); diff != "" {
		t.Errorf("stream (-want +got):\n%s", diff)
	}
}

func wantNoStream(t *testing.T, s Store, id string) {
	t.Helper()
	got, err := s.Stream(t.Context(), id)
	wantError(t, err, storage.ErrNotFound)
	if err == nil {
		t.Logf("stream: %+v", got)
	}
}

func streams(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo, juliet)
	wantNoStream(t, s, "a")
	full := jid.MustParse("romeo@example.org/orchard")
	for i, h := range []uint32{0, 1, math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32 - 1, math.MaxUint32, 0, 5} {
		owner := []jid.JID{romeo, full}[i%2]
		wantErrors(t, write(s, message(juliet, "counted"), stream("a", owner, h)), nil, nil)
		wantH(t, s, "a", h)
	}
	wantErrors(t, write(s, stream("b", romeo, 7)), nil) // no message with it
	wantH(t, s, "a", 5)
	wantH(t, s, "b", 7)
	wantCount(t, s, juliet, 8)

	// Until only grows by full hours.
	for _, c := range []struct{ until, want time.Time }{
		{noon.Truncate(time.Hour), noon.Truncate(time.Hour)},
		{noon.Truncate(time.Hour).Add(time.Microsecond), noon.Truncate(time.Hour).Add(time.Hour)},
	} {
		kept := stream("c", romeo, 1)
		kept.Until = c.until.In(time.FixedZone("half", 1800))
		wantErrors(t, write(s, kept), nil)
		if got, err := s.Stream(t.Context(), "c"); err != nil || got.Until != c.want {
			t.Errorf("until is %v, %v; want %v", got.Until, err, c.want)
		}
	}
	must(t, s.RemoveAccount(t.Context(), romeo))
	for _, id := range []string{"a", "b", "c"} {
		wantNoStream(t, s, id)
	}
}

// streamGroup: of several states of a stream in a group the last one wins, and
// one that is refused is refused alone, in the same transaction.
func streamGroup(t *testing.T, d Database) {
	g := newGate()
	s := openWith(t, d, Options{BeforeCommit: g.pass}, romeo, juliet)
	wait := g.hold(t, s, juliet)
	limited := message(juliet, "one too many")
	limited.Limit = 1
	runs := []*storage.Run{
		{Writes: []storage.Write{message(juliet, "1"), stream("a", romeo, 9), stream("b", romeo, 1), stream("a", romeo, math.MaxUint32)}},
		{Writes: []storage.Write{limited, stream("b", romeo, 2)}},
		{Writes: []storage.Write{message(nurse, "nobody"), stream("n", nurse, 1), stream("c", romeo, 3)}},
		{Writes: []storage.Write{stream("n", nurse, 2)}},
		{Writes: []storage.Write{message(juliet, "2"), stream("a", romeo, 1)}},
	}
	for _, r := range runs {
		s.Join(r)
	}
	close(g.release)
	wait()
	for _, r := range runs {
		r.Wait()
	}
	wantErrors(t, runs[0].Errs, nil, nil, nil, nil)
	wantErrors(t, runs[1].Errs, storage.ErrTooMany, nil)
	wantErrors(t, runs[2].Errs, storage.ErrNotFound, storage.ErrNotFound, nil)
	wantErrors(t, runs[3].Errs, storage.ErrNotFound)
	wantErrors(t, runs[4].Errs, nil, nil)
	wantH(t, s, "a", 1)
	wantH(t, s, "b", 2)
	wantH(t, s, "c", 3)
	wantNoStream(t, s, "n")
	if n := g.groups.Load(); n != 2 {
		t.Errorf("%d transactions, want the held one and one more", n)
	}
}

// streamBadRow: a row that the database refuses costs neither its run nor the
// others of the group what they count.
func streamBadRow(t *testing.T, d Database) {
	g := newGate()
	s := openWith(t, d, Options{BeforeCommit: g.pass}, romeo, juliet)
	wait := g.hold(t, s, juliet)
	bad := message(juliet, "")
	bad.XML = []byte{} // the schema refuses it
	runs := []*storage.Run{
		{Writes: []storage.Write{message(juliet, "1"), stream("a", romeo, 1)}},
		{Writes: []storage.Write{message(juliet, "2"), bad, message(juliet, "3"), stream("b", romeo, 3)}},
		{Writes: []storage.Write{message(juliet, "4"), stream("a", romeo, 2)}},
	}
	for _, r := range runs {
		s.Join(r)
	}
	close(g.release)
	wait()
	for i, r := range runs {
		r.Wait()
		for j, err := range r.Errs {
			if isBad := r.Writes[j] == storage.Write(bad); isBad != (err != nil) {
				t.Errorf("run %d, write %d: %v", i, j, err)
			}
		}
	}
	wantCount(t, s, juliet, 5)
	wantH(t, s, "a", 2)
	wantH(t, s, "b", 3)
}

// streamRollback: messages and what counts them are durable together or not at
// all.
func streamRollback(t *testing.T, d Database) {
	var fail bool // changes only between runs
	s := openWith(t, d, Options{BeforeCommit: func(context.Context) error {
		if fail {
			return errors.New("no")
		}
		return nil
	}}, romeo, juliet)
	wantErrors(t, write(s, message(juliet, "1"), stream("a", romeo, 1)), nil, nil)
	must(t, s.SaveSnapshots(t.Context(), []storage.Snapshot{snapshot("a", romeo, 1, "kept")}))
	fail = true
	for _, err := range write(s, message(juliet, "2"), stream("a", romeo, 2), stream("b", romeo, 2)) {
		if err == nil {
			t.Error("it was written")
		}
	}
	wantCount(t, s, juliet, 1)
	wantH(t, s, "a", 1)
	wantNoStream(t, s, "b")
	wantSnapshots(t, take(t, s, 10), snapshot("a", romeo, 1, "kept"))
}

func deleteStreams(t *testing.T, d Database) {
	ctx, s := t.Context(), openWith(t, d, Options{}, romeo)
	hour := noon.Truncate(time.Hour)
	for i := range 8 {
		w := stream(fmt.Sprint("s", i), romeo, 1)
		w.Until = hour.Add(time.Duration(7-i) * time.Hour)
		wantErrors(t, write(s, w), nil)
	}
	snap := snapshot("s7", romeo, 1, "left too long")
	snap.Until = hour
	must(t, s.SaveSnapshots(ctx, []storage.Snapshot{snap}))
	before := hour.Add(5 * time.Hour) // five are older
	for _, want := range []int{2, 2, 1, 0} {
		if n, err := s.DeleteStreams(ctx, before, 2); n != want || err != nil {
			t.Errorf("deleted %d, %v; want %d", n, err, want)
		}
	}
	for i := range 8 {
		_, err := s.Stream(ctx, fmt.Sprint("s", i))
		if i <= 2 {
			must(t, err)
		} else {
			wantError(t, err, storage.ErrNotFound)
		}
	}
	wantSnapshots(t, take(t, s, 10))
}
