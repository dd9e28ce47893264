package xmpptest

import (
	"net"
	"testing"
	"time"
)

// Over is a client of Domain over a connection that is open already, without
// TLS. It has all the time in the world, as a test needs that runs in a bubble
// of testing/synctest and uses net.Pipe.
func Over(t testing.TB, conn net.Conn) *Client {
	return &Client{t: t, way: TCP, domain: Domain, lang: "en", w: newTCP(timeless{conn})}
}

// timeless is a connection without deadlines.
type timeless struct{ net.Conn }

func (timeless) SetDeadline(time.Time) error { return nil }
