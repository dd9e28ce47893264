package transport

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/gobwas/ws"
)

var errNotUpgraded = errors.New("upgrade: not a websocket request for the sub-protocol xmpp")

// listener wraps accepted connections so that NewWebSocket finds the socket
// below net/http and TLS again.
type listener struct {
	net.Listener
	cfg *tls.Config
	o   *Options
}

// NewListener returns a listener for an http.Server whose connections wait
// cheaply after an upgrade. With a cfg they are TLS connections; its NextProtos
// should not offer h2, over which there is no upgrade. Call Serve, not ServeTLS.
func NewListener(l net.Listener, cfg *tls.Config, o *Options) net.Listener {
	if cfg != nil {
		cfg = o.certifiers.certified(cfg)
	}
	return &listener{Listener: l, cfg: cfg, o: o}
}

// Accept returns a connection that waits in Read and Write until its upgrade.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	s := newSock(c, l.o)
	s.blocking.Store(true)
	if l.cfg != nil {
		return tls.Server(s, l.cfg), nil
	}
	return s, nil
}

// Upgrade answers a WebSocket handshake for the sub-protocol xmpp (RFC 7395
// §3.1) and takes the connection over; anything else gets an HTTP error and an
// error is returned. The handler should return soon after it, since the buffers
// of net/http live as long as it runs.
func Upgrade(w http.ResponseWriter, r *http.Request, o *Options) (*WebSocket, error) {
	if r.ProtoMajor != 1 {
		http.Error(w, "WebSocket needs HTTP/1.1", http.StatusHTTPVersionNotSupported)
		return nil, errNotUpgraded
	}
	if !offersXMPP(r.Header) {
		http.Error(w, "Sec-WebSocket-Protocol: xmpp is required (RFC 7395)", http.StatusBadRequest)
		return nil, errNotUpgraded
	}
	up := ws.HTTPUpgrader{
		Timeout:  or(o.HandshakeTimeout, defaultHandshake),
		Protocol: func(name string) bool { return name == "xmpp" },
	}
	c, rw, _, err := up.Upgrade(r, w)
	if err != nil {
		if c != nil {
			_ = c.Close()
		}
		return nil, err
	}
	leftover, _ := rw.Reader.Peek(rw.Reader.Buffered())
	return NewWebSocket(c, leftover, o), nil
}

func offersXMPP(h http.Header) bool {
	for _, line := range h.Values("Sec-WebSocket-Protocol") {
		for name := range strings.SplitSeq(line, ",") {
			if strings.TrimSpace(name) == "xmpp" {
				return true
			}
		}
	}
	return false
}
