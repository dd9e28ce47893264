package carbons

import (
	"slices"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
)

// copySent gives what a session has sent to the others of its account
// (XEP-0280 §8).
func (m *Module) copySent(f *modules.Flight) error {
	if eligible(modules.Sent, f) {
		m.copy(modules.Sent, f)
	}
	return nil
}

// copyReceived gives what an account has got to those of its sessions that did
// not get it (XEP-0280 §7). What somebody has sent to himself they have as a copy
// of what was sent.
func (m *Module) copyReceived(f *modules.Flight) error {
	toSelf := f.Session != nil && f.From.Bare() == f.Owner
	if !toSelf && eligible(modules.Received, f) {
		m.copy(modules.Received, f)
	}
	return nil
}

// eligible is XEP-0280 §6.1.
func eligible(side modules.Side, f *modules.Flight) bool {
	class, t := f.Stanza.Class, f.Stanza.Type
	received, peer := side == modules.Received, f.To
	if received {
		peer = f.From
	}
	if t == stanza.ErrorType { // as the message that it answers, which went the other way
		received, t = !received, answered(class, peer)
	}
	switch {
	case class.Has(stanza.Private | stanza.NoCopy), t == stanza.Groupchat:
		return false
	case class.Has(stanza.MUCUser) && peer.IsFull(): // an occupant
		return !received // the room sends it to all that have joined
	case t == stanza.Chat, class.Has(stanza.Conversational):
		return true
	}
	return t == stanza.None && class.Has(stanza.Body)
}

// answered guesses the type of the message that an error of the peer, or to it,
// answers. That message is not remembered, and an error may repeat its content,
// but never its type (RFC 6120 §8.3.1). So it was a chat, unless what is repeated
// is for rooms: a subject without a body (XEP-0045 §7.2.15), or what concerns
// them and not an occupant. A room's refusal to pass on plain text remains: it
// looks like that of an account.
func answered(class stanza.Class, peer jid.JID) stanza.Type {
	switch {
	case class.Has(stanza.Subject) && !class.Has(stanza.Body):
		return stanza.Groupchat
	case class.Has(stanza.MUCUser) && !class.Has(stanza.Invite) && !peer.IsFull():
		return stanza.Groupchat
	}
	return stanza.Chat
}

// scratch is what one call of copy writes into.
type scratch struct {
	sessions []session.Entry
	content  []byte // of all copies of a message: they differ in the addressee
	message  stanza.Builder
}

// keep is the size, in bytes, up to which a scratch is kept for later.
const keep = 16 << 10

func (m *Module) release(s *scratch) {
	if cap(s.content) <= keep {
		clear(s.sessions)
		m.scratch.Put(s)
	}
}

// copy sends copies of a message to the sessions of the owner that have neither
// sent nor got it.
func (m *Module) copy(side modules.Side, f *modules.Flight) {
	s := m.scratch.Get().(*scratch)
	defer m.release(s)
	s.sessions = m.host.Sessions(s.sessions[:0], f.Owner)
	s.content = s.content[:0]
	for i := range s.sessions {
		e := &s.sessions[i]
		if !e.Carbons || has(f, e.Ref) {
			continue
		}
		if len(s.content) == 0 {
			s.content = appendContent(s.content, side, f)
		}
		s.message.Reset()
		s.message.Open("message", "").Attr("from", f.Owner.String()).Attr("to", e.JID.String())
		if t := f.Stanza.Type.String(); t != "" {
			s.message.Attr("type", t)
		}
		f.SendCopy(side, e.Ref, s.message.Raw(s.content))
	}
}

// has reports whether a session knows the message already: it has sent it, or it
// was delivered there.
func has(f *modules.Flight, ref session.Ref) bool {
	return f.Session != nil && f.Session.Ref == ref ||
		slices.ContainsFunc(f.Planned, func(e session.Entry) bool { return e.Ref == ref })
}

// appendContent appends the message as the side sees it, wrapped.
func appendContent(dst []byte, side modules.Side, f *modules.Flight) []byte {
	name := "received"
	if side == modules.Sent {
		name = "sent"
		if f.Stanza.To() == nil { // a copy stands alone
			f.Stanza.SetAttr(modules.Sent, "to", f.To.String())
		}
	}
	dst = slices.Grow(dst, f.Stanza.Size()+128)
	dst = append(append(append(dst, '<'), name...), " xmlns='"+ns+"'><forwarded xmlns='urn:xmpp:forward:0'>"...)
	dst = f.Stanza.EmitForwarded(dst, side)
	return append(append(append(dst, "</forwarded></"...), name...), '>')
}
