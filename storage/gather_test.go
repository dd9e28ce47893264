package storage

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Those who come again soon behind a large group are written together, but nobody
// waits for long for those who do not.
func TestGather(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		q := NewQueue(time.Minute, func(_ context.Context, runs []*Run, _ func()) error {
			sizes = append(sizes, len(runs))
			time.Sleep(40 * time.Millisecond)
			return nil
		})
		write := func() {
			r := &Run{Writes: []Write{&Mark{}}}
			q.Join(r)
			r.Wait()
		}
		var all sync.WaitGroup
		all.Go(write) // the others join meanwhile
		synctest.Wait()
		const n = crowd + 4
		for i := range n {
			all.Go(func() {
				write()
				time.Sleep(time.Duration(i) * time.Millisecond / 5)
				write() // within 4 ms
				time.Sleep(time.Duration(i) * time.Millisecond)
				write() // within 19 ms
			})
		}
		all.Wait()
		q.Close()
		if len(sizes) < 5 || !slices.Equal(sizes[:3], []int{1, n, n}) || sizes[3] == n {
			t.Errorf("groups of %v runs", sizes)
		}
	})
}
