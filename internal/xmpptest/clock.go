package xmpptest

import (
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/session"
)

// clock is ahead of the real one by what has passed on it alone. Its wheel turns
// only then.
type clock struct {
	ahead atomic.Int64 // nanoseconds
	wheel *session.Wheel
}

func newClock() *clock { return &clock{wheel: session.NewWheel(time.Now())} }

// Now is the time of the server.
func (c *clock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// Pass puts the clock of a server that was started with Still forward, and calls
// what is due meanwhile, in order.
func (s *Server) Pass(d time.Duration) {
	at := time.Unix(s.clock.wheel.Now(), 0)
	for range d / time.Second {
		at = at.Add(time.Second)
		s.clock.ahead.Add(int64(time.Second))
		s.clock.wheel.Advance(at)
	}
}
