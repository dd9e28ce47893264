package roster

import (
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// state is what one side knows of the subscriptions between owner and contact
// (RFC 6121 §A.1), together with the pre-approval of §3.4.
type state struct {
	sub      storage.Subscription
	out      bool // "Pending Out": the owner's request has not been answered
	in       bool // "Pending In": the contact's request has not been answered
	approved bool // the owner agreed before the contact asked
}

// step is what a subscription stanza does to one side.
type step struct {
	state state
	pass  bool        // outbound: route it to the contact; inbound: deliver it to the owner
	reply stanza.Type // what the server answers for the owner; None: nothing
}

// outbound is RFC 6121 §A.2: a stanza of the owner to the contact.
func outbound(s state, t stanza.Type) step {
	switch t {
	case stanza.Subscribe: // §A.2.1
		if s.sub&storage.SubTo == 0 {
			s.out = true
		}
		return step{state: s, pass: true}
	case stanza.Unsubscribe: // §A.2.2
		s.sub &^= storage.SubTo
		s.out = false
		return step{state: s, pass: true}
	case stanza.Subscribed: // §A.2.3
		if s.in {
			s.sub |= storage.SubFrom
			s.in = false
			return step{state: s, pass: true}
		}
		if s.sub&storage.SubFrom == 0 {
			s.approved = true // §3.4.2
		}
	case stanza.Unsubscribed: // §A.2.4
		pass := s.in || s.sub&storage.SubFrom != 0
		s.sub &^= storage.SubFrom
		s.in, s.approved = false, false // §3.2.2 rule 2
		return step{state: s, pass: pass}
	}
	return step{state: s}
}

// inbound is RFC 6121 §A.3: a stanza of the contact to the owner.
func inbound(s state, t stanza.Type) step {
	switch t {
	case stanza.Subscribe: // §A.3.1
		switch {
		case s.sub&storage.SubFrom != 0:
			return step{state: s, reply: stanza.Subscribed}
		case s.approved: // §3.4.2: not delivered, answered
			s.sub |= storage.SubFrom
			s.in = false
			return step{state: s, reply: stanza.Subscribed}
		case !s.in:
			s.in = true
			return step{state: s, pass: true}
		}
	case stanza.Unsubscribe: // §A.3.2
		if s.in || s.sub&storage.SubFrom != 0 {
			s.sub &^= storage.SubFrom
			s.in = false
			return step{state: s, pass: true, reply: stanza.Unsubscribed}
		}
	case stanza.Subscribed: // §A.3.3
		if s.out {
			s.sub |= storage.SubTo
			s.out = false
			return step{state: s, pass: true}
		}
	case stanza.Unsubscribed: // §A.3.4
		if s.out || s.sub&storage.SubTo != 0 {
			s.sub &^= storage.SubTo
			s.out = false
			return step{state: s, pass: true}
		}
	}
	return step{state: s}
}

// isSubscription reports whether presence of this type belongs to chapter 3.
func isSubscription(t stanza.Type) bool {
	switch t {
	case stanza.Subscribe, stanza.Subscribed, stanza.Unsubscribe, stanza.Unsubscribed:
		return true
	}
	return false
}

func stateOf(i *storage.RosterItem) state {
	return state{sub: i.Sub, out: i.Ask, in: i.PendingIn != nil, approved: i.Approved}
}

// put writes the state into an item; request is the stanza to keep while it is
// pending. The first request counts (RFC 6121 §3.1.3 rule 4). A contact that has
// only asked does not appear in the owner's roster.
func (s state) put(i *storage.RosterItem, request []byte) {
	i.Sub, i.Ask, i.Approved = s.sub, s.out, s.approved
	switch {
	case !s.in:
		i.PendingIn = nil
	case i.PendingIn == nil:
		i.PendingIn = request
	}
	i.Listed = i.Listed || s.sub != storage.SubNone || s.out || s.approved
}
