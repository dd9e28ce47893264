package storage

import (
	"bytes"
	"slices"

	"github.com/xmppd/xmppd/jid"
)

// RosterRemovals is how many removals a store keeps for each account, to answer
// RosterSince without sending the whole roster.
const RosterRemovals = 100

// RosterEdit is a change of a roster item before it is written.
type RosterEdit struct {
	RosterChange
	Visible bool // the owner's clients see a difference: the version goes up
	Keep    bool // the row stays
	Adds    bool // it takes a place that maxItems counts
}

// EditRoster runs fn on a copy of old (NoRosterItem if there is no row) and says
// what it means. The stores call it inside their transaction.
func EditRoster(old RosterItem, version uint64, fn func(*RosterItem) error) (RosterEdit, error) {
	item := old
	item.Groups = slices.Clone(old.Groups)
	item.PendingIn = bytes.Clone(old.PendingIn)
	if err := fn(&item); err != nil {
		return RosterEdit{}, err
	}
	item.Contact, item.Version = old.Contact, old.Version
	slices.Sort(item.Groups)
	item.Groups = slices.Compact(item.Groups)
	if len(item.PendingIn) == 0 {
		item.PendingIn = nil
	}

	e := RosterEdit{Keep: exists(&item), Visible: visible(&old, &item)}
	e.Adds = e.Keep && (item.Listed && !old.Listed || !exists(&old))
	changed := e.Visible || !same(&old, &item)
	if !e.Keep {
		changed = exists(&old)
		item = RosterItem{Contact: old.Contact}
	}
	if e.Visible {
		version++
		item.Version = version
	}
	e.RosterChange = RosterChange{Old: old, New: item, Version: version, Changed: changed}
	return e, nil
}

// exists tells a row from the lack of one.
func exists(i *RosterItem) bool { return i.Listed || i.PendingIn != nil || i.Approved }

// visible compares what a roster push shows (RFC 6121 §2.1.2).
func visible(a, b *RosterItem) bool {
	if !a.Listed && !b.Listed {
		return false
	}
	return a.Listed != b.Listed || a.Name != b.Name || a.Sub != b.Sub || a.Ask != b.Ask ||
		a.Approved != b.Approved || !slices.Equal(a.Groups, b.Groups)
}

func same(a, b *RosterItem) bool {
	return a.Listed == b.Listed && a.Name == b.Name && a.Sub == b.Sub && a.Ask == b.Ask &&
		a.Approved == b.Approved && slices.Equal(a.Groups, b.Groups) &&
		bytes.Equal(a.PendingIn, b.PendingIn)
}

// NoRosterItem is the item of a contact of whom nothing is stored.
func NoRosterItem(contact jid.JID) RosterItem { return RosterItem{Contact: contact.Bare()} }
