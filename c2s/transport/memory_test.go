package transport

import (
	"bytes"
	"crypto/tls"
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
	held int // the stanza of an unfinished element
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
		i := (p.held + n) % len(p.sts)
		tok, err := p.c.Next(&p.sts[i])
		if err == ErrAgain {
			if p.c.Release() {
				p.held = i
			}
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
			if m.tls != 0 {
				peer = secure(t, c, client, tls.VersionTLS13)
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
			// One is the goroutine of Park, another one a reader that crypto/tls
			// makes for each record; the client's side of TLS counts, too.
			limit := 1.0
			if m.tls != 0 {
				limit = 4
			}
			if allocs > limit && !raceEnabled {
				t.Errorf("%.1f allocations per burst of 20 messages and an answer, limit %.0f", allocs, limit)
			}
			if !bytes.Equal(got, reply) {
				t.Error("the answer is damaged")
			}
		})
	}
}

func TestWebSocketAllocations(t *testing.T) {
	c, client := wsPair(t, testOptions())
	p := newPump(c)
	batch := append(text(wsOpen), bytes.Repeat(text(message(300)), 20)...)
	client.Write(batch)
	for n := 0; n < 20; {
		n += p.burst(t)
	}
	batch = batch[len(text(wsOpen)):]
	var out []byte
	got := make([]byte, 2000)
	allocs := testing.AllocsPerRun(200, func() {
		client.Write(batch)
		for n := 0; n < 20; {
			n += p.burst(t)
		}
		out = c.AppendElement(out[:0], []byte("<message><body>answer</body></message>"))
		if err := c.Write(out); err != nil {
			t.Fatal(err)
		}
		io.ReadFull(client, got[:len(out)])
	})
	if allocs > 1 && !raceEnabled { // the goroutine of Park
		t.Errorf("%.1f allocations per burst of 20 messages and an answer, limit 1", allocs)
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
	peer := secure(t, c, client, tls.VersionTLS13)
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
	peer := secure(t, c, held, tls.VersionTLS13)
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

// BenchmarkBurst is a burst of 20 messages of 343 bytes and one answer; the
// client's side is in the figures.
func BenchmarkBurst(b *testing.B) {
	for _, m := range []medium{media[0], media[2]} {
		b.Run(m.name, func(b *testing.B) {
			server, client := m.pair(b)
			c := NewTCP(server, testOptions())
			var peer io.ReadWriter = client
			if m.tls != 0 {
				peer = secure(b, c, client, m.tls)
			}
			p := newPump(c)
			io.WriteString(peer, openStream)
			p.settle(b)
			batch := []byte(strings.Repeat(message(300), 20))
			reply := []byte(message(1000))
			got := make([]byte, len(reply))
			b.ReportAllocs()
			b.SetBytes(int64(len(batch)))
			for b.Loop() {
				peer.Write(batch)
				for n := 0; n < 20; {
					n += p.burst(b)
				}
				if err := c.Write(reply); err != nil {
					b.Fatal(err)
				}
				io.ReadFull(peer, got)
			}
		})
	}
}
