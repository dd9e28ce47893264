package transport

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// fillPeer writes until the peer's kernel takes no more and returns how much that was.
func fillPeer(t *testing.T, c *TCP) int {
	t.Helper()
	p := bytes.Repeat([]byte("<presence/>"), 1400)
	for total := 0; ; {
		if err := c.Write(p); err != nil {
			t.Fatal(err)
		}
		if total += len(p); c.Pending() > 0 {
			return total
		}
		if total > 1<<30 {
			t.Fatal("a peer that reads nothing took a gigabyte")
		}
	}
}

func TestPeerReadsLate(t *testing.T) {
	t.Parallel()
	eachMedium(t, func(t *testing.T, c *TCP, client net.Conn) {
		total := fillPeer(t, c)
		if n := c.Pending(); n > 2*16<<10 {
			t.Errorf("%d bytes are pending after one refused write", n)
		}
		drained := make(chan struct{}, 1)
		c.OnDrained(func() { drained <- struct{}{} })
		select {
		case <-drained:
			t.Fatal("drained although nobody reads")
		default:
		}
		got := make(chan []byte)
		go func() {
			b := make([]byte, total)
			_, err := io.ReadFull(client, b)
			if err != nil {
				t.Error(err)
			}
			got <- b
		}()
		<-drained
		if n := c.Pending(); n != 0 {
			t.Errorf("%d bytes are pending after the drain", n)
		}
		if b := <-got; !bytes.Equal(b, bytes.Repeat([]byte("<presence/>"), total/11)) {
			t.Error("bytes were lost or mixed up")
		}
		again := make(chan struct{})
		c.OnDrained(func() { close(again) }) // nothing is pending: at once
		<-again
	})
}

func TestStalledPeerIsClosed(t *testing.T) {
	t.Parallel()
	for _, m := range media {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			server, client := m.pair(t)
			o := testOptions()
			o.WriteStall = 30 * time.Millisecond
			c := NewTCP(server, o)
			if m.tls != 0 {
				secure(t, c, client, m.tls)
			}
			events := serve(c, nil)
			fillPeer(t, c)
			failed := make(chan error, 1)
			c.OnDrained(func() { failed <- c.Write([]byte(" ")) })
			wantError(t, events, ErrWriteStall)
			if err := <-failed; err == nil {
				t.Error("a closed connection takes bytes")
			}
		})
	}
}

// Only time without progress counts.
func TestSlowPeerIsNotStalled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		c := NewTCP(server, testOptions())
		events := serve(c, nil)
		if err := c.Write(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		for range 10 {
			time.Sleep(29 * time.Second)
			if _, err := io.ReadFull(client, make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
		}
		if e := <-events; e.err != ErrWriteStall {
			t.Errorf("got %v", e)
		}
		// Through a pipe the wait is looked at every 30 s.
		if d := time.Since(begin) - 290*time.Second; d < 30*time.Second || d > 60*time.Second {
			t.Errorf("closed after %v", d)
		}
	})
}

// Finish waits for a stalled peer only as long as Linger.
func TestFinishOfStalledPeer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		c := NewTCP(server, testOptions())
		events := serve(c, nil)
		begin := time.Now()
		c.Finish(nil)
		if e := <-events; e.err != net.ErrClosed || time.Since(begin) != 0 {
			t.Errorf("the reader heard %v after %v", e, time.Since(begin))
		}
		synctest.Wait()
		time.Sleep(defaultLinger)
		synctest.Wait()
		if n, err := client.Read(make([]byte, 10)); err != io.EOF {
			t.Errorf("the client read %d bytes, %v", n, err)
		}
	})
}
