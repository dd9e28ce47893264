package roster

import (
	"context"
	"errors"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/visible"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// sent processes what a client sends to manage subscriptions.
func (d *domain) sent(f *modules.Flight) error {
	t := f.Stanza.Type
	if !isSubscription(t) || f.Session == nil { // the server's own have had their effect
		return nil
	}
	if f.To.IsZero() {
		return stanza.BadRequest("a subscription needs an addressee")
	}
	owner, contact := f.Owner, f.To.Bare()
	if contact == owner { // everybody sees the own presence (RFC 6121 §4.2.2)
		return modules.Stop
	}
	// RFC 6121 §3: the request is the account's, for all of the contact's resources.
	f.From, f.To = owner, contact
	f.Stanza.SetAttr(modules.Sent, "from", owner.String())
	f.Stanza.SetAttr(modules.Sent, "to", contact.String())

	var s step
	c, err := d.change(f.Ctx, edit{
		owner: owner, contact: contact, limit: d.limits().RosterItems,
		fn: func(i *storage.RosterItem) error {
			s = outbound(stateOf(i), t)
			s.state.put(i, nil)
			return nil
		},
	})
	if errors.Is(err, storage.ErrTooMany) {
		return stanza.PolicyViolation("the roster is full")
	} else if err != nil {
		return err
	}
	if !s.pass {
		return modules.Stop
	}
	if t == stanza.Unsubscribed && c.Old.Sub&storage.SubFrom != 0 { // RFC 6121 §3.2.2
		d.hide(f.Ctx, owner, contact)
	}
	return nil
}

// received processes what another account sent to one of this domain. It ends
// here: who gets it is decided by chapter 3, not by the rules of §8.
func (d *domain) received(f *modules.Flight) error {
	t := f.Stanza.Type
	if !isSubscription(t) {
		return nil
	}
	owner, contact := f.Owner, f.From.Bare()
	if contact == owner {
		return modules.Stop
	}
	if f.To.IsFull() { // RFC 6121 §3.1.3
		f.Stanza.SetAttr(modules.Received, "to", owner.String())
	}
	if f.From.IsFull() {
		f.Stanza.SetAttr(modules.Received, "from", contact.String())
	}
	xml := f.Stanza.Emit(nil, modules.Received)
	if t == stanza.Subscribe && len(xml) > d.opts.RequestBytes {
		return stanza.PolicyViolation("the subscription request is too large")
	}
	// What comes so far from a blocked contact ends a subscription. It takes
	// effect, unseen and unanswered (XEP-0191 §3.3).
	blocked, err := d.blocked(f.Ctx, owner, f.From)
	if err != nil {
		return err
	}
	var s step
	c, err := d.change(f.Ctx, edit{
		owner: owner, contact: contact, limit: d.limits().SubscriptionRequests,
		fn: func(i *storage.RosterItem) error {
			s = inbound(stateOf(i), t)
			s.state.put(i, xml)
			return nil
		},
		deliver: func(sessions []session.Entry) {
			for _, e := range sessions {
				// RFC 6121 §2.2: requests to available resources, the rest to interested ones.
				if s.pass && !blocked && (t == stanza.Subscribe && e.Available || t != stanza.Subscribe && e.Interested) {
					d.h.Send(e.Ref, xml)
				}
			}
		},
	})
	switch {
	case errors.Is(err, storage.ErrNotFound): // no such account: silence (RFC 6121 §8.5.1)
		return modules.Stop
	case errors.Is(err, storage.ErrTooMany):
		return stanza.ResourceConstraint("too many subscription requests wait for an answer")
	case err != nil:
		return err
	}
	switch {
	case t == stanza.Subscribed && s.pass: // §3.1.5, §3.1.6 rule 3
		if err := visible.Show(f.Ctx, d.h, d.h, d.Blocks, contact, owner, d.available(owner)); err != nil {
			d.h.Log.Error("presence not shown", "account", contact.String(), "to", owner.String(), "error", err)
		}
	case t == stanza.Unsubscribe && c.Old.Sub&storage.SubFrom != 0: // §3.3.3 rule 3
		d.hide(f.Ctx, owner, contact)
	}
	// An unsubscribe from this server has ended the subscription on both sides;
	// a confirmation could only hit what the contact asked for since.
	if s.reply != stanza.None && !blocked && !(s.reply == stanza.Unsubscribed && d.h.Hosted(contact.Domain())) {
		d.route(f.Ctx, owner, contact, s.reply, string(f.Stanza.ID()))
	}
	return modules.Stop
}

// part ends the subscriptions of an item that has left the owner's roster
// (RFC 6121 §2.5.2).
func (d *domain) part(ctx context.Context, owner jid.JID, old *storage.RosterItem) {
	if old.Sub&storage.SubFrom != 0 {
		d.hide(ctx, owner, old.Contact)
	}
	if old.Sub&storage.SubTo != 0 || old.Ask {
		d.route(ctx, owner, old.Contact, stanza.Unsubscribe, "")
	}
	if old.Sub&storage.SubFrom != 0 || old.PendingIn != nil {
		d.route(ctx, owner, old.Contact, stanza.Unsubscribed, "")
	}
}

// route sends a subscription stanza of the server for an account.
func (d *domain) route(ctx context.Context, from, to jid.JID, t stanza.Type, id string) {
	b := stanza.Build("presence").Attr("from", from.String()).Attr("to", to.String()).Attr("type", t.String())
	if id == "" {
		id = d.id()
	}
	b.Attr("id", id)
	if err := d.h.Route(ctx, b.Bytes()); err != nil {
		d.h.Log.Error("subscription stanza lost", "from", from.String(), "to", to.String(), "type", t.String(), "error", err)
	}
}

// hide lets the contact's sessions see the owner go.
func (d *domain) hide(ctx context.Context, owner, contact jid.JID) {
	if err := visible.Hide(ctx, d.h, d.h, d.Blocks, owner, contact, d.available(contact)); err != nil {
		d.h.Log.Error("presence not withdrawn", "account", owner.String(), "from", contact.String(), "error", err)
	}
}

// blocked reports whether the owner has blocked an address.
func (m *Module) blocked(ctx context.Context, owner, other jid.JID) (bool, error) {
	if m.Blocks == nil {
		return false, nil
	}
	return m.Blocks.Blocked(ctx, owner, other)
}

// available lists the available sessions of an account of this server.
func (d *domain) available(account jid.JID) []session.Entry {
	return visible.Available(d.h.Sessions(nil, account))
}

// userRemoved ends all subscriptions of an account that goes. The items go one
// by one, so that from then on nothing of them can be read and cached, and be
// taken for the roster of a later account of that name.
func (d *domain) userRemoved(ctx context.Context, owner jid.JID) error {
	items, err := d.items(ctx, owner)
	if err != nil {
		return err
	}
	for i := range items {
		if _, err := d.forget(ctx, owner, items[i].Contact, true); err != nil {
			return err
		}
		d.part(ctx, owner, &items[i])
	}
	return nil
}
