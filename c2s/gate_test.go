package c2s

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// The first line is served first, and in each whoever has waited longest.
func TestGateOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, func() int { return 5 })
		g.enter(newcomers)
		var (
			mu  sync.Mutex
			got []string
		)
		for _, w := range []struct {
			line line
			name string
		}{{newcomers, "n1"}, {logins, "l1"}, {newcomers, "n2"}, {returning, "r1"}, {logins, "l2"}, {returning, "r2"}} {
			go func() {
				g.enter(w.line)
				mu.Lock()
				got = append(got, w.name)
				mu.Unlock()
				g.leave()
			}()
			synctest.Wait()
			if crowded := g.crowded(); crowded != (w.name == "l2" || w.name == "r2") {
				t.Errorf("behind %s: crowded %v", w.name, crowded)
			}
		}
		g.leave()
		synctest.Wait()
		if want := []string{"r1", "r2", "l1", "l2", "n1", "n2"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if g.free != 1 || g.waiting != 0 {
			t.Errorf("%d places free, %d waiting", g.free, g.waiting)
		}
	})
}

// Waiting for a place, or for others, does not count against the time for the
// login.
func TestQueueIsNotTheClientsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &conn{srv: &Server{gate: newGate(1, func() int { return 1 })}, began: time.Now()}
		c.srv.gate.enter(newcomers)
		time.Sleep(5 * time.Second)
		done := make(chan struct{})
		go c.placed(logins, func() {
			c.aside(func() { time.Sleep(3 * time.Second) })
			close(done)
		})
		time.Sleep(20 * time.Second)
		if n := c.spent(time.Now()); n != 5 {
			t.Errorf("%d s spent while it waits", n)
		}
		c.srv.gate.leave()
		<-done
		if n := c.spent(time.Now()); n != 5 {
			t.Errorf("%d s spent", n)
		}
		synctest.Wait()
		if c.srv.gate.free != 1 {
			t.Error("the place is not free")
		}
	})
}
