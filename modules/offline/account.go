package offline

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

const (
	page       = 20                    // rows read at a time; each may be as large as a stanza
	batch      = 256                   // accounts whose confirmations are written at a time
	manyRanges = storage.MaxRanges / 2 // from here on they are written at once
)

// account is one that has sessions on this node, or had when its clients confirmed
// what has not been written yet.
type account struct {
	owner jid.JID

	mu     sync.Mutex
	fresh  storage.Ranges // confirmed since the last write
	taken  storage.Ranges // confirmed, and being written
	writes int            // that have ended
	dirty  bool           // the module knows of fresh
	gone   bool           // the account has been removed: its seqs mean nothing any more

	sessions int // on this node; guarded by Module.mu

	hold      sync.Mutex
	receivers []*receiver // in the order of their login
	holder    *receiver   // who gets what waits; nil: nobody yet
	flexible  int         // of receivers: those whose clients fetch what waits (XEP-0013)
	floor     int64       // while there are such: what is not behind it is left to them
}

// account is one that has sessions here, or nil.
func (m *Module) account(owner jid.JID) *account {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.accounts[owner]
}

// all are the account's sessions on this node.
func (a *account) all() []*receiver {
	a.hold.Lock()
	defer a.hold.Unlock()
	return slices.Clone(a.receivers)
}

// confirmed notes rows that a client has for sure.
func (m *Module) confirmed(a *account, seqs []int64) {
	a.mu.Lock()
	for i := 0; i < len(seqs); {
		n := storage.Range{First: seqs[i], Last: seqs[i]}
		for i++; i < len(seqs) && seqs[i] == n.Last+1; i++ {
			n.Last++
		}
		a.fresh = a.fresh.Add(n)
	}
	first, many := a.noted()
	a.mu.Unlock()
	m.changed(a, first, many)
}

// confirmedRanges is the same for ranges.
func (m *Module) confirmedRanges(a *account, ranges storage.Ranges) {
	a.mu.Lock()
	for _, n := range ranges {
		a.fresh = a.fresh.Add(n)
	}
	first, many := a.noted()
	a.mu.Unlock()
	m.changed(a, first, many)
}

// noted reports whether fresh holds something for the first time since the last
// write, and whether it has to be written soon; mu is held.
func (a *account) noted() (first, many bool) {
	if a.gone || len(a.fresh) == 0 {
		a.fresh = a.fresh[:0]
		return false, false
	}
	first, a.dirty = !a.dirty, true
	return first, len(a.fresh) >= manyRanges
}

// changed has the confirmations written, in time or, before a set of them is
// full, at once.
func (m *Module) changed(a *account, first, many bool) {
	if first {
		m.mu.Lock()
		m.dirty = append(m.dirty, a)
		m.mu.Unlock()
	}
	if many && m.hurried.CompareAndSwap(false, true) {
		m.going.Go(func() {
			if err := m.write(context.Background()); err != nil {
				m.host.Log.Error("confirmed messages not noted", "error", err)
			}
		})
	}
}

// unwritten reports whether there are confirmations that the store does not know.
func (a *account) unwritten() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.fresh)+len(a.taken) > 0
}

// take is what has to be written; put follows.
func (a *account) take() storage.Confirmed {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fresh, a.taken, a.dirty = a.taken, a.fresh, false
	return storage.Confirmed{Owner: a.owner, Ranges: a.taken}
}

// put ends a write. What could not be written stays.
func (a *account) put(written bool) (first bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !written {
		for _, n := range a.taken {
			a.fresh = a.fresh.Add(n)
		}
		first, _ = a.noted()
	}
	a.taken = a.taken[:0]
	a.writes++
	return first
}

// write writes all confirmations.
func (m *Module) write(ctx context.Context) error {
	m.writing.Lock()
	defer m.writing.Unlock()
	m.hurried.Store(false)
	m.mu.Lock()
	list := m.dirty
	m.dirty = nil
	m.mu.Unlock()
	var err error
	for some := range slices.Chunk(list, batch) {
		all := make([]storage.Confirmed, 0, len(some))
		for _, a := range some {
			if c := a.take(); len(c.Ranges) > 0 {
				all = append(all, c)
			}
		}
		if err == nil && len(all) > 0 {
			err = m.store.ConfirmMessages(ctx, all)
		}
		for _, a := range some {
			if first := a.put(err == nil); first {
				m.changed(a, true, false)
			}
		}
	}
	m.mu.Lock()
	for _, a := range list {
		m.drop(a)
	}
	m.mu.Unlock()
	if err != nil {
		return fmt.Errorf("note confirmed messages: %w", err)
	}
	return nil
}

// drop forgets an account about which there is nothing to know; mu is held.
func (m *Module) drop(a *account) {
	if a.sessions == 0 && m.accounts[a.owner] == a && !a.unwritten() {
		delete(m.accounts, a.owner)
	}
}

// stop writes what is left when there are no sessions any more.
func (m *Module) stop(ctx context.Context) error {
	m.going.Wait()
	return m.write(ctx)
}

// removed forgets what was confirmed: a new account of that name begins anew.
func (m *Module) removed(_ context.Context, owner jid.JID) error {
	m.mu.Lock()
	a := m.accounts[owner]
	delete(m.accounts, owner)
	m.mu.Unlock()
	if a != nil {
		a.mu.Lock()
		a.gone = true
		a.noted()
		a.mu.Unlock()
	}
	return nil
}

// pending reads a page of what the account has not got. next is the row behind
// which to go on; 0: that was all.
func (m *Module) pending(ctx context.Context, a *account, after, upTo int64) (rows []storage.Message, next int64, err error) {
	for {
		a.mu.Lock()
		writes := a.writes
		a.mu.Unlock()
		rows, err = m.store.PendingMessages(ctx, a.owner, after, upTo, page)
		if err != nil {
			return nil, 0, err
		}
		if next = 0; len(rows) == page {
			next = rows[page-1].Seq
		}
		// A write that has ended meanwhile has taken along what the rows were read
		// without.
		if rows, ok := a.without(rows, writes); ok {
			return rows, next, nil
		}
	}
}

// without leaves out the rows whose confirmation has not been written. ok is false
// if a write has ended since there were that many.
func (a *account) without(rows []storage.Message, writes int) (left []storage.Message, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	left = slices.DeleteFunc(rows, func(row storage.Message) bool { return a.fresh.Has(row.Seq) || a.taken.Has(row.Seq) })
	return left, a.writes == writes
}
