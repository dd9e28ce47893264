package session

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/stanza"
)

// What a snapshot says was sent is what the client may have got: nothing is
// written behind it, or the client would confirm too much.
func TestSavedIsNotWritten(t *testing.T) {
	t.Parallel()
	w := &wire{stalled: true}
	o := manage(w, 1<<20, nil)
	o.Append([]byte("<message id='1'/>"))
	o.Flush()
	o.Append([]byte("<message id='2'/>")) // waits for the client to read
	sent, _, list := o.Save()
	before := w.text()
	w.drain()
	o.Flush()
	if sent != 1 || len(list) != 2 || w.text() != before {
		t.Errorf("%d sent, %d saved, then written: %s", sent, len(list), strings.TrimPrefix(w.text(), before))
	}
}

// A session that was told to end while no connection was below it ends with the
// one that takes it over.
func TestAttachOfAClosedOutbox(t *testing.T) {
	t.Parallel()
	old, w := new(wire), new(wire)
	o := manage(old, 1<<20, nil)
	o.Append([]byte("<message/>"))
	o.Flush()
	o.Detach()
	o.Shut(&stanza.StreamError{Condition: stanza.StreamConflict})
	o.Attach(w, []byte("<resumed/>"))
	o.Flush()
	if w.finished != 1 || !strings.HasPrefix(w.text(), "<resumed/>") {
		t.Errorf("finished %d times after %s", w.finished, w.text())
	}
}

// What a client has missed may be more than may wait for it: it is not its fault.
func TestReplayMayExceedTheLimit(t *testing.T) {
	t.Parallel()
	o := manage(new(wire), 1<<20, nil)
	o.SetLimit(1000)
	o.Detach()
	for range 300 {
		o.Append([]byte("<message/>"))
	}
	o.managed.Stamp = nil
	w := &wire{stalled: true}
	o.Attach(w, nil)
	o.Flush()
	if !o.Append([]byte("<message/>")) {
		t.Error("ended by the first message behind the resumption")
	}
	for !o.Closed() {
		o.Append([]byte("<message/>"))
	}
	if n := o.Queued(); n > 4100 {
		t.Errorf("%d bytes wait", n)
	}
}

// A client that does not read what its stream ends with leaves nothing in the
// books of the pool.
func TestUnreadEndIsForgotten(t *testing.T) {
	t.Parallel()
	for _, managed := range []bool{false, true} {
		w := &wire{stalled: true}
		o := NewOutbox(w, NewChunks(0), 1<<20)
		if managed {
			o.Manage(testManagement(1<<20, nil), nil)
		}
		o.Append([]byte("<message id='1'/>"))
		o.Flush()
		o.Append([]byte("<message id='2'/>"))
		o.Shut(nil)
		for range 3 {
			o.Take()
		}
		o.Abort(ErrSlowConsumer)
		if n := o.pool.Total(); n != 0 {
			t.Errorf("managed %v: %d bytes left", managed, n)
		}
	}
}

// What is held while the held stanzas are being queued is not forgotten.
func TestWakeKeepsWhatComesMeanwhile(t *testing.T) {
	t.Parallel()
	w := new(wire)
	o := NewOutbox(w, NewChunks(0), 100)
	o.Quiet(func(st *stanza.Stanza) Verdict { return Verdict{Hold: true} }, 1000)
	held := "<presence><status>" + strings.Repeat("x", 60) + "</status></presence>"
	o.Append([]byte(held))
	o.Append([]byte(held)) // does not fit into the outbox with the first
	busy := &interloper{wire: w, fn: func() { o.Append([]byte("<presence id='late'/>")) }}
	o.link = busy
	o.Wake()
	o.Flush()
	if got, want := w.text(), held+held; got != want && got != want+"<presence id='late'/>" {
		t.Errorf("got %s", got)
	}
	if busy.called != strings.Contains(w.text(), "late") && o.Queued() == 0 {
		t.Error("a stanza is lost")
	}
	if n := o.pool.Total(); n != int64(o.Queued()) {
		t.Errorf("%d bytes in the books", n)
	}
}

// interloper calls fn during the first Write.
type interloper struct {
	*wire
	fn     func()
	called bool
}

func (l *interloper) Write(p []byte) error {
	if !l.called {
		l.called = true
		l.fn()
	}
	return l.wire.Write(p)
}

// However two bindings of one resource cross, the registry knows one session.
func TestRegistryKnowsOneHolder(t *testing.T) {
	t.Parallel()
	full := jid.MustParse("romeo@localhost/home")
	for range 2000 {
		r := NewRegistry(1, nil)
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() { r.Add(New(r.NewRef(), full, Info{}, nil)) })
		}
		all.Wait()
		n := 0
		r.All(func(*Session) bool { n++; return true })
		if n != 1 || r.Len() != 1 || len(r.Sessions(full.Bare())) != 1 {
			t.Fatalf("%d sessions, %d counted", n, r.Len())
		}
	}
}

// client reads what an outbox writes: it confirms and notes each message.
type client struct {
	wire
	seen []string // messages of this connection
	all  int      // stanzas
}

func (c *client) Write(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, el := range strings.SplitAfter(string(p), "/>") {
		el = strings.TrimLeft(el, "[]")
		if strings.HasPrefix(el, "<message") {
			c.seen = append(c.seen, el)
		}
		if strings.HasPrefix(el, "<message") || strings.HasPrefix(el, "<presence") {
			c.all++
		}
	}
	return nil
}

// Senders, a client that confirms, loses its connection and comes back, and falls
// silent now and then: every message arrives, in the order of its sender, and
// nothing stays in the books.
func TestManagedStress(t *testing.T) {
	t.Parallel()
	const senders, each = 6, 400
	for _, framed := range []bool{false, true} {
		pool := NewChunks(0)
		link := &client{wire: wire{framed: framed}}
		m := testManagement(1<<30, nil)
		m.Asked, m.Stamp = func() {}, nil
		o := NewOutbox(link, pool, 1<<20)
		o.Manage(m, nil)

		var sending, helping sync.WaitGroup
		var done atomic.Bool
		for s := range senders {
			sending.Go(func() {
				for i := range each {
					if !o.Append(fmt.Appendf(nil, "<message f='%d' n='%d'/>", s, i)) {
						t.Error("refused")
						return
					}
					o.Append(fmt.Appendf(nil, "<presence f='%d'/>", s))
					if i%5 == 0 {
						o.Flush()
					}
				}
			})
		}
		helping.Go(func() { // the state of the client
			for !done.Load() {
				o.Quiet(func(st *stanza.Stanza) Verdict {
					return Verdict{Hold: st.Kind == stanza.Presence, Key: string(st.Root().Name())}
				}, 200)
				o.Wake()
				o.Flush()
				o.Asked()
				o.Rows(nil)
			}
		})
		// The client: one goroutine reads its connection.
		var got []string
		confirmed := uint32(0)
		confirm := func() {
			link.mu.Lock()
			n := link.all
			link.mu.Unlock()
			if bad := o.Ack(confirmed + uint32(n)); bad != nil {
				t.Fatal(bad)
			}
		}
		leave := func() {
			o.Detach()
			link.mu.Lock()
			got = append(got, link.seen...)
			confirmed += uint32(link.all)
			link.seen, link.all = nil, 0
			link.mu.Unlock()
			// What a stale flusher gives to the old link from now on is lost.
			link = &client{wire: wire{framed: framed}}
			if bad := o.Ack(confirmed); bad != nil {
				t.Fatal(bad)
			}
			o.Attach(link, []byte("<resumed/>"))
			o.Flush()
		}
		helping.Go(func() { sending.Wait(); done.Store(true) })
		for i := 0; !done.Load(); i++ {
			confirm()
			if i%7 == 0 {
				leave()
			}
		}
		helping.Wait()
		o.Wake()
		o.Flush()
		leave()
		o.Flush()
		leave()
		next := make([]int, senders)
		for _, el := range got {
			var s, n int
			if _, err := fmt.Sscanf(strings.Trim(el, "[]"), "<message f='%d' n='%d'/>", &s, &n); err != nil {
				t.Fatal(el, err)
			}
			if n != next[s] {
				t.Fatalf("sender %d: %d came instead of %d", s, n, next[s])
			}
			next[s]++
		}
		for s, n := range next {
			if n != each {
				t.Errorf("sender %d: %d messages", s, n)
			}
		}
		for o.Take() != nil {
		}
		if n := pool.Total(); n != 0 || !o.Closed() {
			t.Errorf("%d bytes left", n)
		}
	}
}
