package storage

import (
	"context"
	"sync"
)

// Write is one typed row change that may join a write group: *Message, *Stream,
// *Mark, *Read or *Retraction. The last two are made when all messages of the
// group have been added.
type Write interface{ write() }

// Run is the writes of consecutive messages of one burst. They are tried in one
// transaction together with the runs of other connections; if that fails, run
// by run; if that fails, write by write, so that one bad row fails alone.
type Run struct {
	Writes []Write
	// Errs has one entry for each write once Wait has returned: nil when the row
	// is durable. A run that was not committed within the deadline of the store
	// has ErrUnavailable throughout.
	Errs []error
	// InOrder runs have a place in the line of each owner of a message or Mark:
	// Turn waits for it, and Done gives it up.
	InOrder bool

	done  sync.WaitGroup
	queue *Queue
	turns []turn
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

// Turn returns when all runs that joined earlier with rows of the same owners
// have been done with, whether they were written or not. So what is delivered
// between Turn and Done comes in the order of the logs. It is called after Wait.
func (r *Run) Turn() {
	if r.queue != nil {
		r.queue.lines.wait(r.turns)
	}
}

// Done lets the next run have its turn. It must be called once for each Join of a
// run with InOrder, after Turn.
func (r *Run) Done() {
	if r.queue != nil {
		r.queue.lines.leave(r.turns)
		r.queue, r.turns = nil, r.turns[:0]
	}
}

// Reset empties the run for reuse; only after Wait.
func (r *Run) Reset() {
	clear(r.Writes)
	r.Writes, r.Errs, r.InOrder = r.Writes[:0], r.Errs[:0], false
}

// inTurn is the order in which writes are tried one by one: what a row brings comes
// behind it, as in a group.
func (r *Run) inTurn() []int {
	var first, last []int
	for i, w := range r.Writes {
		switch w.(type) {
		case *Read, *Retraction:
			last = append(last, i)
		default:
			first = append(first, i)
		}
	}
	return append(first, last...)
}

// fail refuses one write for good.
func (r *Run) fail(i int, err error) {
	r.Errs[i] = err
	if m, ok := r.Writes[i].(*Message); ok {
		m.Seq = 0 // the attempt may have set it
	}
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
