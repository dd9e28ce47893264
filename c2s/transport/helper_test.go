package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

const openStream = "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"

// event is a token, or the error that ended reading.
type event struct {
	tok stanza.Token
	raw string
	err error
}

func (e event) String() string {
	if e.err != nil {
		return "error: " + e.err.Error()
	}
	return fmt.Sprintf("%d %.200s", e.tok, e.raw)
}

// serve reads c as the element layer does, burst by burst, and reports all
// tokens but white space. react runs on the reading goroutine inside a burst.
func serve(c Conn, react func(event) error) <-chan event {
	events := make(chan event, 1<<16)
	var held *stanza.Stanza
	var ready func()
	ready = func() {
		for {
			st := held
			if st == nil {
				st = new(stanza.Stanza)
			}
			held = nil
			tok, err := c.Next(st)
			if errors.Is(err, ErrAgain) {
				if c.Release() {
					held = st
				}
				c.Park(ready)
				return
			}
			e := event{tok: tok, err: err}
			if err == nil && tok == stanza.Element {
				e.raw = string(st.Raw())
			}
			if err == nil && tok == stanza.Header {
				e.raw = c.Header().To
			}
			if err == nil && react != nil && tok != stanza.Space {
				if err = react(e); err != nil {
					events <- e
					e = event{err: err}
				}
			}
			if err != nil {
				c.Release()
			}
			if err != nil || tok != stanza.Space {
				events <- e
			}
			if err != nil {
				close(events)
				return
			}
		}
	}
	c.Park(ready)
	return events
}

func next(t *testing.T, events <-chan event) event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(20 * time.Second):
		t.Fatal("nothing happens")
		return event{}
	}
}

func wantElement(t *testing.T, events <-chan event, raw string) {
	t.Helper()
	if e := next(t, events); e.err != nil || e.tok != stanza.Element || e.raw != raw {
		t.Fatalf("got %v, want %.200s", e, raw)
	}
}

func wantHeader(t *testing.T, events <-chan event) {
	t.Helper()
	if e := next(t, events); e.err != nil || e.tok != stanza.Header || e.raw != "localhost" {
		t.Fatalf("got %v, want the header", e)
	}
}

func wantError(t *testing.T, events <-chan event, want error) {
	t.Helper()
	for {
		e := next(t, events)
		if e.err == nil {
			continue
		}
		var se, ws *stanza.StreamError
		if errors.As(want, &ws) {
			if !errors.As(e.err, &se) || se.Condition != ws.Condition {
				t.Fatalf("got %v, want %v", e.err, want)
			}
			return
		}
		if !errors.Is(e.err, want) {
			t.Fatalf("got %v, want %v", e.err, want)
		}
		return
	}
}

func streamError(c stanza.StreamCondition) error { return &stanza.StreamError{Condition: c} }

// medium makes connected pairs of one kind.
type medium struct {
	name string
	pair func(t testing.TB) (server, client net.Conn)
	tls  uint16 // version, 0: none
}

var media = []medium{
	{"tcp", tcpPair, 0},
	{"pipe", pipePair, 0},
	{"tls", tcpPair, tls.VersionTLS13},
	{"tls over pipe", pipePair, tls.VersionTLS13},
	{"tls 1.2", tcpPair, tls.VersionTLS12},
}

func tcpPair(t testing.TB) (server, client net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return server, client
}

func pipePair(t testing.TB) (server, client net.Conn) {
	server, client = net.Pipe()
	t.Cleanup(func() { client.Close(); server.Close() })
	return server, client
}

// eachMedium runs fn over all media; TLS has been negotiated already.
func eachMedium(t *testing.T, fn func(t *testing.T, c *TCP, client net.Conn)) {
	for _, m := range media {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			server, client := m.pair(t)
			c := NewTCP(server, testOptions())
			if m.tls != 0 {
				client = secure(t, c, client, m.tls)
			}
			fn(t, c, client)
		})
	}
}

func testOptions() *Options { return &Options{Buffers: new(Buffers)} }

// secure negotiates TLS of one version.
func secure(t testing.TB, c *TCP, client net.Conn, version uint16) *tls.Conn {
	t.Helper()
	server, trust := certificate(t)
	server.MaxVersion = version
	done := make(chan error, 1)
	go func() { done <- c.StartTLS(server, nil) }()
	tc := tls.Client(client, trust)
	if err := tc.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return tc
}

// certificate makes a server's and a client's configuration.
func certificate(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{
		Certificates:                []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		DynamicRecordSizingDisabled: true,
	}, &tls.Config{RootCAs: pool, ServerName: "localhost"}
}

func send(t *testing.T, c io.Writer, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Errorf("send: %v", err)
	}
}

func message(n int) string {
	return "<message id='" + fmt.Sprint(n) + "'><body>" + strings.Repeat("x", n) + "</body></message>"
}
