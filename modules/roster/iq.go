package roster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// get answers a roster get (RFC 6121 §2.1.3) and makes the session interested.
func (d *domain) get(r *modules.Request) error {
	if r.Payload.First().OK() {
		return stanza.BadRequest("a roster get holds no items")
	}
	ver, versioned := r.Payload.Attr("ver")
	since, err := strconv.ParseUint(ver, 10, 64)
	if versioned && err == nil {
		known, err := d.knows(r.Ctx, r.Owner, since)
		if err != nil {
			return err
		}
		if known { // an empty result, the changes follow (§2.6.3)
			d.follows(r, since)
			return nil
		}
	}
	items, version, err := d.store.Roster(r.Ctx, r.Owner)
	if errors.Is(err, storage.ErrNotFound) {
		return stanza.ItemNotFound("") // §2.1.4
	} else if err != nil {
		return fmt.Errorf("read roster: %w", err)
	}
	r.Reply.Open("query", ns).Attr("ver", strconv.FormatUint(version, 10))
	for i := range items {
		if items[i].Listed {
			appendItem(r.Reply, &items[i])
		}
	}
	r.Reply.Close()
	d.follows(r, version)
	return nil
}

// knows reports whether to bring a client with that version up to date by
// pushes: not when there would be more of them than there are contacts.
func (d *domain) knows(ctx context.Context, owner jid.JID, since uint64) (bool, error) {
	changed, removed, _, known, err := d.store.RosterSince(ctx, owner, since)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return false, fmt.Errorf("read roster changes: %w", err)
	}
	pushes := len(changed) + len(removed)
	if !known || pushes < 8 {
		return known, nil
	}
	contacts, err := d.store.CountRoster(ctx, owner)
	if err != nil {
		return false, fmt.Errorf("count roster: %w", err)
	}
	return pushes < contacts, nil
}

// follows has the session follow the roster from the moment of the answer on.
func (d *domain) follows(r *modules.Request, since uint64) {
	f := r.Flight
	if f.Session == nil {
		return
	}
	r.AfterReply(func() {
		if err := d.follow(f.Ctx, f.Session, since); err != nil {
			// The client believes that it will hear of every change.
			d.h.Log.Error("roster cannot be followed", "account", f.Owner.String(), "error", err)
			d.h.Kick(f.Session.Ref, stanza.StreamInternalServerError, "roster cannot be read")
		}
	})
}

// set adds, changes or removes one item (RFC 6121 §2.3 to §2.5).
func (d *domain) set(r *modules.Request) error {
	item := r.Payload.Child(ns, "item")
	if !item.OK() || r.Payload.First().Next().OK() {
		return stanza.BadRequest("a roster set holds one item") // §2.3.3
	}
	address, ok := item.Attr("jid")
	if !ok {
		return stanza.BadRequest("an item needs a jid")
	}
	contact, err := jid.Parse(address)
	if err != nil {
		return stanza.JIDMalformed("")
	}
	contact = contact.Bare()
	// §2.1.5: all other values are ignored.
	if sub, _ := item.Attr("subscription"); sub == "remove" {
		return d.remove(r, contact)
	}
	if contact == r.Owner {
		return stanza.NotAllowed("an account is no contact of itself")
	}
	name, _ := item.Attr("name")
	if len(name) > d.opts.NameBytes {
		return stanza.NotAcceptable("the name is too long")
	}
	groups, err := d.groups(item)
	if err != nil {
		return err
	}
	_, err = d.change(r.Ctx, edit{
		owner: r.Owner, contact: contact, limit: d.limits().RosterItems, echo: true,
		fn: func(i *storage.RosterItem) error {
			i.Listed, i.Name, i.Groups = true, name, groups
			return nil
		},
	})
	if errors.Is(err, storage.ErrTooMany) {
		return stanza.PolicyViolation("the roster is full")
	}
	return err
}

// groups reads the groups of an item (RFC 6121 §2.3.3).
func (d *domain) groups(item stanza.Elem) ([]string, error) {
	var groups []string
	for c := range item.Children() {
		if !c.Is(ns, "group") {
			continue
		}
		g := c.Text()
		switch {
		case g == "" || len(g) > d.opts.GroupBytes:
			return nil, stanza.NotAcceptable("a group's name is empty or too long")
		case len(groups) == d.opts.Groups:
			return nil, stanza.NotAcceptable("the item has too many groups")
		case slices.Contains(groups, g):
			return nil, stanza.BadRequest("a group stands twice")
		}
		groups = append(groups, g)
	}
	return groups, nil
}

// remove deletes an item and ends all subscriptions with the contact, also
// those that were only asked for (RFC 6121 §2.5.2).
func (d *domain) remove(r *modules.Request, contact jid.JID) error {
	c, err := d.forget(r.Ctx, r.Owner, contact, false)
	if errors.Is(err, storage.ErrNotFound) {
		e := stanza.ItemNotFound("")
		e.Type = stanza.TypeModify // §2.5.3
		return e
	} else if err != nil {
		return err
	}
	d.part(r.Ctx, r.Owner, &c.Old)
	return nil
}
