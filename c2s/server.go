// Package c2s serves clients: it accepts their connections, negotiates the
// stream (RFC 6120, RFC 7395), binds a session and reads its stanzas into the
// router, burst by burst.
package c2s

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/c2s/transport"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/router"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
)

// Options are the parts of a Server.
type Options struct {
	Log      *slog.Logger
	Config   func() *config.Config // the present one; it changes with a reload
	Router   *router.Router
	Registry *session.Registry
	Auth     *auth.Backend
	Wheel    *session.Wheel
	Store    Store
	Now      func() time.Time
	TLS      *tls.Config // with GetCertificate, for STARTTLS and direct TLS
	// IdleSeconds is announced to clients (XEP-0478); 0: nothing is.
	IdleSeconds int
}

// Server is the client side of a node.
type Server struct {
	Options
	chunks    *session.Chunks
	streams   streams
	gate      *gate
	transport transport.Options
	tlsPlain  *tls.Config // STARTTLS
	tlsDirect *tls.Config // ALPN xmpp-client

	mu      sync.Mutex
	conns   map[*conn]struct{}
	byAddr  map[netip.Addr]int
	closing bool
	parting sync.WaitGroup // sessions that end without a connection
	strange atomic.Int64   // connections that have not logged in
	stats   Stats
}

// Stats counts connections since the start.
type Stats struct {
	Accepted, Refused, Logins, LoginFailures, Resumed atomic.Int64
	mu                                                sync.Mutex
	closed                                            map[string]int64 // by reason
}

// ClosedBy returns how many connections ended for which reason.
func (s *Stats) ClosedBy() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]int64, len(s.closed))
	for k, v := range s.closed {
		out[k] = v
	}
	return out
}

func (s *Stats) count(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed == nil {
		s.closed = make(map[string]int64)
	}
	s.closed[reason]++
}

// New makes a server that does not listen yet.
func New(o Options) *Server {
	cfg := o.Config()
	s := &Server{
		Options: o,
		chunks:  session.NewChunks(int64(cfg.Limits.OutboxBytesTotal)),
		conns:   make(map[*conn]struct{}),
		byAddr:  make(map[netip.Addr]int),
	}
	s.gate = newGate(handshakes(cfg.Limits.Handshakes), func() int { return o.Config().Limits.LoginsWaiting })
	s.transport = transport.Options{
		Buffers:    new(transport.Buffers),
		Limits:     s.strangerLimits(),
		WriteStall: cfg.Limits.WriteStall,
		HTTPS:      https{s.gate},
	}
	s.Wheel.Add(sweeper{s}, sweepInterval, true)
	s.tlsPlain = o.TLS.Clone()
	s.tlsPlain.DynamicRecordSizingDisabled = true
	s.tlsDirect = s.tlsPlain.Clone()
	s.tlsDirect.NextProtos = []string{"xmpp-client"} // XEP-0368
	return s
}

// handshakes is limits.handshakes: 0 stands for one per core.
func handshakes(configured int) int {
	if configured > 0 {
		return configured
	}
	return runtime.GOMAXPROCS(0)
}

// Reloaded applies what a new configuration changes here; everything else is
// asked for when it is needed.
func (s *Server) Reloaded() { s.chunks.SetLimit(int64(s.Config().Limits.OutboxBytesTotal)) }

// Stats are the counters.
func (s *Server) Stats() *Stats { return &s.stats }

// Connections is the number of open connections, and of those without a session.
func (s *Server) Connections() (open, strangers int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns), int(s.strange.Load())
}

// Queued is the number of bytes that wait for clients.
func (s *Server) Queued() int64 { return s.chunks.Total() }

// strangerLimits hold before the login. An unfinished element keeps its index,
// which is many times larger than its bytes if these are all tags.
func (s *Server) strangerLimits() stanza.Limits {
	const elements, attributes = 128, 32 // the largest form for a new account has some 40 elements
	l := s.limits(int(s.Config().Limits.StanzaBytesBeforeLogin))
	l.Elements, l.Attrs = min(l.Elements, elements), min(l.Attrs, attributes)
	return l
}

func (s *Server) limits(bytes int) stanza.Limits {
	l := s.Config().Limits
	return stanza.Limits{Bytes: bytes, Depth: l.Depth, Attrs: l.Attributes, Elements: l.Elements}
}

var (
	errTooMany     = errors.New("too many connections")
	errTooManyHere = errors.New("too many connections from this address")
	errBusy        = errors.New("too many clients at once")
	errStopping    = errors.New("server is stopping")
	errTimeOver    = errors.New("the client did not resume in time")
)

// admit enters a connection into the books, or says why not.
func (s *Server) admit(c *conn) error {
	l := s.Config().Limits
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		return errStopping
	case len(s.conns) >= l.Connections, s.strange.Load() >= int64(l.ConnectionsBeforeLogin):
		return errTooMany
	case l.ConnectionsPerAddress > 0 && s.byAddr[network(c.addr)] >= l.ConnectionsPerAddress && !s.many(c.addr):
		return errTooManyHere
	}
	s.conns[c] = struct{}{}
	s.byAddr[network(c.addr)]++
	s.strange.Add(1)
	return nil
}

// network is what counts as one address: whoever has one of an IPv6 network has
// all of them.
func network(a netip.Addr) netip.Addr {
	if a.Is4() || !a.IsValid() {
		return a
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}

// many reports whether an address stands for many clients: the loopback, or a
// trusted proxy that did not say whose connection it is.
func (s *Server) many(a netip.Addr) bool {
	return a.IsLoopback() || slices.ContainsFunc(s.Config().HTTP.TrustedPrefixes(), func(p netip.Prefix) bool { return p.Contains(a) })
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.conns[c]; !ok {
		return
	}
	delete(s.conns, c)
	from := network(c.addr)
	if s.byAddr[from]--; s.byAddr[from] <= 0 {
		delete(s.byAddr, from)
	}
	if !c.loggedIn {
		s.strange.Add(-1)
	}
}

// Shutdown keeps the sessions that can be resumed for the next start, tells
// every other client system-shutdown and waits until their connections have
// ended and what follows has been done. When the context ends before that the
// rest is cut off; the error is the context's, for connections that have not even
// ended then. Listeners must have been closed before.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	all := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		all = append(all, c)
	}
	s.mu.Unlock()
	// First the others: those who stay hear that they have gone.
	resumable := s.streams.all()
	stay := make(map[*session.Outbox]bool, len(resumable))
	for _, r := range resumable {
		stay[r.session.Outbox] = true
	}
	// A connection may have lost its session a moment ago: its outbox is the session's.
	leave := slices.DeleteFunc(slices.Clone(all), func(c *conn) bool { return stay[c.outbox()] })
	for _, c := range leave {
		c.end(&stanza.StreamError{Condition: stanza.StreamSystemShutdown})
	}
	first, cancel := share(ctx)
	defer cancel()
	if !ended(first, leave) {
		s.Log.Warn("clients cut off that did not read the end of their stream in time")
		for _, c := range leave {
			c.outbox().Abort(errStopping)
		}
	}
	if err := s.keep(ctx, resumable); err != nil {
		s.Log.Error("sessions lost that could have been resumed", "error", err)
	}
	parted := make(chan struct{})
	go func() {
		s.parting.Wait() // what they leave behind has found its place
		close(parted)
	}()
	select {
	case <-parted:
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), cutOff)
	defer cancel()
	if ended(last, all) {
		return nil
	}
	return ctx.Err()
}

// cutOff is how long a connection may take to end once its socket is closed.
const cutOff = 2 * time.Second

// ended waits for connections and reports whether all have ended in time.
func ended(ctx context.Context, all []*conn) bool {
	for _, c := range all {
		select {
		case <-c.gone:
		case <-ctx.Done():
			return false
		}
	}
	return true
}
