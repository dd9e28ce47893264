package session

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/jid"
)

const shards = 64

// Registry finds the sessions of this node: by account and by Ref. It is
// sharded; lists that it hands out are never changed afterwards.
type Registry struct {
	node   uint64
	seed   maphash.Seed
	nextID atomic.Uint64
	count  atomic.Int64
	shard  [shards]shard
	// Now is the clock of Entry.Takes and Copies; set before the first session.
	Now func() time.Time
	// changed is told of every change of what other nodes know of a session;
	// gone is true when the session has ended.
	changed func(e Entry, gone bool)
}

type shard struct {
	mu       sync.RWMutex
	accounts map[jid.JID][]*Session // by bare JID, copied on write
	ids      map[uint64]*Session
}

// NewRegistry makes an empty registry for the node. changed may be nil; it is
// called without locks.
func NewRegistry(node uint64, changed func(e Entry, gone bool)) *Registry {
	if changed == nil {
		changed = func(Entry, bool) {}
	}
	r := &Registry{node: node, seed: maphash.MakeSeed(), changed: changed, Now: time.Now}
	for i := range r.shard {
		r.shard[i].accounts = make(map[jid.JID][]*Session)
		r.shard[i].ids = make(map[uint64]*Session)
	}
	return r
}

// NewRef makes a name for a session of this node.
func (r *Registry) NewRef() Ref { return Ref{Node: r.node, ID: r.nextID.Add(1)} }

// Node is this node's number.
func (r *Registry) Node() uint64 { return r.node }

func (r *Registry) of(bare jid.JID) *shard {
	return &r.shard[maphash.String(r.seed, bare.String())%shards]
}

// Add puts the session in and returns the one that held its full JID until
// now, which is out of the registry from then on, or nil.
func (r *Registry) Add(s *Session) (taken *Session) {
	// Whoever takes its place has to find all of it.
	ids := &r.shard[s.Ref.ID%shards]
	ids.mu.Lock()
	ids.ids[s.Ref.ID] = s
	ids.mu.Unlock()
	s.mu.Lock()
	s.listed = true
	s.mu.Unlock()
	bare := s.JID.Bare()
	sh := r.of(bare)
	sh.mu.Lock()
	old := sh.accounts[bare]
	next := make([]*Session, 0, len(old)+1)
	for _, o := range old {
		if o.JID == s.JID {
			taken = o
		} else {
			next = append(next, o)
		}
	}
	sh.accounts[bare] = append(next, s)
	sh.mu.Unlock()

	if taken != nil {
		r.dropID(taken)
	} else {
		r.count.Add(1)
	}
	r.publish(s, func(*Entry) {})
	return taken
}

// Remove takes the session out; it reports false if it was not in.
func (r *Registry) Remove(s *Session) bool {
	bare := s.JID.Bare()
	sh := r.of(bare)
	sh.mu.Lock()
	old := sh.accounts[bare]
	i := slices.Index(old, s)
	if i >= 0 {
		if len(old) == 1 {
			delete(sh.accounts, bare)
		} else {
			sh.accounts[bare] = slices.Delete(slices.Clone(old), i, i+1)
		}
	}
	sh.mu.Unlock()
	if i < 0 {
		return false
	}
	r.count.Add(-1)
	r.dropID(s)
	return true
}

func (r *Registry) dropID(s *Session) {
	ids := &r.shard[s.Ref.ID%shards]
	ids.mu.Lock()
	delete(ids.ids, s.Ref.ID)
	ids.mu.Unlock()
	s.mu.Lock()
	s.listed = false
	e := s.entry
	s.mu.Unlock()
	r.changed(e, true)
}

// publish tells of a change, unless the session is not in the registry.
func (r *Registry) publish(s *Session, change func(*Entry)) {
	s.mu.Lock()
	change(&s.entry)
	e, listed := s.entry, s.listed
	s.mu.Unlock()
	if listed {
		r.changed(e, false)
	}
}

// Sessions lists the account's sessions on this node, oldest first. The slice
// is shared and must not be changed.
func (r *Registry) Sessions(bare jid.JID) []*Session {
	sh := r.of(bare)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return sh.accounts[bare]
}

// ByRef is the session of that name, or nil.
func (r *Registry) ByRef(ref Ref) *Session {
	if ref.Node != r.node {
		return nil
	}
	sh := &r.shard[ref.ID%shards]
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return sh.ids[ref.ID]
}

// Len is the number of sessions on this node.
func (r *Registry) Len() int { return int(r.count.Load()) }

// All calls fn for every session until it returns false, without holding a lock.
func (r *Registry) All(fn func(*Session) bool) {
	var batch []*Session
	for i := range r.shard {
		sh := &r.shard[i]
		sh.mu.RLock()
		batch = batch[:0]
		for _, s := range sh.ids {
			batch = append(batch, s)
		}
		sh.mu.RUnlock()
		for _, s := range batch {
			if !fn(s) {
				return
			}
		}
	}
}

// SetPresence makes the session available with that presence (see
// Entry.Presence), or unavailable when presence is nil. From the moment it
// returns, or earlier, messages to the bare JID reach an available session.
func (r *Registry) SetPresence(s *Session, presence []byte, priority int8) {
	r.publish(s, func(e *Entry) {
		e.Available, e.Presence, e.Priority = presence != nil, presence, priority
		e.Takes = r.since(e.Takes, e.TakesBareMessages())
	})
}

// since is the beginning of a state that may go on.
func (r *Registry) since(began int64, on bool) int64 {
	switch {
	case !on:
		return 0
	case began == 0:
		return r.Now().UnixNano()
	}
	return began
}

// SetCarbons notes whether the session wants carbons.
func (r *Registry) SetCarbons(s *Session, on bool) {
	r.publish(s, func(e *Entry) { e.Carbons, e.Copies = on, r.since(e.Copies, on) })
}

// SetInterested notes that the session wants roster pushes.
func (r *Registry) SetInterested(s *Session) {
	r.publish(s, func(e *Entry) { e.Interested = true })
}
