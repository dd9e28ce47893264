package archive

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/xmppd/xmppd/command"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

const (
	step       = 500                   // rows deleted at a time, so that writers get their turn
	rest       = 20 * time.Millisecond // between them
	batchEvery = 10 * time.Second
)

// trim deletes what the options do not keep.
func (m *Module) trim(ctx context.Context) error {
	t := storage.Trim{Domain: m.host.Domain.Domain(), Bytes: int64(m.opts.MaxBytes)}
	if m.opts.Keep > 0 {
		t.Before = m.host.Now().Add(-m.opts.Keep)
	}
	return m.sweep(ctx, t)
}

// sweep deletes all that is beyond the bounds, in small steps.
func (m *Module) sweep(ctx context.Context, t storage.Trim) error {
	for from := int64(0); ; {
		_, next, err := m.store.TrimArchives(ctx, t, from, step)
		if err != nil {
			return fmt.Errorf("trim archives: %w", err)
		}
		if next == 0 {
			return nil
		}
		if from = next; !pause(ctx) {
			return ctx.Err()
		}
	}
}

// pause rests between two steps and reports whether to go on.
func pause(ctx context.Context) bool {
	t := time.NewTimer(rest)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// remove deletes the rows of an archive, in small steps.
func (m *Module) remove(ctx context.Context, owner, with jid.JID) error {
	for {
		n, err := m.store.RemoveArchive(ctx, owner, with, step)
		if err != nil {
			return fmt.Errorf("remove archive: %w", err)
		}
		if n < step {
			return nil
		}
		if !pause(ctx) {
			return ctx.Err()
		}
	}
}

// batches are the deletions that commands have started, by domain.
type batches struct {
	mu       sync.Mutex
	byDomain map[string]*batch
}

// batch is a deletion that goes on at a rate (delete_old_mam_messages_batch).
type batch struct {
	trim    storage.Trim
	size    int // rows deleted at a time
	rate    int // and within a minute
	started time.Time
	from    int64 // the owner to go on with
	deleted int64
	state   batchState
	err     error
}

type batchState uint8

const (
	working batchState = iota
	completed
	aborted
	failed
)

// String is what delete_old_mam_messages_status prints.
func (b *batch) String() string {
	switch {
	case b == nil:
		return "Operation not started"
	case b.state == completed:
		return fmt.Sprintf("Operation was completed after deleting %d messages", b.deleted)
	case b.state == aborted:
		return fmt.Sprintf("Operation was aborted after deleting %d messages", b.deleted)
	case b.state == failed:
		return fmt.Sprintf("Operation failed after deleting %d messages with error %v", b.deleted, b.err)
	}
	return fmt.Sprintf("Operation in progress, deleted %d messages", b.deleted)
}

// start begins a batch unless one is at work in the domain.
func (s *batches) start(domain string, b *batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.byDomain[domain]; old != nil && old.state == working {
		return command.Errorf(command.Conflict, "Operation in progress")
	}
	if s.byDomain == nil {
		s.byDomain = make(map[string]*batch)
	}
	s.byDomain[domain] = b
	return nil
}

func (s *batches) status(domain string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byDomain[domain].String()
}

// abort reports whether there was something to abort.
func (s *batches) abort(domain string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.byDomain[domain]
	if b == nil || b.state != working {
		return false
	}
	b.state = aborted
	return true
}

func (s *batches) working() (list []*batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.byDomain {
		if b.state == working {
			list = append(list, b)
		}
	}
	return list
}

// runBatches lets each batch delete what its rate allows by now.
func (m *Module) runBatches(ctx context.Context) error {
	for _, b := range m.batches.working() {
		for {
			n := m.batches.due(b, m.host.Now())
			if n == 0 {
				break
			}
			deleted, next, err := m.store.TrimArchives(ctx, b.trim, b.from, n)
			m.batches.done(b, deleted, next, err)
			if !pause(ctx) {
				return ctx.Err()
			}
		}
	}
	return nil
}

// due is how many rows may be deleted in the next step; 0: none for now.
func (s *batches) due(b *batch, now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.state != working {
		return 0
	}
	allowed := int64(now.Sub(b.started)/time.Second)*int64(b.rate)/60 - b.deleted
	return int(max(min(allowed, int64(b.size)), 0))
}

func (s *batches) done(b *batch, deleted int, next int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b.deleted += int64(deleted)
	b.from = next
	switch {
	case b.state != working:
	case err != nil:
		b.state, b.err = failed, err
	case next == 0:
		b.state = completed
	}
}
