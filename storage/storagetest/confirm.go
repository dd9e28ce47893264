package storagetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// naiveLog is what a naive reader makes of a log.
type naiveLog struct {
	rows      map[int64]*storage.Message
	confirmed map[int64]bool
}

func (l *naiveLog) add(m *storage.Message) { l.rows[m.Seq] = m }

// confirm lets rows be confirmed; those that are not archived go.
func (l *naiveLog) confirm(first, last int64) {
	for seq, m := range l.rows {
		if seq < first || seq > last {
			continue
		}
		l.confirmed[seq] = true
		if m.Flags &^= storage.Waiting; !m.Flags.Has(storage.Archived) {
			delete(l.rows, seq)
		}
	}
}

// pending are the rows that its owner has not got.
func (l *naiveLog) pending() (rows []*storage.Message) {
	for seq, m := range l.rows {
		if !l.confirmed[seq] && !m.Flags.Has(storage.FromOwner) {
			rows = append(rows, m)
		}
	}
	slices.SortFunc(rows, func(a, b *storage.Message) int { return int(a.Seq - b.Seq) })
	return rows
}

func (l *naiveLog) check(t *testing.T, s Store, r *rand.Rand, last int64) {
	t.Helper()
	all := l.pending()
	waiting, kept := 0, int64(0)
	for _, m := range l.rows {
		if m.Flags.Has(storage.Waiting) {
			waiting++
		}
		if m.Flags.Has(storage.Archived) {
			kept++
		}
	}
	after, upTo, limit := r.Int64N(last+2), r.Int64N(last+2), 1+r.IntN(20)
	var want []int64
	for _, m := range all {
		if m.Seq > after && (upTo == 0 || m.Seq <= upTo) && len(want) < limit {
			want = append(want, m.Seq)
		}
	}
	got, err := s.PendingMessages(t.Context(), romeo, after, upTo, limit)
	must(t, err)
	if !slices.Equal(seqs(got), append([]int64{}, want...)) {
		t.Fatalf("pending from %d to %d, at most %d: %v, want %v", after, upTo, limit, seqs(got), want)
	}
	for _, m := range got {
		if w := l.rows[m.Seq]; m.Tag != w.Tag || m.Flags != w.Flags || m.Peer != w.Peer || string(m.XML) != string(w.XML) {
			t.Fatalf("pending: %+v, want %+v", m, *w)
		}
	}
	if n, err := s.CountMessages(t.Context(), romeo); n != waiting || err != nil {
		t.Fatalf("CountMessages = %d, %v; want %d", n, err, waiting)
	}
	if n, err := s.CountArchive(t.Context(), storage.ArchiveQuery{Owner: romeo}); n != kept || err != nil {
		t.Fatalf("CountArchive = %d, %v; want %d", n, err, kept)
	}
}

// confirmations: whatever is confirmed in whatever order, and however often, what is
// not is pending, and the counters are exact.
func confirmations(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo, juliet)
	r := rand.New(rand.NewPCG(3, 4))
	l := naiveLog{rows: map[int64]*storage.Message{}, confirmed: map[int64]bool{}}
	last := int64(0)
	for range 120 {
		run := storage.Run{}
		for range r.IntN(6) {
			m := archived(juliet, "id", "x")
			m.Flags = []storage.Flags{storage.Archived, storage.Archived | storage.Waiting, storage.Waiting,
				storage.Archived | storage.FromOwner, storage.Archived | storage.FromOwner}[r.IntN(5)]
			if !m.Flags.Has(storage.Archived) {
				m.Chat = jid.JID{}
			}
			run.Writes = append(run.Writes, m)
		}
		for i, err := range write(s, run.Writes...) {
			must(t, err)
			m := run.Writes[i].(*storage.Message)
			l.add(m)
			last = m.Seq
		}
		var ranges storage.Ranges
		for range r.IntN(4) {
			first := r.Int64N(last+2) + 1
			ranges = ranges.Add(storage.Range{First: first, Last: first + r.Int64N(6)})
		}
		list := []storage.Confirmed{{Owner: nurse, Ranges: ranges}, {Owner: resource(romeo, "orchard"), Ranges: ranges}, {Owner: juliet, Ranges: ranges}}
		for range 1 + r.IntN(2) {
			must(t, s.ConfirmMessages(t.Context(), list))
		}
		for _, n := range ranges {
			l.confirm(n.First, min(n.Last, last))
		}
		l.check(t, s, r, last)
	}
	// The future cannot be confirmed.
	confirm(t, s, romeo, 1, 1<<40)
	l.confirm(1, last)
	l.check(t, s, r, last)
	m := message(romeo, "later")
	must(t, store(s, m))
	l.add(m)
	l.check(t, s, r, m.Seq)
	if got := pending(t, s, romeo, 0, 10); len(got) != 1 {
		t.Errorf("%d messages are pending", len(got))
	}
}

// manyRanges: a set of confirmed rows that has too many parts is cut; what it forgets
// is delivered again, and nothing is lost.
func manyRanges(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo)
	const rows = 4 * storage.MaxRanges
	run := storage.Run{}
	for i := range rows {
		m := archived(juliet, fmt.Sprint(i), "x")
		m.Flags |= storage.Waiting
		run.Writes = append(run.Writes, m)
	}
	for _, err := range write(s, run.Writes...) {
		must(t, err)
	}
	c := storage.Confirmed{Owner: romeo}
	for seq := int64(2); seq <= rows; seq += 2 {
		c.Ranges = append(c.Ranges, storage.Range{First: seq, Last: seq})
	}
	for range 2 { // the counters are those of the rows
		must(t, s.ConfirmMessages(t.Context(), []storage.Confirmed{c}))
		if n, err := s.CountMessages(t.Context(), romeo); n != rows/2 || err != nil {
			t.Errorf("CountMessages = %d, %v", n, err)
		}
		if got := pending(t, s, romeo, 0, rows); len(got) != rows-storage.MaxRanges {
			t.Errorf("%d are pending, want %d", len(got), rows-storage.MaxRanges)
		}
	}
	for seq := int64(rows); seq > 0; seq -= 2 {
		c.Ranges = append(c.Ranges[:0], storage.Range{First: seq - 1, Last: seq - 1})
		must(t, s.ConfirmMessages(t.Context(), []storage.Confirmed{c}))
	}
	confirm(t, s, romeo, 1, rows)
	wantCount(t, s, romeo, 0)
}

// joinedRanges: the owner's own rows do not count among the parts of a set of confirmed
// rows, wherever they stand.
func joinedRanges(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo)
	const talks = storage.MaxRanges + 100
	run := storage.Run{Writes: []storage.Write{archived(juliet, "first", "x")}}
	own := func(id string) {
		m := archived(juliet, id, "x")
		m.Flags |= storage.FromOwner
		run.Writes = append(run.Writes, m)
	}
	var confirmed []storage.Range
	for i := range talks {
		own(fmt.Sprint("own ", i))
		run.Writes = append(run.Writes, archived(juliet, fmt.Sprint(i), "x"))
		seq := int64(len(run.Writes))
		confirmed = append(confirmed, storage.Range{First: seq, Last: seq})
	}
	own("last")
	own("very last")
	last := archived(juliet, "last", "x")
	run.Writes = append(run.Writes, last)
	for _, err := range write(s, run.Writes...) {
		must(t, err)
	}
	// The even ones first, downwards, then the others.
	for _, odd := range []int{0, 1} {
		for i := len(confirmed) - 1; i >= 0; i-- {
			if i%2 == odd && (i < 10 || i >= talks-10) {
				must(t, s.ConfirmMessages(t.Context(), []storage.Confirmed{{Owner: romeo, Ranges: confirmed[i : i+1]}}))
			}
		}
	}
	must(t, s.ConfirmMessages(t.Context(), []storage.Confirmed{{Owner: romeo, Ranges: confirmed}}))
	if got := seqs(pending(t, s, romeo, 0, 10)); !slices.Equal(got, []int64{1, last.Seq}) {
		t.Errorf("pending: %v, want 1 and %d", got, last.Seq)
	}
	confirm(t, s, romeo, 1, 1)
	if got := seqs(pending(t, s, romeo, 0, 10)); !slices.Equal(got, []int64{last.Seq}) {
		t.Errorf("pending: %v, want %d", got, last.Seq)
	}
	confirm(t, s, romeo, last.Seq, last.Seq)
	wantCount(t, s, romeo, 0)
}

// oldArchived: what waits for too long stays in the archive, and is not pending.
func oldArchived(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo)
	for i := range 6 {
		m := archived(juliet, fmt.Sprint(i), "x")
		m.Arrived = noon.Add(time.Duration(i) * time.Minute)
		if i%2 == 0 {
			m.Flags |= storage.Waiting
		}
		must(t, store(s, m))
	}
	if n, err := s.DeleteMessagesBefore(t.Context(), noon.Add(3*time.Minute), 10); n != 2 || err != nil {
		t.Errorf("gave up %d, %v", n, err)
	}
	if n, err := s.CountMessages(t.Context(), romeo); n != 1 || err != nil {
		t.Errorf("CountMessages = %d, %v", n, err)
	}
	if got := seqs(pending(t, s, romeo, 0, 10)); !slices.Equal(got, []int64{2, 4, 5, 6}) {
		t.Errorf("pending: %v", got)
	}
	if n, err := s.CountArchive(t.Context(), storage.ArchiveQuery{Owner: romeo}); n != 6 || err != nil {
		t.Errorf("the archive has %d rows, %v", n, err)
	}
}

// marks: the end of a log at its place among the runs.
func marks(t *testing.T, d Database) {
	g := newGate()
	s := openWith(t, d, Options{BeforeCommit: g.pass}, romeo, juliet)
	wait := g.hold(t, s, romeo)
	writes := []storage.Write{&storage.Mark{Owner: romeo}, message(romeo, "2"), &storage.Mark{Owner: romeo},
		&storage.Mark{Owner: juliet}, &storage.Mark{Owner: nurse}}
	r := &storage.Run{Writes: writes, InOrder: true}
	s.Join(r)
	close(g.release)
	wait()
	r.Wait()
	r.Turn()
	r.Done()
	wantErrors(t, r.Errs, nil, nil, nil, nil, storage.ErrNotFound)
	for i, want := range map[int]int64{0: 1, 2: 2, 3: 0, 4: 0} {
		if got := writes[i].(*storage.Mark).Seq; got != want {
			t.Errorf("mark %d is at %d, want %d", i, got, want)
		}
	}
}
