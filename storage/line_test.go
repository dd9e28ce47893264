package storage_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

func owner(n int) jid.JID { return jid.MustParse(fmt.Sprintf("owner%d@example.org", n)) }

// inOrder is a run with rows of owners.
func inOrder(owners ...int) *storage.Run {
	r := &storage.Run{InOrder: true}
	for _, n := range owners {
		r.Writes = append(r.Writes, &storage.Message{Owner: owner(n)})
	}
	return r
}

// TestTurns: runs of the same owner are delivered in the order of Join, others do not
// wait for each other, and a run that failed takes its turn like all.
func TestTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := storage.NewQueue(time.Second, func(_ context.Context, runs []*storage.Run, _ func()) error {
			for _, r := range runs {
				for i := range r.Errs {
					r.Errs[i] = storage.ErrTooMany
				}
			}
			return nil
		})
		defer q.Close()
		var mu sync.Mutex
		var order []string
		deliver := func(name string, r *storage.Run) {
			r.Wait()
			r.Turn()
			mu.Lock()
			order = append(order, name)
			mu.Unlock()
		}
		want := func(what string, names ...string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if slices.Sort(order); !slices.Equal(order, names) {
				t.Errorf("%s: %v, want %v", what, order, names)
			}
			order = nil
		}
		a, b, c, mark := inOrder(1, 2), inOrder(2, 3, 2), inOrder(3, 1), &storage.Run{InOrder: true, Writes: []storage.Write{&storage.Mark{Owner: owner(1)}}}
		d, free := inOrder(4), &storage.Run{Writes: []storage.Write{&storage.Message{Owner: owner(1)}}}
		others := &storage.Run{InOrder: true, Writes: []storage.Write{&storage.Stream{Owner: owner(1)}, &storage.Read{Owner: owner(1)}, &storage.Retraction{Owner: owner(1)}}}
		for i, r := range []*storage.Run{a, b, c, mark, d, free, others} {
			q.Join(r)
			go deliver(string(rune('a'+i)), r)
		}
		want("at first", "a", "e", "f", "g") // those of no line, and the first in all of theirs
		d.Done()
		free.Done() // it has no place
		others.Done()
		a.Done()
		want("behind the first", "b")
		b.Done()
		want("behind the second", "c")
		c.Done()
		want("behind the third", "d")
		mark.Done()
		mark.Done() // once more does no harm
		late := inOrder(1, 2, 3, 4)
		q.Join(late)
		go deliver("late", late)
		want("at last", "late")
		late.Done()
	})
}

// TestTurnsDoNotBlock: whatever owners runs have, and whether they are written or not,
// all get their turn, in order for each owner.
func TestTurnsDoNotBlock(t *testing.T) {
	t.Parallel()
	q := storage.NewQueue(time.Minute, func(context.Context, []*storage.Run, func()) error { return nil })
	const joiners, runs, owners = 8, 200, 5
	var join, note sync.Mutex
	joined, delivered := make([][]int, owners), make([][]int, owners)
	next := 0
	var all sync.WaitGroup
	for j := range joiners {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(j), 1))
			run := &storage.Run{}
			for range runs {
				run.Reset()
				run.InOrder = true
				set := map[int]bool{}
				for range r.IntN(4) {
					n := r.IntN(owners)
					set[n] = true
					run.Writes = append(run.Writes, &storage.Message{Owner: owner(n)})
				}
				join.Lock()
				id := next
				next++
				for n := range set {
					joined[n] = append(joined[n], id)
				}
				q.Join(run)
				join.Unlock()
				run.Wait()
				run.Turn()
				note.Lock()
				for n := range set {
					delivered[n] = append(delivered[n], id)
				}
				note.Unlock()
				run.Done()
			}
		})
	}
	all.Wait()
	for n := range owners {
		if !slices.Equal(joined[n], delivered[n]) {
			t.Errorf("runs of owner %d were delivered out of order", n)
		}
	}
	q.Close()
	late := inOrder(1)
	q.Join(late) // refused
	late.Wait()
	late.Turn()
	late.Done()
}

// TestTurnAllocations: lines that nobody needs any more are used again.
func TestTurnAllocations(t *testing.T) {
	q := storage.NewQueue(time.Minute, func(context.Context, []*storage.Run, func()) error { return nil })
	defer q.Close()
	deliver := func(r *storage.Run) float64 {
		return testing.AllocsPerRun(100, func() {
			r.InOrder = true
			q.Join(r)
			r.Wait()
			r.Turn()
			r.Done()
		})
	}
	without := deliver(&storage.Run{Writes: []storage.Write{&storage.Stream{}}})
	if with := deliver(inOrder(1, 2, 3)); with > without+1 {
		t.Errorf("%v allocations, %v without a line", with, without)
	}
}
