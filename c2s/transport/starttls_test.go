package transport

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

const starttls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"

var errStop = errors.New("stop reading")

// stopAtStartTLS ends the reading loop at <starttls/> and answers it.
func stopAtStartTLS(c Conn) func(event) error {
	return func(e event) error {
		if e.raw != starttls {
			return nil
		}
		if err := c.Write([]byte("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")); err != nil {
			return err
		}
		return errStop
	}
}

func TestStartTLS(t *testing.T) {
	t.Parallel()
	for _, m := range media[:2] {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			server, client := m.pair(t)
			c := NewTCP(server, testOptions())
			events := serve(c, stopAtStartTLS(c))
			go send(t, client, openStream+starttls)
			wantHeader(t, events)
			wantElement(t, events, starttls)
			proceed := make([]byte, len("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"))
			if _, err := io.ReadFull(client, proceed); err != nil {
				t.Fatal(err)
			}
			wantError(t, events, errStop)
			if c.Secure() || c.TLS() != nil {
				t.Error("secure before the handshake")
			}
			tc := secure(t, c, client, tls.VersionTLS13)
			if state := c.TLS(); !c.Secure() || state == nil || state.Version != tls.VersionTLS13 {
				t.Errorf("TLS state %+v", state)
			}
			if err := c.StartTLS(&tls.Config{}, nil); !errors.Is(err, ErrNoTLS) {
				t.Errorf("a second handshake: %v", err)
			}
			c.Restart()
			events = serve(c, nil)
			go send(t, tc, openStream+"<presence/>")
			wantHeader(t, events)
			wantElement(t, events, "<presence/>")
		})
	}
}

// CVE-2011-0411: what was injected behind <starttls/> must not be read later.
func TestStartTLSInjection(t *testing.T) {
	t.Parallel()
	for _, behind := range []string{"<iq type='set' id='evil'><query xmlns='x'/></iq>", " ", "<"} {
		server, client := tcpPair(t)
		c := NewTCP(server, testOptions())
		events := serve(c, stopAtStartTLS(c))
		send(t, client, openStream+starttls+behind)
		wantError(t, events, errStop)
		cfg, _ := certificate(t)
		if err := c.StartTLS(cfg, nil); !errors.Is(err, ErrClearText) {
			t.Fatalf("with %q behind it: %v", behind, err)
		}
		if _, err := c.Next(new(stanza.Stanza)); !errors.Is(err, ErrClearText) {
			t.Errorf("then reading says %v", err)
		}
	}
}

// The same bytes, still in the kernel when the handshake begins, break it.
func TestStartTLSInjectionInKernel(t *testing.T) {
	t.Parallel()
	server, client := tcpPair(t)
	c := NewTCP(server, testOptions())
	events := serve(c, stopAtStartTLS(c))
	send(t, client, openStream+starttls)
	wantError(t, events, errStop)
	send(t, client, "<iq type='set' id='evil'><query xmlns='x'/></iq>")
	cfg, _ := certificate(t)
	if err := c.StartTLS(cfg, nil); err == nil {
		t.Fatal("the handshake went through")
	}
	if err := c.Write([]byte("x")); err == nil {
		t.Error("the connection is still open")
	}
}

// Data that rides on the client's Finished lies in crypto/tls, where no poller
// sees it.
func TestDataBehindHandshake(t *testing.T) {
	t.Parallel()
	server, trust := certificate(t)
	for range 20 {
		conn, client := tcpPair(t)
		c := NewTCP(conn, testOptions())
		held := &corked{Conn: client}
		tc := tls.Client(held, trust)
		done := make(chan error, 1)
		go func() { done <- c.StartTLS(server, nil) }()
		if err := tc.Handshake(); err != nil {
			t.Fatal(err)
		}
		held.pulled = true
		send(t, tc, openStream+"<presence/>")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		events := serve(c, nil)
		wantHeader(t, events)
		wantElement(t, events, "<presence/>")
	}
}

// corked keeps what a client writes behind its ClientHello until it is pulled,
// so that the Finished message and the first data make one packet.
type corked struct {
	net.Conn
	hello, pulled bool
	buf           []byte
}

func (c *corked) Write(p []byte) (int, error) {
	c.buf = append(c.buf, p...)
	if c.hello && !c.pulled {
		return len(p), nil
	}
	c.hello = true
	_, err := c.Conn.Write(c.buf)
	c.buf = nil
	return len(p), err
}

// A client that says nothing costs no place among the handshakes.
func TestParkBeforeHandshake(t *testing.T) {
	t.Parallel()
	for _, m := range media[:2] {
		server, client := m.pair(t)
		c := NewTCP(server, testOptions())
		cfg, trust := certificate(t)
		hello := make(chan error, 1)
		var said atomic.Bool
		ready := make(chan struct{})
		c.Park(func() {
			if !said.Load() {
				t.Errorf("%s: ready without a hello", m.name)
			}
			close(ready)
			hello <- c.StartTLS(cfg, nil)
		})
		said.Store(true)
		tc := tls.Client(client, trust)
		if err := tc.Handshake(); err != nil {
			t.Fatal(err)
		}
		<-ready
		if err := <-hello; err != nil {
			t.Fatal(err)
		}
		events := serve(c, nil)
		go send(t, tc, openStream)
		wantHeader(t, events)
	}
}

func TestParkWaitsForTheFirstByte(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		c := NewTCP(server, testOptions())
		var woken atomic.Bool
		c.Park(func() { woken.Store(true) })
		synctest.Wait()
		if woken.Load() {
			t.Error("ready before the peer has said anything")
		}
		send(t, client, "<")
		synctest.Wait()
		if !woken.Load() {
			t.Error("the first byte wakes nobody")
		}
		c.Abort(nil)
	})
}

func TestHandshakeTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		defer client.Close()
		o := testOptions()
		o.HandshakeTimeout = 7 * time.Second
		c := NewTCP(server, o)
		cfg, _ := certificate(t)
		begin := time.Now()
		err := c.StartTLS(cfg, nil)
		if err == nil || time.Since(begin) != 7*time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
	})
}

func TestAbortDuringHandshake(t *testing.T) {
	t.Parallel()
	for _, m := range media[:2] {
		server, _ := m.pair(t)
		c := NewTCP(server, testOptions())
		cfg, _ := certificate(t)
		done := make(chan error, 1)
		go func() { done <- c.StartTLS(cfg, nil) }()
		c.Finish(nil)
		if err := <-done; err == nil {
			t.Errorf("%s: the handshake succeeded", m.name)
		}
	}
}

func TestDirectTLSRefusesPlainText(t *testing.T) {
	t.Parallel()
	server, client := tcpPair(t)
	c := NewTCP(server, testOptions())
	cfg, _ := certificate(t)
	send(t, client, openStream)
	if err := c.StartTLS(cfg, nil); err == nil || !strings.Contains(err.Error(), "handshake") {
		t.Errorf("got %v", err)
	}
}

func TestWaitingHandshakesHoldNoPlace(t *testing.T) {
	t.Parallel()
	slots := make(places, 1)
	l := &link{o: &Options{Buffers: new(Buffers)}}
	l.limits = l.o.Limits
	near, far := net.Pipe()
	defer far.Close()
	l.s = newSock(near, l.o)
	l.s.blocking.Store(true)
	done := make(chan error, 1)
	go func() { done <- l.handshake(tls.Server(l.s, &tls.Config{}), slots) }()
	// The silent peer's handshake gets to its first read, where it has to let go;
	// then the place can be taken, twice.
	for range 2 {
		if _, err := far.Write([]byte{22}); err != nil {
			t.Fatal(err)
		}
		slots <- struct{}{}
		<-slots
	}
	near.Close()
	if err := <-done; err == nil {
		t.Error("no error")
	}
	if len(slots) != 0 {
		t.Error("the place was kept")
	}
}

// places is a Turn with room for its capacity.
type places chan struct{}

func (p places) Enter() { p <- struct{}{} }
func (p places) Leave() { <-p }
