package blocking

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"github.com/xmppd/xmppd/jid"
)

// page is how many blocklists are read in one query.
const page = 500

// cache holds the blocklists of the accounts that were asked for, up to a number
// of items; a list without items counts as one. What makes room is arbitrary: a
// wrong choice costs one query.
type cache struct {
	mu    sync.RWMutex
	lists map[jid.JID]*list
	size  int
	limit int
	// dropped counts calls of drop: what was read from the store before one of
	// them may be old and is not put in.
	dropped uint64
}

func (c *cache) setLimit(items int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = items
}

func (c *cache) get(owner jid.JID) (l *list, dropped uint64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.lists[owner], c.dropped
}

func (l *list) size() int { return len(l.items) + 1 }

func (c *cache) put(owner jid.JID, l *list, dropped uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dropped != dropped || l.size() > c.limit {
		return
	}
	c.remove(owner)
	for other := range c.lists {
		if c.size+l.size() <= c.limit {
			break
		}
		c.remove(other)
	}
	if c.lists == nil {
		c.lists = make(map[jid.JID]*list)
	}
	c.lists[owner] = l
	c.size += l.size()
}

func (c *cache) drop(owner jid.JID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropped++
	c.remove(owner)
}

func (c *cache) remove(owner jid.JID) {
	if l := c.lists[owner]; l != nil {
		c.size -= l.size()
		delete(c.lists, owner)
	}
}

// list is the blocklist of an account; one that does not exist blocks nobody.
func (m *Module) list(ctx context.Context, owner jid.JID) (*list, error) {
	l, dropped := m.cache.get(owner)
	if l != nil {
		return l, nil
	}
	rows, err := m.store.Blocklists(ctx, []jid.JID{owner})
	if err != nil {
		return nil, fmt.Errorf("read blocklist: %w", err)
	}
	items := make([]jid.JID, len(rows))
	for i := range rows {
		items[i] = rows[i].JID
	}
	l = newList(items)
	m.cache.put(owner, l, dropped)
	return l, nil
}

// Load reads the blocklists of many accounts ahead of Blocked, hundreds in one
// query.
func (m *Module) Load(ctx context.Context, accounts iter.Seq[jid.JID]) error {
	if m.services == nil {
		return nil
	}
	var missing []jid.JID
	for account := range accounts {
		if l, _ := m.cache.get(account); l != nil || !m.services.Hosted(account.Domain()) {
			continue
		}
		if missing = append(missing, account); len(missing) == page {
			if err := m.loadPage(ctx, missing); err != nil {
				return err
			}
			missing = missing[:0]
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return m.loadPage(ctx, missing)
}

func (m *Module) loadPage(ctx context.Context, owners []jid.JID) error {
	_, dropped := m.cache.get(owners[0])
	rows, err := m.store.Blocklists(ctx, owners)
	if err != nil {
		return fmt.Errorf("read blocklists: %w", err)
	}
	items := make(map[jid.JID][]jid.JID)
	for _, row := range rows {
		items[row.Owner] = append(items[row.Owner], row.JID)
	}
	for _, owner := range owners {
		m.cache.put(owner, newList(items[owner]), dropped)
	}
	return nil
}

// Blocked reports whether the owner, an account, has blocked an address.
// Accounts of other servers have blocked nobody, as far as this one knows; and
// nobody can block itself or its own server.
func (m *Module) Blocked(ctx context.Context, owner, other jid.JID) (bool, error) {
	if m.services == nil {
		return false, nil
	}
	l, _ := m.cache.get(owner)
	if l == nil {
		if !m.services.Hosted(owner.Domain()) {
			return false, nil
		}
		var err error
		if l, err = m.list(ctx, owner); err != nil {
			return false, err
		}
	}
	return l.has(other) && !own(owner, other), nil
}

// own reports whether an address is the account's own or that of its server.
func own(owner, other jid.JID) bool {
	return other.Bare() == owner || other.Bare() == owner.DomainJID()
}
