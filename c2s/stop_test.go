package c2s

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

// A connection that is about to resume a session when the server stops is told to
// go; the session is kept for the next start.
func TestStopDuringResumption(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, store := hall(t)
		c, _ := s.enter(t)
		r := c.open1(t)
		c.finish(io.EOF)
		next, link := s.enter(t)
		answer, ok, bad := next.resume(element(t, "<resume xmlns='urn:xmpp:sm:3' h='0' previd='"+r.session.Stream.ID+"'/>"))
		if !ok || bad != nil {
			t.Fatalf("not resumed: %s %v", answer, bad)
		}
		s.mu.Lock()
		s.closing = true
		s.mu.Unlock()
		next.opened.Store(true)
		if next.carryOn(answer) {
			t.Error("the connection goes on")
		}
		next.finish(next.cause)
		if link.finished != 1 || strings.Contains(string(link.got), "resumed") {
			t.Errorf("finished %d times, got %s", link.finished, link.got)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if got := store.String(); !strings.HasSuffix(got, "snapshot") {
			t.Errorf("written: %s", got)
		}
	})
}

// Who resumes a session that is just ending is told what was handled, not what
// was known before.
func TestResumptionWaitsForTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, store := hall(t)
		store.delay = time.Second
		c, _ := s.enter(t)
		r := c.open1(t)
		r.session.Stream.H = 5
		c.opened.Store(true)
		go c.finish(&stanza.StreamError{Condition: stanza.StreamConflict})
		synctest.Wait() // the last row is being written
		next, _ := s.enter(t)
		begin := time.Now()
		answer, ok, _ := next.resume(element(t, "<resume xmlns='urn:xmpp:sm:3' h='0' previd='"+r.session.Stream.ID+"'/>"))
		if ok || !strings.Contains(string(answer), "<failed") {
			t.Errorf("answered %s", answer)
		}
		if time.Since(begin) < time.Second || !strings.Contains(store.String(), "h=5") {
			t.Errorf("answered after %v, written: %s", time.Since(begin), store)
		}
	})
}
