package transport

import (
	"crypto/tls"
	"net"
	"testing"
)

// A handshake that net/http runs holds a place while it computes, and none while
// it waits for the peer, nor afterwards.
func TestHTTPSHandshakeTakesItsTurn(t *testing.T) {
	t.Parallel()
	server, client := certificate(t)
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { inner.Close() })
	o := testOptions()
	turns := &counted{places: make(places, 1)}
	o.HTTPS = turns
	get := server.Certificates[0]
	cfg := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &get, nil }}
	l := NewListener(inner, cfg, o)
	for range 3 { // a place that was kept would stop the next one
		done := make(chan error, 1)
		go func() {
			c, err := l.Accept()
			if err == nil {
				err = c.(*tls.Conn).Handshake()
				c.Close()
			}
			done <- err
		}()
		c, err := tls.Dial("tcp", inner.Addr().String(), client)
		if err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	if turns.n != 3 || len(turns.places) != 0 {
		t.Errorf("%d places taken, %d kept", turns.n, len(turns.places))
	}
}

// counted is a Turn that counts.
type counted struct {
	places
	n int
}

func (c *counted) Enter() { c.places.Enter(); c.n++ }
