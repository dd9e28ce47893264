package c2s

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

// line is where work on a login queues when many clients come at once.
type line uint8

// The lines, the first to be served first: whoever has got far is not to be kept
// behind those who have just come.
const (
	returning  line = iota // logins by token, resumptions, handshakes that have begun
	logins                 // steps of other logins
	newcomers              // what comes before TLS, and its handshake
	departures             // what follows the end of a session
	lines      = int(iota)
)

// gate lets a few of those compute at a time who have no session yet or none any
// more, so that a storm of them leaves room for the people who are chatting.
// Before TLS nobody says what he wants: there all are equal.
type gate struct {
	limit func() int // how many may wait

	mu      sync.Mutex
	free    int
	waiting int
	queue   [lines][]chan struct{} // first come, first served
}

func newGate(places int, limit func() int) *gate { return &gate{free: places, limit: limit} }

// crowded reports whether no more than those who wait already should be let in.
func (g *gate) crowded() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting >= g.limit()
}

// enter takes a place, and waits for one if need be.
func (g *gate) enter(l line) {
	g.mu.Lock()
	if g.free > 0 {
		g.free--
		g.mu.Unlock()
		return
	}
	turn := make(chan struct{})
	g.queue[l] = append(g.queue[l], turn)
	g.waiting++
	g.mu.Unlock()
	<-turn
	// Who hands over a place hands over the processor too, and so the next one: the
	// scheduler would let nobody else run for 10 ms at a time.
	runtime.Gosched()
}

// leave gives the place to the next.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for l := range g.queue {
		if q := g.queue[l]; len(q) > 0 {
			close(q[0])
			q[0] = nil
			g.queue[l] = q[1:]
			g.waiting--
			return
		}
	}
	g.free++
}

// take waits for a place for the connection.
func (c *conn) take(l line) { c.wait(func() { c.srv.gate.enter(l) }) }

// wait is for waiting that is not the client's fault: it does not count against
// the login timeout.
func (c *conn) wait(fn func()) {
	began := time.Now()
	c.queuing.Store(began.UnixNano())
	fn()
	c.queued.Add(int64(time.Since(began))) // first: for a moment it counts twice, not never
	c.queuing.Store(0)
}

// spent is how many seconds of its time for the login the connection has used.
func (c *conn) spent(now time.Time) int64 {
	queued := c.queued.Load()
	if began := c.queuing.Load(); began != 0 {
		queued += now.UnixNano() - began
	}
	return int64((now.Sub(c.began) - time.Duration(queued)) / time.Second)
}

// placed does work of a line in a place of the gate.
func (c *conn) placed(l line, work func()) {
	c.take(l)
	c.inside = true
	defer func() {
		c.inside = false
		c.srv.gate.leave()
	}()
	work()
}

// yield lets those go first who are in an earlier line.
func (c *conn) yield(l line) {
	if c.inside {
		c.srv.gate.leave()
		c.take(l)
	}
}

// aside gives the place, if there is one, to others while waiting for something.
func (c *conn) aside(fn func()) {
	if c.inside {
		c.srv.gate.leave()
		defer c.take(returning)
	}
	c.wait(fn)
}

// line is where the step of a login queues.
func (a *action) line() line {
	if strings.HasPrefix(a.mechanism, "HT-") {
		return returning
	}
	return logins
}

// stage is where what a client without session sends queues, before anybody has
// read it.
func (c *conn) stage() line {
	if c.m.secure {
		return returning
	}
	return newcomers
}

// parting is where the end of a session queues. Somebody waits for it if the
// resource has been bound again.
func parting(err error) line {
	if bad, ok := errors.AsType[*stanza.StreamError](err); ok && bad.Condition == stanza.StreamConflict {
		return returning
	}
	return departures
}

// busy tells a client to come later.
func busy() *stanza.StreamError {
	return &stanza.StreamError{Condition: stanza.StreamResourceConstraint, Text: "too many clients at once, come again in a moment"}
}

// turn is the place of a handshake, implementing transport.Turn.
type turn struct {
	c     *conn
	again bool // it has begun
}

// Enter implements transport.Turn.
func (t *turn) Enter() {
	l := newcomers
	if t.again {
		l = returning
	}
	t.again = true
	t.c.take(l)
}

// Leave implements transport.Turn.
func (t *turn) Leave() { t.c.srv.gate.leave() }

// https is the place of a handshake of which no connection is known yet,
// implementing transport.Turn.
type https struct{ g *gate }

// Enter implements transport.Turn.
func (t https) Enter() { t.g.enter(newcomers) }

// Leave implements transport.Turn.
func (t https) Leave() { t.g.leave() }
