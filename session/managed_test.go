package session

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/stanza"
)

const askedXML = "<r xmlns='urn:xmpp:sm:3'/>"

// manage makes an outbox with stream management above w; events notes what the
// owner is told.
func manage(w *wire, limit int, events *[]string) *Outbox {
	o := NewOutbox(w, NewChunks(0), 1<<20)
	o.Manage(testManagement(limit, events), nil)
	return o
}

func testManagement(limit int, events *[]string) Management {
	note := func(e string) {
		if events != nil {
			*events = append(*events, e)
		}
	}
	return Management{
		Limit: limit, Now: func() int64 { return 100 },
		Asked: func() { note("asked") },
		Ended: func() { note("ended") },
		Stamp: func(xml []byte, at int64) []byte { return fmt.Appendf(nil, "<message at='%d'/>", at) },
	}
}

func TestManagedKeepsWhatIsNotConfirmed(t *testing.T) {
	t.Parallel()
	w := new(wire)
	var events []string
	o := manage(w, 1<<20, &events)
	o.Append([]byte("<message id='1'/>"))
	o.Append([]byte("<presence id='2'/>"))
	o.Flush()
	o.Append([]byte("<iq id='3'/>"))
	o.Flush()
	if got, want := w.text(), "<message id='1'/><presence id='2'/>"+askedXML+"<iq id='3'/>"; got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
	if o.Asked() != 100 || len(events) != 1 {
		t.Errorf("asked %d, events %v", o.Asked(), events)
	}
	if err := o.Ack(2); err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, p := range o.Take() {
		left = append(left, string(p.XML))
	}
	if diff := cmp.Diff([]string{"<iq id='3'/>"}, left); diff != "" {
		t.Error(diff)
	}
	if o.Take() != nil || !o.Closed() || o.pool.Total() != 0 {
		t.Errorf("closed %v, %d bytes kept", o.Closed(), o.pool.Total())
	}
}

func TestManagedHandledCount(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		acks []uint32
		bad  bool
	}{
		"all":         {acks: []uint32{3}},
		"one by one":  {acks: []uint32{1, 2, 3}},
		"twice":       {acks: []uint32{2, 2}},
		"too high":    {acks: []uint32{4}, bad: true},
		"taken back":  {acks: []uint32{2, 1}, bad: true},
		"far too low": {acks: []uint32{1 << 31}, bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := manage(new(wire), 1<<20, nil)
			for range 3 {
				o.Append([]byte("<message/>"))
			}
			o.Flush()
			o.Append([]byte("<message/>")) // not sent
			var bad *stanza.StreamError
			for _, h := range c.acks {
				bad = o.Ack(h)
			}
			if (bad != nil) != c.bad {
				t.Fatalf("error %v", bad)
			}
			if bad == nil {
				return
			}
			want := fmt.Sprintf("<handled-count-too-high xmlns='urn:xmpp:sm:3' h='%d' send-count='3'/>", c.acks[len(c.acks)-1])
			if bad.Condition != stanza.StreamUndefinedCondition || string(bad.App) != want {
				t.Errorf("%s %s", bad.Condition, bad.App)
			}
		})
	}
}

// The counter goes on behind 2³²-1 (XEP-0198 §4).
func TestManagedCounterWraps(t *testing.T) {
	t.Parallel()
	w := new(wire)
	o := Restore(NewChunks(0), 1<<20, testManagement(1<<20, nil), 0, 1<<32-2, []Pending{{XML: "<iq/>"}, {XML: "<iq/>"}, {XML: "<iq/>"}})
	o.Attach(w, nil)
	o.Flush()
	if err := o.Ack(0); err != nil {
		t.Fatal(err)
	}
	if n := len(o.Take()); n != 1 {
		t.Errorf("%d stanzas left", n)
	}
}

func TestAttachSendsAgain(t *testing.T) {
	t.Parallel()
	first, second := new(wire), &wire{framed: true}
	o := manage(first, 1<<20, nil)
	add := func(xml string, at int64) {
		var st stanza.Stanza
		if err := st.Parse([]byte(xml), stanza.Limits{}); err != nil {
			t.Fatal(err)
		}
		o.AppendStanza(&st, stanza.Received, at, 0)
	}
	add("<message id='1'/>", 11)
	add("<message id='2'/>", 12)
	o.Flush()
	o.Append([]byte("<a xmlns='urn:xmpp:sm:3' h='7'/>"))
	o.Flush()
	add("<presence/>", 13) // never written
	o.Detach()
	add("<message id='3'/>", 14)
	if o.Attached() {
		t.Error("attached")
	}
	before := first.text()
	if err := o.Ack(1); err != nil {
		t.Fatal(err)
	}
	o.Attach(second, []byte("[<resumed/>]"))
	o.Flush()
	if first.text() != before {
		t.Error("something was written to the former link")
	}
	want := "[<resumed/>][<message at='12'/>][<presence/>][<message at='14'/>][" + askedXML + "]"
	if got := second.text(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if err := o.Ack(4); err != nil {
		t.Fatal(err)
	}
	if o.pool.Total() != 0 {
		t.Errorf("%d bytes kept", o.pool.Total())
	}
}

func TestManagedConfirmsStored(t *testing.T) {
	t.Parallel()
	o := manage(new(wire), 10, nil) // what is stored has limits of its own
	var told []int64
	o.OnConfirmed(func(seqs []int64) { told = append(told, seqs...) })
	for seq := range int64(3) {
		if !o.AppendStored([]byte("<message>0123456789</message>"), seq+5) {
			t.Fatal("refused")
		}
	}
	if diff := cmp.Diff([]int64{5, 6, 7}, o.Rows(nil)); diff != "" {
		t.Error(diff)
	}
	o.Flush()
	o.Ack(2)
	o.Ack(2)
	o.Ack(3)
	if diff := cmp.Diff([]int64{5, 6, 7}, told); diff != "" {
		t.Error(diff)
	}
}

// A live row is confirmed like a stored one, and counts against the limit.
func TestManagedRows(t *testing.T) {
	t.Parallel()
	o := manage(new(wire), 80, nil)
	var told []int64
	o.OnConfirmed(func(seqs []int64) { told = append(told, seqs...) })
	st := new(stanza.Stanza)
	if err := st.Parse([]byte("<message>0123456789</message>"), stanza.Limits{}); err != nil {
		t.Fatal(err)
	}
	o.AppendRow([]byte("<message>0123456789</message>"), 9)
	o.Append([]byte("<iq/>"))
	o.AppendStanza(st, stanza.Received, 1, 3)
	if diff := cmp.Diff([]int64{9, 3}, o.Rows(nil)); diff != "" {
		t.Error(diff)
	}
	o.Flush()
	o.Ack(3)
	if diff := cmp.Diff([]int64{9, 3}, told); diff != "" {
		t.Error(diff)
	}
	o.Detach()
	n := 0
	for n < 100 && o.AppendRow([]byte("<message>0123456789</message>"), 10) {
		n++
	}
	if n != 5 { // up to twice the limit, until somebody takes them
		t.Errorf("%d taken", n)
	}
}

func TestManagedLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var events []string
		w := new(wire)
		o := manage(w, 100, &events)
		message := []byte("<message>" + strings.Repeat("x", 40) + "</message>")
		o.Append(message)
		o.Flush()
		o.Detach()
		if o.Closed() {
			t.Error("over before the limit")
		}
		// What arrives until somebody cleans up stands behind the rest, as far as
		// that goes.
		if !o.Append(message) || !o.Closed() {
			t.Error("the queue was overtaken, or has no limit")
		}
		synctest.Wait()
		if o.Ended() != ErrUnacked || len(events) != 2 || events[1] != "ended" {
			t.Errorf("ended by %v, events %v", o.Ended(), events)
		}
		if !o.Append([]byte("<message/>")) || o.Append(message) {
			t.Error("not twice the limit")
		}
		if n := len(o.Take()); n != 3 {
			t.Errorf("%d stanzas left behind", n)
		}
		if o.Take() != nil || o.Append(message) {
			t.Error("open behind the last Take")
		}
	})
}

func TestSaveAndRestore(t *testing.T) {
	t.Parallel()
	o := manage(new(wire), 1<<20, nil)
	o.Append([]byte("<iq id='1'/>"))
	o.Flush()
	o.Ack(1)
	o.AppendStored([]byte("<message id='2'/>"), 9)
	o.Flush()
	o.Quiet(func(*stanza.Stanza) Verdict { return Verdict{Hold: true} }, 1000)
	o.Append([]byte("<presence id='3'/>"))
	sent, acked, list := o.Save()
	if o.Append([]byte("<iq/>")) {
		t.Error("taken after Save")
	}
	again := Restore(NewChunks(0), 1<<20, testManagement(1<<20, nil), sent, acked, list)
	if diff := cmp.Diff([]int64{9}, again.Rows(nil)); diff != "" {
		t.Error(diff)
	}
	if bad := again.Ack(3); bad == nil {
		t.Error("a stanza was confirmed that was held back")
	}
	if bad := again.Ack(2); bad != nil { // what was sent before and is confirmed now
		t.Error(bad.Text)
	}
	w := new(wire)
	again.Attach(w, nil)
	again.Flush()
	if got := w.text(); got != "<presence id='3'/>" {
		t.Errorf("sent %s", got)
	}
}

func TestSurrender(t *testing.T) {
	t.Parallel()
	w := &wire{framed: true, stalled: true}
	o := NewOutbox(w, NewChunks(0), 1000)
	o.AppendRaw([]byte("(open)"))
	o.Flush()
	o.AppendRaw([]byte("(raw)"))
	o.Append([]byte("<x/>"))
	if got := string(o.Surrender()); got != "(raw)[<x/>]" {
		t.Errorf("rest %s", got)
	}
	w.drain()
	if got := w.text(); got != "(open)" {
		t.Errorf("written %s", got)
	}
	if o.Append([]byte("<y/>")) {
		t.Error("taken afterwards")
	}
}

func TestQuiet(t *testing.T) {
	t.Parallel()
	w := new(wire)
	o := NewOutbox(w, NewChunks(0), 1<<20)
	o.Quiet(func(st *stanza.Stanza) Verdict {
		key, _ := st.Attr("k")
		return Verdict{Hold: st.Kind == stanza.Presence, Key: string(key)}
	}, 60)
	send := func(all ...string) {
		for _, xml := range all {
			o.Append([]byte(xml))
		}
		o.Flush()
	}
	send("<presence k='a' id='1'/>", "<presence k='b' id='2'/>", "<presence k='a' id='3'/>")
	if w.text() != "" {
		t.Fatalf("sent %s", w.text())
	}
	send("<message/>")
	want := "<presence k='b' id='2'/><presence k='a' id='3'/><message/>"
	if got := w.text(); got != want {
		t.Fatalf("sent %s, want %s", got, want)
	}
	send("<presence id='4'/>", "<presence id='4'/>", "<presence id='4'/>", "<presence id='5'/>")
	want += strings.Repeat("<presence id='4'/>", 3) + "<presence id='5'/>"
	if got := w.text(); got != want {
		t.Fatalf("beyond the limit: sent %s, want %s", got, want)
	}
	send("<presence id='6'/>")
	o.Wake()
	send("<presence id='7'/>")
	if got := w.text(); got != want+"<presence id='6'/><presence id='7'/>" {
		t.Errorf("awake: sent %s", got)
	}
	if o.pool.Total() != 0 {
		t.Errorf("%d bytes kept", o.pool.Total())
	}
}

// Whatever happens in whatever order, every stanza arrives once and in order.
func TestManagedAtRandom(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		o := manage(new(wire), 1<<20, nil)
		o.managed.Stamp = nil
		w := o.link.(*wire)
		sent, got := 0, 0 // stanzas appended; seen by the client
		read := func() {
			for _, el := range strings.SplitAfter(w.text(), ">") {
				if !strings.HasPrefix(el, "<message") {
					continue
				}
				var n int
				fmt.Sscanf(el, "<message n='%d'", &n)
				if n != got+1 {
					t.Fatalf("seed %d: %d behind %d", seed, n, got)
				}
				got = n
			}
			w.mu.Lock()
			w.got.Reset()
			w.mu.Unlock()
		}
		for range 100 {
			switch r.IntN(6) {
			case 0, 1:
				sent++
				o.Append(fmt.Appendf(nil, "<message n='%d' pad='%s'/>", sent, strings.Repeat("x", r.IntN(900))))
			case 2:
				o.Flush()
			case 3:
				if read(); w.pending == 0 && o.Attached() {
					if bad := o.Ack(uint32(got)); bad != nil {
						t.Fatalf("seed %d: %v", seed, bad.Text)
					}
				}
			case 4:
				w.mu.Lock()
				stall := !w.stalled && w.drained == nil
				w.stalled = stall
				w.mu.Unlock()
				if !stall {
					w.drain()
				}
			case 5:
				read()
				o.Detach()
				w = new(wire)
				if bad := o.Ack(uint32(got)); bad != nil {
					t.Fatalf("seed %d: %v", seed, bad.Text)
				}
				o.Attach(w, nil)
			}
		}
		w.drain()
		o.Flush()
		if read(); got != sent {
			t.Fatalf("seed %d: %d of %d arrived", seed, got, sent)
		}
	}
}

// What is no message is asked about too, before the queue is full of it.
func TestManagedAsksForPresenceToo(t *testing.T) {
	t.Parallel()
	w := new(wire)
	o := manage(w, 8000, nil) // asks after 1000 bytes
	presence := []byte("<presence>" + strings.Repeat("x", 180) + "</presence>")
	for i := range 20 {
		if !o.Append(presence) {
			t.Fatalf("presence %d was refused", i)
		}
		o.Flush()
	}
	if n := strings.Count(w.text(), askedXML); n != 4 {
		t.Errorf("asked %d times for 20 stanzas of 200 bytes", n)
	}
}

// A connection that takes nothing costs the client its connection, not its
// session, as long as the queue has room.
func TestManagedLeavesASlowLink(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wire{stalled: true}
		o := manage(w, 1<<20, nil)
		o.managed.Resumable, o.managed.Stamp = true, nil
		o.SetLimit(1000)
		n := 0
		for ; o.Attached(); n++ {
			if !o.Append([]byte("<message>0123456789</message>")) {
				t.Fatal("refused")
			}
			o.Flush()
		}
		synctest.Wait()
		if o.Closed() || w.aborted != ErrSlowConsumer {
			t.Errorf("closed %v, link aborted by %v", o.Closed(), w.aborted)
		}
		second := new(wire)
		o.Attach(second, nil)
		o.Flush()
		if got := strings.Count(second.text(), "<message>"); got != n {
			t.Errorf("%d of %d came over the second link", got, n)
		}
	})
}
