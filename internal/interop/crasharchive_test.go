package interop

import (
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/internal/pgtest"
)

// TestCrashArchive kills a server that is busy. What it had acknowledged is in the
// archives of both sides, once and in the order of its sender. Everybody gets
// everything, in order unless he reads his archive, where what comes live may overtake
// what waits; what comes twice comes in another session, with the same id.
func TestCrashArchive(t *testing.T) {
	t.Parallel()
	crashesArchive(t, "sqlite", 50)
}

func TestCrashArchivePostgreSQL(t *testing.T) {
	t.Parallel()
	crashesArchive(t, pgtest.URL(t), 3)
}

func crashesArchive(t *testing.T, database string, rounds int) {
	b := &books{load: newLoad(t, database, soon), ids: make(map[pair]map[int]string), session: make(map[pair]map[int]bool)}
	to := func(names ...string) (flows []*flow) {
		for _, name := range names {
			flows = append(flows, &flow{to: name})
		}
		return append(flows, &flow{to: "away", stored: true})
	}
	romeo := b.phone("romeo", to("juliet", "nurse", "tybalt", "paris")...)
	benvolio := b.phone("benvolio", to("juliet", "nurse", "tybalt", "paris")...)
	benvolio.careless = true
	juliet, nurse := b.phone("juliet", to("romeo", "nurse")...), b.phone("nurse", to("benvolio")...)
	tybalt, paris := b.phone("tybalt"), b.phone("paris")
	nurse.asks, paris.asks = true, true
	tybalt.plain, paris.plain = true, true
	away := b.phone("away")
	b.all = []member{romeo, benvolio, juliet, nurse, tybalt, paris}

	b.each(func(m member) { m.login(b.load) })
	for round := range rounds {
		b.further(10, 1+rand.IntN(40))
		b.server.crash(t)
		b.each(func(m member) { m.awaitDown(b.load) })
		b.server.start(t)
		b.each(func(m member) {
			if o := m.reconnect(b.load); o.resumed {
				b.Errorf("round %d: a server that was killed resumed a session of %s: %+v", round, m.named(), o)
			}
		})
		b.further(2, 2)
		b.settle()
		if round%10 == 9 || round == rounds-1 {
			away.asks = round%20 == 9
			b.visit(away)
		}
	}
	for _, m := range append(b.all, away) {
		b.audit(m.named())
	}
}

// books are what came to whom. The last number of a sender is the one up to which
// everything has come.
type books struct {
	*load
	ids     map[pair]map[int]string // the stanza-ids of what came
	session map[pair]map[int]bool   // what came without being asked for in the present session of the recipient
}

// phone makes an account whose phone keeps the books.
func (b *books) phone(name string, streams ...*flow) *phone {
	p := b.load.phone(name, streams...)
	p.fresh = func() {
		b.change(func() {
			maps.DeleteFunc(b.session, func(of pair, _ map[int]bool) bool { return of.to == name })
		})
	}
	other := p.received
	p.received = func(e *element) {
		m := kept(e)
		switch {
		case m.element == nil && e.attr("type") == "error":
			b.Errorf("%s received %+v", name, e)
		case m.element == nil:
			other(e)
		case !strings.HasPrefix(m.attr("from"), name+"@"):
			b.came(p, m)
		}
	}
	return p
}

// came notes a message: the next of its sender, or one of an earlier session.
func (b *books) came(to *phone, m row) {
	from, _, _ := strings.Cut(m.attr("from"), "@")
	p, n := pair{to.name, from}, number(m)
	b.change(func() {
		if b.ids[p] == nil {
			b.ids[p] = make(map[int]string)
		}
		if b.session[p] == nil {
			b.session[p] = make(map[int]bool)
		}
		id, last := b.ids[p][n], b.last[p]
		switch {
		case n < 1 || m.id == "":
			b.Errorf("%s received %+v", p.to, *m.element)
		case id != "" && id != m.id:
			b.Errorf("%s received number %d of %s as %q and as %q", p.to, n, from, id, m.id)
		case id == "" && !to.asks && n != last+1:
			b.Errorf("%s received number %d of %s after number %d", p.to, n, from, last)
		case !m.page && b.session[p][n]:
			b.Errorf("%s received number %d of %s twice in a session", p.to, n, from)
		}
		if id == "" {
			b.total++
		}
		b.ids[p][n] = m.id
		b.session[p][n] = b.session[p][n] || !m.page
		for b.ids[p][b.last[p]+1] != "" {
			b.last[p]++
		}
	})
}

// number is what a phone has numbered the message, 0 if it has not.
func number(m row) int {
	id := m.attr("id")
	n, _ := strconv.Atoi(id[strings.LastIndex(id, "-")+1:])
	return n
}

// visit logs in where nobody was, until everything that was sent has come.
func (b *books) visit(p *phone) {
	b.Helper()
	p.login(b.load)
	b.until("all that was stored", func() bool {
		return b.look(func() bool {
			for _, m := range b.all {
				for _, f := range m.flows() {
					if f.to == p.name && b.last[pair{p.name, m.named()}] != f.goal {
						return false
					}
				}
			}
			return true
		})
	})
	p.quiet(b.load)
	p.leave()
}

// audit pages through an archive: it holds what the account has sent and what it
// was sent, each message once and in the order of its sender, and by the id by
// which it came.
func (b *books) audit(name string) {
	b.Helper()
	rows := b.archive(name)
	next := make(map[pair]int)
	for _, m := range rows {
		from, _, _ := strings.Cut(m.attr("from"), "@")
		to, _, _ := strings.Cut(m.attr("to"), "@")
		p, n := pair{to, from}, number(m)
		if next[p]++; n != next[p] {
			b.Fatalf("the archive of %s has number %d of %s to %s where number %d should be", name, n, from, to, next[p])
		}
		b.mu.Lock()
		id := b.ids[p][n]
		b.mu.Unlock()
		if to == name && id != m.id {
			b.Errorf("the archive of %s has number %d of %s as %q, and it came as %q", name, n, from, m.id, id)
		}
	}
	for _, m := range b.all {
		for _, f := range m.flows() {
			if p := (pair{f.to, m.named()}); (p.to == name || p.from == name) && next[p] != f.goal {
				b.Errorf("the archive of %s has %d messages of %s to %s, and %d were sent", name, next[p], p.from, p.to, f.goal)
			}
		}
	}
}

// archive returns all rows of an account's archive.
func (l *load) archive(name string) (rows []row) {
	l.Helper()
	done := false
	p := &phone{name: name, resource: "auditor", plain: true, asks: true, fresh: func() {}}
	p.received = func(e *element) {
		l.change(func() {
			if e.child("result") != nil && !done {
				rows = append(rows, kept(e))
			}
			fin := e.child("fin")
			done = done || fin != nil && fin.attr("complete") == "true"
		})
	}
	p.login(l)
	l.until("all of an archive", func() bool { return l.look(func() bool { return done }) })
	p.leave()
	return rows
}
