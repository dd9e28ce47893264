package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/xmppd/xmppd/stanza"
)

func TestByteByByte(t *testing.T) {
	t.Parallel()
	eachMedium(t, func(t *testing.T, c *TCP, client net.Conn) {
		events := serve(c, nil)
		text := openStream + " <iq id='1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>\n" + message(700) + "</stream:stream>"
		go func() {
			for i := range text {
				send(t, client, text[i:i+1])
			}
		}()
		wantHeader(t, events)
		wantElement(t, events, "<iq id='1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>")
		wantElement(t, events, message(700))
		if e := next(t, events); e.err != nil || e.tok != stanza.End {
			t.Fatalf("got %v, want the end", e)
		}
		client.Close()
		wantError(t, events, io.EOF)
	})
}

func TestManySizesInOneWrite(t *testing.T) {
	t.Parallel()
	eachMedium(t, func(t *testing.T, c *TCP, client net.Conn) {
		events := serve(c, nil)
		sizes := []int{1, 4000, 0, 100, 17_000, 3, 70_000, 200_000, 8, 16_384, 250_000, 5}
		var text bytes.Buffer
		text.WriteString(openStream)
		for _, n := range sizes {
			text.WriteString(message(n))
		}
		go send(t, client, text.String())
		wantHeader(t, events)
		for _, n := range sizes {
			wantElement(t, events, message(n))
		}
	})
}

// A burst's stanzas stay whole while the buffer is replaced below them.
func TestBurstStaysValid(t *testing.T) {
	t.Parallel()
	server, client := tcpPair(t)
	c := NewTCP(server, testOptions())
	const count = 400
	done := make(chan struct{})
	go func() {
		defer close(done)
		var text strings.Builder
		text.WriteString(openStream)
		for i := range count {
			text.WriteString(message(i))
		}
		send(t, client, text.String())
	}()
	var burst []*stanza.Stanza
	seen, bursts := 0, 0
	events := make(chan struct{})
	var held *stanza.Stanza
	var ready func()
	ready = func() {
		for {
			st := held
			if held = nil; st == nil {
				st = new(stanza.Stanza)
			}
			tok, err := c.Next(st)
			if err != nil && err != ErrAgain {
				t.Error(err)
				close(events)
				return
			}
			if err == nil {
				if tok == stanza.Element {
					burst = append(burst, st)
				}
				continue
			}
			for _, st := range burst {
				if string(st.Raw()) != message(seen) {
					t.Errorf("message %d is damaged: %.80s", seen, st.Raw())
				}
				seen++
			}
			burst = burst[:0]
			bursts++
			if c.Release() {
				held = st
			}
			if seen == count {
				close(events)
				return
			}
			c.Park(ready)
			return
		}
	}
	<-done
	c.Park(ready)
	<-events
	// 400 messages are 100 KB and more than one burst may take.
	if bursts < 2 {
		t.Errorf("a flood was read in %d burst", bursts)
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	eachMedium(t, func(t *testing.T, c *TCP, client net.Conn) {
		c.SetLimits(stanza.Limits{Bytes: 10_000})
		c.Restart()
		events := serve(c, func(e event) error { return e.err })
		received := make(chan string)
		go func() {
			b, _ := io.ReadAll(client)
			received <- string(b)
		}()
		go io.WriteString(client, openStream+message(600_000))
		wantHeader(t, events)
		e := next(t, events)
		var se *stanza.StreamError
		if !errors.As(e.err, &se) || se.Condition != stanza.StreamPolicyViolation {
			t.Fatalf("got %v", e)
		}
		c.Finish(se)
		// The error arrives although half a megabyte was never read.
		if got := <-received; !strings.Contains(got, "policy-violation") || !strings.HasSuffix(got, "</stream:stream>") {
			t.Errorf("the client read %q", got)
		}
	})
}

func TestPipelinedRestart(t *testing.T) {
	t.Parallel()
	eachMedium(t, func(t *testing.T, c *TCP, client net.Conn) {
		auth := "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>"
		events := serve(c, func(e event) error {
			if strings.HasPrefix(e.raw, "<auth") {
				c.Restart()
			}
			return nil
		})
		bind := "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
		go send(t, client, openStream+auth+openStream+bind)
		wantHeader(t, events)
		wantElement(t, events, auth)
		wantHeader(t, events)
		wantElement(t, events, bind)
	})
}

func TestEcho(t *testing.T) {
	t.Parallel()
	eachMedium(t, func(t *testing.T, c *TCP, client net.Conn) {
		events := serve(c, func(e event) error {
			if e.tok == stanza.Header {
				return c.Write(c.AppendOpen(nil, OpenHeader{From: "localhost", ID: "i<d", Lang: "en"}))
			}
			return c.Write(c.AppendElement(nil, []byte(e.raw)))
		})
		go func() {
			send(t, client, openStream)
			for i := range 50 {
				send(t, client, message(i*300))
			}
		}()
		want := "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='i&lt;d' from='localhost' version='1.0' xml:lang='en'>"
		for i := range 50 {
			want += message(i * 300)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(client, got); err != nil || string(got) != want {
			t.Fatalf("read %.300q, %v", got, err)
		}
		c.Finish(nil)
		rest, err := io.ReadAll(client)
		if string(rest) != "</stream:stream>" || err != nil {
			t.Errorf("read %q, %v at the end", rest, err)
		}
		wantError(t, events, net.ErrClosed)
	})
}

// Whoever closes first, the parked goroutine wakes once and nothing is closed twice.
func TestManyClosers(t *testing.T) {
	t.Parallel()
	eachMedium(t, func(t *testing.T, c *TCP, client net.Conn) {
		go io.Copy(io.Discard, client)
		events := serve(c, nil)
		cause := errors.New("kicked")
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				switch i % 4 {
				case 0:
					c.Abort(cause)
				case 1:
					c.Finish(nil)
				case 2:
					_ = c.Write([]byte("<presence/>"))
				case 3:
					go send2(client, " ")
				}
			})
		}
		wg.Wait()
		for e := range events {
			if e.err != nil && !errors.Is(e.err, cause) && !errors.Is(e.err, net.ErrClosed) {
				t.Errorf("reading ended with %v", e.err)
			}
		}
	})
}

// The poller's event for bytes that came before Park may be gone by then.
func TestBytesBeforePark(t *testing.T) {
	t.Parallel()
	server, client := tcpPair(t)
	c := NewTCP(server, testOptions())
	p := newPump(c)
	send(t, client, openStream)
	p.settle(t)
	other, echo := tcpPair(t)
	for range 100 {
		send(t, client, "<presence/>")
		// Whoever hears this through the poller has seen the other event, too.
		send(t, other, "x")
		if _, err := echo.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		for p.burst(t) == 0 {
		}
	}
}

// A slow sender's unfinished element does not keep a large buffer.
func TestUnfinishedElement(t *testing.T) {
	t.Parallel()
	server, client := tcpPair(t)
	c := NewTCP(server, testOptions())
	p := newPump(c)
	go send(t, client, openStream+message(200_000)+"<message><body>")
	for p.burst(t) == 0 {
	}
	for len(c.in.rest()) != len("<message><body>") {
		p.burst(t)
	}
	if n := len(c.in.buf.b); n != classes[0] {
		t.Errorf("15 bytes are kept in a buffer of %d", n)
	}
	send(t, client, "x</body></message>")
	for p.burst(t) == 0 {
	}
	if c.in.buf != nil {
		t.Error("an idle connection keeps its buffer")
	}
}

func send2(c io.Writer, s string) { _, _ = io.WriteString(c, s) }

func TestAbortWakesParked(t *testing.T) {
	t.Parallel()
	eachMedium(t, func(t *testing.T, c *TCP, client net.Conn) {
		events := serve(c, nil)
		go send(t, client, openStream)
		wantHeader(t, events)
		cause := fmt.Errorf("ping timeout")
		c.Abort(cause)
		wantError(t, events, cause)
		if err := c.Write([]byte(" ")); err == nil {
			t.Error("a closed connection takes bytes")
		}
	})
}
