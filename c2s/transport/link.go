package transport

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

// link is what both transports share: the socket, TLS above it, and the burst
// that is being read.
type link struct {
	s           *sock
	o           *Options
	tls         atomic.Pointer[tls.Conn]
	handshaking atomic.Bool

	in     burst
	limits stanza.Limits
	again  bool  // the last read found nothing: Park may wait
	ended  error // what the last read brought besides bytes
	peer   netip.AddrPort
	secure bool
	// proxied: somebody else talks to the peer.
	proxied bool
}

func (l *link) init(s *sock, o *Options) {
	l.s, l.o, l.limits = s, o, o.Limits
	if a, ok := s.RemoteAddr().(*net.TCPAddr); ok {
		ap := a.AddrPort()
		l.peer = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
}

// fill reads once more into the burst.
func (l *link) fill() error {
	l.again = false
	if l.ended == nil && l.s.closing.Load() {
		l.ended = l.s.why()
	}
	if l.ended != nil {
		return l.ended
	}
	limit := l.o.Burst
	if limit == 0 {
		limit = defaultBurst
	}
	if l.in.taken >= limit {
		return ErrAgain
	}
	p := l.in.space(l.o.Buffers)
	var n int
	var err error
	switch t := l.tls.Load(); {
	case t == nil:
		n, err = l.s.Read(p)
	case l.s.empty && recordsEmpty(t):
		err = ErrAgain // as crypto/tls would say, after more work
	default:
		lendRecord(t, l.o.Buffers)
		n, err = t.Read(p)
	}
	l.in.w += n
	l.in.taken += n
	switch {
	case err == ErrAgain:
		l.again = n == 0
	case err != nil:
		if l.s.closing.Load() {
			err = l.s.why() // not what crypto/tls makes of it
		}
		l.ended = err
	}
	if n > 0 {
		return nil
	}
	return err
}

func (l *link) release() {
	l.in.release(l.o.Buffers)
	if t := l.tls.Load(); t != nil {
		releaseRecord(t, l.o.Buffers)
	}
}

// Wait waits on the caller's stack, under the same condition as Park.
func (l *link) Wait() {
	if l.again {
		l.s.wait()
	}
}

// Park waits in a new goroutine, unless bytes are known to be left.
func (l *link) Park(ready func()) { go l.park(ready) }

func (l *link) park(ready func()) {
	if l.again || l.untouched() {
		l.s.wait()
	}
	ready()
}

// untouched reports whether all that the peer has sent is still in the kernel,
// where wait looks. TLS may hold data that the socket knows nothing of.
func (l *link) untouched() bool {
	return l.tls.Load() == nil && len(l.in.rest()) == 0 && l.ended == nil && l.s.ahead == ahead{}
}

// Write sends framed bytes.
func (l *link) Write(p []byte) error {
	if l.handshaking.Load() {
		return ErrHandshaking
	}
	var err error
	if t := l.tls.Load(); t != nil {
		_, err = t.Write(p)
	} else {
		_, err = l.s.Write(p)
	}
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// Pending is the number of bytes the kernel has not taken.
func (l *link) Pending() int { return l.s.Pending() }

// OnDrained calls fn when nothing is pending any more.
func (l *link) OnDrained(fn func()) { l.s.onDrained(fn) }

// Abort closes at once.
func (l *link) Abort(cause error) { l.s.abort(cause) }

// Cut closes behind what has been written and does not end the stream.
func (l *link) Cut(cause error) { l.finish(cause) }

// finish closes in good order behind what has been written.
func (l *link) finish(cause error) {
	if l.handshaking.Load() {
		l.s.abort(cause)
		return
	}
	if t := l.tls.Load(); t != nil {
		_ = t.CloseWrite() // close_notify, behind what is pending
	}
	l.s.shutdown(cause)
}

// StartTLS runs the handshake.
func (l *link) StartTLS(cfg *tls.Config, turn Turn) error {
	if l.tls.Load() != nil {
		return ErrNoTLS
	}
	if l.s.closing.Load() {
		return l.s.why()
	}
	if len(l.in.rest()) > 0 {
		l.in.r = l.in.w
		l.s.abort(ErrClearText)
		return ErrClearText
	}
	l.release()
	l.s.quiet() // <proceed/> is out
	l.handshaking.Store(true)
	defer l.handshaking.Store(false)
	l.s.blocking.Store(true)
	conn := tls.Server(l.s, l.o.certifiers.certified(cfg))
	if err := l.handshake(conn, turn); err != nil {
		err = fmt.Errorf("tls handshake: %w", err)
		l.s.abort(err)
		return err
	}
	_ = l.s.SetDeadline(time.Time{})
	l.unblock()
	releaseRecord(conn, l.o.Buffers)
	l.tls.Store(conn)
	return nil
}

// handshake computes while it is its turn. While it waits for the peer it lets
// others go ahead, so that slow or silent peers keep nobody out.
func (l *link) handshake(conn *tls.Conn, turn Turn) error {
	if turn != nil {
		turn.Enter()
		defer turn.Leave()
	}
	l.s.turn, l.s.patience = turn, or(l.o.HandshakeTimeout, defaultHandshake)
	defer func() { l.s.turn = nil }()
	_ = l.s.SetDeadline(time.Now().Add(l.s.patience))
	return conn.Handshake()
}

// unblock ends blocking mode. Nothing is known about the socket after it.
func (l *link) unblock() {
	l.s.empty, l.again = false, false
	l.s.blocking.Store(false)
}

// TLS describes the connection's TLS.
func (l *link) TLS() *tls.ConnectionState {
	t := l.tls.Load()
	if t == nil {
		t, _ = l.s.c.(*tls.Conn) // a foreign one, below
	}
	if t == nil {
		return nil
	}
	state := t.ConnectionState()
	return &state
}

// RemoteAddr is the peer's address.
func (l *link) RemoteAddr() netip.AddrPort { return l.peer }

// Secure reports whether the path is encrypted.
func (l *link) Secure() bool {
	if l.secure || l.tls.Load() != nil {
		return true
	}
	_, below := l.s.c.(*tls.Conn)
	return below
}

// SetPeer replaces the peer's address and tells that the path is encrypted,
// for a connection that a trusted proxy has passed on. It is called before the
// connection is used.
func (l *link) SetPeer(addr netip.AddrPort, secure bool) {
	l.peer, l.secure, l.proxied = addr, secure, true
}
