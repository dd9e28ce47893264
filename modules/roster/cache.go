package roster

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// contacts is what other modules need of one roster. It does not change.
type contacts struct {
	list     []contact // in the order of addresses
	requests bool      // some have asked and wait for an answer
}

type contact struct {
	jid jid.JID
	sub storage.Subscription
}

// Size implements cache.Value: that there are none is worth remembering too.
func (r *contacts) Size() int { return len(r.list) + 1 }

// Invalidated forgets what is cached of a roster that another node has changed;
// it belongs to Invalidates in Services.Invalidate.
func (m *Module) Invalidated(owner jid.JID) { m.cache.Drop(owner) }

// contacts reads the contacts of an account; one that does not exist has none.
func (m *Module) contacts(ctx context.Context, owner jid.JID) (*contacts, error) {
	if r, ok := m.cache.Get(owner); ok {
		return r, nil
	}
	mark := m.cache.Mark()
	items, err := m.items(ctx, owner)
	if err != nil {
		return nil, err
	}
	r := &contacts{list: make([]contact, 0, len(items))}
	for i := range items {
		if items[i].Sub != storage.SubNone || items[i].Listed {
			r.list = append(r.list, contact{items[i].Contact, items[i].Sub})
		}
		r.requests = r.requests || items[i].PendingIn != nil
	}
	slices.SortFunc(r.list, func(a, b contact) int { return strings.Compare(a.jid.String(), b.jid.String()) })
	m.cache.Put(owner, r, mark)
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
	c, _ := r.find(other)
	return c.sub, nil
}

// Has reports whether a contact stands in the owner's roster, with a subscription
// or without.
func (m *Module) Has(ctx context.Context, owner, other jid.JID) (bool, error) {
	r, err := m.contacts(ctx, owner)
	if err != nil {
		return false, err
	}
	_, ok := r.find(other)
	return ok, nil
}

func (r *contacts) find(other jid.JID) (c contact, ok bool) {
	i, ok := slices.BinarySearchFunc(r.list, other.Bare(), func(c contact, j jid.JID) int {
		return strings.Compare(c.jid.String(), j.String())
	})
	if ok {
		c = r.list[i]
	}
	return c, ok
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
