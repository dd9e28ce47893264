package xmpptest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"testing"
)

// Way is how a client reaches the server.
type Way string

// The ways.
const (
	TCP             Way = "tcp"        // with STARTTLS
	DirectTLS       Way = "tls"        // XEP-0368
	WebSocket       Way = "websocket"  // RFC 7395 without TLS, from the loopback
	SecureWebSocket Way = "websockets" // RFC 7395 over TLS
)

// Dial connects and does nothing more.
func (s *Server) Dial(t testing.TB, way Way) *Client {
	t.Helper()
	addr := map[Way]string{TCP: "c2s", DirectTLS: "c2s_tls", WebSocket: "http", SecureWebSocket: "https"}[way]
	c := dial(t, way, s.Addr(t, addr), Domain)
	c.server = s
	return c
}

func dial(t testing.TB, way Way, addr, domain string) *Client {
	t.Helper()
	c := &Client{t: t, way: way, domain: domain, lang: "en"}
	if err := c.connect(addr, nil); err != nil {
		t.Fatalf("connect by %s: %v", way, err)
	}
	t.Cleanup(func() { c.w.conn().Close() })
	return c
}

// connect opens the connection; wrap, if there is one, stands around it below
// everything else.
func (c *Client) connect(addr string, wrap func(net.Conn) net.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err == nil && wrap != nil {
			conn = wrap(conn)
		}
		return conn, err
	}
	var err error
	switch c.way {
	case WebSocket:
		c.w, err = dialWebSocket(ctx, "ws://"+addr+"/ws", nil, dial)
	case SecureWebSocket:
		c.w, err = dialWebSocket(ctx, "wss://"+addr+"/ws", nil, dial)
	default:
		var conn net.Conn
		if conn, err = dial(ctx, "tcp", addr); err == nil {
			c.w = newTCP(conn)
		}
		if err == nil && c.way == DirectTLS {
			err = c.directTLS()
		}
	}
	if err == nil {
		c.deadline()
	}
	return err
}

func (c *Client) directTLS() error {
	cfg := clientTLS(c.domain, "xmpp-client")
	cfg.MaxVersion = c.maxTLS
	conn := tls.Client(c.w.conn(), cfg)
	c.deadline()
	if err := conn.Handshake(); err != nil {
		return err
	}
	if p := conn.ConnectionState().NegotiatedProtocol; p != "xmpp-client" {
		return fmt.Errorf("ALPN %q", p)
	}
	c.w = newTCP(conn)
	return nil
}

// Upgrade opens a WebSocket at a path of listen.http, with further headers.
func (s *Server) Upgrade(t testing.TB, path string, h http.Header) *Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	w, err := dialWebSocket(ctx, "ws://"+s.Addr(t, "http")+path, h, nil)
	if err != nil {
		t.Fatalf("open WebSocket at %s: %v", path, err)
	}
	t.Cleanup(func() { w.c.Close() })
	return &Client{t: t, way: WebSocket, domain: Domain, lang: "en", w: w, server: s}
}
