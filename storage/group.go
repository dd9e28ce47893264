package storage

import (
	"context"
	"sync"
)

// Write is one typed row change that may join a write group: *Message or *Stream.
type Write interface{ write() }

func (*Message) write() {}

// Run is the writes of consecutive messages of one burst. They are tried in one
// transaction together with the runs of other connections; if that fails, run
// by run; if that fails, write by write, so that one bad row fails alone.
type Run struct {
	Writes []Write
	// Errs has one entry for each write once Wait has returned: nil when the row
	// is durable. A run that was not committed within the deadline of the store
	// has ErrUnavailable throughout.
	Errs []error

	done sync.WaitGroup
}

// Begin is called by a store when it accepts the run in Join.
func (r *Run) Begin() {
	r.Errs = append(r.Errs[:0], make([]error, len(r.Writes))...)
	r.done.Add(1)
}

// End is called by the store's writer once Errs is final.
func (r *Run) End() { r.done.Done() }

// Wait returns when the run's group has been committed or has failed.
func (r *Run) Wait() { r.done.Wait() }

// Reset empties the run for reuse; only after Wait.
func (r *Run) Reset() {
	clear(r.Writes)
	r.Writes, r.Errs = r.Writes[:0], r.Errs[:0]
}

// Group takes runs into the open write group. A group closes when the writer is
// free, so it grows with load by itself.
type Group interface {
	// Join adds the run to the open group and does not wait. Rows become visible
	// in the order of Join. The bytes the run points to must stay until Wait.
	Join(*Run)
}

// Health is how a store says whether it works.
type Health interface {
	// Ping returns nil when the database answers a query.
	Ping(ctx context.Context) error
}
