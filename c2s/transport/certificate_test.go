package transport

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
)

// The certificate of a connection is the one that its client has seen, also
// when the TLS session is resumed and when there is a new one meanwhile.
func TestCertificateOfConnection(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			first, trust := certificate(t)
			second, _ := certificate(t)
			var now atomic.Pointer[tls.Certificate]
			now.Store(&first.Certificates[0])
			server := &tls.Config{MaxVersion: version, GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
				if hello.ServerName == "localhost" && hello.SupportsCertificate(now.Load()) == nil {
					return now.Load(), nil
				}
				return &second.Certificates[0], nil
			}}
			trust.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			trust.InsecureSkipVerify = true //nolint:gosec // what is shown is compared
			o := testOptions()
			connect := func(name string) *tls.ConnectionState {
				t.Helper()
				near, far := tcpPair(t)
				c := NewTCP(near, o)
				if c.Certificate() != nil {
					t.Error("a certificate before TLS")
				}
				done := make(chan error, 1)
				go func() { done <- c.StartTLS(server, nil) }()
				cfg := trust.Clone()
				cfg.ServerName = name
				client := tls.Client(far, cfg)
				if err := client.Handshake(); err != nil {
					t.Fatal(err)
				}
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				if err := c.Write([]byte("x")); err != nil { // behind the session ticket
					t.Fatal(err)
				}
				if _, err := client.Read(make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
				state := client.ConnectionState()
				if !bytes.Equal(c.Certificate(), state.PeerCertificates[0].Raw) {
					t.Errorf("%s, resumed %v: not the certificate that the client has", name, state.DidResume)
				}
				return &state
			}
			if connect("localhost").DidResume {
				t.Error("the first handshake resumed something")
			}
			if !connect("localhost").DidResume {
				t.Error("TLS sessions are not resumed")
			}
			now.Store(&second.Certificates[0])
			if connect("localhost").DidResume {
				t.Error("a session of the former certificate was resumed")
			}
			if !connect("localhost").DidResume {
				t.Error("TLS sessions are not resumed any more")
			}
			connect("elsewhere.example")
		})
	}
}

// Behind a proxy the certificate of the connection is not the one that the
// client has seen.
func TestCertificateBehindProxy(t *testing.T) {
	t.Parallel()
	given, trust := certificate(t)
	server := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &given.Certificates[0], nil }}
	o := testOptions()
	near, far := net.Pipe()
	l := NewListener(&single{near}, server, o)
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	go tls.Client(far, trust).Handshake()
	if err := c.(*tls.Conn).Handshake(); err != nil {
		t.Fatal(err)
	}
	w := NewWebSocket(c, nil, o)
	defer w.Abort(nil)
	if !bytes.Equal(w.Certificate(), given.Certificates[0].Certificate[0]) {
		t.Error("no certificate of a WebSocket")
	}
	w.SetPeer(netip.MustParseAddrPort("192.0.2.1:1"), true)
	if w.Certificate() != nil {
		t.Error("a certificate in spite of the proxy")
	}
}

// single is a listener with one connection.
type single struct{ net.Conn }

func (s *single) Accept() (net.Conn, error) { return s.Conn, nil }
func (s *single) Addr() net.Addr            { return s.LocalAddr() }
