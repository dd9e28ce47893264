package router

import (
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
)

// presence takes presence through both sides. Without an addressee it is for
// the module that broadcasts; what no module consumed and no session takes is
// dropped (RFC 6121 §8.5).
func (b *Burst) presence(l *leg) {
	if l.Stanza.Type == stanza.InvalidType {
		b.bounce(l, stanza.BadRequest("unknown presence type")) // RFC 6121 §4.7.1
		return
	}
	if sender := b.r.domains[l.From.Domain()]; sender != nil && l.Session != nil {
		l.Owner = l.From.Bare()
		if !b.pass(l, sender, modules.Sent, modules.Check) || !b.pass(l, sender, modules.Sent, modules.Amend) {
			return
		}
	}
	if l.To.IsZero() {
		return
	}
	l.tables = b.r.domains[l.To.Domain()]
	if l.tables == nil {
		b.bounce(l, stanza.RemoteServerNotFound(""))
		return
	}
	l.Owner = l.To.Bare()
	if !b.pass(l, l.tables, modules.Received, modules.Check) || !b.pass(l, l.tables, modules.Received, modules.Amend) {
		return
	}
	if l.To.Local() == "" {
		return
	}
	l.plan = b.r.Sessions(l.plan[:0], l.Owner)
	for _, e := range l.plan {
		if takesPresence(l, e) {
			b.give(l, e)
		}
	}
}

// takesPresence is RFC 6121 §8.5.2.1.2 and §8.5.3.1.
func takesPresence(l *leg, e session.Entry) bool {
	if l.To.IsFull() {
		return e.JID == l.To
	}
	return e.Available && l.Stanza.Type != stanza.ErrorType
}
