package router

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/cluster"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// A run ends at the first of these (DESIGN §2: waiting for the disk).
const (
	maxRun      = 64
	maxRunBytes = 64 << 10
)

// Burst is the work of one read of one connection: its stanzas in order.
// Messages that store rows wait together for one commit and are delivered
// after it; every touched session is flushed once, by End.
type Burst struct {
	r     *Router
	batch session.Batch
	write storage.Run
	run   []*leg // messages that wait for the commit, in order
	bytes int    // of their stanzas

	free     []*leg
	sessions []session.Entry    // scratch
	lost     int                // messages left behind that could not be kept
	lostBy   error              // of the last of them
	current  *leg               // the one whose stanza Next handed out
	remote   []cluster.Delivery // for other nodes, sent by End
	origins  []*origin          // parallel to remote: the message, nil for anything else
}

// leg is a flight with what belongs to the router.
type leg struct {
	modules.Flight
	b      *Burst
	st     stanza.Stanza
	tables *modules.Tables // of the recipient's domain
	rows   []storage.Write
	copies [2]storage.Message // what Row points to, by side
	xml    [2][]byte          // what they hold
	at     int                // of the first row in the run
	h      uint32             // stanzas of the session up to this one (XEP-0198)
	after  []func()
	plan   []session.Entry // backs Planned
	missed []session.Entry // of plan: vanished before the delivery
	done   bool            // delivered: what AfterCommit took is to be called
}

// origin remembers a message that went to other nodes, for stage Missed.
type origin struct {
	from, owner jid.JID
	kept        bool         // it stands in the log
	holders     atomic.Int32 // sessions that have it or may still get it
}

// Burst begins one; it must be ended. It belongs to one goroutine.
func (r *Router) Burst() *Burst { return r.bursts.Get().(*Burst) }

// Next is the stanza to read the next element into. It and the bytes it points
// to must stay until End.
func (b *Burst) Next() *stanza.Stanza {
	if b.current == nil {
		b.current = b.take()
	}
	return &b.current.st
}

func (b *Burst) take() *leg {
	if n := len(b.free); n > 0 {
		l := b.free[n-1]
		b.free = b.free[:n-1]
		return l
	}
	l := &leg{b: b}
	l.Run = l
	return l
}

func (b *Burst) release(l *leg) {
	l.st.Reset()
	clear(l.rows)
	clear(l.after)
	clear(l.plan)
	clear(l.missed)
	for i := range l.xml {
		if cap(l.xml[i]) > maxRunBytes/maxRun*4 {
			l.xml[i] = nil
		}
	}
	*l = leg{b: b, st: l.st, rows: l.rows[:0], xml: l.xml, after: l.after[:0], plan: l.plan[:0], missed: l.missed[:0]}
	l.Run = l
	b.free = append(b.free, l)
}

// flight makes a flight that no stanza caused.
func (b *Burst) flight(ctx context.Context, s *session.Session, from jid.JID) *modules.Flight {
	l := b.take()
	l.Ctx, l.Session, l.From, l.Arrived = ctx, s, from, b.r.Now()
	return &l.Flight
}

// Stanza works on the message, presence or IQ that was read into Next. The
// sender's address has been stamped. Errors go to the sender.
func (b *Burst) Stanza(ctx context.Context, s *session.Session) {
	st := b.Next()
	if s.Stream != nil {
		s.Stream.H++
		b.current.h = s.Stream.H
	}
	if err := b.route(ctx, s, s.JID, st); err != nil {
		b.r.Log.Error("stanza failed", "account", s.JID.Bare().String(), "error", err)
	}
}

// Nonza hands the top-level element that was read into Next, which is no
// stanza, to the module that knows it. It reports false if none does.
func (b *Burst) Nonza(ctx context.Context, s *session.Session) (known bool) {
	st := b.Next()
	root := st.Root()
	fn := b.r.domains[s.JID.Domain()].Nonza(root.NS(), root.Name())
	if fn == nil {
		return false
	}
	b.endRun()
	l := b.current
	b.current = nil
	defer b.release(l)
	defer func() {
		if p := recover(); p != nil {
			b.panicked(s.JID, p)
		}
	}()
	l.Ctx, l.Session, l.From, l.Owner, l.Stanza, l.Arrived = ctx, s, s.JID, s.JID.Bare(), st, b.r.Now()
	fn(&l.Flight)
	return true
}

// route takes the stanza that was read into Next through both sides.
func (b *Burst) route(ctx context.Context, s *session.Session, from jid.JID, st *stanza.Stanza) (err error) {
	l := b.current
	b.current = nil
	l.Ctx, l.Session, l.From, l.Stanza, l.Arrived = ctx, s, from, st, b.r.Now()
	kept := false
	defer func() {
		if p := recover(); p != nil {
			b.panicked(from, p)
			b.bounce(l, stanza.InternalServerError(""))
		}
		if !kept {
			b.release(l)
		}
	}()
	if to := st.To(); to != nil {
		if s != nil && from.EqualBytes(to) {
			l.To = from
		} else if l.To, err = jid.Parse(string(to)); err != nil {
			// RFC 6120 §8.1.1: the address has to be a valid one.
			b.endRun()
			b.bounce(l, stanza.JIDMalformed(""))
			return nil
		}
	}
	switch st.Kind {
	case stanza.Message:
		b.r.stats.Messages.Add(1)
		kept = b.message(l)
	case stanza.Presence:
		b.endRun()
		b.r.stats.Presences.Add(1)
		b.presence(l)
	case stanza.IQ:
		b.endRun()
		b.r.stats.IQs.Add(1)
		b.iq(l)
	}
	return nil
}

// pass runs one stage for one side and reports whether the stanza goes on.
func (b *Burst) pass(l *leg, t *modules.Tables, s modules.Side, st modules.Stage) bool {
	module, err := t.Pass(l.Stanza.Kind, s, st, &l.Flight)
	if err == nil {
		return true
	}
	if e := b.r.verdict(&l.Flight, module, err); e != nil {
		b.bounce(l, e)
	}
	return false
}

// bounce answers the stanza with an error, unless it is one itself or an IQ
// result (RFC 6120 §8.3.1).
func (b *Burst) bounce(l *leg, e *stanza.Error) {
	st := l.Stanza
	if st.Type == stanza.ErrorType || st.Type == stanza.Result || l.Session == nil {
		return
	}
	b.r.stats.Bounces.Add(1)
	from := string(st.To())
	if from == "" {
		from = l.From.Bare().String()
	}
	b.Send(l.Session.Ref, st.BuildError(from, l.From.String(), e).Bytes())
}

// endRun commits the rows of the run and delivers its messages in order.
func (b *Burst) endRun() {
	if len(b.run) == 0 {
		return
	}
	written := len(b.write.Writes) > 0
	if written {
		b.handled(b.run[len(b.run)-1])
		b.write.InOrder = true
		b.r.Group.Join(&b.write)
		b.write.Wait()
		b.write.Turn()
	}
	run := b.run
	b.run, b.bytes = b.run[:0], 0
	for _, l := range run {
		b.guard(l, func() { b.conclude(l) })
	}
	if written {
		b.write.Done()
	}
	for i, l := range run {
		if l.done {
			b.guard(l, l.committed)
		}
		run[i] = nil
		b.release(l)
	}
	b.write.Reset()
}

// guard keeps a handler that panics behind the commit from taking the rest of the
// run from its recipients.
func (b *Burst) guard(l *leg, fn func()) {
	defer func() {
		if p := recover(); p != nil {
			b.panicked(l.From, p)
		}
	}()
	fn()
}

// handled writes how many stanzas of the sender's stream are durable with the
// run, so that a client that lost the server can be told (XEP-0198 §5).
func (b *Burst) handled(last *leg) {
	s := last.Session
	if s == nil || s.Stream == nil || s.Stream.ID == "" {
		return
	}
	b.write.Writes = append(b.write.Writes, &storage.Stream{
		ID: s.Stream.ID, Owner: s.JID.Bare(), H: last.h, Until: last.Arrived.Add(StreamMemory),
	})
}

// StreamMemory is for how long a store remembers a stream that it hears nothing
// of. A live one is written again before that.
const StreamMemory = 36 * time.Hour

// conclude delivers one message of a run, or tells the sender why not.
func (b *Burst) conclude(l *leg) {
	switch err := l.failed(b.write.Errs); {
	case err == nil:
		b.finish(l)
	case errors.Is(err, storage.ErrExists):
		b.known(l)
	default:
		b.refuse(l, err)
	}
}

func (b *Burst) panicked(from jid.JID, p any) {
	b.r.Log.Error("handler panicked", "account", from.Bare().String(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
}

// failed is the first error of the leg's rows. That the sender has the message
// already is none: the recipient may have refused it then.
func (l *leg) failed(errs []error) error {
	for i, w := range l.rows {
		err := errs[l.at+i]
		if err == nil {
			continue
		}
		if sent := l.Rows[modules.Sent]; errors.Is(err, storage.ErrExists) && w == storage.Write(sent) && sent != l.Rows[modules.Received] {
			l.Rows[modules.Sent] = nil
			continue
		}
		return err
	}
	return nil
}

// Settle finishes the run, the deliveries to other nodes and the flushes.
// After it nothing points to the bytes of the stanzas any more.
func (b *Burst) Settle() {
	b.endRun()
	if len(b.remote) > 0 {
		b.sendRemote()
	}
	b.batch.Flush()
}

// Unfinished is an element of which only the beginning has been read.
type Unfinished struct{ l *leg }

// Detach takes the stanza that Next handed out last, half read, out of the
// burst; Attach puts it into a later one.
func (b *Burst) Detach() Unfinished {
	l := b.current
	b.current = nil
	return Unfinished{l}
}

// Attach makes a half-read stanza the one that Next hands out.
func (b *Burst) Attach(u Unfinished) {
	if u.l != nil {
		u.l.b = b
		b.current = u.l
	}
}

// End settles the burst and gives it back.
func (b *Burst) End() {
	b.Settle()
	if b.current != nil {
		b.release(b.current)
		b.current = nil
	}
	b.r.bursts.Put(b)
}

// Store implements modules.Runner.
func (l *leg) Store(_ *modules.Flight, w storage.Write) { l.rows = append(l.rows, w) }

// AfterCommit implements modules.Runner.
func (l *leg) AfterCommit(_ *modules.Flight, fn func()) { l.after = append(l.after, fn) }

// Send implements modules.Runner.
func (l *leg) Send(to session.Ref, xml []byte) bool { return l.b.Send(to, xml) }

// SendRow implements modules.Runner.
func (l *leg) SendRow(to session.Ref, xml []byte, seq int64) bool { return l.b.sendRow(to, xml, seq) }

// Send queues an element in canonical form for one session on any node.
func (b *Burst) Send(to session.Ref, xml []byte) bool { return b.sendRow(to, xml, 0) }

// sendRow is Send for an element that delivers a row of the session's account; 0:
// it does not.
func (b *Burst) sendRow(to session.Ref, xml []byte, seq int64) bool {
	if to.Node != b.r.Registry.Node() {
		if b.r.node == nil {
			return false
		}
		b.remote = append(b.remote, cluster.Delivery{To: to, XML: append([]byte(nil), xml...), Seq: seq})
		b.origins = append(b.origins, nil)
		return true
	}
	s := b.r.Registry.ByRef(to)
	if s == nil || !s.Outbox.AppendRow(xml, seq) {
		return false
	}
	b.batch.Touch(s)
	return true
}

// give hands the stanza of a leg, as the Received side sees it, to a session on
// any node and reports whether it was taken, as far as is known.
func (b *Burst) give(l *leg, e session.Entry) bool {
	if e.Local == nil {
		return b.sendRow(e.Ref, l.Stanza.Emit(nil, modules.Received), l.seq(modules.Received))
	}
	if !e.Local.Outbox.AppendStanza(l.Stanza, modules.Received, l.Arrived.UnixNano(), l.seq(modules.Received)) {
		return false
	}
	b.batch.Touch(e.Local)
	return true
}

// sendRemote hands over what is for other nodes. A message that no session
// took, here or there, goes through stage Missed.
func (b *Burst) sendRemote() {
	ds, origins := b.remote, b.origins
	b.remote, b.origins = nil, nil
	for i := range ds {
		ds[i].Tag = i
	}
	b.r.node.Deliver(ds, func(d cluster.Delivery) {
		if o := origins[d.Tag]; o != nil && o.holders.Add(-1) == 0 {
			b.r.missedRemote(o, d.XML)
		}
	})
}
