// Package router takes stanzas through the stages that modules attached,
// decides who gets them (RFC 6121 §8), delivers, and answers IQs.
package router

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/cluster"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// Accounts is what the router needs to know of accounts.
type Accounts interface {
	AccountExists(ctx context.Context, user jid.JID) (bool, error)
}

// Options are the parts a Router is made of.
type Options struct {
	Log      *slog.Logger
	Now      func() time.Time
	Accounts Accounts
	Group    storage.Group // takes the rows of messages
	Registry *session.Registry
	Wheel    *session.Wheel
	MaxAsks  int // IQs of the server that may be unanswered at a time
}

// Router is the middle of a node. Domains are added before it is used.
type Router struct {
	Options
	domains map[string]*modules.Tables
	node    cluster.Node // nil: alone
	asks    asks
	bursts  sync.Pool
	stats   Stats

	invalidated map[string][]func(jid.JID)
}

// Stats counts what went through the router since the start.
type Stats struct {
	Messages, Presences, IQs, Bounces atomic.Int64
}

// New makes a router without domains.
func New(o Options) *Router {
	r := &Router{Options: o, domains: make(map[string]*modules.Tables), invalidated: make(map[string][]func(jid.JID))}
	r.asks.open = make(map[askKey]*ask)
	r.asks.limit = max(o.MaxAsks, 1)
	r.bursts.New = func() any { return &Burst{r: r} }
	return r
}

// AddDomain makes the domain a world of its own with these tables. Only before
// the first stanza.
func (r *Router) AddDomain(domain jid.JID, t *modules.Tables) { r.domains[domain.Domain()] = t }

// Join connects the router with other nodes. Only before the first stanza.
func (r *Router) Join(n cluster.Node) { r.node = n }

// Tables are those of a hosted domain, or nil.
func (r *Router) Tables(domain string) *modules.Tables { return r.domains[domain] }

// Stats are the counters.
func (r *Router) Stats() *Stats { return &r.stats }

// Hosted implements modules.Services.
func (r *Router) Hosted(domain string) bool { return r.domains[domain] != nil }

// Exists implements modules.Services.
func (r *Router) Exists(ctx context.Context, bare jid.JID) (bool, error) {
	if len(r.Registry.Sessions(bare)) > 0 {
		return true, nil
	}
	return r.Accounts.AccountExists(ctx, bare)
}

// Sessions implements modules.Services.
func (r *Router) Sessions(dst []session.Entry, bare jid.JID) []session.Entry {
	for _, s := range r.Registry.Sessions(bare) {
		dst = append(dst, s.Entry())
	}
	if r.node != nil {
		dst = r.node.Lookup(dst, bare)
	}
	return dst
}

// AllSessions appends the sessions of all accounts on all nodes to dst.
func (r *Router) AllSessions(dst []session.Entry) []session.Entry {
	r.Registry.All(func(s *session.Session) bool {
		dst = append(dst, s.Entry())
		return true
	})
	if r.node != nil {
		dst = r.node.All(dst)
	}
	return dst
}

// Send implements modules.Services.
func (r *Router) Send(to session.Ref, xml []byte) bool {
	b := r.Burst()
	defer b.End()
	return b.Send(to, xml)
}

// Route implements modules.Services: a stanza of the server itself, with from
// and to, passes all stages.
func (r *Router) Route(ctx context.Context, xml []byte) error {
	b := r.Burst()
	defer b.End()
	st := b.Next()
	if err := st.Parse(xml, stanza.Limits{}); err != nil {
		return err
	}
	from, err := jid.Parse(string(st.From()))
	if err != nil {
		return err
	}
	return b.route(ctx, nil, from, st)
}

// SetPresence implements modules.Services.
func (r *Router) SetPresence(s *session.Session, presence []byte, priority int8) {
	r.Registry.SetPresence(s, presence, priority)
}

// SetInterested implements modules.Services.
func (r *Router) SetInterested(s *session.Session) { r.Registry.SetInterested(s) }

// SetCarbons implements modules.Services.
func (r *Router) SetCarbons(s *session.Session, on bool) { r.Registry.SetCarbons(s, on) }

// Kick implements modules.Services and cluster.Receiver.
func (r *Router) Kick(ref session.Ref, cond stanza.StreamCondition, text string) {
	if s := r.Registry.ByRef(ref); s != nil {
		s.Kick(cond, text)
	} else if r.node != nil && ref.Node != r.Registry.Node() {
		r.node.Kick(ref, cond, text)
	}
}

// Settled implements modules.Services.
func (r *Router) Settled(account jid.JID) (seq int64, err error) {
	m := &storage.Mark{Owner: account.Bare()}
	run := storage.Run{Writes: []storage.Write{m}, InOrder: true}
	r.Group.Join(&run)
	run.Wait()
	run.Turn()
	run.Done()
	return m.Seq, run.Errs[0]
}

// OnInvalidate has fn called when another node drops a value of that kind.
// Only before the first stanza.
func (r *Router) OnInvalidate(kind string, fn func(jid.JID)) {
	r.invalidated[kind] = append(r.invalidated[kind], fn)
}

// Invalidate implements modules.Services.
func (r *Router) Invalidate(kind string, key jid.JID) {
	if r.node != nil {
		r.node.Invalidate(kind, key)
	}
}

// Invalidated implements cluster.Receiver.
func (r *Router) Invalidated(kind string, key jid.JID) {
	for _, fn := range r.invalidated[kind] {
		fn(key)
	}
}

// Receive implements cluster.Receiver.
func (r *Router) Receive(ds []cluster.Delivery) (gone []cluster.Delivery) {
	b := r.Burst()
	defer b.End()
	for _, d := range ds {
		s := r.Registry.ByRef(d.To)
		if s == nil || !s.Outbox.AppendRow(d.XML, d.Seq) {
			gone = append(gone, d)
			continue
		}
		b.batch.Touch(s)
	}
	return gone
}

// Fire tells the modules of the session's domain of an event; what they send
// leaves before it returns.
func (r *Router) Fire(e modules.Event, s *session.Session) {
	t := r.domains[s.JID.Domain()]
	b := r.Burst()
	defer b.End()
	f := b.flight(context.Background(), s, s.JID)
	f.Owner = s.JID.Bare()
	defer func() {
		if p := recover(); p != nil {
			b.panicked(s.JID, p)
		}
	}()
	t.Fire(e, f)
}

// verdict turns what a handler returned into what the sender gets; nil for
// Stop. A failure of the server is logged here and nowhere else.
func (r *Router) verdict(f *modules.Flight, module string, err error) *stanza.Error {
	if err == modules.Stop {
		return nil
	}
	if e, ok := errors.AsType[*stanza.Error](err); ok {
		return e
	}
	r.Log.Error("handler failed", "module", module, "account", f.Owner.String(), "error", err)
	if errors.Is(err, storage.ErrUnavailable) {
		return stanza.InternalServerError("").Wait()
	}
	return stanza.InternalServerError("")
}
