package blocking

import (
	"slices"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// list is a blocklist. It does not change.
type list struct {
	items []jid.JID // in the order of addresses
}

// empty is the list of whoever blocks nobody.
var empty = new(list)

// newList takes items in any order; it keeps the slice.
func newList(items []jid.JID) *list {
	if len(items) == 0 {
		return empty
	}
	slices.SortFunc(items, storage.ByAddress)
	return &list{items: slices.Compact(items)}
}

func (l *list) holds(item jid.JID) bool {
	_, ok := slices.BinarySearchFunc(l.items, item, storage.ByAddress)
	return ok
}

// has reports whether an item stands for the address (XEP-0191 §6): itself, its
// bare form or its domain.
func (l *list) has(j jid.JID) bool {
	if len(l.items) == 0 {
		return false
	}
	return l.holds(j) || j.IsFull() && l.holds(j.Bare()) || j.Local() != "" && l.holds(j.DomainJID())
}

// with and without make another list.
func (l *list) with(items []jid.JID) *list { return newList(slices.Concat(l.items, items)) }

func (l *list) without(items []jid.JID) *list {
	other := newList(slices.Clone(items))
	return newList(l.minus(other))
}

// minus are the items that the other list does not hold.
func (l *list) minus(other *list) []jid.JID {
	var rest []jid.JID
	for _, item := range l.items {
		if !other.holds(item) {
			rest = append(rest, item)
		}
	}
	return rest
}
