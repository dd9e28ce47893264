package transport

import (
	"net"
	"syscall"
)

// rawConn is the connection's descriptor, nil when it has none that can be read
// directly.
func rawConn(c net.Conn) syscall.RawConn {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	rc, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return rc
}

func (s *sock) prepare() {
	s.read.fn = s.tryRead
	s.peek = s.tryPeek
	s.write.fn = s.tryWrite
}

// try makes one attempt and does not wait. RawConn.Control leaves the poller's
// readiness alone, unlike RawConn.Read.
func (s *sock) try(a *attempt, p []byte) (int, error) {
	a.buf = p
	err := s.rc.Control(a.fn)
	a.buf = nil
	switch {
	case err != nil:
		return 0, err
	case a.err == syscall.EAGAIN:
		return 0, ErrAgain
	case a.err != nil:
		return 0, a.err
	}
	return a.n, nil
}

func (s *sock) tryRead(fd uintptr) {
	a := &s.read
	for {
		if a.n, a.err = syscall.Read(int(fd), a.buf); a.err != syscall.EINTR {
			return
		}
	}
}

func (s *sock) tryWrite(fd uintptr) {
	a := &s.write
	for {
		if a.n, a.err = syscall.Write(int(fd), a.buf); a.err != syscall.EINTR {
			return
		}
	}
}

// tryPeek ends the wait of the parked goroutine. RawConn.Read has forgotten
// earlier readiness when it calls this first, so the socket itself is asked;
// a second call follows an event.
func (s *sock) tryPeek(fd uintptr) bool {
	if s.peeked {
		return true
	}
	s.peeked = true
	var b [1]byte
	_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return err != syscall.EAGAIN
}

// writeSome waits until the socket takes some of p, or for the deadline.
func (s *sock) writeSome(p []byte) (n int, err error) {
	if s.rc == nil {
		return s.c.Write(p)
	}
	waitErr := s.rc.Write(func(fd uintptr) bool {
		for {
			if n, err = syscall.Write(int(fd), p); err != syscall.EINTR {
				return err != syscall.EAGAIN
			}
		}
	})
	if waitErr != nil {
		return 0, waitErr
	}
	return max(n, 0), err
}
