package session

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/stanza"
)

// What the client has confirmed in full it owes no answer for; what it has
// confirmed in part, from then on.
func TestAskedUntilConfirmed(t *testing.T) {
	t.Parallel()
	now := int64(100)
	var events []string
	m := testManagement(1<<20, &events)
	m.Now = func() int64 { return now }
	o := NewOutbox(new(wire), NewChunks(0), 1<<20)
	o.Manage(m, nil)
	for _, step := range []struct {
		what   string
		do     func() bool
		asked  int64
		events int
	}{
		{"nothing sent", func() bool { return true }, 0, 0},
		{"presence", func() bool { return o.Append([]byte("<presence/>")) }, 0, 0},
		{"a message", func() bool { return o.Append([]byte("<message/>")) }, 120, 1},
		{"another", func() bool { return o.Append([]byte("<message/>")) }, 120, 1},
		{"confirmed in part", func() bool { return o.Ack(2) == nil }, 140, 1},
		{"confirmed", func() bool { return o.Ack(3) == nil }, 0, 1},
		{"confirmed again", func() bool { return o.Ack(3) == nil }, 0, 1},
		{"a third message", func() bool { return o.Append([]byte("<message/>")) }, 170, 2},
		{"detached", func() bool { o.Detach(); return true }, 0, 2},
		{"confirmed by <resume/> in part", func() bool { return o.Ack(3) == nil }, 0, 2},
	} {
		if !step.do() {
			t.Errorf("%s: refused", step.what)
		}
		if o.Flush(); o.Asked() != step.asked || len(events) != step.events {
			t.Errorf("%s: asked at %d, %d times; want %d, %d", step.what, o.Asked(), len(events), step.asked, step.events)
		}
		now += 10
	}
}

// What is held back for an inactive client takes room in the queue.
func TestHeldTakesRoom(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		held, size int
		taken      bool // size more bytes
		over       bool
	}{
		"room for both":         {40, 40, true, false},
		"one byte too much":     {60, 41, true, true}, // the session ends, and takes it all the same
		"beyond twice the room": {100, 101, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := manage(new(wire), 100, nil)
			o.Quiet(func(*stanza.Stanza) Verdict { return Verdict{Hold: true} }, 1000)
			if !o.Append([]byte("<presence>" + strings.Repeat("x", c.held-21) + "</presence>")) {
				t.Fatal("not held")
			}
			if taken := o.Append([]byte("<x>" + strings.Repeat("x", c.size-7) + "</x>")); taken != c.taken || o.Closed() != c.over {
				t.Errorf("taken %v, over %v", taken, o.Closed())
			}
		})
	}
}

// A client that enables stream management once more counts from <enabled/> on:
// not what was confirmed, nor what was sent before, nor what only waited.
func TestManagedAnew(t *testing.T) {
	t.Parallel()
	w := new(wire)
	o := manage(w, 1<<20, nil)
	add := func(xml string) {
		if !o.Append([]byte(xml)) {
			t.Fatal("refused")
		}
	}
	add("<iq id='1'/>")
	add("<iq id='2'/>")
	w.stalled = true
	o.Flush()
	if bad := o.Ack(1); bad != nil {
		t.Fatal(bad.Text)
	}
	add("<iq id='3'/>") // not written yet
	var events []string
	o.Manage(testManagement(1<<20, &events), []byte("<enabled/>"))
	add("<iq id='4'/>")
	w.drain()
	o.Flush()
	if got, want := w.text(), "<iq id='1'/><iq id='2'/><iq id='3'/><enabled/><iq id='4'/>"; got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
	var left []string
	for _, p := range o.pending() {
		left = append(left, string(p.XML))
	}
	if diff := cmp.Diff([]string{"<iq id='4'/>"}, left); diff != "" {
		t.Error(diff)
	}
	if o.Ack(2) == nil {
		t.Error("more was confirmed than was sent since <enabled/>")
	}
	if bad := o.Ack(1); bad != nil {
		t.Error(bad.Text)
	}
	if o.pool.Total() != 0 {
		t.Errorf("%d bytes kept", o.pool.Total())
	}
}

// blackHole is a link that takes everything.
type blackHole struct{ wire }

func (*blackHole) Write([]byte) error { return nil }

// Once a session has its buffers, stanzas for a client that confirms them cost no
// allocation. It may lag behind, so that the queue is never empty.
func TestManagedDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	var st stanza.Stanza
	if err := st.Parse([]byte("<message to='a@b' from='c@d'><body>hello</body></message>"), stanza.Limits{}); err != nil {
		t.Fatal(err)
	}
	presence := []byte("<presence from='c@d'/>")
	for _, lag := range []int{0, 40} {
		m := testManagement(1<<20, nil)
		m.Asked = func() {}
		o := NewOutbox(new(blackHole), NewChunks(0), 1<<20)
		o.Manage(m, nil)
		for range lag {
			o.Append(presence)
		}
		confirmed := uint32(0)
		round := func() {
			for range 3 {
				o.AppendStanza(&st, stanza.Received, 1, 0)
			}
			o.Append(presence)
			o.Flush()
			confirmed += 4
			if bad := o.Ack(confirmed); bad != nil {
				t.Error(bad.Text)
			}
		}
		for range 1000 { // as many as fill several chunks
			round()
		}
		if n := testing.AllocsPerRun(1000, round); n > 0 {
			t.Errorf("%d behind: %v allocations for four stanzas", lag, n)
		}
	}
}
