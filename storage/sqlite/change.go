package sqlite

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// maxChanges is how many changes share a transaction.
const maxChanges = 128

// changes are writes other than messages that wait for the writer. Those that
// wait together share one transaction, so that a thousand clients who go
// offline at once cost a few waits for the disk and not a thousand.
type changes struct {
	mu      sync.Mutex
	waiting []*change
	busy    bool // a goroutine is at work and will see what is appended
}

type change struct {
	fn     func(*tx) error
	forget func(*memory) // what write groups must not remember any more
	done   chan error
}

// write runs fn in a transaction of the writer and returns when it has been
// committed. fn's error undoes what fn did. ctx and the statement timeout bound
// the wait for the writer, not the work.
func (db *DB) write(ctx context.Context, fn func(*tx) error) error {
	return db.change(ctx, fn, (*memory).clear)
}

// change is write for what changes few logs and chats, or none: forget drops them.
func (db *DB) change(ctx context.Context, fn func(*tx) error, forget func(*memory)) error {
	ctx, cancel := context.WithTimeout(ctx, db.opts.StatementTimeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return mapError(err)
	}
	c := &change{fn: fn, forget: forget, done: make(chan error, 1)}
	db.changes.mu.Lock()
	db.changes.waiting = append(db.changes.waiting, c)
	start := !db.changes.busy
	db.changes.busy = true
	db.changes.mu.Unlock()
	if start {
		go db.writeChanges()
	}
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
	}
	db.changes.mu.Lock()
	i := slices.Index(db.changes.waiting, c)
	if i >= 0 {
		db.changes.waiting = slices.Delete(db.changes.waiting, i, i+1)
	}
	db.changes.mu.Unlock()
	if i >= 0 {
		return mapError(ctx.Err())
	}
	return <-c.done // it is being written
}

// writeChanges works until nothing waits.
func (db *DB) writeChanges() {
	for {
		db.changes.mu.Lock()
		n := min(len(db.changes.waiting), maxChanges)
		batch := slices.Clone(db.changes.waiting[:n])
		db.changes.waiting = slices.Delete(db.changes.waiting, 0, n)
		db.changes.busy = n > 0
		db.changes.mu.Unlock()
		if n == 0 {
			return
		}
		errs := make([]error, n)
		if err := db.commitChanges(batch, errs); err != nil {
			for i := range errs {
				if errs[i] == nil {
					errs[i] = err
				}
			}
		}
		for i, c := range batch {
			if errors.Is(errs[i], errUnchanged) {
				errs[i] = nil
			}
			c.done <- mapError(errs[i])
		}
	}
}

// commitChanges runs the batch in one transaction and notes each one's own
// error in errs. What it returns concerns all others.
func (db *DB) commitChanges(batch []*change, errs []error) error {
	ctx, cancel := context.WithTimeout(context.Background(), db.opts.StatementTimeout)
	defer cancel()
	t, err := db.begin(ctx)
	if err != nil {
		return err
	}
	defer t.Rollback() // after a commit it does nothing
	changed := int64(0)
	for i, c := range batch {
		c.forget(&db.memory)
		if errs[i] = t.nested(len(batch) > 1, c.fn); errs[i] == nil {
			changed++
		}
	}
	if changed == 0 {
		return nil
	}
	if err := t.Commit(); err != nil {
		return err
	}
	db.checkpoint.wrote(changed * pagesPerWrite)
	return nil
}

// nested runs fn; with a savepoint, fn's error undoes only what fn did.
func (t *tx) nested(savepoint bool, fn func(*tx) error) error {
	if !savepoint {
		return fn(t)
	}
	if _, err := t.exec("SAVEPOINT change"); err != nil {
		return err
	}
	err := fn(t)
	if err != nil {
		if _, undo := t.exec("ROLLBACK TO change"); undo != nil {
			return undo
		}
	}
	if _, release := t.exec("RELEASE change"); release != nil {
		return release
	}
	return err
}
