package c2s

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/c2s/transport"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/router"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
)

// newServer is one without accounts and domains.
func newServer() *Server {
	cfg := config.Defaults()
	log, wheel, registry := slog.New(slog.DiscardHandler), session.NewWheel(time.Now()), session.NewRegistry(1, nil)
	return New(Options{
		Log: log, Config: func() *config.Config { return cfg }, Registry: registry, Wheel: wheel, TLS: new(tls.Config),
		Router: router.New(router.Options{Log: log, Now: time.Now, Registry: registry, Wheel: wheel}),
	})
}

// mistaken is a transport that has not been tested well enough.
type mistaken struct{ transport.Conn }

func (mistaken) Next(*stanza.Stanza) (stanza.Token, error) { panic("out of range") }

func TestPanicEndsOneConnection(t *testing.T) {
	t.Parallel()
	s := newServer()
	server, client := net.Pipe()
	go s.serve(mistaken{transport.NewTCP(server, &s.transport)}, "c2s", netip.Addr{}, false, false)
	go client.Write([]byte("<")) // it is looked at when something comes
	got, err := io.ReadAll(client)
	if err != nil || !strings.Contains(string(got), "<internal-server-error") {
		t.Errorf("read %q, %v", got, err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if open, strangers := s.Connections(); open != 0 || strangers != 0 {
		t.Errorf("%d connections, %d not logged in", open, strangers)
	}
}

func TestConnectionsPerAddress(t *testing.T) {
	t.Parallel()
	s := newServer()
	s.Config().Limits.ConnectionsPerAddress = 2
	admit := func(addr string) *conn {
		c := &conn{srv: s, addr: netip.MustParseAddr(addr)}
		if s.admit(c) != nil {
			return nil
		}
		return c
	}
	first := admit("2001:db8::1")
	for addr, want := range map[string]bool{"192.0.2.1": true, "192.0.2.2": true, "2001:db8:0:1::1": true, "2001:db8::ffff": true} {
		if got := admit(addr) != nil; got != want {
			t.Errorf("%s admitted: %v", addr, got)
		}
	}
	if admit("2001:db8::2") != nil {
		t.Error("a third connection of one IPv6 network was admitted")
	}
	s.forget(first)
	if admit("2001:db8::3") == nil {
		t.Error("a place that was given back is not free")
	}
}
