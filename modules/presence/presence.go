// Package presence lets contacts know who is there: RFC 6121 §4, and the rule of
// §8.5.3.1 that keeps strangers from finding it out by asking a client.
//
// Inside one server no presence stanza travels to the contacts of an account:
// its bytes are written once and go to each available session of each contact
// with another addressee, and what a probe would bring is read from the
// registry. Directed presence does travel, like any other stanza.
package presence

import (
	"context"
	"iter"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// Roster is what presence needs to know of rosters.
type Roster interface {
	// Contacts goes through the contacts that have at least these bits of a
	// subscription.
	Contacts(ctx context.Context, owner jid.JID, want storage.Subscription) (iter.Seq[jid.JID], error)
	// Subscription is the state of the owner's item for a contact.
	Subscription(ctx context.Context, owner, contact jid.JID) (storage.Subscription, error)
	// Requests are the subscription requests that wait for the owner's answer.
	Requests(ctx context.Context, owner jid.JID) ([][]byte, error)
}

// Blocks is what presence needs to know of blocklists (XEP-0191).
type Blocks interface {
	// Blocked reports whether the owner, an account, has blocked an address.
	Blocked(ctx context.Context, owner, other jid.JID) (bool, error)
	// Load reads the blocklists of many accounts ahead of Blocked.
	Load(ctx context.Context, accounts iter.Seq[jid.JID]) error
}

// Module is the feature.
type Module struct {
	roster Roster
	blocks Blocks
	limits func() config.Limits
}

// New makes the module; limits is asked each time, so that a reloaded
// configuration counts at once.
func New(r Roster, b Blocks, limits func() config.Limits) *Module {
	return &Module{roster: r, blocks: b, limits: limits}
}

// Info implements modules.Module.
func (m *Module) Info() modules.Info {
	return modules.Info{
		Name: "presence",
		Doc:  "Presence to contacts, probes and directed presence (RFC 6121 §4).",
	}
}

// domain is the module in one domain.
type domain struct {
	*Module
	h *modules.Host
}

// Init implements modules.Module.
func (m *Module) Init(h *modules.Host) error {
	d := &domain{m, h}
	h.Presence(modules.Sent, modules.Amend, d.sent)
	h.Presence(modules.Received, modules.Amend, d.received)
	h.Check(modules.Received, d.guard)
	h.OnSession(modules.Closed, d.closed)
	return nil
}

// sent processes what a client sends. Subscriptions are not for this module.
func (d *domain) sent(f *modules.Flight) error {
	if f.Session == nil {
		return nil
	}
	switch t := f.Stanza.Type; t {
	case stanza.None, stanza.Unavailable:
		if !f.To.IsZero() {
			return d.direct(f)
		}
		if t == stanza.Unavailable {
			return d.leave(f)
		}
		return d.announce(f)
	case stanza.Probe, stanza.ErrorType:
		if f.To.IsZero() {
			return modules.Stop
		}
	}
	return nil
}

// direct notes whom the client shows its presence apart from its contacts (RFC
// 6121 §4.6.3); the router takes the stanza there. Subscribers are noted too,
// because the subscription may end before the session does.
func (d *domain) direct(f *modules.Flight) error {
	if !f.Session.Directed(f.To, f.Stanza.Type == stanza.None, d.limits().DirectedPresences) {
		return stanza.PolicyViolation("directed presence to too many addresses")
	}
	return nil
}

// received processes what arrives for an account; the router delivers it.
func (d *domain) received(f *modules.Flight) error {
	switch f.Stanza.Type {
	case stanza.Probe:
		return d.probe(f)
	case stanza.Unavailable: // RFC 6121 §4.6.1: who has gone needs not be told of the end
		for _, e := range d.h.Sessions(nil, f.Owner) {
			if e.Local != nil && (f.To.IsBare() || e.JID == f.To) {
				e.Local.Directed(f.From, false, 0)
			}
		}
	}
	return nil
}

// guard refuses IQs to a client of somebody who does not share presence with
// the sender (RFC 6121 §8.5.3.1), with the error for a client that is not there.
func (d *domain) guard(f *modules.Flight) error {
	if f.Stanza.Kind != stanza.IQ || f.Stanza.Type != stanza.Get && f.Stanza.Type != stanza.Set ||
		!f.To.IsFull() || f.From.Bare() == f.Owner || d.ours(f.From) {
		return nil
	}
	sub, err := d.roster.Subscription(f.Ctx, f.Owner, f.From.Bare())
	if err != nil {
		return err
	}
	if sub&storage.SubFrom != 0 || d.hasDirected(f) {
		return nil
	}
	return stanza.ServiceUnavailable("")
}

// ours reports whether an address is the server itself or a part of it.
func (d *domain) ours(j jid.JID) bool { return j.Local() == "" && d.h.Hosted(j.Domain()) }

// hasDirected reports whether the session that the stanza is for has shown
// itself to the sender. A session of another node is not known to have.
func (d *domain) hasDirected(f *modules.Flight) bool {
	for _, e := range d.h.Sessions(nil, f.Owner) {
		if e.JID == f.To && e.Local != nil {
			return e.Local.IsDirected(f.From)
		}
	}
	return false
}
