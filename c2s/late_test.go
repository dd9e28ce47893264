package c2s

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
)

// The row of a stream that waits is not written behind its snapshot, which it
// would make void, however long the connection queues for its end.
func TestSnapshotIsTheLastWord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, store := hall(t)
		c, _ := s.enter(t)
		c.open1(t)
		s.gate.enter(logins) // a crowd
		go c.finish(io.EOF)
		synctest.Wait()
		if err := s.keep(t.Context(), s.streams.all()); err != nil {
			t.Fatal(err)
		}
		s.gate.leave()
		<-c.gone
		if got := store.String(); !strings.HasSuffix(got, "snapshot") {
			t.Errorf("written: %s", got)
		}
	})
}

// What the former connection still has to do does not undo what the client does
// on the next one.
func TestLateDetachment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, store := hall(t)
		c, _ := s.enter(t)
		r := c.open1(t)
		s.gate.enter(logins) // a crowd
		go c.finish(io.EOF)
		synctest.Wait()
		next, _ := s.enter(t)
		go func() {
			if _, ok, bad := next.resume(element(t, "<resume xmlns='urn:xmpp:sm:3' h='0' previd='"+r.session.Stream.ID+"'/>")); !ok {
				t.Error("not resumed", bad)
			}
			s.gate.leave()
			r.session.Stream.H = 5 // as its reader does
			r.remember(5, streamMemory)
		}()
		<-c.gone
		synctest.Wait()
		if got := store.String(); !strings.HasSuffix(got, "h=5") {
			t.Errorf("written: %s", got)
		}
	})
}
