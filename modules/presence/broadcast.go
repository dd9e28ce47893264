package presence

import (
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/visible"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// fan writes one presence to many. It belongs to one call.
type fan struct {
	d        *domain
	f        *modules.Flight
	presence []byte // with from, without to
	sessions []session.Entry
	xml      []byte
	failed   bool // a blocklist could not be read
}

// to sends the presence to the available sessions of an account.
func (n *fan) to(account jid.JID) {
	n.sessions = n.d.h.Sessions(n.sessions[:0], account)
	written := false
	for i := range n.sessions {
		e := &n.sessions[i]
		if !e.Available || n.apart(e.JID) {
			continue
		}
		if !written {
			n.xml = visible.AppendTo(n.xml[:0], n.presence, account)
			written = true
		}
		n.f.Run.Send(e.Ref, n.xml)
	}
}

// apart reports whether presence must not pass between the sender and another
// session. While the database does not answer what is not known counts as that.
func (n *fan) apart(other jid.JID) bool {
	apart, err := visible.Apart(n.f.Ctx, n.d.blocks, n.f.Session.JID, other)
	if err != nil && !n.failed {
		n.failed = true
		n.d.h.Log.Error("presence kept back", "account", n.f.Owner.String(), "error", err)
	}
	return apart || err != nil
}

// announce processes initial and subsequent presence (RFC 6121 §4.2.2, §4.4.2).
func (d *domain) announce(f *modules.Flight) error {
	priority, err := priorityOf(f.Stanza)
	if err != nil {
		return err
	}
	// Nothing may change if roster and blocklists cannot be read.
	contacts, err := d.roster.Contacts(f.Ctx, f.Owner, storage.SubFrom)
	if err != nil {
		return fmt.Errorf("announce presence: %w", err)
	}
	if err := d.blocks.Load(f.Ctx, contacts); err != nil {
		return fmt.Errorf("announce presence: %w", err)
	}
	presence := f.Stanza.Emit(make([]byte, 0, f.Stanza.Size()), modules.Sent)
	before := f.Session.Entry()
	if priority >= 0 && !before.TakesBareMessages() {
		event := modules.Flight{Ctx: f.Ctx, From: f.From, Owner: f.Owner, Session: f.Session, Arrived: f.Arrived, Run: f.Run}
		d.h.Tables().Fire(modules.Available, &event)
	}
	d.h.SetPresence(f.Session, presence, priority)

	// Who becomes a subscriber from now on finds this presence (visible.Show), who
	// was one before is among the contacts: so they are read only now.
	subscribers, err := d.roster.Contacts(f.Ctx, f.Owner, storage.SubFrom)
	if err != nil {
		return fmt.Errorf("announce presence: %w", err)
	}
	n := fan{d: d, f: f, presence: presence}
	n.to(f.Owner) // also to the session itself
	for contact := range subscribers {
		n.to(contact)
	}
	if before.Available {
		return modules.Stop
	}
	return d.greet(f)
}

// greet tells a session that has become available what it has to know: who is
// there (RFC 6121 §4.3) and who has asked for a subscription (§3.1.3 rule 4).
func (d *domain) greet(f *modules.Flight) error {
	self := []session.Entry{f.Session.Entry()}
	if err := visible.Show(f.Ctx, f.Run, d.h, d.blocks, f.Owner, f.Owner, self); err != nil {
		return fmt.Errorf("show own sessions: %w", err)
	}
	contacts, err := d.roster.Contacts(f.Ctx, f.Owner, storage.SubTo)
	if err != nil {
		return fmt.Errorf("probe contacts: %w", err)
	}
	if err := d.blocks.Load(f.Ctx, contacts); err != nil {
		return fmt.Errorf("probe contacts: %w", err)
	}
	var buf []session.Entry
	for contact := range contacts {
		buf = d.h.Sessions(buf[:0], contact)
		if len(visible.Available(buf)) == 0 {
			continue
		}
		// The contact's own roster decides (RFC 6121 §4.3.2 rule 1).
		sub, err := d.roster.Subscription(f.Ctx, contact, f.Owner)
		if err != nil {
			return fmt.Errorf("probe contact: %w", err)
		}
		if sub&storage.SubFrom == 0 {
			continue
		}
		if err := visible.Show(f.Ctx, f.Run, d.h, d.blocks, contact, f.Owner, self); err != nil {
			return fmt.Errorf("probe contact: %w", err)
		}
	}
	requests, err := d.roster.Requests(f.Ctx, f.Owner)
	if err != nil {
		return fmt.Errorf("read subscription requests: %w", err)
	}
	for _, xml := range requests {
		f.Run.Send(f.Session.Ref, xml)
	}
	return modules.Stop
}

// priorityOf reads the priority of available presence (RFC 6121 §4.7.2.3).
func priorityOf(st *stanza.Stanza) (int8, error) {
	e := st.Root().Child("jabber:client", "priority")
	if !e.OK() {
		return 0, nil
	}
	n, err := strconv.ParseInt(strings.TrimSpace(e.Text()), 10, 8)
	if err != nil {
		return 0, stanza.BadRequest("the priority is no integer from -128 to 127")
	}
	return int8(n), nil
}

// leave processes unavailable presence of a client (RFC 6121 §4.5.2).
func (d *domain) leave(f *modules.Flight) error {
	before := f.Session.Entry()
	d.h.SetPresence(f.Session, nil, 0)
	presence := f.Stanza.Emit(nil, modules.Sent)
	n := fan{d: d, f: f, presence: presence}
	n.gone(before.Available, f.Session.TakeDirected())
	if before.Available {
		f.Run.Send(f.Session.Ref, visible.AppendTo(nil, presence, f.Owner))
	}
	return modules.Stop
}

// closed tells the world of a session that went without a word, or without
// taking back its directed presence.
func (d *domain) closed(f *modules.Flight) {
	s := f.Session
	directed := s.TakeDirected()
	available := s.Entry().Available
	// A session that has taken over the address speaks for it.
	for _, e := range d.h.Sessions(nil, s.JID.Bare()) {
		if e.JID == s.JID && e.Ref != s.Ref && e.Available {
			available = false
		}
	}
	n := fan{d: d, f: f, presence: visible.Gone(s.JID)}
	n.gone(available, directed)
}

// gone sends unavailable presence to the subscribers and the other sessions of
// the account, if it had been available to them, and to those who got directed
// presence (RFC 6121 §4.6.3).
func (n *fan) gone(available bool, directed []jid.JID) {
	owner := n.f.Owner
	told := make(map[jid.JID]bool, len(directed))
	if available {
		n.to(owner)
		told[owner] = true
		for contact := range n.subscribers() {
			n.to(contact)
			told[contact] = true
		}
	}
	for _, to := range directed {
		if told[to.Bare()] {
			continue
		}
		if err := n.d.h.Route(n.f.Ctx, visible.AppendTo(nil, n.presence, to)); err != nil {
			n.d.h.Log.Error("unavailable presence lost", "account", owner.String(), "error", err)
		}
	}
}

// subscribers are the contacts that see the owner; none if the roster cannot be
// read, because a session ends whether the database works or not.
func (n *fan) subscribers() iter.Seq[jid.JID] {
	contacts, err := n.d.roster.Contacts(n.f.Ctx, n.f.Owner, storage.SubFrom)
	if err != nil {
		n.d.h.Log.Error("contacts not told that a session has ended", "account", n.f.Owner.String(), "error", err)
		return func(func(jid.JID) bool) {}
	}
	return contacts
}
