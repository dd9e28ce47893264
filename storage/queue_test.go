package storage_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/storage"
)

// fake is a store that records its attempts as text and lets a test decide.
type fake struct {
	attempts []string
	result   func(ctx context.Context, attempt string, detach func()) error
}

func (f *fake) attempt(ctx context.Context, runs []*storage.Run, detach func()) error {
	var text []string
	for _, r := range runs {
		var rows []string
		for _, w := range r.Writes {
			rows = append(rows, string(w.(*storage.Message).XML))
		}
		text = append(text, strings.Join(rows, ","))
	}
	a := strings.Join(text, " ")
	f.attempts = append(f.attempts, a)
	return f.result(ctx, a, detach)
}

func run(rows ...string) *storage.Run {
	r := &storage.Run{}
	for _, row := range rows {
		r.Writes = append(r.Writes, &storage.Message{XML: []byte(row)})
	}
	return r
}

func wantErrs(t *testing.T, r *storage.Run, want ...error) {
	t.Helper()
	r.Wait()
	if len(r.Errs) != len(want) {
		t.Fatalf("%d errors, want %d", len(r.Errs), len(want))
	}
	for i := range want {
		if !errors.Is(r.Errs[i], want[i]) {
			t.Errorf("write %d: %v, want %v", i, r.Errs[i], want[i])
		}
	}
}

func wantAttempts(t *testing.T, f *fake, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, f.attempts); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
}

// TestQueueGroups: what joins while a group is written makes the next one.
func TestQueueGroups(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{result: func(context.Context, string, func()) error {
			time.Sleep(time.Second)
			return nil
		}}
		q := storage.NewQueue(5*time.Second, f.attempt)
		first, others := run("a"), []*storage.Run{run("b", "c"), run("d"), run("e")}
		q.Join(first)
		synctest.Wait()
		for _, r := range others {
			q.Join(r)
		}
		wantErrs(t, first, nil)
		wantErrs(t, others[0], nil, nil)
		wantErrs(t, others[1], nil)
		wantErrs(t, others[2], nil)
		wantAttempts(t, f, "a", "b,c d e")
		q.Close()
	})
}

// TestQueueSplits: a bad row fails alone, and its group in the fewest steps.
func TestQueueSplits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bad := errors.New("bad")
		f := &fake{result: func(_ context.Context, attempt string, _ func()) error {
			if strings.Contains(attempt, "bad") {
				return bad
			}
			return nil
		}}
		q := storage.NewQueue(5*time.Second, f.attempt)
		runs := []*storage.Run{run("a"), run("b", "bad", "c"), run("bad"), run("d")}
		for _, r := range runs {
			q.Join(r)
		}
		wantErrs(t, runs[0], nil)
		wantErrs(t, runs[1], nil, bad, nil)
		wantErrs(t, runs[2], bad)
		wantErrs(t, runs[3], nil)
		q.Close()
		f.attempts = slices.DeleteFunc(f.attempts, func(a string) bool { return strings.Contains(a, " ") })
		wantAttempts(t, f, "a", "b,bad,c", "b", "bad", "c", "bad", "d")
	})
}

// TestQueueSingleWrites: one by one, what a row brings is tried behind the rows, and a
// refused row has no number.
func TestQueueSingleWrites(t *testing.T) {
	t.Parallel()
	good, bad := &storage.Message{XML: []byte("good")}, &storage.Message{XML: []byte("bad")}
	read, retraction := &storage.Read{By: bad}, &storage.Retraction{By: good}
	var order []storage.Write
	refused := errors.New("bad")
	q := storage.NewQueue(time.Minute, func(_ context.Context, runs []*storage.Run, _ func()) (err error) {
		for _, w := range runs[0].Writes {
			if m, ok := w.(*storage.Message); ok {
				m.Seq = 1
			}
			if w == storage.Write(bad) {
				err = refused
			}
		}
		if len(runs[0].Writes) == 1 {
			order = append(order, runs[0].Writes[0])
		}
		return err
	})
	r := &storage.Run{Writes: []storage.Write{read, bad, retraction, good}}
	q.Join(r)
	wantErrs(t, r, nil, refused, nil, nil)
	q.Close()
	if !slices.Equal(order, []storage.Write{bad, good, read, retraction}) {
		t.Errorf("tried in the order %v", order)
	}
	if bad.Seq != 0 || good.Seq != 1 {
		t.Errorf("seqs are %d, %d", bad.Seq, good.Seq)
	}
}

// TestQueueRetries: while the database is away, runs are tried until their
// deadline, and each has its own.
func TestQueueRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		cause := fmt.Errorf("refused: %w", storage.ErrUnavailable)
		var back time.Time
		f := &fake{result: func(context.Context, string, func()) error {
			if time.Now().Before(back) {
				return cause
			}
			return nil
		}}
		back = start.Add(7 * time.Second)
		q := storage.NewQueue(5*time.Second, f.attempt)
		early, late := run("a", "b"), run("c")
		q.Join(early)
		time.Sleep(3 * time.Second)
		q.Join(late)
		wantErrs(t, early, cause, cause)
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("given up after %v", d)
		}
		wantErrs(t, late, nil)
		if d := time.Since(start); d < 7*time.Second || d > 7*time.Second+300*time.Millisecond {
			t.Errorf("written after %v", d)
		}
		q.Close()
		if n := len(f.attempts); n > 50 {
			t.Errorf("%d attempts", n)
		}
	})
}

// TestQueueDeadline: the context of an attempt ends with the oldest run.
func TestQueueDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{result: func(ctx context.Context, attempt string, _ func()) error {
			if strings.Contains(attempt, "a") {
				<-ctx.Done()
				return fmt.Errorf("%w: %w", storage.ErrUnavailable, ctx.Err())
			}
			return nil
		}}
		q := storage.NewQueue(5*time.Second, f.attempt)
		start := time.Now()
		r, behind := run("a"), run("b")
		q.Join(r)
		time.Sleep(time.Second)
		q.Join(behind)
		wantErrs(t, r, context.DeadlineExceeded)
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("given up after %v", d)
		}
		wantErrs(t, behind, nil)
		q.Close()
		wantAttempts(t, f, "a", "b")
	})
}

// TestQueueStuckCommit: while the disk does not answer, everyone is told in
// time, and nobody who was told so is written again.
func TestQueueStuckCommit(t *testing.T) {
	t.Parallel()
	for name, outcome := range map[string]error{"committed": nil, "failed": storage.ErrUnavailable} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &fake{result: func(_ context.Context, attempt string, detach func()) error {
					if attempt != "a" {
						return nil
					}
					detach()
					time.Sleep(12 * time.Second)
					return outcome
				}}
				q := storage.NewQueue(5*time.Second, f.attempt)
				start := time.Now()
				check := func(r *storage.Run, want time.Duration, err error) {
					t.Helper()
					wantErrs(t, r, err)
					if d := time.Since(start); d != want*time.Second {
						t.Errorf("told after %v, want %d s", d, want)
					}
				}
				runs := []*storage.Run{run("a"), run("b"), run("c"), run("d")}
				q.Join(runs[0])
				time.Sleep(time.Second)
				q.Join(runs[1])
				time.Sleep(time.Second)
				q.Join(runs[2])
				check(runs[0], 5, storage.ErrUnavailable)
				check(runs[1], 6, storage.ErrUnavailable)
				check(runs[2], 7, storage.ErrUnavailable)
				time.Sleep(time.Second)
				q.Join(runs[3])
				check(runs[3], 12, nil)
				q.Close()
				wantAttempts(t, f, "a", "d")
			})
		})
	}
}

func TestQueueClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{result: func(context.Context, string, func()) error { return nil }}
		q := storage.NewQueue(5*time.Second, f.attempt)
		runs := make([]*storage.Run, 1000) // more than one group
		for i := range runs {
			runs[i] = run("x")
			q.Join(runs[i])
		}
		q.Close()
		for _, r := range runs {
			wantErrs(t, r, nil)
		}
		late := run("a", "b")
		q.Join(late)
		wantErrs(t, late, storage.ErrUnavailable, storage.ErrUnavailable)
		late.Reset()
		late.Writes = append(late.Writes, &storage.Message{})
		q.Join(late)
		wantErrs(t, late, storage.ErrUnavailable)
	})
}

// TestQueueFollows: what an attempt leaves for later is written before the queue is
// closed.
func TestQueueFollows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var q *storage.Queue
		var steps []int64
		q = storage.NewQueue(5*time.Second, func(_ context.Context, runs []*storage.Run, _ func()) error {
			time.Sleep(time.Second)
			r := runs[0].Writes[0].(*storage.Retraction)
			if steps = append(steps, r.Of); r.Of < 3 {
				q.Follow([]*storage.Retraction{r.Rest(r.Of+1, 0)})
			}
			return nil
		})
		q.Join(&storage.Run{Writes: []storage.Write{&storage.Retraction{ID: "a"}}})
		time.Sleep(time.Second / 2)
		q.Close()
		if want := []int64{0, 1, 2, 3}; !slices.Equal(steps, want) {
			t.Errorf("steps %v, want %v", steps, want)
		}
		late := run("late")
		q.Join(late)
		wantErrs(t, late, storage.ErrUnavailable)
	})
}

// TestQueueAllocations: a group costs a few allocations, a run in it one.
func TestQueueAllocations(t *testing.T) {
	q := storage.NewQueue(time.Minute, func(context.Context, []*storage.Run, func()) error { return nil })
	defer q.Close()
	r := run("a", "b", "c")
	if n := testing.AllocsPerRun(100, func() { q.Join(r); r.Wait() }); n > 16 {
		t.Errorf("%v allocations", n)
	}
}
