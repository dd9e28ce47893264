package blocking

import (
	"context"
	"math"
	"slices"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules/internal/visible"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/storage"
)

// shift lets those see the owner go whom it has blocked, lets those see it again
// whom it has unblocked, and lets it see them (XEP-0191 §3.3, §3.4). It runs in
// the owner's line.
func (d *domain) shift(ctx context.Context, owner jid.JID, before, after *list) error {
	touched := make(map[jid.JID]bool)
	for _, item := range slices.Concat(before.minus(after), after.minus(before)) {
		touched[item.Bare()] = true
	}
	if len(touched) == 0 {
		return nil
	}
	for _, sub := range []storage.Subscription{storage.SubFrom, storage.SubTo} {
		contacts, err := d.roster.Contacts(ctx, owner, sub)
		if err != nil {
			return err
		}
		for contact := range contacts {
			if !touched[contact] && !touched[contact.DomainJID()] {
				continue
			}
			if sub == storage.SubFrom {
				err = d.shiftOwn(ctx, owner, contact, before, after)
			} else {
				err = d.shiftTheirs(ctx, owner, contact, before, after)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// shiftOwn changes what a subscriber sees of the owner.
func (d *domain) shiftOwn(ctx context.Context, owner, contact jid.JID, before, after *list) error {
	var lost, won []session.Entry
	for _, e := range visible.Available(d.h.Sessions(nil, contact)) {
		switch was, is := before.has(e.JID), after.has(e.JID); {
		case is && !was:
			lost = append(lost, e)
		case was && !is:
			won = append(won, e)
		}
	}
	if err := visible.Hide(ctx, d.h, d.h, others{d.Module, owner}, owner, contact, lost); err != nil {
		return err
	}
	return visible.Show(ctx, d.h, d.h, d, owner, contact, won)
}

// others are the blocklists of all but one account: whom that has just blocked
// has to be told so.
type others struct {
	m   *Module
	but jid.JID
}

// Blocked implements visible.Blocks.
func (o others) Blocked(ctx context.Context, owner, other jid.JID) (bool, error) {
	if owner == o.but {
		return false, nil
	}
	return o.m.Blocked(ctx, owner, other)
}

// shiftTheirs answers, for a contact that has been unblocked, the probe that the
// owner's clients would have to send: they have heard nothing of it meanwhile.
func (d *domain) shiftTheirs(ctx context.Context, owner, contact jid.JID, before, after *list) error {
	theirs := visible.Available(d.h.Sessions(nil, contact))
	changed := before.has(contact) && !after.has(contact)
	for _, e := range theirs {
		changed = changed || before.has(e.JID) && !after.has(e.JID)
	}
	if !changed {
		return nil
	}
	sub, err := d.roster.Subscription(ctx, contact, owner)
	if err != nil || sub&storage.SubFrom == 0 { // the contact's own roster decides
		return err
	}
	viewers := visible.Available(d.h.Sessions(nil, owner))
	if len(theirs) == 0 { // RFC 6121 §4.3.2 rule 3
		gone := visible.AppendTo(nil, visible.Gone(contact), owner)
		for _, v := range viewers {
			d.h.Send(v.Ref, gone)
		}
	}
	return visible.Show(ctx, d.h, d.h, d, contact, owner, viewers)
}

// withdraw takes back what sessions of this node have shown to those whom the
// owner has blocked now, apart from its subscribers (RFC 6121 §4.6).
func (m *Module) withdraw(ctx context.Context, owner jid.JID) {
	for _, e := range m.services.Sessions(nil, owner) {
		if e.Local == nil {
			continue
		}
		for _, to := range e.Local.TakeDirected() {
			if blocked, err := m.Blocked(ctx, owner, to); err != nil || !blocked {
				e.Local.Directed(to, true, math.MaxInt)
				continue
			}
			sub, err := m.roster.Subscription(ctx, owner, to)
			if err == nil && e.Available && sub&storage.SubFrom != 0 {
				continue // shift has said it
			}
			m.gone(ctx, e.JID, to)
		}
		if m.ended(&e) { // meanwhile, and nobody found what it had shown
			for _, to := range e.Local.TakeDirected() {
				m.gone(ctx, e.JID, to)
			}
		}
	}
}

func (m *Module) ended(e *session.Entry) bool {
	for _, now := range m.services.Sessions(nil, e.JID.Bare()) {
		if now.Ref == e.Ref {
			return false
		}
	}
	return true
}

// gone routes unavailable presence to who has got it directed.
func (m *Module) gone(ctx context.Context, full, to jid.JID) {
	if err := m.services.Route(ctx, visible.AppendTo(nil, visible.Gone(full), to)); err != nil {
		m.log.Error("unavailable presence lost", "account", full.Bare().String(), "error", err)
	}
}
