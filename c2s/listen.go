package c2s

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/xmppd/xmppd/c2s/transport"
	"github.com/xmppd/xmppd/web"
)

// Paths are where the WebSocket is served; clients disagree about the name.
var Paths = []string{"/ws", "/xmpp-websocket", "/websocket"}

// Serve accepts connections until the listener is closed; direct means TLS
// from the first byte (XEP-0368).
func (s *Server) Serve(l net.Listener, direct bool) error {
	kind := "c2s"
	if direct {
		kind = "c2s_tls"
	}
	for {
		c, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			// Out of descriptors or the like: the next attempt may succeed.
			s.Log.Warn("accept failed", "listener", l.Addr().String(), "error", err)
			time.Sleep(50 * time.Millisecond)
			continue
		}
		s.gate.enter(returning) // it takes a moment only; meanwhile the kernel keeps the others
		go func() {
			defer s.gate.leave()
			s.serve(transport.NewTCP(c, &s.transport), kind, addrOf(c), false, direct)
		}()
	}
}

func addrOf(c net.Conn) netip.Addr {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// Mount puts the WebSocket (RFC 7395) on the HTTP server.
func (s *Server) Mount(w *web.Server) {
	h := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { s.upgrade(w, rw, r) })
	for _, path := range Paths {
		w.Handle("GET "+path, h)
	}
}

// HTTPListener wraps a listener so that WebSockets on it wait cheaply; cfg is
// nil for plain HTTP.
func (s *Server) HTTPListener(l net.Listener, cfg *tls.Config) net.Listener {
	return transport.NewListener(l, cfg, &s.transport)
}

func (s *Server) upgrade(w *web.Server, rw http.ResponseWriter, r *http.Request) {
	client := w.Client(r)
	t, err := transport.Upgrade(rw, r, &s.transport)
	if err != nil {
		s.stats.Refused.Add(1)
		s.Log.Debug("no websocket", "address", client.Addr.String(), "error", err)
		return
	}
	if client.Proxied {
		t.SetPeer(netip.AddrPortFrom(client.Addr, t.RemoteAddr().Port()), client.Secure)
	}
	// The handler has to return, so that net/http lets its buffers go.
	go s.serve(t, "websocket", client.Addr, client.Secure, false)
}
