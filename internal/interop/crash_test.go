package interop

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/xmppd/xmppd/internal/pgtest"
)

// TestCrash kills a server that is busy. What it had acknowledged and stored is
// there afterwards, and every client learns how much of what it sent was
// handled.
func TestCrash(t *testing.T) {
	t.Parallel()
	crashes(t, "sqlite", 50)
}

func TestCrashPostgreSQL(t *testing.T) {
	t.Parallel()
	crashes(t, pgtest.URL(t), 3)
}

func crashes(t *testing.T, database string, rounds int) {
	l := newLoad(t, database, "modules: {archive: {enabled: false}, offline: {idle: 1s}}")
	l.lossy = true
	all := kinds()
	toSlow := &flow{to: "slow", stored: true, extra: true}
	// Phones send again what h of <failed/> does not count, so that everything
	// they send to an account without a session arrives, and once.
	benvolio := l.phone("benvolio", &flow{to: "tybalt"}, &flow{to: "away", stored: true}, toSlow)
	l.all = []member{
		benvolio,
		l.phone("romeo", &flow{to: "juliet"}, &flow{to: "away", stored: true}),
		l.phone("juliet", &flow{to: "romeo"}, &flow{to: "nurse"}, &flow{to: "away", stored: true}),
		l.library(all["slixmpp TLS"], "tybalt", &flow{to: "nurse"}, &flow{to: "away", stored: true}),
		l.library(all["xmpp.js wss"], "nurse", &flow{to: "tybalt"}, &flow{to: "away", stored: true}),
	}
	away, slow := l.phone("away"), l.phone("slow")
	var ids []string // that slow got
	note := slow.received
	slow.received = func(e *element) {
		if e.XMLName.Local == "message" {
			id := e.attr("id")
			if s := e.child("stanza-id"); s != nil {
				id += " " + s.attr("id")
			}
			l.change(func() { ids = append(ids, id) })
		}
		note(e)
	}
	await := func(n int) {
		l.until("stored messages", func() bool { return l.look(func() bool { return len(ids) >= n }) })
	}
	l.each(func(m member) { m.login(l) })
	for round := range rounds {
		// Stored, delivered, never confirmed.
		benvolio.advance(toSlow, 3)
		l.until("acknowledgements", benvolio.idle)
		ids, slow.silent = nil, true
		slow.login(l)
		await(3)

		l.further(10, 1+rand.IntN(20))
		l.server.crash(t)
		l.each(func(m member) { m.awaitDown(l) })
		slow.awaitDown(l)
		l.server.start(t)
		l.each(func(m member) {
			if o := m.reconnect(l); o.resumed || o.h == "" {
				l.Errorf("round %d: a server that was killed told %s: %+v", round, m.named(), o)
			}
		})
		slow.silent = false
		if o := slow.reconnect(l); o.resumed {
			t.Errorf("round %d: a server that was killed resumed a session: %+v", round, o)
		}
		// Whatever was confirmed in the last seconds may come again in front of them.
		l.until("what was not confirmed to be sent again", func() bool {
			return l.look(func() bool { n := len(ids); return n >= 6 && slices.Equal(ids[:3], ids[n-3:]) })
		})
		slow.quiet(l)
		slow.leave()
		l.further(2, 2)
		l.settle()
		l.collect(away)
	}
}

// collect logs in where nobody was and checks what was stored meanwhile: from a
// phone everything, from others at least what was acknowledged.
func (l *load) collect(away *phone) {
	l.Helper()
	flows, strict := make(map[pair]*flow), make(map[pair]bool)
	before, begin := make(map[pair]int), make(map[pair]int)
	l.mu.Lock()
	for _, m := range l.all {
		for _, f := range m.flows() {
			if p := (pair{f.to, m.named()}); f.to == away.name {
				flows[p], before[p], begin[p] = f, l.last[p], len(l.kept[p])
				_, strict[p] = m.(*phone)
			}
		}
	}
	l.mu.Unlock()
	away.login(l)
	l.until("all that was stored", func() bool {
		return l.look(func() bool {
			for p, f := range flows {
				if l.last[p] != f.goal {
					return false
				}
			}
			return true
		})
	})
	away.quiet(l)
	away.leave()
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range flows {
		got, next := l.kept[p][begin[p]:], before[p]+1
		for _, n := range got {
			if strict[p] && n > next {
				l.Errorf("%s should have everything of %s above %d and got %v", p.to, p.from, before[p], got)
			}
			next = n + 1
		}
		for n := range l.acked[p] {
			if !slices.Contains(l.kept[p], n) {
				l.Errorf("number %d of %s was acknowledged and never came", n, p.from)
			}
		}
	}
}
