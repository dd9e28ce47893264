package c2s_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/internal/xmpptest"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/router"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/storage"
)

// A resumption counts what the former connection has read, and waits until that
// has been dealt with.
func TestResumeWaitsForTheFormerConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := new(slow)
		h := open(t, config.Defaults(), st, keeps)
		t.Cleanup(st.free)
		c := h.enter("home")
		c.EnableSM(true)
		// The second message is looked at when the first one has been written.
		c.Send("<message to='romeo@localhost' id='1'/><presence to='nobody@elsewhere.example' id='2'/><message to='romeo@localhost' id='3'/>")
		synctest.Wait()
		h.session("home").Outbox.Append([]byte("<message id='missed'/>"))
		next := h.enter("")
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 2 {
				synctest.Wait()
				if n := st.commit(nil); n != 1 {
					t.Errorf("%d messages wait", n)
				}
			}
		}()
		answer := next.TryResume(c)
		if answer.Name != "resumed" || answer.Attr("h") != "3" {
			t.Errorf("%s", answer)
		}
		<-done
	})
}

// library is a store that remembers streams.
type library struct {
	one
	mu        sync.Mutex
	rows      map[string]storage.Stream
	written   int
	snapshots []storage.Snapshot
	outdated  int   // rows that may go
	limits    []int // of the calls of DeleteStreams
	before    time.Time
}

func (l *library) Join(r *storage.Run) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.Begin()
	for _, w := range r.Writes {
		if row, ok := w.(*storage.Stream); ok {
			if l.rows == nil {
				l.rows = make(map[string]storage.Stream)
			}
			l.rows[row.ID] = *row
			l.written++
		}
	}
	r.End()
}

func (l *library) Stream(_ context.Context, id string) (storage.Stream, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if row, ok := l.rows[id]; ok {
		return row, nil
	}
	return storage.Stream{}, storage.ErrNotFound
}

func (l *library) TakeSnapshots(context.Context, int) ([]storage.Snapshot, error) {
	all := l.snapshots
	l.snapshots = nil
	return all, nil
}

func (l *library) SaveSnapshots(_ context.Context, all []storage.Snapshot) error {
	l.snapshots = append(l.snapshots, all...)
	return nil
}

func (l *library) DeleteStreams(_ context.Context, before time.Time, limit int) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limits, l.before = append(l.limits, limit), before
	n := min(limit, l.outdated)
	l.outdated -= n
	return n, nil
}

func (l *library) writes() int { l.mu.Lock(); defer l.mu.Unlock(); return l.written }

// The row of a stream that lives on is written again long before it would be
// forgotten, and not at every turn.
func TestRowIsRenewed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := config.Defaults()
		cfg.Modules = map[string]map[string]any{"ping": {"interval": "0s"}}
		st := new(library)
		h := open(t, cfg, st, nil)
		c := h.enter("home")
		c.EnableSM(true)
		id := c.StreamID()
		const third = router.StreamMemory / 3
		at := time.Now()
		for _, step := range []struct {
			at     time.Duration // since the start
			writes int
		}{{0, 1}, {third - time.Hour, 1}, {third + time.Minute, 2}, {third + 2*time.Hour, 2}, {2*third + 3*time.Minute, 3}} {
			h.Wheel.Advance(at.Add(step.at))
			c.ExpectAck()
			if n := st.writes(); n != step.writes {
				t.Errorf("after %v: written %d times, want %d", step.at, n, step.writes)
			}
		}
		c.Send("<presence/>")
		c.ExpectAck()
		h.Wheel.Advance(at.Add(4 * third))
		c.ExpectAck()
		if row := st.rows[id]; row.H != 1 || row.Owner.String() != "romeo@localhost" || !row.Until.Equal(at.Add(router.StreamMemory)) {
			t.Errorf("row %+v", row)
		}
	})
}

// Streams that nobody asks for any more are deleted once an hour, in steps.
func TestOldStreamsAreDeleted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := &library{outdated: 1200}
		open(t, config.Defaults(), st, nil)
		began := time.Now()
		for _, want := range []int{3, 4} {
			time.Sleep(time.Hour + time.Second)
			synctest.Wait()
			st.mu.Lock()
			if len(st.limits) != want || st.outdated != 0 {
				t.Errorf("after %v: %d calls, %d rows left", time.Since(began), len(st.limits), st.outdated)
			}
			if age := time.Since(st.before); age < 0 || age > 10*time.Minute {
				t.Errorf("asked to delete what is %v old", age)
			}
			st.mu.Unlock()
		}
	})
}

// A session whose time was nearly over when the server stopped has a minute
// behind the start: its client could not come before.
func TestRestoredSessionsHaveAMinute(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		left   int64
		lasts  time.Duration
		resume bool
	}{{1, 60 * time.Second, false}, {1, 60 * time.Second, true}, {200, 200 * time.Second, false}} {
		t.Run(fmt.Sprint(c.left, c.resume), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				st := &library{snapshots: []storage.Snapshot{snapshot(t, c.left)}}
				h := open(t, config.Defaults(), st, nil)
				if err := h.Restore(t.Context()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(c.lasts - 2*time.Second)
				synctest.Wait()
				if h.Registry.Len() != 1 {
					t.Fatal("gone too early")
				}
				next := h.enter("")
				if c.resume {
					next.Send("<resume xmlns='urn:xmpp:sm:3' previd='id' h='0'/>")
					next.Expect("<resumed xmlns='urn:xmpp:sm:3' previd='id' h='7'/>")
				}
				time.Sleep(4 * time.Second)
				synctest.Wait()
				if there := h.Registry.Len() == 1; there != c.resume {
					t.Errorf("in the registry: %v", there)
				}
				if !c.resume {
					next.Send("<resume xmlns='urn:xmpp:sm:3' previd='id' h='0'/>")
					next.Expect("<failed xmlns='urn:xmpp:sm:3' h='7'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>")
				}
			})
		})
	}
}

// Who has not come between two stops has the rest of that minute, or of the time
// that was left.
func TestKeptOnceMore(t *testing.T) {
	t.Parallel()
	for _, left := range []int64{1, 200} {
		synctest.Test(t, func(t *testing.T) {
			st := &library{snapshots: []storage.Snapshot{snapshot(t, left)}}
			h := open(t, config.Defaults(), st, nil)
			if err := h.Restore(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10*time.Second + time.Second/2)
			h.stop()
			if len(st.snapshots) != 1 {
				t.Fatalf("%d snapshots", len(st.snapshots))
			}
			snap, err := session.DecodeSnapshot(st.snapshots[0].Data)
			if err != nil {
				t.Fatal(err)
			}
			if want := max(left, 60) - 10; snap.Left != want || snap.Max != 300 {
				t.Errorf("%d of %d s left, want %d", snap.Left, snap.Max, want)
			}
		})
	}
}

// snapshot is of a session that has waited for its client until so many seconds
// were left.
func snapshot(t *testing.T, left int64) storage.Snapshot {
	snap := session.Snapshot{Version: 1, JID: "romeo@localhost/home", StreamID: "id", Max: 300, Left: left, H: 7}
	data, err := snap.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return storage.Snapshot{Stream: storage.Stream{ID: "id", Owner: jid.MustParse("romeo@localhost"), H: 7}, Data: data}
}

// Some clients enable stream management with Bind 2 and once more when they see
// it among the features. The second time begins anew; a third is refused.
func TestEnabledOnceMore(t *testing.T) {
	t.Parallel()
	const failed = "<failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"
	synctest.Test(t, func(t *testing.T) {
		st := new(library)
		h := open(t, config.Defaults(), st, keeps)
		c := h.dial("c2s", true)
		c.Open()
		login, err := c.SASL2(xmpptest.Request{User: "romeo", Mechanism: "PLAIN", Bind: &xmpptest.Bind{Tag: "x", Manage: true}})
		if err != nil {
			t.Fatal(err)
		}
		first := *c // with its stream
		old := c.StreamID()
		c.AnswerAcks(false)
		s := h.session(login.JID.Resource())
		send := func(xml string) {
			s.Outbox.Append([]byte(xml))
			s.Outbox.Flush()
			c.Expect(xml)
		}
		send("<message id='1'/>")
		c.Send("<presence/><message to='romeo@localhost' id='2'/>")
		c.ExpectAck()
		c.EnableSM(true)
		if id := c.StreamID(); id == old || id == "" {
			t.Errorf("enabled once more as %q", id)
		}
		c.AnswerAcks(false)
		c.Send("<message to='romeo@localhost' id='3'/>")
		c.ExpectAck() // one
		send("<message id='4'/>")
		c.Ack(0) // one
		send("<message id='5'/>")
		c.Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
		c.Expect(failed)
		c.ExpectAck() // still one
		if n := h.Resumable(); n != 1 {
			t.Errorf("%d streams of one session", n)
		}
		c.Drop()
		synctest.Wait()
		next := h.enter("")
		if answer := next.TryResume(&first); answer.Name != "failed" {
			t.Errorf("resumed by the old id: %s", answer)
		}
		s.Outbox.Append([]byte("<message id='6'/>"))
		if answer := next.TryResume(c); answer.Name != "resumed" || answer.Attr("h") != "1" {
			t.Errorf("%s", answer)
		}
		next.Expect("<message id='6'><delay xmlns='urn:xmpp:delay' from='localhost' stamp='{any}'/></message>")
		next.ExpectAck()
		next.ExpectNothing()
		next.Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
		next.Expect(failed)
	})
}

// The same with <enable/> alone: there is no second time.
func TestEnabledTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := open(t, config.Defaults(), new(library), nil)
		c := h.enter("home")
		c.EnableSM(true)
		c.Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
		c.Expect("<failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>")
		c.ExpectAck()
	})
}
