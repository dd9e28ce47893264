package c2s

import (
	"net"
	"net/netip"

	"github.com/xmppd/xmppd/c2s/transport"
)

// Crowd has as many wait at the gate as may, or none of them any more. Their
// turn never comes; whoever is let in finds his place at once.
func (s *Server) Crowd(on bool) {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	s.gate.waiting = 0
	if on {
		s.gate.waiting = s.gate.limit()
	}
}

// Accept takes a connection over as a listener of that kind does; secure: TLS
// ends before it.
func (s *Server) Accept(c net.Conn, kind string, secure, direct bool) {
	s.serve(transport.NewTCP(c, &s.transport), kind, netip.Addr{}, secure, direct)
}

// Resumable is how many streams a client may ask for.
func (s *Server) Resumable() int { return len(s.streams.all()) }
