package blocking

import (
	"context"
	"errors"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// get answers with the blocklist; from then on the session is told of changes
// (XEP-0191 §3.2, §3.3).
func (d *domain) get(r *modules.Request) error {
	l, err := d.list(r.Ctx, r.Owner)
	if err != nil {
		return err
	}
	r.Reply.Open("blocklist", ns)
	appendItems(r.Reply, l.items)
	r.Reply.Close()
	if s := r.Session; s != nil {
		ctx, owner := r.Ctx, r.Owner
		r.AfterReply(func() { d.follow(ctx, owner, s, l) })
	}
	return nil
}

func appendItems(b *stanza.Builder, items []jid.JID) {
	for _, item := range items {
		b.Open("item", "").Attr("jid", item.String()).Close()
	}
}

// items reads the addresses of a request, which may be none, and calls each for
// every item.
func items(r *modules.Request, each func(stanza.Elem, jid.JID)) ([]jid.JID, error) {
	var all []jid.JID
	for e := range r.Payload.Children() {
		if !e.Is(ns, "item") {
			continue
		}
		address, ok := e.Attr("jid")
		if !ok {
			return nil, stanza.BadRequest("an item needs a jid")
		}
		j, err := jid.Parse(address)
		if err != nil {
			return nil, stanza.JIDMalformed("")
		}
		all = append(all, j)
		if each != nil {
			each(e, j)
		}
	}
	return newList(all).items, nil
}

// block adds to the blocklist, all items or none (XEP-0191 §3.3).
func (d *domain) block(r *modules.Request) error {
	var reports []storage.Report
	blocked, err := items(r, func(e stanza.Elem, j jid.JID) {
		if report, ok := d.report(r, e, j); ok {
			reports = append(reports, report)
		}
	})
	if err != nil {
		return err
	}
	if len(blocked) == 0 {
		return stanza.BadRequest("a block holds an item")
	}
	for _, j := range blocked {
		if j.Bare() == r.Owner {
			return stanza.NotAllowed("an account cannot block itself")
		}
	}
	d.copies(r, reports)
	err = d.change(r.Ctx, r.Owner, edit{block: blocked}, func() ([]jid.JID, error) {
		before, stored, err := d.store.Block(r.Ctx, storage.Block{
			Owner: r.Owner, Items: blocked, Limit: d.opts.Items,
			Reports: reports, ReportLimit: d.opts.ReportsPerDay, ReportsSince: r.Arrived.Add(-day),
		})
		if err == nil && stored < len(reports) {
			d.h.Log.Warn("reports left out, the account has made too many", "account", r.Owner.String(), "reports", len(reports)-stored)
		}
		return before, err
	})
	if errors.Is(err, storage.ErrTooMany) {
		return stanza.ResourceConstraint("the blocklist is full")
	}
	return err
}

// unblock takes items off the blocklist, or all of them (XEP-0191 §3.4, §3.5).
func (d *domain) unblock(r *modules.Request) error {
	unblocked, err := items(r, nil)
	if err != nil {
		return err
	}
	if len(unblocked) == 0 {
		unblocked = nil
	}
	e := edit{unblock: unblocked, all: unblocked == nil}
	return d.change(r.Ctx, r.Owner, e, func() ([]jid.JID, error) {
		return d.store.Unblock(r.Ctx, r.Owner, unblocked)
	})
}

// userRemoved empties the list of an account that goes: from then on nothing of
// it can be read and cached, and be taken for that of a later account.
func (d *domain) userRemoved(ctx context.Context, owner jid.JID) error {
	if _, err := d.store.Unblock(ctx, owner, nil); err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	d.cache.Drop(owner)
	d.h.Invalidate(name, owner)
	return nil
}
