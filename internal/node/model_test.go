package node_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/internal/xmpptest"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules/all"
)

// What several devices of three accounts do by chance leads to what a naive model
// says: the same archives, inboxes, unread counts and search results, and every
// device gets what it has to get, once and in order. docs/MESSAGES.md says what that
// is. XMPPD_MODEL_ACTIONS makes it longer.
func TestModel(t *testing.T) {
	t.Parallel()
	for store, actions := range map[xmpptest.Store]int{xmpptest.SQLite: 10_000, xmpptest.Postgres: 2_000} {
		t.Run(string(store), func(t *testing.T) {
			t.Parallel()
			if n, err := strconv.Atoi(os.Getenv("XMPPD_MODEL_ACTIONS")); err == nil {
				actions = n
			}
			seed, err := strconv.ParseUint(os.Getenv("XMPPD_TEST_SEED"), 10, 64)
			if err != nil {
				seed = rand.Uint64()
			}
			w := newWorld(t, store, seed)
			for w.turn = 1; w.turn <= actions; w.turn++ {
				w.act()
				if w.turn%250 == 0 || w.turn == actions {
					w.audit()
				}
			}
			w.drain()
			w.audit()
		})
	}
}

// world is a server, what is true of it, and those who use it.
type world struct {
	t    *testing.T
	r    *rand.Rand
	db   all.DB
	s    *xmpptest.Server
	run  func(words ...string) string // an admin command
	turn int
	tick int // counts what clients read, for what came before what
	ids  int

	accounts map[jid.JID]*account
	order    []*account
	devices  []*device
	notes    []*note // by number; 0 is none
	ahead    int     // seconds that have passed on the server's clock alone
	crossing bool
	crossed  []crossed
	history  []string
	started  int // servers
}

const modelConfig = `
streams: {resume_timeout: 2m}
limits: {sessions_per_account: 1000, offline_messages: 1000000}
modules: {ping: {interval: 0s}}
`

func newWorld(t *testing.T, store xmpptest.Store, seed uint64) *world {
	w := &world{
		t: t, r: rand.New(rand.NewPCG(seed, 1)), db: xmpptest.Open(t, store),
		accounts: make(map[jid.JID]*account), notes: make([]*note, 1),
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("XMPPD_TEST_SEED=%d does the same again; the last actions:\n%s", seed, strings.Join(w.history, "\n"))
		}
	})
	w.start()
	for _, d := range []device{
		{name: "phone", way: xmpptest.TCP, manage: true, carbons: true, bind2: true, queries: true},
		{name: "home", way: xmpptest.WebSocket},
		{name: "balcony", way: xmpptest.WebSocket, manage: true, carbons: true},
		{name: "tablet", way: xmpptest.TCP, carbons: true, queries: true},
		{name: "watch", way: xmpptest.WebSocket, manage: true},
		{name: "kitchen", way: xmpptest.WebSocket, carbons: true},
		{name: "street", way: xmpptest.WebSocket, manage: true, carbons: true, bind2: true, queries: true},
		{name: "stairs", way: xmpptest.TCP, manage: true, queries: true},
	} {
		name := map[string]string{"phone": "romeo", "home": "romeo", "balcony": "juliet", "tablet": "juliet", "watch": "juliet"}[d.name]
		d.account = w.account(cmp.Or(name, "nurse"))
		w.devices = append(w.devices, &d)
	}
	for _, pair := range [][2]string{{"romeo", "juliet"}, {"juliet", "romeo"}} {
		w.run("add_rosteritem", pair[0], xmpptest.Domain, pair[1], xmpptest.Domain, "", "", "both")
	}
	for _, d := range w.devices {
		w.announce(w.connect(d), true, 0)
	}
	return w
}

func (w *world) account(name string) *account {
	bare := w.s.Account(w.t, name)
	if w.accounts[bare] == nil {
		w.accounts[bare] = newAccount(bare)
		w.order = append(w.order, w.accounts[bare])
	}
	return w.accounts[bare]
}

// start runs a server over the database. Its clock does not know how far that of the
// one before was ahead, as after a correction.
func (w *world) start() {
	w.s = xmpptest.Start(w.t, xmpptest.Options{DB: w.db, Config: modelConfig, Still: true})
	w.run, w.ahead = console(w.t, w.s), 0
	w.started++
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("action %d, server %d: %s", w.turn, w.started, fmt.Sprintf(format, args...))
}

func (w *world) note(format string, args ...any) {
	const kept = 60
	w.history = append(w.history[max(0, len(w.history)-kept):], fmt.Sprintf("%d: ", w.turn)+fmt.Sprintf(format, args...))
}

// until waits for what the server does on its own goroutines; the deadline only
// guards against waiting for ever.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(xmpptest.Patience); !ok(); runtime.Gosched() {
		if time.Now().After(deadline) {
			w.fail("in vain: %s", what)
		}
	}
}

// chance is true once in so many times.
func (w *world) chance(n int) bool { return w.r.IntN(n) == 0 }

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// audit compares everything. Who looks confirms nothing: for the accounts nothing
// has happened.
func (w *world) audit() {
	w.note("audit")
	for _, a := range w.order {
		w.learn(a)
		c := w.s.Login(w.t, xmpptest.WebSocket, a.jid.String()+"/auditor")
		c.AnswerPings(false)
		s := &sess{device: &device{account: a}, c: c, full: c.JID, answers: make(map[string]*xmpptest.Element)}
		q := &query{page: page{max: 250, last: w.chance(2)}}
		for seen := 0; ; {
			w.readArchive(s, q)
			seen += len(s.results)
			if len(s.results) < 250 {
				if seen != len(a.log) {
					w.fail("%d rows seen of %d", seen, len(a.log))
				}
				break
			}
			if q.last {
				q.page.before = s.results[0].Child(nsArchive, "result").Attr("id")
			} else {
				q.page.after = s.results[len(s.results)-1].Child(nsArchive, "result").Attr("id")
			}
		}
		w.readInbox(s, page{max: -1}, false, true)
		w.readInbox(s, page{max: -1}, true, false)
		for range 4 {
			w.readArchive(s, &query{text: sought(w.r), page: page{max: 250, last: w.chance(2)}})
		}
		w.readMetadata(s)
		c.Drop()
	}
}

// readMetadata compares the ends of the archive (XEP-0313 §5.2).
func (w *world) readMetadata(s *sess) {
	w.learn(s.account)
	got := w.ask(s, "get", "<metadata xmlns='"+nsArchive+"'/>").Child(nsArchive, "metadata")
	if len(s.account.log) == 0 {
		if got == nil || len(got.Nodes) > 0 {
			w.fail("metadata of an empty archive:\n%s", got)
		}
		return
	}
	for name, r := range map[string]*row{"start": s.account.log[0], "end": s.account.log[len(s.account.log)-1]} {
		if e := got.Child(nsArchive, name); e == nil || e.Attr("id") != r.id || e.Attr("timestamp") != r.stamp {
			w.fail("metadata of %s: want %s %s %s, got\n%s", s.account.jid, name, r.id, r.stamp, got)
		}
	}
}

// drain has everything delivered and confirmed that can be, and looks for what got
// lost.
func (w *world) drain() {
	w.note("drain")
	for _, s := range w.waiting() {
		if s.device.s == s {
			w.resume(s)
		}
	}
	for w.waiting() != nil {
		w.pass(10)
	}
	for _, d := range w.devices {
		if d.s == nil && !w.attended(d.account) {
			w.connect(d)
		}
		if d.s != nil && !d.s.takes() {
			w.announce(d.s, true, 0)
		}
	}
	w.until("everything is delivered", func() bool {
		for _, s := range w.connected() {
			w.sync(s)
			if s.manage {
				s.c.Ack(0)
			}
			w.sync(s)
		}
		w.pass(2)
		for _, a := range w.order {
			rows, err := w.db.PendingMessages(context.Background(), a.jid, 0, 0, 1)
			if n, err2 := w.db.CountMessages(context.Background(), a.jid); err != nil || err2 != nil {
				w.fail("%v, %v", err, err2)
			} else if len(rows) > 0 || n > 0 {
				return false
			}
		}
		return true
	})
	for _, a := range w.order {
		for r := range a.pending {
			if !r.got && r.tomb == "" {
				w.fail("no device of %s ever got\n%s", a.jid, r.note.xml)
			}
			w.confirmed(a, r)
		}
		clear(a.owed)
		for _, s := range a.sessions {
			s.unsettled, s.unlogged = nil, nil
		}
	}
}

// attended: a session is connected.
func (w *world) attended(a *account) bool {
	for _, s := range a.sessions {
		if s.connected {
			return true
		}
	}
	return false
}
