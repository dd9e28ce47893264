package transport

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// maxPending bounds what may pile up behind a stalled write besides what the
// caller gave in one Write: alerts, key updates, pongs.
const maxPending = 1 << 20

// sock is the net.Conn below TLS and above the kernel. It neither waits in Read
// nor in Write, unless it is in blocking mode (TLS handshakes, net/http before
// the upgrade), where it passes everything on.
//
// Over a connection without a file descriptor to look at (a pipe, a foreign
// TLS connection, another system) the parked goroutine reads and the draining
// one writes; callers see no difference.
type sock struct {
	c        net.Conn
	rc       syscall.RawConn // nil: without descriptor
	o        *Options
	blocking atomic.Bool
	closing  atomic.Bool // set once, under mu
	held     atomic.Bool // a place of Options.HTTPS

	// Of the reading goroutine.
	turn     Turn          // during a handshake, which holds a place
	patience time.Duration // what is left of the time for it
	leaf     []byte        // the certificate that the peer was given, in DER
	read     attempt
	peek     func(uintptr) bool
	peeked   bool
	empty    bool // the last read got less than it asked for: nothing is left
	ahead    ahead

	mu       sync.Mutex
	cause    error // why closing is set
	closed   bool  // c.Close has been called
	parked   bool
	unparked chan struct{} // closed when the parked goroutine has left; made by shutdown
	until    time.Time     // end of lingering
	write    attempt
	pending  []byte
	idle     chan struct{} // not nil while drain runs; closed at its end
	drained  func()
}

// attempt is one try of a system call and its result. Its function is made
// once, because a closure that goes through syscall.RawConn lies on the heap.
type attempt struct {
	fn  func(uintptr)
	buf []byte
	n   int
	err error
}

// ahead is what the parked goroutine read from a connection without descriptor.
type ahead struct {
	buf  *buffer
	r, w int
	err  error
}

func newSock(c net.Conn, o *Options) *sock {
	s := &sock{c: c, o: o, rc: rawConn(c)}
	if s.rc != nil {
		s.prepare()
	}
	return s
}

// Read is a net.Conn's; it returns ErrAgain instead of waiting.
func (s *sock) Read(p []byte) (int, error) {
	if s.blocking.Load() {
		if n, err := s.take(p); n > 0 || err != ErrAgain {
			return n, err
		}
		return s.letGo(p)
	}
	if s.closing.Load() {
		return 0, s.why()
	}
	if s.rc == nil {
		return s.take(p)
	}
	if s.empty {
		return 0, ErrAgain
	}
	n, err := s.try(&s.read, p)
	if err == nil && n == 0 {
		return 0, io.EOF
	}
	// A short read has emptied the socket; what comes later wakes Park.
	s.empty = err == nil && n < len(p)
	return n, err
}

// hold takes a place for a handshake that net/http runs, once the peer's hello is
// there; the next read, or the end of the connection, gives it back.
func (s *sock) hold() {
	if s.turn == nil && s.o.HTTPS != nil {
		s.o.HTTPS.Enter()
		s.held.Store(true)
	}
}

// letOthers gives the place of hold back.
func (s *sock) letOthers() {
	if s.held.Swap(false) {
		s.o.HTTPS.Leave()
	}
}

// letGo reads during a handshake. The peer is computing, not we: others may have
// the place; and the time until it is our turn again is not the peer's.
func (s *sock) letGo(p []byte) (int, error) {
	if s.turn == nil {
		s.letOthers()
		return s.c.Read(p)
	}
	began := time.Now()
	s.turn.Leave()
	n, err := s.c.Read(p)
	s.patience -= time.Since(began)
	s.turn.Enter()
	_ = s.SetDeadline(time.Now().Add(s.patience))
	return n, err
}

// take returns what the parked goroutine has read.
func (s *sock) take(p []byte) (int, error) {
	a := &s.ahead
	if a.r < a.w {
		n := copy(p, a.buf.b[a.r:a.w])
		if a.r += n; a.r == a.w {
			s.o.Buffers.put(a.buf)
			a.buf, a.r, a.w = nil, 0, 0
		}
		return n, nil
	}
	if a.err != nil {
		return 0, a.err
	}
	return 0, ErrAgain
}

// wait returns when there is something to read or the connection is closing.
// Its stack is what an idle connection costs.
func (s *sock) wait() {
	s.mu.Lock()
	if s.closing.Load() {
		s.mu.Unlock()
		s.empty = false // the next Read says why
		return
	}
	s.parked = true
	s.mu.Unlock()
	if s.rc != nil {
		s.peeked = false
		_ = s.rc.Read(s.peek) // an error shows in the next Read
		s.empty = false
	} else {
		s.readAhead()
	}
	s.mu.Lock()
	s.parked = false
	if s.unparked != nil {
		close(s.unparked)
	}
	s.mu.Unlock()
}

func (s *sock) readAhead() {
	b := s.o.Buffers.get(classes[startClass])
	n, err := s.c.Read(b.b)
	s.ahead = ahead{buf: b, w: n, err: err}
	if n == 0 {
		s.o.Buffers.put(b)
		s.ahead.buf = nil
	}
}

// Write is a net.Conn's; it takes everything and keeps what the kernel does not
// want yet.
func (s *sock) Write(p []byte) (int, error) {
	if s.blocking.Load() {
		return s.c.Write(p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		return 0, s.cause
	}
	n := 0
	if len(s.pending) == 0 && s.rc != nil {
		var err error
		if n, err = s.try(&s.write, p); err != nil && err != ErrAgain {
			return n, err
		}
	}
	if n == len(p) {
		return n, nil
	}
	if len(s.pending) > maxPending {
		return n, ErrWriteStall
	}
	s.pending = append(s.pending, p[n:]...)
	if s.idle == nil {
		s.idle = make(chan struct{})
		go s.drain()
	}
	return len(p), nil
}

// Pending is the number of bytes the kernel has not taken.
func (s *sock) Pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pending)
}

func (s *sock) onDrained(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.idle == nil {
		go fn()
		return
	}
	s.drained = fn
}

// quiet waits until nothing is pending or the connection has failed.
func (s *sock) quiet() {
	s.mu.Lock()
	idle := s.idle
	s.mu.Unlock()
	if idle != nil {
		<-idle
	}
}

// LocalAddr, RemoteAddr and the deadlines are a net.Conn's. Outside of blocking
// mode deadlines are ours alone: crypto/tls sets some when it closes.
func (s *sock) LocalAddr() net.Addr  { return s.c.LocalAddr() }
func (s *sock) RemoteAddr() net.Addr { return s.c.RemoteAddr() }

func (s *sock) SetDeadline(t time.Time) error {
	if !s.blocking.Load() {
		return nil
	}
	return s.c.SetDeadline(t)
}

func (s *sock) SetReadDeadline(t time.Time) error {
	if !s.blocking.Load() {
		return nil
	}
	return s.c.SetReadDeadline(t)
}

func (s *sock) SetWriteDeadline(t time.Time) error {
	if !s.blocking.Load() {
		return nil
	}
	return s.c.SetWriteDeadline(t)
}

// CloseWrite and ReadFrom are for net/http before an upgrade: the one avoids
// resets, the other sends files without copying.
func (s *sock) CloseWrite() error {
	if half, ok := s.c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return syscall.ENOTSUP
}

func (s *sock) ReadFrom(r io.Reader) (int64, error) {
	if rf, ok := s.c.(io.ReaderFrom); ok && s.blocking.Load() {
		return rf.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{s}, r)
}
