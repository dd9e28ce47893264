package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// each calls fn for all numbers below n, some at a time, until one fails too often.
func each(ctx context.Context, n, parallel int, fn func(i int) error) error {
	const tolerated = 20
	var (
		next   atomic.Int64
		failed tally
		group  sync.WaitGroup
	)
	for range min(max(parallel, 1), n) {
		group.Go(func() {
			for ctx.Err() == nil && failed.sum() < tolerated {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := fn(i); err != nil {
					failed.add(reason(err))
				}
			}
		})
	}
	group.Wait()
	if failed.sum() > 0 {
		return fmt.Errorf("%d failures with %d users: %s", failed.sum(), n, failed.String())
	}
	return ctx.Err()
}

// connect logs all accounts in and starts their readers.
func (o *options) connect(ctx context.Context, accounts []*account) ([]*session, error) {
	all := make([]*session, len(accounts))
	err := each(ctx, len(accounts), o.parallel, func(i int) error {
		s, err := o.login(ctx, accounts[i], o.kind)
		if err != nil {
			return err
		}
		s.start(nil)
		all[i] = s
		return nil
	})
	return all, err
}

// atOnce calls fn for all numbers below n, each on its own goroutine.
func atOnce(n int, fn func(i int)) {
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { fn(i) })
	}
	group.Wait()
}

// pause waits, or returns early when the context has ended.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
