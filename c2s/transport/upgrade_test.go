package transport

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/xmppd/xmppd/stanza"
)

// httpServer serves upgrades on l; what they yield goes to the channel.
func httpServer(t testing.TB, l net.Listener, serve func(*http.Server, net.Listener) error, o *Options) <-chan *WebSocket {
	conns := make(chan *WebSocket, 16)
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c, err := Upgrade(w, r, o); err == nil {
				conns <- c
			}
		}),
		ErrorLog: log.New(io.Discard, "", 0),
	}
	go serve(srv, l)
	t.Cleanup(func() { srv.Close() })
	return conns
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

const upgradeRequest = "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: other, xmpp\r\n\r\n"

// The three ways a connection can come from net/http.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	server, trust := certificate(t)
	tests := []struct {
		name   string
		tls    bool
		socket bool // the socket is found below
		start  func(o *Options, l net.Listener) net.Listener
		serve  func(*http.Server, net.Listener) error
	}{
		{"ws", false, true, func(o *Options, l net.Listener) net.Listener { return NewListener(l, nil, o) }, (*http.Server).Serve},
		{"wss", true, true, func(o *Options, l net.Listener) net.Listener { return NewListener(l, server, o) }, (*http.Server).Serve},
		{"ws, foreign listener", false, true, func(_ *Options, l net.Listener) net.Listener { return l }, (*http.Server).Serve},
		{"wss, foreign listener", true, false, func(_ *Options, l net.Listener) net.Listener { return tls.NewListener(l, server) }, (*http.Server).Serve},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := testOptions()
			l := listen(t)
			conns := httpServer(t, tt.start(o, l), tt.serve, o)
			var client net.Conn
			var err error
			if tt.tls {
				client, err = tls.Dial("tcp", l.Addr().String(), trust)
			} else {
				client, err = net.Dial("tcp", l.Addr().String())
			}
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			// The first element comes in one packet with the request.
			send(t, client, upgradeRequest+string(text(wsOpen)))
			c := <-conns
			if c.Secure() != tt.tls || (c.TLS() != nil) != tt.tls || rawSupported && (c.s.rc != nil) != tt.socket {
				t.Errorf("secure %v, tls %v, socket %v", c.Secure(), c.TLS() != nil, c.s.rc != nil)
			}
			if c.RemoteAddr().String() != client.LocalAddr().String() {
				t.Errorf("peer %v, want %v", c.RemoteAddr(), client.LocalAddr())
			}
			events := serve(c, func(e event) error { return c.Write(c.AppendElement(nil, []byte("<iq/>"))) })
			r := bufio.NewReader(client)
			resp, err := http.ReadResponse(r, nil)
			if err != nil || resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Sec-WebSocket-Protocol") != "xmpp" {
				t.Fatalf("answer %v, %v", resp, err)
			}
			wantHeader(t, events)
			for range 3 {
				h, err := ws.ReadHeader(r)
				payload := make([]byte, h.Length)
				if _, err2 := io.ReadFull(r, payload); errors.Join(err, err2) != nil || string(payload) != "<iq xmlns='jabber:client'/>" {
					t.Fatalf("read %q, %v, %v", payload, err, err2)
				}
				client.Write(text("<presence/>"))
				wantElement(t, events, "<presence/>")
			}
			if err := c.StartTLS(server, nil); err != ErrNoTLS {
				t.Errorf("StartTLS: %v", err)
			}
			client.Close()
			for e := next(t, events); e.err == nil; e = next(t, events) {
			}
			c.Abort(nil)
		})
	}
}

func TestUpgradeRefused(t *testing.T) {
	t.Parallel()
	o := testOptions()
	l := listen(t)
	httpServer(t, NewListener(l, nil, o), (*http.Server).Serve, o)
	tests := []struct {
		name, old, new string
		status         int
	}{
		{"no sub-protocol", "Sec-WebSocket-Protocol: other, xmpp\r\n", "", 400},
		{"another sub-protocol", "other, xmpp", "mqtt, xmpp2", 400},
		{"no upgrade", "Upgrade: websocket\r\n", "", 400},
		{"old version", "Version: 13", "Version: 8", 426},
		{"no key", "Key: dGhlIHNhbXBsZSBub25jZQ==", "Key: x", 400},
		{"POST", "GET", "POST", 405},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			send(t, client, strings.Replace(upgradeRequest, tt.old, tt.new, 1))
			resp, err := http.ReadResponse(bufio.NewReader(client), nil)
			if err != nil || resp.StatusCode != tt.status {
				t.Errorf("got %v, %v, want %d", resp, err, tt.status)
			}
		})
	}
}

// Behind a trusted proxy.
func TestSetPeer(t *testing.T) {
	t.Parallel()
	c, client := wsPair(t, testOptions())
	addr := c.RemoteAddr()
	c.SetPeer(addr, true)
	if !c.Secure() || c.TLS() != nil || c.RemoteAddr() != addr {
		t.Error("the proxy's word does not count")
	}
	events := serve(c, nil)
	client.Close()
	wantError(t, events, io.EOF)
	var _ Conn = c
	_ = stanza.Header
}
