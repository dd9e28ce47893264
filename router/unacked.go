package router

import (
	"context"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
)

// leftover is what happens to a stanza that a session leaves behind without its
// client having confirmed it (XEP-0198 §4).
type leftover uint8

const (
	forgotten  leftover = iota // dropped without a word
	unanswered                 // the requester gets service-unavailable
	handedOn                   // to a session that has not had it, or kept for later
)

// leftovers is the table of that, by kind and type.
var leftovers = map[stanza.Kind]map[stanza.Type]leftover{
	stanza.IQ: {
		stanza.Get: unanswered, stanza.Set: unanswered,
		stanza.Result: forgotten, stanza.ErrorType: forgotten,
	},
	stanza.Message: {
		stanza.None: handedOn, stanza.Chat: handedOn,
		stanza.Groupchat: forgotten, stanza.Headline: forgotten, stanza.ErrorType: forgotten,
	},
	stanza.Presence: {}, // forgotten, whatever its type
}

// leftoverOf looks at what the table's types do not tell: a copy or an event, and
// whatever else comes from the account itself, such as the answer to a query, is
// there for this session alone, and what stands in the log of the account comes
// from there again.
func leftoverOf(s *session.Session, st *stanza.Stanza, p session.Pending) leftover {
	if p.Seq != 0 || st.Class.Has(stanza.PEPEvent|stanza.Carbon|stanza.Archive) || s.JID.Bare().EqualBytes(st.From()) {
		return forgotten
	}
	return leftovers[st.Kind][st.Type]
}

// Unacked deals with what a session leaves behind whose client may not have got
// it. The session is still in the registry.
func (r *Router) Unacked(s *session.Session, list []session.Pending) {
	b := r.Burst()
	defer b.End()
	for _, p := range list {
		b.unacked(s, p)
	}
	b.endRun()
	if b.lost > 0 {
		r.Log.Warn("messages lost that a session left behind", "account", s.JID.Bare().String(), "messages", b.lost, "error", b.lostBy)
		b.lost, b.lostBy = 0, nil
	}
}

// unacked deals with one stanza. A handler that panics does not keep the others
// from their recipients.
func (b *Burst) unacked(s *session.Session, p session.Pending) {
	l, kept := b.take(), false
	defer func() {
		if p := recover(); p != nil {
			b.panicked(s.JID, p)
		}
		if !kept { // else released with the run
			b.release(l)
		}
	}()
	if err := l.st.Reparse([]byte(p.XML)); err != nil {
		b.r.Log.Error("unacknowledged stanza lost", "account", s.JID.Bare().String(), "error", err)
		return
	}
	l.Ctx, l.Stanza, l.Owner, l.Arrived = context.Background(), &l.st, s.JID.Bare(), time.Unix(0, p.At)
	l.tables = b.r.domains[s.JID.Domain()]
	switch leftoverOf(s, &l.st, p) {
	case unanswered:
		b.unanswered(l, s)
	case handedOn:
		kept = b.handOn(l, s, p.XML)
	}
}

// unanswered tells who asked that nobody will answer.
func (b *Burst) unanswered(l *leg, s *session.Session) {
	from, err := jid.Parse(string(l.st.From()))
	if err != nil || !from.IsFull() || from.Local() == "" {
		return // the server itself, or the account: nobody waits
	}
	answer := l.st.BuildError(s.JID.String(), from.String(), stanza.ServiceUnavailable("")).Bytes()
	b.sessions = b.r.Sessions(b.sessions[:0], from.Bare())
	for _, e := range b.sessions {
		if e.JID == from {
			b.Send(e.Ref, answer)
		}
	}
	clear(b.sessions)
}

// handOn gives a message to the sessions of the account that have not had it.
// If there is none, and none that has had it, the message is kept. It reports
// whether the message waits for a commit. The sender hears nothing: it was told
// long ago that the message has been taken.
func (b *Burst) handOn(l *leg, s *session.Session, xml string) (kept bool) {
	l.From, _ = jid.Parse(string(l.st.From()))
	l.To = s.JID
	if to, err := jid.Parse(string(l.st.To())); err == nil {
		l.To = to
	} else if l.From.Bare() == s.JID.Bare() {
		l.To = l.From.Bare() // RFC 6120 §10.3.1
	}
	domain := s.JID.DomainJID()
	if !b.pass(l, l.tables, modules.Received, modules.Check) {
		return false // the account has blocked the sender since
	}
	l.st.CutDelay(domain)
	at, had := l.Arrived.UnixNano(), false
	l.plan = b.r.Sessions(l.plan[:0], l.Owner)
	n := 0
	for _, e := range l.plan {
		switch {
		case e.Ref == s.Ref:
		case hasHad(e, &l.st, l.To == s.JID, at):
			had = true
		case e.TakesBareMessages():
			l.plan[n] = e
			n++
		}
	}
	l.plan = l.plan[:n]
	if n > 0 {
		l.st.Append(modules.Received, stanza.AppendDelay(nil, domain, l.Arrived))
		if b.deliver(l) {
			return false
		}
		// They have ended meanwhile: without the mark that was for them.
		l.st.Reset()
		if l.st.Reparse([]byte(xml)) == nil {
			l.st.CutDelay(domain)
		}
	}
	if had {
		return false
	}
	l.Absent, l.Owed = true, true
	if !b.archive(l, l.tables, modules.Received) || len(l.rows) == 0 {
		return false
	}
	l.at = len(b.write.Writes)
	b.write.Writes = append(b.write.Writes, l.rows...)
	l.plan = l.plan[:0]
	b.run = append(b.run, l)
	if len(b.run) >= maxRun {
		b.endRun()
	}
	return true
}

// hasHad reports whether a session got the message, or a carbon of it, when it
// arrived. exact: it was for the full JID of the session that leaves it.
func hasHad(e session.Entry, st *stanza.Stanza, exact bool, at int64) bool {
	if !exact && e.Takes != 0 && e.Takes < at {
		return true
	}
	return e.HasCopy(st, at)
}

// deliver hands a message to the planned sessions and reports whether one of them
// took it.
func (b *Burst) deliver(l *leg) (taken bool) {
	for _, e := range l.plan {
		taken = b.give(l, e) || taken
	}
	return taken
}
