package interop

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/xmppd/xmppd/internal/pgtest"
)

// TestRestart stops a server that is busy and starts it again: nobody notices.
// Messages come once and in order, and nobody's presence changes.
func TestRestart(t *testing.T) {
	t.Parallel()
	restarts(t, "sqlite", 50)
}

func TestRestartPostgreSQL(t *testing.T) {
	t.Parallel()
	restarts(t, pgtest.URL(t), 3)
}

func restarts(t *testing.T, database string, rounds int) {
	l := newLoad(t, database)
	all := kinds()
	romeo := l.phone("romeo", &flow{to: "juliet"}, &flow{to: "nurse"})
	juliet := l.phone("juliet", &flow{to: "romeo"}, &flow{to: "tybalt"})
	watcher := l.phone("escalus", &flow{to: "friar"})
	l.all = []member{
		romeo, juliet, watcher,
		l.library(all["slixmpp STARTTLS"], "tybalt", &flow{to: "juliet"}, &flow{to: "nurse"}),
		l.library(all["xmpp.js TLS"], "nurse", &flow{to: "tybalt"}, &flow{to: "romeo"}),
		l.library(all["xmpp.js ws"], "friar", &flow{to: "romeo"}),
	}
	l.each(func(m member) { m.login(l) })
	l.befriend(watcher)
	for _, m := range l.all {
		m.quiet(l)
	}
	before := l.presences(watcher)

	for round := range rounds {
		away := round%3 == 0
		if away {
			juliet.cut() // a session without a connection survives as well
		}
		l.further(10, 1+rand.IntN(30))
		l.server.stop(t)
		l.each(func(m member) {
			if m != juliet || !away {
				m.awaitDown(l)
			}
		})
		l.server.start(t)
		l.each(func(m member) {
			if o := m.reconnect(l); !o.resumed {
				l.Errorf("round %d: the session of %s was not resumed: %+v", round, m.named(), o)
			}
		})
		l.further(2, 2)
		l.settle()
	}
	l.each(func(m member) { m.quiet(l) })
	if after := l.presences(watcher); !slices.Equal(before, after) {
		t.Errorf("presence that was seen: %v", after[len(before):])
	}
}
