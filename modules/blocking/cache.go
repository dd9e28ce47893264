package blocking

import (
	"context"
	"fmt"
	"iter"

	"github.com/xmppd/xmppd/jid"
)

// page is how many blocklists are read in one query.
const page = 500

// Size implements cache.Value: a list without items is worth remembering too.
func (l *list) Size() int { return len(l.items) + 1 }

// list is the blocklist of an account; one that does not exist blocks nobody.
func (m *Module) list(ctx context.Context, owner jid.JID) (*list, error) {
	if l, ok := m.cache.Get(owner); ok {
		return l, nil
	}
	mark := m.cache.Mark()
	rows, err := m.store.Blocklists(ctx, []jid.JID{owner})
	if err != nil {
		return nil, fmt.Errorf("read blocklist: %w", err)
	}
	items := make([]jid.JID, len(rows))
	for i := range rows {
		items[i] = rows[i].JID
	}
	l := newList(items)
	m.cache.Put(owner, l, mark)
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
		if _, ok := m.cache.Get(account); ok || !m.services.Hosted(account.Domain()) {
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
	mark := m.cache.Mark()
	rows, err := m.store.Blocklists(ctx, owners)
	if err != nil {
		return fmt.Errorf("read blocklists: %w", err)
	}
	items := make(map[jid.JID][]jid.JID)
	for _, row := range rows {
		items[row.Owner] = append(items[row.Owner], row.JID)
	}
	for _, owner := range owners {
		m.cache.Put(owner, newList(items[owner]), mark)
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
	l, ok := m.cache.Get(owner)
	if !ok {
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
