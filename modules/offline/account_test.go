package offline

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/storage"
)

var juliet = jid.MustParse("juliet@capulet.lit")

// memory is a log of an account in memory: rows 1 to n.
type memory struct {
	n       int64
	got     storage.Ranges
	broken  error
	writes  int
	reading func() // called behind each read
}

func (s *memory) PendingMessages(_ context.Context, owner jid.JID, after, upTo int64, limit int) (rows []storage.Message, err error) {
	if upTo == 0 {
		upTo = s.n
	}
	for seq := after + 1; seq <= min(upTo, s.n) && len(rows) < limit; seq++ {
		if !s.got.Has(seq) {
			rows = append(rows, storage.Message{Owner: owner, Seq: seq})
		}
	}
	if fn := s.reading; fn != nil {
		s.reading = nil
		fn()
	}
	return rows, s.broken
}

func (s *memory) ConfirmMessages(_ context.Context, list []storage.Confirmed) error {
	s.writes++
	if s.broken != nil {
		return s.broken
	}
	for _, c := range list {
		for _, n := range c.Ranges {
			s.got = s.got.Add(n)
		}
	}
	return nil
}

func (s *memory) CountMessages(context.Context, jid.JID) (int, error) { return 0, nil }

func (s *memory) DeleteMessagesBefore(context.Context, time.Time, int) (int, error) { return 0, nil }

func books(n int64) (*Module, *memory, *account) {
	s := &memory{n: n}
	m := New(session.NewWheel(time.Unix(0, 0)), s, nil, nil)
	a := &account{owner: juliet, sessions: 1}
	m.accounts[juliet] = a
	return m, s, a
}

func seqs(t *testing.T, m *Module, a *account) (list []int64) {
	t.Helper()
	for after := int64(0); ; {
		rows, next, err := m.pending(t.Context(), a, after, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			list = append(list, row.Seq)
		}
		if next == 0 {
			return list
		}
		after = next
	}
}

func TestPendingKnowsWhatIsNotWritten(t *testing.T) {
	t.Parallel()
	m, s, a := books(50)
	var confirmed []int64
	for seq := int64(1); seq <= 47; seq++ {
		if seq != 30 {
			confirmed = append(confirmed, seq)
		}
	}
	m.confirmed(a, confirmed)
	want := []int64{30, 48, 49, 50}
	if diff := cmp.Diff(want, seqs(t, m, a)); diff != "" {
		t.Errorf("before the write: %s", diff)
	}
	if err := m.write(t.Context()); err != nil || s.writes != 1 {
		t.Errorf("%d writes: %v", s.writes, err)
	}
	if diff := cmp.Diff(want, seqs(t, m, a)); diff != "" {
		t.Errorf("behind the write: %s", diff)
	}
	if err := m.write(t.Context()); err != nil || s.writes != 1 {
		t.Errorf("nothing is to be written: %d writes, %v", s.writes, err)
	}
	// A write between the read and the look at what it did not know.
	s.reading = func() {
		m.confirmed(a, []int64{30})
		if err := m.write(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff(want[1:], seqs(t, m, a)); diff != "" {
		t.Errorf("with a write in between: %s", diff)
	}
}

func TestWriteFails(t *testing.T) {
	t.Parallel()
	m, s, a := books(5)
	m.confirmed(a, []int64{1, 2})
	s.broken = errors.New("gone")
	if err := m.write(t.Context()); !errors.Is(err, s.broken) {
		t.Errorf("%v", err)
	}
	m.confirmed(a, []int64{4})
	a.sessions = 0
	s.broken = nil
	if diff := cmp.Diff([]int64{3, 5}, seqs(t, m, a)); diff != "" {
		t.Error(diff)
	}
	if err := m.write(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(storage.Ranges{{First: 1, Last: 2}, {First: 4, Last: 4}}, s.got); diff != "" {
		t.Errorf("written: %s", diff)
	}
	if len(m.accounts) != 0 {
		t.Error("the account is kept when there is nothing to know about it")
	}
}

// A set that becomes full is written before anything is forgotten.
func TestManyRanges(t *testing.T) {
	t.Parallel()
	m, s, a := books(2000)
	for seq := int64(1); seq <= 2000; seq += 2 {
		m.confirmed(a, []int64{seq})
		m.going.Wait()
	}
	if err := m.stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.writes < 1000/manyRanges || s.writes > 1000/manyRanges+1 {
		t.Errorf("%d writes", s.writes)
	}
	if len(a.fresh) != 0 {
		t.Errorf("%d ranges are left", len(a.fresh))
	}
}

// A new account of the same name has nothing to do with what was confirmed.
func TestRemovedAccount(t *testing.T) {
	t.Parallel()
	m, s, a := books(3)
	m.confirmed(a, []int64{1})
	if err := m.removed(t.Context(), juliet); err != nil {
		t.Fatal(err)
	}
	m.confirmed(a, []int64{2})
	if err := m.write(t.Context()); err != nil || len(s.got) != 0 || len(m.accounts) != 0 {
		t.Errorf("written %v, %d accounts, %v", s.got, len(m.accounts), err)
	}
}

// A confirmed live message costs nothing but a lock.
func TestConfirmAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	m, _, a := books(0)
	r := &receiver{m: m, account: a}
	one := []int64{1}
	r.acknowledged(one)
	if n := testing.AllocsPerRun(1000, func() {
		one[0]++
		r.acknowledged(one)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if err := m.write(t.Context()); err != nil {
		t.Fatal(err)
	}
	several := slices.Repeat([]int64{0}, 10)
	for range 2 { // both sets have their memory by then
		several[0] = one[0] + 1
		r.acknowledged(several[:1])
		one[0] += 2
		if err := m.write(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(1000, func() {
		for i := range several {
			one[0]++
			several[i] = one[0]
		}
		r.acknowledged(several)
	}); n != 0 {
		t.Errorf("%v allocations for several", n)
	}
}
