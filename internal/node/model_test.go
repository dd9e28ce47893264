package node_test

import (
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
// message reaches its account. docs/MESSAGES.md says what that is.
func TestModel(t *testing.T) {
	t.Parallel()
	const actions = 2000 // in each world
	for store, worlds := range map[xmpptest.Store]uint64{xmpptest.SQLite: 5, xmpptest.Postgres: 1} {
		t.Run(string(store), func(t *testing.T) {
			t.Parallel()
			seed, err := strconv.ParseUint(os.Getenv("XMPPD_TEST_SEED"), 10, 64)
			if err == nil {
				worlds = 1
			} else {
				seed = 1 // a run is to be repeatable; others are for who looks for trouble
			}
			for i := range worlds {
				t.Run(fmt.Sprint(seed+i), func(t *testing.T) {
					t.Parallel()
					newWorld(t, store, seed+i).live(actions)
				})
			}
		})
	}
}

// world is a server, what is true of it, and those who use it.
type world struct {
	t       *testing.T
	r       *rand.Rand
	db      all.DB
	s       *xmpptest.Server
	run     func(words ...string) string // an admin command
	turn    int
	asked   int // queries
	history []string

	accounts map[jid.JID]*account
	order    []*account
	devices  []*device
	notes    []*note // by number; 0 is none
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
	for _, name := range []string{"romeo", "juliet", "nurse"} {
		a := newAccount(w.s.Account(t, name))
		w.accounts[a.jid] = a
		w.order = append(w.order, a)
	}
	romeo, juliet, nurse := w.order[0], w.order[1], w.order[2]
	w.devices = []*device{
		{account: romeo, name: "phone", way: xmpptest.TCP, manage: true, carbons: true, bind2: true, queries: true},
		{account: romeo, name: "home", way: xmpptest.WebSocket},
		{account: juliet, name: "balcony", way: xmpptest.WebSocket, manage: true, carbons: true},
		{account: juliet, name: "tablet", way: xmpptest.TCP, carbons: true, queries: true},
		{account: juliet, name: "watch", way: xmpptest.WebSocket, manage: true},
		{account: nurse, name: "kitchen", way: xmpptest.WebSocket, carbons: true},
		{account: nurse, name: "street", way: xmpptest.WebSocket, manage: true, carbons: true, bind2: true, queries: true},
		{account: nurse, name: "stairs", way: xmpptest.TCP, manage: true, queries: true},
	}
	for _, d := range w.devices {
		w.announce(w.connect(d), true, 0)
	}
	return w
}

// start runs a server over the database.
func (w *world) start() {
	w.s = xmpptest.Start(w.t, xmpptest.Options{DB: w.db, Config: modelConfig, Still: true})
	w.run = console(w.t, w.s)
}

// live has things happen, and looks at everything now and then.
func (w *world) live(actions int) {
	for w.turn = 1; w.turn <= actions; w.turn++ {
		w.act()
		if w.turn%500 == 0 {
			w.drain()
			w.audit()
		}
	}
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("action %d: %s", w.turn, fmt.Sprintf(format, args...))
}

func (w *world) trace(format string, args ...any) {
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
