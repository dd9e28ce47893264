// Package cache holds in memory what modules read of accounts again and again
// and seldom change.
package cache

import (
	"sync"

	"github.com/xmppd/xmppd/jid"
)

// Value is what is held of one account. It does not change, for all who ask share
// it.
type Value interface {
	// Size is what the value takes of the limit, always the same and at least 1: an
	// account of which nothing is known to exist takes memory too.
	Size() int
}

// Cache holds values by account, as many as fit into a limit. What makes room is
// arbitrary: a wrong choice costs one query. The zero value has a limit of 0 and
// holds nothing; methods may be called by any goroutine.
//
// A value that is not held is to be read from the store between Mark and Put, so
// that one that is changed meanwhile is never held in its old state.
type Cache[V Value] struct {
	mu     sync.RWMutex
	values map[jid.JID]V
	size   int
	limit  int
	drops  Mark
}

// Mark is a moment in the life of a cache.
type Mark uint64

// SetLimit sets the largest sum of sizes, in the unit of Value.Size, and drops
// what is beyond.
func (c *Cache[V]) SetLimit(size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = size
	c.makeRoom(0)
}

// Get returns the value of an account; ok is false if it is not held.
func (c *Cache[V]) Get(account jid.JID) (v V, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	v, ok = c.values[account]
	return v, ok
}

// Mark is to be taken before the store is read, for Put.
func (c *Cache[V]) Mark() Mark {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.drops
}

// Put holds a value that was read from the store since the mark, unless anything
// was dropped since then: it may be old. Nor is a value held that is larger than
// the limit.
func (c *Cache[V]) Put(account jid.JID, v V, since Mark) {
	size := v.Size()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.drops != since || size > c.limit {
		return
	}
	c.remove(account)
	c.makeRoom(size)
	if c.values == nil {
		c.values = make(map[jid.JID]V)
	}
	c.values[account] = v
	c.size += size
}

// Drop forgets the value of an account. It is to be called when the store has
// been changed, before anybody is told of the change.
func (c *Cache[V]) Drop(account jid.JID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drops++
	c.remove(account)
}

// makeRoom drops values until one of this size fits.
func (c *Cache[V]) makeRoom(size int) {
	for account := range c.values {
		if c.size+size <= c.limit {
			break
		}
		c.remove(account)
	}
}

func (c *Cache[V]) remove(account jid.JID) {
	if v, ok := c.values[account]; ok {
		c.size -= v.Size()
		delete(c.values, account)
	}
}
