package transport

import (
	"errors"
	"net"
	"os"
	"time"
)

// lingerBytes is how much of a closed connection's input is thrown away before
// the peer gets a reset.
const lingerBytes = 1 << 20

// drain is the one goroutine of a stalled connection.
func (s *sock) drain() {
	s.mu.Lock()
	err := s.flush()
	s.pending = nil
	fn := s.drained
	s.drained = nil
	close(s.idle)
	s.idle = nil
	closing := s.closing.Load()
	s.mu.Unlock()
	switch {
	case err != nil:
		s.abort(err)
		if fn != nil {
			fn() // its next write says so
		}
	case closing:
		s.finish()
	case fn != nil:
		fn()
	}
}

// flush writes until nothing is pending. It is called with mu held, frees it
// while it waits, and returns with it held.
func (s *sock) flush() error {
	for len(s.pending) > 0 {
		until := s.until
		if !s.closing.Load() {
			until = time.Now().Add(or(s.o.WriteStall, defaultWriteStall))
		}
		_ = s.c.SetWriteDeadline(until)
		p := s.pending
		s.mu.Unlock()
		n, err := s.writeSome(p)
		s.mu.Lock()
		s.pending = s.pending[n:]
		switch {
		case err == nil || n > 0:
		case errors.Is(err, os.ErrDeadlineExceeded):
			return ErrWriteStall
		default:
			return err
		}
	}
	_ = s.c.SetWriteDeadline(time.Time{})
	return nil
}

// shutdown ends the connection in good order: pending bytes, FIN, the peer's
// last words, close. It does not wait for any of it.
func (s *sock) shutdown(cause error) {
	s.mu.Lock()
	if s.closing.Load() {
		s.mu.Unlock()
		return
	}
	s.stop(cause)
	if s.blocking.Load() {
		s.mu.Unlock()
		_ = s.Close()
		return
	}
	s.until = time.Now().Add(or(s.o.Linger, defaultLinger))
	if s.parked {
		// The deadline wakes the parked goroutine and leaves the descriptor open.
		s.unparked = make(chan struct{})
		_ = s.c.SetReadDeadline(time.Unix(1, 0))
	}
	draining := s.idle != nil
	if draining {
		_ = s.c.SetWriteDeadline(s.until)
	}
	s.mu.Unlock()
	if !draining {
		go s.finish()
	}
}

// stop marks the connection as closing; mu is held.
func (s *sock) stop(cause error) {
	if cause == nil {
		cause = net.ErrClosed
	}
	if !s.closing.Load() {
		s.cause = cause
		s.closing.Store(true)
	}
}

// finish sends FIN and reads what the peer still sends, so that the kernel does
// not answer it with a reset that overtakes our last bytes.
func (s *sock) finish() {
	defer s.Close()
	half, ok := s.c.(interface{ CloseWrite() error })
	if !ok || s.rc == nil || half.CloseWrite() != nil {
		return
	}
	s.mu.Lock()
	unparked := s.unparked
	s.mu.Unlock()
	if unparked != nil {
		<-unparked
	}
	_ = s.c.SetReadDeadline(s.until)
	b := s.o.Buffers.get(classes[startClass])
	defer s.o.Buffers.put(b)
	for total := 0; total < lingerBytes; {
		n, err := s.c.Read(b.b)
		if err != nil {
			return
		}
		total += n
	}
}

// abort closes at once. The parked goroutine wakes.
func (s *sock) abort(cause error) {
	s.mu.Lock()
	s.stop(cause)
	s.mu.Unlock()
	_ = s.Close()
}

// Close closes the descriptor; calls after the first do nothing.
func (s *sock) Close() error {
	s.letOthers()
	s.mu.Lock()
	s.stop(nil)
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	// Never under mu: closing waits for system calls that may wait for mu.
	return s.c.Close()
}

func (s *sock) why() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}
