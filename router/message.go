package router

import (
	"context"
	"errors"
	"slices"

	"github.com/xmppd/xmppd/cluster"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// fate is what happens to a message (RFC 6121 §8.5.4).
type fate uint8

const (
	silence fate = iota // dropped without a word
	refusal             // service-unavailable to the sender
	exact               // to the session of the full JID
	open                // to all sessions of non-negative priority
	absent              // nobody takes it now: kept for later
)

// address is how a message names its recipient.
type address uint8

const (
	bareAddress address = iota
	fullMatch           // a session has the full JID
	fullMiss            // none has
)

// presence of the recipient's account.
type attendance uint8

const (
	noAccount attendance = iota
	nobody               // no session that takes messages to the bare JID
	somebody
)

// fates is Table 1 of RFC 6121 §8.5.4. Of the options it leaves, this server
// bounces what it does not deliver, keeps chat and normal messages for later
// and delivers chat messages to all sessions of non-negative priority.
var fates = map[stanza.Type][3][3]fate{ // by address, attendance
	stanza.None: {
		bareAddress: {noAccount: refusal, nobody: absent, somebody: open},
		fullMatch:   {noAccount: refusal, nobody: exact, somebody: exact},
		fullMiss:    {noAccount: refusal, nobody: refusal, somebody: refusal},
	},
	stanza.Chat: {
		bareAddress: {noAccount: refusal, nobody: absent, somebody: open},
		fullMatch:   {noAccount: refusal, nobody: exact, somebody: exact},
		fullMiss:    {noAccount: refusal, nobody: absent, somebody: open},
	},
	stanza.Groupchat: {
		bareAddress: {noAccount: refusal, nobody: refusal, somebody: refusal},
		fullMatch:   {noAccount: refusal, nobody: exact, somebody: exact},
		fullMiss:    {noAccount: refusal, nobody: refusal, somebody: refusal},
	},
	stanza.Headline: {
		bareAddress: {noAccount: silence, nobody: silence, somebody: open},
		fullMatch:   {noAccount: silence, nobody: exact, somebody: exact},
		fullMiss:    {noAccount: silence, nobody: silence, somebody: silence},
	},
	stanza.ErrorType: {
		bareAddress: {noAccount: silence, nobody: silence, somebody: silence},
		fullMatch:   {noAccount: silence, nobody: exact, somebody: exact},
		fullMiss:    {noAccount: silence, nobody: silence, somebody: silence},
	},
}

// message works a message up to stage Archive. It reports true if it waits
// for the run's commit.
func (b *Burst) message(l *leg) (kept bool) {
	if l.To.IsZero() {
		l.To = l.From.Bare() // RFC 6120 §10.3.1: as if to the own bare JID
	}
	if sender := b.r.domains[l.From.Domain()]; sender != nil && l.Session != nil {
		l.Owner = l.From.Bare()
		if !b.pass(l, sender, modules.Sent, modules.Check) || !b.pass(l, sender, modules.Sent, modules.Amend) ||
			!b.archive(l, sender, modules.Sent) {
			return false
		}
	}
	if !b.receive(l) {
		return false
	}
	if l.Rows[modules.Received] != nil && l.From.Bare() == l.To.Bare() {
		l.Rows[modules.Sent] = l.Rows[modules.Received]
	}
	if len(b.run) == 0 && len(l.rows) == 0 {
		b.finish(l)
		l.committed()
		return false
	}
	if b.overtakes(l) {
		b.endRun()
	}
	l.at = len(b.write.Writes)
	b.write.Writes = append(b.write.Writes, l.rows...)
	b.run = append(b.run, l)
	b.bytes += l.st.Size()
	if len(b.run) >= maxRun || b.bytes >= maxRunBytes {
		b.endRun()
	}
	return true
}

// overtakes reports whether the run holds a message that waits for the recipient of
// this one, who has come meanwhile: it is delivered behind the run.
func (b *Burst) overtakes(l *leg) bool {
	return !l.Absent && slices.ContainsFunc(b.run, func(e *leg) bool { return e.Absent && e.To.Bare() == l.To.Bare() })
}

// receive runs the Received side up to Archive and reports whether the message
// goes on.
func (b *Burst) receive(l *leg) bool {
	l.tables = b.r.domains[l.To.Domain()]
	switch {
	case l.tables == nil:
		b.bounce(l, stanza.RemoteServerNotFound(""))
		return false
	case l.To.Local() == "":
		b.toServer(l)
		return false
	}
	l.Owner, l.Stored = l.To.Bare(), false
	if !b.pass(l, l.tables, modules.Received, modules.Check) || !b.pass(l, l.tables, modules.Received, modules.Amend) {
		return false
	}
	switch b.plan(l) {
	case silence:
		return false
	case refusal:
		b.bounce(l, stanza.ServiceUnavailable(""))
		return false
	}
	if !b.archive(l, l.tables, modules.Received) {
		return false
	}
	if l.Absent && !l.Stored {
		b.bounce(l, stanza.ServiceUnavailable(""))
		return false
	}
	return true
}

// archive runs stage Archive and makes the row that the account of the pass keeps.
func (b *Burst) archive(l *leg, t *modules.Tables, s modules.Side) bool {
	l.Row = &l.copies[s]
	*l.Row = storage.Message{}
	if !b.pass(l, t, s, modules.Archive) {
		return false
	}
	if l.Row.Flags.Has(storage.Archived | storage.Waiting) {
		b.keep(l, s)
	}
	return true
}

// keep completes the row of a side and stores it.
func (b *Burst) keep(l *leg, s modules.Side) {
	row := l.Row
	row.Owner, row.Peer, row.Arrived = l.Owner, l.From, l.Arrived
	if s == modules.Sent {
		row.Peer = l.To
		row.Flags |= storage.FromOwner
	} else {
		l.Stored = true
	}
	if l.Stanza.To() == nil { // a row stands alone
		l.Stanza.SetAttr(s, "to", l.To.String())
	}
	l.xml[s] = l.Stanza.Emit(l.xml[s][:0], s)
	row.XML = l.xml[s]
	l.Rows[s] = row
	if sent := l.Rows[modules.Sent]; s == modules.Received && sent != nil {
		// What the recipient's row is refused for, the sender is told: it was not sent.
		sent.After = row
		l.rows = slices.Insert(l.rows, 0, storage.Write(row))
		return
	}
	l.rows = append(l.rows, row)
}

// seq is the row of a side; 0: none.
func (l *leg) seq(s modules.Side) int64 {
	if row := l.Rows[s]; row != nil {
		return row.Seq
	}
	return 0
}

// toServer is a message to the domain itself: nobody reads it (RFC 6120
// §10.5.2 leaves the choice to the server).
func (b *Burst) toServer(l *leg) {
	if l.Stanza.Type == stanza.None || l.Stanza.Type == stanza.Chat || l.Stanza.Type == stanza.Groupchat {
		b.bounce(l, stanza.ServiceUnavailable(""))
	}
}

// plan decides who gets the message: it fills Planned and Absent.
func (b *Burst) plan(l *leg) fate {
	l.plan = b.r.Sessions(l.plan[:0], l.Owner)
	where, who := bareAddress, nobody
	if l.To.IsFull() {
		where = fullMiss
	}
	match := -1
	for i := range l.plan {
		if where != bareAddress && l.plan[i].JID == l.To {
			where, match = fullMatch, i
		}
		if l.plan[i].TakesBareMessages() {
			who = somebody
		}
	}
	if len(l.plan) == 0 {
		ok, err := b.r.Accounts.AccountExists(l.Ctx, l.Owner)
		if err != nil {
			b.bounce(l, b.r.verdict(&l.Flight, "router", err))
			return silence
		}
		if !ok {
			who = noAccount
		}
	}
	kind, ok := fates[l.Stanza.Type]
	if !ok {
		kind = fates[stanza.None]
	}
	f := kind[where][who]
	l.Absent = f == absent
	switch f {
	case exact:
		l.plan[0] = l.plan[match]
		l.plan = l.plan[:1]
	case open:
		n := 0
		for _, e := range l.plan {
			if e.TakesBareMessages() {
				l.plan[n] = e
				n++
			}
		}
		l.plan = l.plan[:n]
	default:
		l.plan = l.plan[:0]
	}
	l.Planned = l.plan
	return f
}

// finish delivers a message whose rows are durable and runs what follows.
func (b *Burst) finish(l *leg) {
	l.done = true
	b.stamp(l)
	var o *origin
	missed := l.missed[:0]
	for _, e := range l.plan {
		switch {
		case e.Local == nil:
			if o == nil {
				o = &origin{from: l.From, owner: l.To.Bare(), kept: l.Rows[modules.Received] != nil}
			}
			b.remote = append(b.remote, cluster.Delivery{To: e.Ref, XML: l.Stanza.Emit(nil, modules.Received), Seq: l.seq(modules.Received)})
			b.origins = append(b.origins, o)
		case !e.Local.Outbox.AppendStanza(l.Stanza, modules.Received, l.Arrived.UnixNano(), l.seq(modules.Received)):
			missed = append(missed, e)
			continue
		default:
			b.batch.Touch(e.Local)
		}
		l.plan[l.Delivered] = e
		l.Delivered++
	}
	got := l.plan[:l.Delivered]
	if o != nil {
		o.holders.Store(int32(l.Delivered))
	}
	if l.missed = missed; len(missed) > 0 {
		l.Planned = missed
		b.missed(l)
	}
	if l.Planned = got; l.Owed {
		return
	}
	if sender := b.r.domains[l.From.Domain()]; sender != nil && l.Session != nil {
		l.Owner = l.From.Bare()
		b.after(l, sender, modules.Sent, modules.Copy)
	}
	l.Owner = l.To.Bare()
	b.after(l, l.tables, modules.Received, modules.Copy)
}

// stamp runs stage Stamp on the sides that have a row.
func (b *Burst) stamp(l *leg) {
	if sender := b.r.domains[l.From.Domain()]; sender != nil && l.Rows[modules.Sent] != nil {
		l.Owner = l.From.Bare()
		b.after(l, sender, modules.Sent, modules.Stamp)
	}
	if l.Rows[modules.Received] != nil {
		l.Owner = l.To.Bare()
		b.after(l, l.tables, modules.Received, modules.Stamp)
	}
}

// after runs a stage behind the commit: what fails now is no longer the sender's
// business.
func (b *Burst) after(l *leg, t *modules.Tables, s modules.Side, st modules.Stage) {
	if module, err := t.Pass(stanza.Message, s, st, &l.Flight); err != nil {
		b.r.verdict(&l.Flight, module, err)
	}
}

// committed calls what AfterCommit took.
func (l *leg) committed() {
	for _, fn := range l.after {
		fn()
	}
}

// missed is for planned sessions that vanished: what stands in the log comes from
// there; else, if the message can be kept, it is. If nobody got it and it is not
// kept the sender is told.
func (b *Burst) missed(l *leg) {
	l.Owner, l.rows = l.To.Bare(), l.rows[:0]
	l.Row = &l.copies[modules.Received]
	if l.Stored = l.Rows[modules.Received] != nil; !l.Stored {
		*l.Row = storage.Message{}
	}
	if !b.pass(l, l.tables, modules.Received, modules.Missed) {
		return
	}
	if !l.Stored && l.Row.Flags.Has(storage.Waiting) {
		b.keep(l, modules.Received)
	}
	if !l.Stored && l.Delivered == 0 {
		b.bounce(l, stanza.ServiceUnavailable(""))
	}
	if len(l.rows) == 0 {
		return
	}
	run := storage.Run{Writes: l.rows}
	b.r.Group.Join(&run)
	run.Wait()
	if err := errors.Join(run.Errs...); err != nil {
		b.refuse(l, err)
	}
	l.rows = l.rows[:0]
}

// missedRemote does the same for a message that other nodes could not queue.
// Its sender is told of an error if it is still there.
func (r *Router) missedRemote(o *origin, xml []byte) {
	b := r.Burst()
	defer b.End()
	l := b.take()
	defer b.release(l)
	if err := l.st.Reparse(xml); err != nil {
		r.Log.Error("stanza failed", "account", o.owner.String(), "error", err)
		return
	}
	to, err := jid.Parse(string(l.st.To()))
	if err != nil {
		to = o.owner
	}
	l.Ctx, l.From, l.To, l.Stanza, l.Arrived = context.Background(), o.from, to, &l.st, r.Now()
	l.tables = r.domains[o.owner.Domain()]
	if o.kept {
		l.Rows[modules.Received] = &l.copies[modules.Received]
	}
	for _, s := range r.Registry.Sessions(o.from.Bare()) {
		if s.JID == o.from {
			l.Session = s
		}
	}
	b.missed(l)
	l.committed()
}

// known is for a message that stands in the log of its recipient already: the sender
// did not know that it had been taken. If nobody has got it yet it comes from there.
func (b *Burst) known(l *leg) {
	l.plan, l.done = l.plan[:0], true
	l.Planned = l.plan
	b.missed(l)
}

// refuse answers a message whose rows could not be written.
func (b *Burst) refuse(l *leg, err error) {
	if l.Owed {
		b.lost, b.lostBy = b.lost+1, err // nobody to tell; see Unacked
		return
	}
	if errors.Is(err, storage.ErrTooMany) || errors.Is(err, storage.ErrNotFound) {
		// XEP-0160 §3: the queue of the recipient is full, or the account has been
		// removed meanwhile.
		b.bounce(l, stanza.ServiceUnavailable(""))
		return
	}
	if e := b.r.verdict(&l.Flight, "storage", err); e != nil {
		b.bounce(l, e.Wait())
	}
}
