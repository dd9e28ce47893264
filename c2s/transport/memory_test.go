package transport

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/stanza"
)

// pump reads c on the test's goroutine: park is a call that returns when bytes
// are there, so that allocations can be counted.
type pump struct {
	c    Conn
	wake chan struct{}
	fn   func()
	sts  [64]stanza.Stanza
}

func newPump(c Conn) *pump {
	p := &pump{c: c, wake: make(chan struct{})}
	p.fn = func() { p.wake <- struct{}{} }
	return p
}

// burst waits, reads until the connection is dry, and returns the number of elements.
func (p *pump) burst(t testing.TB) int {
	p.c.Park(p.fn)
	<-p.wake
	n := 0
	for {
		tok, err := p.c.Next(&p.sts[n%len(p.sts)])
		if err == ErrAgain {
			p.c.Release()
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		if tok == stanza.Element {
			n++
		}
	}
}

// settle reads until the socket says that nothing is left.
func (p *pump) settle(t testing.TB) {
	for !p.c.(*TCP).again {
		p.burst(t)
	}
}

func TestAllocations(t *testing.T) {
	for _, m := range []medium{media[0], media[2]} {
		t.Run(m.name, func(t *testing.T) {
			server, client := m.pair(t)
			c := NewTCP(server, testOptions())
			var peer io.ReadWriter = client
			if m.tls {
				peer = secure(t, c, client)
			}
			p := newPump(c)
			send(t, peer, openStream)
			p.settle(t)
			batch := []byte(strings.Repeat(message(300), 20))
			reply := []byte(message(1000))
			got := make([]byte, len(reply))
			allocs := testing.AllocsPerRun(200, func() {
				peer.Write(batch)
				for n := 0; n < 20; {
					n += p.burst(t)
				}
				if err := c.Write(reply); err != nil {
					t.Fatal(err)
				}
				io.ReadFull(peer, got)
			})
			// One is the goroutine of Park; the client's side of TLS costs a few.
			t.Logf("%.1f allocations per burst of 20 messages, answer included", allocs)
			if limit := 12.0; allocs > limit && !raceEnabled {
				t.Errorf("%.1f allocations per burst, limit %.0f", allocs, limit)
			}
			if !bytes.Equal(got, reply) {
				t.Error("the answer is damaged")
			}
		})
	}
}

// The trick of tlsbuf.go works with this version of Go.
func TestRecordBufferIsReleased(t *testing.T) {
	t.Parallel()
	if !recordLayout.ok {
		t.Fatal("crypto/tls has changed: idle TLS connections keep their record buffer")
	}
	server, client := tcpPair(t)
	c := NewTCP(server, testOptions())
	peer := secure(t, c, client)
	p := newPump(c)
	send(t, peer, openStream)
	p.burst(t)
	send(t, peer, message(16_000))
	for p.burst(t) == 0 {
	}
	p.settle(t)
	raw, in, hand := recordBuffers(c.tls.Load())
	if raw.Cap() != 0 || in.Size() != 0 || hand.Cap() != 0 {
		t.Errorf("kept: rawInput %d, input %d, hand %d bytes", raw.Cap(), in.Size(), hand.Cap())
	}
	if c.in.buf != nil || len(c.in.retired) != 0 {
		t.Error("the burst keeps a buffer")
	}
}

// The beginning of a record is kept in a buffer of its size.
func TestUnfinishedRecord(t *testing.T) {
	t.Parallel()
	server, client := tcpPair(t)
	c := NewTCP(server, testOptions())
	held := &corked{Conn: client, hello: true, pulled: true}
	peer := secure(t, c, held)
	p := newPump(c)
	held.pulled = false
	send(t, peer, openStream+message(5000))
	record := held.buf
	client.Write(record[:50])
	p.burst(t)
	if raw, _, _ := recordBuffers(c.tls.Load()); raw.Len() != 50 || raw.Cap() > 1024 {
		t.Errorf("rawInput: %d of %d bytes", raw.Len(), raw.Cap())
	}
	client.Write(record[50:])
	for p.burst(t) == 0 {
	}
}
