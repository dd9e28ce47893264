package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Attempt is one try to write the rows of runs in one transaction, in order. It
// sets Errs of the rows that it refuses (ErrNotFound, ErrTooMany) and returns
// nil when all others are durable. After an error none has been written, unless
// a commit is in doubt.
//
// It ends soon after ctx does, unless it calls detach, once: from then on it
// does not touch the runs and only finds out what became of the commit, which
// nothing can interrupt.
type Attempt func(ctx context.Context, runs []*Run, detach func()) error

// A group is cut here, to bound the memory of one transaction; a run holds 64
// messages at most.
const maxGroupRuns = 512

const (
	crowd     = 16                   // runs of a group from which on the writer gathers the next one
	maxGather = 5 * time.Millisecond // and for how long at most
)

const (
	minPause = 10 * time.Millisecond
	maxPause = 250 * time.Millisecond
)

// Queue is the open write group of a store and its one writer. When the writer
// is free it takes what has joined and tries it in one transaction; if the
// database refuses that, run by run; then write by write. While the database is
// unavailable it tries again until the runs are past their deadline.
type Queue struct {
	attempt Attempt
	timeout time.Duration
	wake    chan struct{} // holds a token when open may have become non-empty
	done    chan struct{}
	lines   lines

	mu     sync.Mutex
	open   []*entry // in the order of Join, so also of their deadlines
	closed bool
	enough int // as many runs end the writer's gathering; 0: it does not gather

	// Of the writer's goroutine only.
	timer *time.Timer
	cause error // of the latest failure
}

// entry is a run on its way through the queue.
type entry struct {
	run      *Run
	deadline time.Time
	// single are the writes that have no final error yet, while they are tried one by
	// one: the first of them now. nil: they are tried together.
	single []int
	ended  bool
}

// NewQueue starts the writer. A run that is not committed within timeout of its
// Join has ErrUnavailable.
func NewQueue(timeout time.Duration, attempt Attempt) *Queue {
	q := &Queue{
		attempt: attempt,
		timeout: timeout,
		wake:    make(chan struct{}, 1),
		done:    make(chan struct{}),
		timer:   time.NewTimer(timeout),
	}
	go q.write()
	return q
}

// Join adds the run to the open group; see Group.
func (q *Queue) Join(r *Run) { q.join(r, false) }

// Follow adds what an attempt has committed a part of. Only an attempt may call it,
// before it returns: then the writer takes it even if the queue has been closed meanwhile.
func (q *Queue) Follow(rest []*Retraction) {
	for _, r := range rest {
		q.join(&Run{Writes: []Write{r}}, true)
	}
}

func (q *Queue) join(r *Run, follows bool) {
	r.Begin()
	e := &entry{run: r}
	q.mu.Lock()
	if q.closed && !follows {
		q.mu.Unlock()
		e.end(fmt.Errorf("join write group: store is closed: %w", ErrUnavailable))
		return
	}
	if r.InOrder {
		r.queue, r.turns = q, q.lines.enter(r.turns[:0], r.Writes)
	}
	e.deadline = time.Now().Add(q.timeout)
	q.open = append(q.open, e)
	first := len(q.open) == 1 || len(q.open) == q.enough
	q.mu.Unlock()
	if first {
		q.signal()
	}
}

// Close writes what has joined, refuses what comes later, and returns when the
// writer has ended.
func (q *Queue) Close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.signal()
	<-q.done
}

func (q *Queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// write is the writer.
func (q *Queue) write() {
	defer close(q.done)
	defer q.timer.Stop()
	for {
		group, closed := q.take()
		switch {
		case len(group) > 0:
			begun := time.Now()
			q.writeGroup(group)
			if len(group) >= crowd {
				q.gather(len(group), min(time.Since(begun)/4, maxGather))
			}
		case closed:
			return
		default:
			<-q.wake
		}
	}
}

// gather waits until as many runs have joined as have just been written, but not for
// long: whoever waited for those comes again at once, and a page that two groups would
// write is written by one.
func (q *Queue) gather(enough int, atMost time.Duration) {
	patience := time.NewTimer(atMost)
	defer patience.Stop()
	for q.fewer(enough) {
		select {
		case <-q.wake:
		case <-patience.C:
			q.fewer(0)
			return
		}
	}
}

// fewer reports whether fewer runs have joined, and has the writer woken when there
// are as many.
func (q *Queue) fewer(enough int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.open) >= enough {
		q.enough = 0
		return false
	}
	q.enough = enough
	return true
}

func (q *Queue) take() (group []*entry, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.open), maxGroupRuns)
	group = q.open[:n:n]
	if q.open = q.open[n:]; len(q.open) == 0 {
		q.open = nil
	}
	return group, q.closed
}

func (q *Queue) writeGroup(group []*entry) {
	err := q.try(group)
	for _, e := range group {
		if err != nil && !e.ended {
			q.writeRun(e, err, len(group) == 1)
		}
		e.finish()
	}
}

// writeRun writes what is left of a group that failed with err: a run alone,
// unless that is what failed, then each write alone.
func (q *Queue) writeRun(e *entry, err error, alone bool) {
	if !alone {
		if err = q.try([]*entry{e}); err == nil {
			return
		}
	}
	if len(e.run.Writes) == 1 {
		e.run.fail(0, err)
		return
	}
	for e.single = e.run.inTurn(); len(e.single) > 0 && !e.ended; e.single = e.single[1:] {
		if err := q.try([]*entry{e}); err != nil && !e.ended {
			e.run.fail(e.single[0], err)
		}
	}
}

// try attempts entries until they are committed, or all past their deadline
// (nil), or the database refuses them.
func (q *Queue) try(entries []*entry) error {
	q.cause = nil
	q.expire(entries, time.Now())
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		entries = alive(entries)
		if len(entries) == 0 {
			return nil
		}
		err := q.once(entries)
		if err == nil || !errors.Is(err, ErrUnavailable) {
			return err
		}
		q.cause = err
		q.pause(pause, entries)
	}
}

func alive(entries []*entry) []*entry {
	ended := func(e *entry) bool { return e.ended }
	if !slices.ContainsFunc(entries, ended) {
		return entries
	}
	return slices.DeleteFunc(slices.Clone(entries), ended)
}

// pause waits before the next attempt, if there is anyone left to wait for.
func (q *Queue) pause(d time.Duration, entries []*entry) {
	until := time.Now().Add(d)
	for {
		now := time.Now()
		q.expire(entries, now)
		q.expireOpen(now)
		if !now.Before(until) || len(alive(entries)) == 0 {
			return
		}
		q.timer.Reset(q.nextDeadline(until, entries).Sub(now))
		<-q.timer.C
	}
}

// once makes one attempt and keeps the deadlines while it goes on.
func (q *Queue) once(entries []*entry) error {
	ctx, cancel := context.WithDeadline(context.Background(), entries[0].deadline)
	defer cancel()
	runs := make([]*Run, len(entries))
	for i, e := range entries {
		runs[i] = e.part()
		clear(runs[i].Errs)
	}
	result, detached := make(chan error, 1), make(chan struct{})
	go func() {
		result <- q.attempt(ctx, runs, func() { close(detached) })
	}()
	return q.watch(entries, result, detached)
}

// watch waits for the result. Meanwhile it ends runs at their deadlines: those of
// the open group, and those of entries as soon as the attempt has let go of them.
func (q *Queue) watch(entries []*entry, result <-chan error, detached <-chan struct{}) error {
	var held []*entry
	for {
		now := time.Now()
		// A run that joins from now on cannot be due before timeout has passed.
		q.timer.Reset(q.nextDeadline(now.Add(q.timeout), held).Sub(now))
		select {
		case err := <-result:
			return err
		case <-detached:
			detached, held = nil, entries
		case <-q.timer.C:
		}
		now = time.Now()
		q.expire(held, now)
		q.expireOpen(now)
	}
}

// nextDeadline is the earliest deadline before the time given, of held and of
// the open group.
func (q *Queue) nextDeadline(next time.Time, held []*entry) time.Time {
	for _, e := range held {
		if !e.ended && e.deadline.Before(next) {
			next = e.deadline
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.open) > 0 && q.open[0].deadline.Before(next) {
		next = q.open[0].deadline
	}
	return next
}

func (q *Queue) expireOpen(now time.Time) {
	q.mu.Lock()
	n := 0
	for n < len(q.open) && !now.Before(q.open[n].deadline) {
		n++
	}
	due := q.open[:n:n]
	q.open = q.open[n:]
	q.mu.Unlock()
	q.expire(due, now)
}

func (q *Queue) expire(entries []*entry, now time.Time) {
	var err error
	for _, e := range entries {
		if e.ended || now.Before(e.deadline) {
			continue
		}
		if err == nil {
			cause := q.cause
			if cause == nil {
				cause = ErrUnavailable
			}
			err = fmt.Errorf("commit within %v: %w", q.timeout, cause)
		}
		e.end(err)
	}
}

// part is what is to be tried: the run, or one write of it.
func (e *entry) part() *Run {
	if e.single == nil {
		return e.run
	}
	i := e.single[0]
	return &Run{Writes: e.run.Writes[i : i+1], Errs: e.run.Errs[i : i+1]}
}

// end gives err to all writes that are not final and releases the waiter.
func (e *entry) end(err error) {
	if e.single == nil {
		for i := range e.run.Errs {
			e.run.Errs[i] = err
		}
	}
	for _, i := range e.single {
		e.run.Errs[i] = err
	}
	e.finish()
}

func (e *entry) finish() {
	if !e.ended {
		e.ended = true
		e.run.End()
	}
}
