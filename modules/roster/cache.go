package roster

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// contacts is what presence needs of one roster. It does not change.
type contacts struct {
	list     []contact // in the order of addresses
	requests bool      // some have asked and wait for an answer
}

type contact struct {
	jid jid.JID
	sub storage.Subscription
}

// cache holds the contacts of the accounts that were asked for, up to a number
// of contacts. What makes room is arbitrary: a wrong choice costs one query.
type cache struct {
	mu      sync.RWMutex
	rosters map[jid.JID]*contacts
	size    int
	limit   int
	// dropped counts calls of drop: what was read from the store before one of
	// them may be old and is not put in.
	dropped uint64
}

func (c *cache) setLimit(contacts int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = contacts
}

func (c *cache) get(owner jid.JID) (r *contacts, dropped uint64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.rosters[owner], c.dropped
}

func (r *contacts) size() int { return len(r.list) + 1 }

func (c *cache) put(owner jid.JID, r *contacts, dropped uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dropped != dropped || r.size() > c.limit {
		return
	}
	c.remove(owner)
	for other := range c.rosters {
		if c.size+r.size() <= c.limit {
			break
		}
		c.remove(other)
	}
	if c.rosters == nil {
		c.rosters = make(map[jid.JID]*contacts)
	}
	c.rosters[owner] = r
	c.size += r.size()
}

func (c *cache) drop(owner jid.JID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropped++
	c.remove(owner)
}

func (c *cache) remove(owner jid.JID) {
	if r := c.rosters[owner]; r != nil {
		c.size -= r.size()
		delete(c.rosters, owner)
	}
}

// Invalidated forgets what is cached of a roster that another node has changed;
// it belongs to Invalidates in Services.Invalidate.
func (m *Module) Invalidated(owner jid.JID) { m.cache.drop(owner) }

// contacts reads the contacts of an account; one that does not exist has none.
func (m *Module) contacts(ctx context.Context, owner jid.JID) (*contacts, error) {
	r, dropped := m.cache.get(owner)
	if r != nil {
		return r, nil
	}
	items, err := m.items(ctx, owner)
	if err != nil {
		return nil, err
	}
	r = &contacts{list: make([]contact, 0, len(items))}
	for i := range items {
		if items[i].Sub != storage.SubNone {
			r.list = append(r.list, contact{items[i].Contact, items[i].Sub})
		}
		r.requests = r.requests || items[i].PendingIn != nil
	}
	slices.SortFunc(r.list, func(a, b contact) int { return strings.Compare(a.jid.String(), b.jid.String()) })
	m.cache.put(owner, r, dropped)
	return r, nil
}

func (m *Module) items(ctx context.Context, owner jid.JID) ([]storage.RosterItem, error) {
	items, _, err := m.store.Roster(ctx, owner)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("read roster: %w", err)
	}
	return items, nil
}

// Contacts goes through the contacts of an account that have at least these
// bits of a subscription. It shows one state of the roster.
func (m *Module) Contacts(ctx context.Context, owner jid.JID, want storage.Subscription) (iter.Seq[jid.JID], error) {
	r, err := m.contacts(ctx, owner)
	if err != nil {
		return nil, err
	}
	return func(yield func(jid.JID) bool) {
		for _, c := range r.list {
			if c.sub&want == want && !yield(c.jid) {
				return
			}
		}
	}, nil
}

// Subscription is the state of the owner's item for a contact; SubNone if there
// is none.
func (m *Module) Subscription(ctx context.Context, owner, other jid.JID) (storage.Subscription, error) {
	r, err := m.contacts(ctx, owner)
	if err != nil {
		return storage.SubNone, err
	}
	i, ok := slices.BinarySearchFunc(r.list, other.Bare(), func(c contact, j jid.JID) int {
		return strings.Compare(c.jid.String(), j.String())
	})
	if !ok {
		return storage.SubNone, nil
	}
	return r.list[i].sub, nil
}

// Requests are the subscription requests that the owner has not answered, as
// they are to be delivered (RFC 6121 §3.1.3 rule 4); not those of contacts that
// it has blocked since.
func (m *Module) Requests(ctx context.Context, owner jid.JID) ([][]byte, error) {
	r, err := m.contacts(ctx, owner)
	if err != nil || !r.requests {
		return nil, err
	}
	items, err := m.items(ctx, owner)
	if err != nil {
		return nil, err
	}
	var requests [][]byte
	for i := range items {
		if items[i].PendingIn == nil {
			continue
		}
		blocked, err := m.blocked(ctx, owner, items[i].Contact)
		if err != nil {
			return nil, err
		}
		if !blocked {
			requests = append(requests, items[i].PendingIn)
		}
	}
	return requests, nil
}
