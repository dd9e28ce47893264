package register

import (
	"net/netip"
	"sync"
	"time"
)

const (
	window     = time.Hour
	maxEntries = 1 << 14
	// triesEach is how many attempts come with each account allowed: a guess at
	// names costs as much hashing as an account.
	triesEach = 10
	// probes is among how many entries the oldest is looked for.
	probes = 8
)

// limiter counts new accounts by address in windows of an hour. Its table is
// bounded: when it is full the oldest of a few entries makes room, so that an
// attacker with many networks cannot lock out the rest of the world.
type limiter struct {
	mu      sync.Mutex
	max     int
	windows map[netip.Prefix]*count
}

type count struct {
	since time.Time
	made  int // accounts
	tries int
}

func newLimiter(max int) *limiter {
	return &limiter{max: max, windows: make(map[netip.Prefix]*count)}
}

// take counts an attempt as an account; it reports false if there may be none.
func (l *limiter) take(p netip.Prefix, limit int, now time.Time) (*count, bool) {
	if limit == 0 {
		return new(count), true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.windows[p]
	if c == nil || now.Sub(c.since) >= window {
		if c == nil && len(l.windows) >= l.max {
			l.evict()
		}
		c = &count{since: now}
		l.windows[p] = c
	}
	if c.made >= limit || c.tries >= limit*triesEach {
		return nil, false
	}
	c.made++
	c.tries++
	return c, true
}

// giveBack makes an attempt that made no account count as a try only.
func (l *limiter) giveBack(c *count) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.made--
}

func (l *limiter) evict() {
	var oldest netip.Prefix
	probed := 0
	for p, c := range l.windows { // in random order
		if probed == 0 || c.since.Before(l.windows[oldest].since) {
			oldest = p
		}
		if probed++; probed == probes {
			break
		}
	}
	delete(l.windows, oldest)
}

// prefix is what counts as one address: a whole IPv6 network, because each of
// its hosts may use any address of it.
func prefix(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits)
	return p
}
