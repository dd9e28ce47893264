package router

import (
	"context"
	"fmt"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
)

// iq routes an IQ. A get or set has exactly one answer: by a module, by the
// client it was for, or an error from here (RFC 6120 §8.2.3).
func (b *Burst) iq(l *leg) {
	st := l.Stanza
	request := st.Type == stanza.Get || st.Type == stanza.Set
	if e := malformedIQ(st); e != nil {
		b.bounce(l, e)
		return
	}
	if sender := b.r.domains[l.From.Domain()]; sender != nil && l.Session != nil {
		l.Owner = l.From.Bare()
		if !b.pass(l, sender, modules.Sent, modules.Check) {
			return
		}
	}
	target := modules.Self
	if !l.To.IsZero() {
		l.tables = b.r.domains[l.To.Domain()]
		switch {
		case l.tables == nil:
			if request {
				b.bounce(l, stanza.RemoteServerNotFound(""))
			}
			return
		case l.To.IsFull() && l.To.Local() != "":
			b.toClient(l, request)
			return
		case l.To.IsFull():
			if request { // a resource of the server: there is none
				b.bounce(l, stanza.ServiceUnavailable(""))
			}
			return
		case l.To.Local() == "":
			target = modules.Server
		case l.To != l.From.Bare():
			target = modules.Account
		}
	} else {
		l.tables = b.r.domains[l.From.Domain()]
	}
	if !request {
		b.r.asks.answer(l) // an answer to a question of the server, or nothing
		return
	}
	b.serve(l, target)
}

// malformedIQ is RFC 6120 §8.2.3, rules 1, 2 and 5 (an IQ get or set has
// exactly one child).
func malformedIQ(st *stanza.Stanza) *stanza.Error {
	if st.Type != stanza.Get && st.Type != stanza.Set && st.Type != stanza.Result && st.Type != stanza.ErrorType {
		return stanza.BadRequest("unknown IQ type")
	}
	if st.Type == stanza.Result || st.Type == stanza.ErrorType {
		return nil
	}
	if len(st.ID()) == 0 {
		return stanza.BadRequest("an IQ needs an id")
	}
	payload := st.Root().First()
	if !payload.OK() || payload.Next().OK() {
		return stanza.BadRequest("an IQ get or set has exactly one child")
	}
	return nil
}

// toClient hands the IQ to the session of the full JID (RFC 6121 §8.5.3).
func (b *Burst) toClient(l *leg, request bool) {
	l.Owner = l.To.Bare()
	if request && !b.pass(l, l.tables, modules.Received, modules.Check) {
		return
	}
	l.plan = b.r.Sessions(l.plan[:0], l.Owner)
	for _, e := range l.plan {
		if e.JID != l.To {
			continue
		}
		if b.give(l, e) {
			return
		}
	}
	if request {
		b.bounce(l, stanza.ServiceUnavailable(""))
	}
}

// serve has a module answer.
func (b *Burst) serve(l *leg, target modules.Target) {
	l.Owner = l.From.Bare()
	if target == modules.Account {
		l.Owner = l.To
	}
	reply, e := b.r.serveIQ(l, target, netip.Addr{}, l.To.String())
	if e != nil {
		b.bounce(l, e)
	} else if l.Session != nil {
		b.Send(l.Session.Ref, reply.Reply.Bytes())
	}
	reply.Replied()
}

// serveIQ runs the handler and returns the request with the finished answer,
// or the error that the asker gets instead.
func (r *Router) serveIQ(l *leg, target modules.Target, addr netip.Addr, as string) (req *modules.Request, e *stanza.Error) {
	payload := l.Stanza.Root().First()
	req = &modules.Request{Flight: &l.Flight, Payload: payload, Addr: addr}
	module, fn := l.tables.IQHandler(l.Stanza.Type, target, payload.NS(), payload.Name())
	if fn == nil {
		if target == modules.Stranger {
			return req, stanza.NotAuthorized("") // RFC 6120 §8.3.3.12: log in first
		}
		return req, stanza.ServiceUnavailable("")
	}
	req.Reply = stanza.Build("iq").Attr("type", "result").Attr("id", string(l.Stanza.ID()))
	if as != "" {
		req.Reply.Attr("from", as)
	}
	if !l.From.IsZero() {
		req.Reply.Attr("to", l.From.String())
	}
	defer func() {
		if p := recover(); p != nil {
			r.Log.Error("handler panicked", "module", module, "account", l.Owner.String(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			e = stanza.InternalServerError("")
		}
	}()
	if err := fn(req); err != nil {
		if e := r.verdict(&l.Flight, module, err); e != nil {
			return req, e
		}
	}
	return req, nil
}

// Stranger answers an IQ of a client that has not logged in, such as
// registration; the answer is appended to the outbox by send.
func (r *Router) Stranger(ctx context.Context, domain jid.JID, addr netip.Addr, st *stanza.Stanza, send func(xml []byte)) {
	b := r.Burst()
	defer b.End()
	l := b.take()
	defer b.release(l)
	l.Ctx, l.Stanza, l.To, l.Owner, l.Arrived, l.tables = ctx, st, domain, domain, r.Now(), r.domains[domain.Domain()]
	e := malformedIQ(st)
	if e == nil && st.Type != stanza.Get && st.Type != stanza.Set {
		return
	}
	var req *modules.Request
	if e == nil {
		req, e = r.serveIQ(l, modules.Stranger, addr, domain.String())
	}
	if e != nil {
		send(st.BuildError(domain.String(), "", e).Bytes())
	} else {
		send(req.Reply.Bytes())
	}
	if req != nil {
		req.Replied()
	}
}

// asks are the IQs of the server that wait for an answer.
type asks struct {
	mu    sync.Mutex
	open  map[askKey]*ask
	limit int
	next  uint64
}

type askKey struct {
	to session.Ref
	id string
}

type ask struct {
	r   *Router
	key askKey
	fn  func(*stanza.Stanza)
}

// Ask implements modules.Services: fn gets the answer, or nil when none came in
// time, the session is gone or too many questions are open. The builder holds
// an IQ without id, from and to.
func (r *Router) Ask(to session.Ref, iq *stanza.Builder, timeout time.Duration, fn func(*stanza.Stanza)) {
	s := r.Registry.ByRef(to)
	r.asks.mu.Lock()
	if s == nil || len(r.asks.open) >= r.asks.limit {
		r.asks.mu.Unlock()
		fn(nil)
		return
	}
	r.asks.next++
	a := &ask{r: r, key: askKey{to, fmt.Sprintf("s%x", r.asks.next)}, fn: fn}
	r.asks.open[a.key] = a
	r.asks.mu.Unlock()

	st := new(stanza.Stanza)
	if err := st.Parse(iq.Bytes(), stanza.Limits{}); err != nil {
		panic(fmt.Sprintf("router: Ask with a malformed IQ: %v", err))
	}
	st.SetAttr(modules.Sent, "id", a.key.id)
	st.SetAttr(modules.Sent, "from", s.JID.Domain())
	st.SetAttr(modules.Sent, "to", s.JID.String())
	r.Wheel.Add(a, max(int(timeout/time.Second), 1), false)
	if !s.Outbox.AppendStanza(st, modules.Sent, 0, 0) {
		r.asks.done(a.key, nil)
		return
	}
	s.Outbox.Flush()
}

// Tick implements session.Timed: time is over.
func (a *ask) Tick(int64) int {
	a.r.asks.done(a.key, nil)
	return 0
}

func (t *asks) done(k askKey, st *stanza.Stanza) {
	t.mu.Lock()
	a := t.open[k]
	delete(t.open, k)
	t.mu.Unlock()
	if a != nil {
		a.fn(st)
	}
}

// answer takes a result or an error that a client sent to the server.
func (t *asks) answer(l *leg) {
	if l.Session != nil {
		t.done(askKey{l.Session.Ref, string(l.Stanza.ID())}, l.Stanza)
	}
}
