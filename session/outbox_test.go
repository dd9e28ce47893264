package session

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/stanza"
)

// wire is a link that takes bytes until it is stalled.
type wire struct {
	mu       sync.Mutex
	got      bytes.Buffer
	pending  int
	stalled  bool
	drained  func()
	finished int
	aborted  error
	framed   bool
	writing  int
}

func (w *wire) AppendElement(dst, xml []byte) []byte {
	if w.framed {
		return append(append(append(dst, '['), xml...), ']')
	}
	return append(dst, xml...)
}
func (w *wire) Framed() bool { return w.framed }

func (w *wire) Write(p []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.writing++; w.writing > 1 {
		panic("two writers")
	}
	defer func() { w.writing-- }()
	w.got.Write(p)
	if w.stalled {
		w.pending += len(p)
	}
	return nil
}
func (w *wire) Pending() int { w.mu.Lock(); defer w.mu.Unlock(); return w.pending }
func (w *wire) OnDrained(fn func()) {
	w.mu.Lock()
	w.drained = fn
	w.mu.Unlock()
}
func (w *wire) Finish(*stanza.StreamError) { w.mu.Lock(); w.finished++; w.mu.Unlock() }
func (w *wire) Abort(err error)            { w.mu.Lock(); w.aborted = err; w.mu.Unlock() }

// drain lets the stalled peer read.
func (w *wire) drain() {
	w.mu.Lock()
	fn := w.drained
	w.pending, w.stalled, w.drained = 0, false, nil
	w.mu.Unlock()
	if fn != nil {
		fn()
	}
}

func (w *wire) text() string { w.mu.Lock(); defer w.mu.Unlock(); return w.got.String() }

func TestOutboxKeepsOrderUnderManySenders(t *testing.T) {
	t.Parallel()
	w := new(wire)
	o := NewOutbox(w, NewChunks(0), 64<<20)
	var senders sync.WaitGroup
	for s := range 8 {
		senders.Go(func() {
			for i := range 500 {
				o.Append(fmt.Appendf(nil, "<%d-%d/>", s, i))
				if i%3 == 0 {
					o.Flush()
				}
			}
			o.Flush()
		})
	}
	senders.Wait()
	next := make([]int, 8)
	for _, el := range strings.Split(strings.Trim(w.text(), "<>"), "/><") {
		var s, i int
		if _, err := fmt.Sscanf(strings.TrimSuffix(el, "/"), "%d-%d", &s, &i); err != nil {
			t.Fatal(el, err)
		}
		if i != next[s] {
			t.Fatalf("sender %d: %d came instead of %d", s, i, next[s])
		}
		next[s]++
	}
	for s, n := range next {
		if n != 500 {
			t.Errorf("sender %d: %d elements", s, n)
		}
	}
	if o.Queued() != 0 || o.pool.Total() != 0 {
		t.Errorf("%d bytes queued, %d in all", o.Queued(), o.pool.Total())
	}
}

func TestOutboxHoldsBackWhileTheClientDoesNotRead(t *testing.T) {
	t.Parallel()
	w := &wire{stalled: true}
	o := NewOutbox(w, NewChunks(0), 1000)
	o.Append([]byte("<a/>"))
	o.Flush()
	o.Append([]byte("<b/>"))
	o.Flush()
	if got := w.text(); got != "<a/>" {
		t.Errorf("written while pending: %q", got)
	}
	w.drain()
	if got := w.text(); got != "<a/><b/>" {
		t.Errorf("after draining: %q", got)
	}
}

func TestOutboxOverflowClosesTheSlowConsumer(t *testing.T) {
	t.Parallel()
	w := &wire{stalled: true}
	pool := NewChunks(0)
	o := NewOutbox(w, pool, 1000)
	o.Append([]byte("<a/>"))
	o.Flush()
	n := 0
	for o.Append(bytes.Repeat([]byte("x"), 100)) {
		if n++; n > 100 {
			t.Fatal("no limit")
		}
	}
	if o.Discard(); !o.Closed() || pool.Total() != 0 {
		t.Errorf("closed %v, %d bytes kept", o.Closed(), pool.Total())
	}
	if n != 10 {
		t.Errorf("%d elements of 100 bytes fitted into 1000", n)
	}
}

func TestOutboxTotalLimit(t *testing.T) {
	t.Parallel()
	pool := NewChunks(1000)
	one, two := NewOutbox(new(wire), pool, 1<<20), NewOutbox(&wire{stalled: true}, pool, 1<<20)
	if !one.Append(bytes.Repeat([]byte("x"), 900)) {
		t.Fatal("the first 900 bytes were refused")
	}
	two.Append([]byte("<a/>"))
	two.Flush()
	two.Append([]byte("<b/>")) // an empty outbox always takes one element
	if two.Append(bytes.Repeat([]byte("x"), 900)) {
		t.Error("more than the total was taken for a client that does not read")
	}
	for range 3 {
		if !one.Append(bytes.Repeat([]byte("x"), 900)) {
			t.Fatal("a client that reads suffers from those that do not")
		}
	}
}

// One burst may have more for a client than it may queue; that is not its fault.
func TestOutboxGivesTheClientAChance(t *testing.T) {
	t.Parallel()
	w := new(wire)
	o := NewOutbox(w, NewChunks(0), 1000)
	for range 100 {
		if !o.Append(bytes.Repeat([]byte("x"), 100)) {
			t.Fatal("closed although the client reads")
		}
	}
	o.Flush()
	if n := len(w.text()); n != 100*100 {
		t.Errorf("%d bytes arrived", n)
	}
}

// A client that reads nothing does not outlive the end of its stream for long.
func TestShutWaitsNotForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wire{stalled: true}
		o := NewOutbox(w, NewChunks(0), 1000)
		o.Append([]byte("<a/>"))
		o.Flush()
		o.Append([]byte("<b/>"))
		end := &stanza.StreamError{Condition: stanza.StreamConflict}
		o.Shut(end)
		time.Sleep(shutPatience) // of the bubble
		synctest.Wait()
		if !errors.Is(w.aborted, ErrSlowConsumer) {
			t.Errorf("aborted: %v", w.aborted)
		}
		if o.Ended() != error(end) {
			t.Errorf("ended by %v", o.Ended())
		}
	})
}

func TestShutSendsWhatIsQueuedFirst(t *testing.T) {
	t.Parallel()
	w := &wire{stalled: true}
	o := NewOutbox(w, NewChunks(0), 1000)
	o.Append([]byte("<a/>"))
	o.Flush()
	o.Append([]byte("<b/>"))
	o.Shut(&stanza.StreamError{Condition: stanza.StreamConflict})
	o.Shut(nil)
	if o.Append([]byte("<c/>")) {
		t.Error("taken after the end")
	}
	if w.finished != 0 {
		t.Error("finished before the queue was written")
	}
	w.drain()
	if w.text() != "<a/><b/>" || w.finished != 1 {
		t.Errorf("%q, finished %d times", w.text(), w.finished)
	}
}

func TestFramedStanza(t *testing.T) {
	t.Parallel()
	w := &wire{framed: true}
	o := NewOutbox(w, NewChunks(0), 1<<20)
	var st stanza.Stanza
	if err := st.Parse([]byte("<message to='a@b'/>"), stanza.Limits{}); err != nil {
		t.Fatal(err)
	}
	st.SetAttr(stanza.Sent, "from", "c@d/e")
	o.AppendStanza(&st, stanza.Received, 0, 0)
	o.Flush()
	if got := w.text(); got != "[<message from='c@d/e' to='a@b'/>]" && got != "[<message to='a@b' from='c@d/e'/>]" {
		t.Errorf("%q", got)
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	w := new(wire)
	o := NewOutbox(w, NewChunks(0), 1<<20)
	xml := bytes.Repeat([]byte("x"), 343)
	n := testing.AllocsPerRun(1000, func() {
		o.Append(xml)
		o.Append(xml)
		o.Flush()
		w.got.Reset()
	})
	if n > 1 { // the pool's own header
		t.Errorf("%v allocations for two elements", n)
	}
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	type event struct {
		jid  string
		gone bool
	}
	var events []event
	r := NewRegistry(7, func(e Entry, gone bool) { events = append(events, event{e.JID.String(), gone}) })
	bind := func(full string) *Session {
		return New(r.NewRef(), jid.MustParse(full), Info{}, NewOutbox(new(wire), NewChunks(0), 1000))
	}
	a, b := bind("u@d/a"), bind("u@d/b")
	if r.Add(a) != nil || r.Add(b) != nil {
		t.Error("a free resource was taken")
	}
	a2 := bind("u@d/a")
	if taken := r.Add(a2); taken != a {
		t.Errorf("taken: %v", taken)
	}
	if r.Len() != 2 || r.ByRef(a.Ref) != nil || r.ByRef(a2.Ref) != a2 || r.ByRef(Ref{8, a2.Ref.ID}) != nil {
		t.Errorf("%d sessions", r.Len())
	}
	r.SetPresence(a, []byte("<presence/>"), 0) // it is gone: nobody is told
	if r.Remove(a) {
		t.Error("removed what another session holds")
	}
	if !r.Remove(a2) || !r.Remove(b) || len(r.Sessions(jid.MustParse("u@d"))) != 0 || r.Len() != 0 {
		t.Error("sessions stay")
	}
	want := []event{{"u@d/a", false}, {"u@d/b", false}, {"u@d/a", true}, {"u@d/a", false}, {"u@d/a", true}, {"u@d/b", true}}
	if fmt.Sprint(events) != fmt.Sprint(want) {
		t.Errorf("events %v\nwant   %v", events, want)
	}
}

func TestKickReachesTheLink(t *testing.T) {
	t.Parallel()
	w := new(wire)
	s := New(Ref{1, 1}, jid.MustParse("u@d/a"), Info{}, NewOutbox(w, NewChunks(0), 1000))
	s.Kick(stanza.StreamConflict, "")
	if w.finished != 1 {
		t.Error("not finished")
	}
	s.Outbox.Abort(errors.New("x"))
	if w.aborted == nil {
		t.Error("not aborted")
	}
}

func TestDirectedPresenceIsBounded(t *testing.T) {
	t.Parallel()
	s := New(Ref{1, 1}, jid.MustParse("u@d/a"), Info{}, nil)
	x, y, z := jid.MustParse("x@d/r"), jid.MustParse("y@d"), jid.MustParse("z@d")
	if !s.Directed(x, true, 2) || !s.Directed(y, true, 2) || s.Directed(z, true, 2) || !s.Directed(x, true, 2) {
		t.Error("the limit of two does not hold")
	}
	if !s.IsDirected(x) || !s.IsDirected(jid.MustParse("y@d/any")) || s.IsDirected(z) {
		t.Error("wrong entities are noted")
	}
	s.Directed(x, false, 2)
	if got := s.TakeDirected(); len(got) != 1 || got[0] != y || len(s.TakeDirected()) != 0 {
		t.Errorf("%v", got)
	}
}

func TestSlotsAreApart(t *testing.T) {
	t.Parallel()
	a, b := NewSlot[int](), NewSlot[string]()
	s, other := New(Ref{1, 1}, jid.MustParse("u@d/a"), Info{}, nil), New(Ref{1, 2}, jid.MustParse("u@d/b"), Info{}, nil)
	if a.Load(s) != 0 || b.Load(s) != "" {
		t.Error("not empty")
	}
	a.Store(s, 1)
	b.Store(s, "x")
	a.Store(s, 2)
	if a.Load(s) != 2 || b.Load(s) != "x" || a.Load(other) != 0 {
		t.Errorf("%d %q %d", a.Load(s), b.Load(s), a.Load(other))
	}
}
