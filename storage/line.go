package storage

import (
	"sync"

	"github.com/xmppd/xmppd/jid"
)

// lines keep the order in which runs are delivered to each owner. A run takes its
// places in all its lines at once, so no two can wait for each other.
type lines struct {
	mu      sync.Mutex
	byOwner map[jid.JID]*line
	free    []*line
}

// line is the runs that have rows of one owner and have not been delivered.
type line struct {
	owner jid.JID
	next  uint64 // the place of the next one
	first uint64 // the place of the one whose turn it is
	moved sync.Cond
}

// turn is a place in a line.
type turn struct {
	line  *line
	place uint64
}

// idleLines is how many unused lines are kept.
const idleLines = 256

// enter takes a place for each owner of rows. The caller holds the lock that
// decides the order of runs.
func (l *lines) enter(turns []turn, writes []Write) []turn {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range writes {
		var owner jid.JID
		switch w := w.(type) {
		case *Message:
			owner = w.Owner
		case *Mark:
			owner = w.Owner
		default:
			continue
		}
		if in(turns, owner) {
			continue
		}
		e := l.byOwner[owner]
		if e == nil {
			e = l.open(owner)
		}
		turns = append(turns, turn{e, e.next})
		e.next++
	}
	return turns
}

func in(turns []turn, owner jid.JID) bool {
	for _, t := range turns {
		if t.line.owner == owner {
			return true
		}
	}
	return false
}

func (l *lines) open(owner jid.JID) (e *line) {
	if n := len(l.free); n > 0 {
		e, l.free = l.free[n-1], l.free[:n-1]
	} else {
		e = new(line)
		e.moved.L = &l.mu
	}
	e.owner, e.next, e.first = owner, 0, 0
	if l.byOwner == nil {
		l.byOwner = make(map[jid.JID]*line)
	}
	l.byOwner[owner] = e
	return e
}

func (l *lines) wait(turns []turn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range turns {
		for t.line.first != t.place {
			t.line.moved.Wait()
		}
	}
}

func (l *lines) leave(turns []turn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range turns {
		e := t.line
		if e.first++; e.first != e.next {
			e.moved.Broadcast()
			continue
		}
		delete(l.byOwner, e.owner)
		if len(l.free) < idleLines {
			l.free = append(l.free, e)
		}
	}
	clear(turns)
}
