// Package xmpptest runs whole servers inside a test, on free ports of the
// loopback, and talks to them as a client would: over TCP with STARTTLS, with
// TLS from the first byte, and over WebSocket. It also runs the scenario files
// of testdata/scenarios, see [Scenarios].
//
// Nothing in here waits for time to pass. A client that wants to prove that it
// gets nothing asks the server something and sees that the answer is all that
// comes ([Client.Sync]); a deadline only guards against waiting for ever.
package xmpptest

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/cluster"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/internal/node"
	"github.com/xmppd/xmppd/internal/pgtest"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/all"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/postgres"
	"github.com/xmppd/xmppd/storage/sqlite"
)

// Patience is how long anything may take before the test fails.
const Patience = 10 * time.Second

// Password is that of all accounts.
const Password = "correct horse"

// Domain is the first one that a server hosts; OtherDomain is the second.
const (
	Domain      = "localhost"
	OtherDomain = "verona.example"
)

// Store names a database.
type Store string

// The stores.
const (
	SQLite   Store = "sqlite"
	Postgres Store = "postgres"
)

// Stores are all of them.
func Stores() []Store { return []Store{SQLite, Postgres} }

// Options of Start; the zero value is ready for use.
type Options struct {
	Store  Store  // "": SQLite
	Config string // YAML, as in xmppd.yml; listeners, folder and database are the test's
	// DB is used instead of a new one, and is not closed.
	DB all.DB
	// Cluster makes the server a node among others.
	Cluster *cluster.Local
	// Errors are parts of messages that the test expects in the log at level error.
	Errors []string
	// Now is the clock of the modules; nil: time.Now.
	Now func() time.Time
	// Still stops the server's timers; [Server.Pass] moves them and the clock.
	Still bool
}

// Server is a running server. Its methods may be called from parallel tests.
type Server struct {
	Node *node.Node
	DB   all.DB
	log  *log

	clock *clock // nil: time passes

	stopping sync.Once
	stopErr  error

	closed, detached waiters // for sessions
}

// Start runs a server until the test has ended. The test fails if the server
// does not stop in time, or logged an error that it was not told to expect.
// The handlers of each stage run in random order.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{DB: o.DB, log: &log{expected: o.Errors}}
	if s.DB == nil {
		s.DB = Open(t, o.Store)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "xmppd.yml")
	if err := os.WriteFile(file, []byte(o.Config), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, problems := config.Load(file, []string{
		"XMPPD_DATA_DIR=" + dir, "XMPPD_DOMAINS=" + Domain + "," + OtherDomain, "XMPPD_AUTH_SCRAM_ITERATIONS=4096",
		"XMPPD_LISTEN_C2S=127.0.0.1:0", "XMPPD_LISTEN_C2S_TLS=127.0.0.1:0",
		"XMPPD_LISTEN_HTTP=127.0.0.1:0", "XMPPD_LISTEN_HTTPS=127.0.0.1:0", "XMPPD_LISTEN_ADMIN=",
	})
	if problems = append(problems, all.Problems(cfg)...); len(problems) > 0 {
		t.Fatalf("configuration of the test: %v", problems)
	}
	var wheel *session.Wheel
	if o.Still {
		s.clock = newClock()
		o.Now, wheel = s.clock.Now, s.clock.wheel
	}
	seed := seed()
	var err error
	s.Node, err = node.Start(context.Background(), node.Options{
		Config: cfg, Log: slog.New(s.log), Version: "1.0-test", DB: s.DB, Cluster: o.Cluster, Now: o.Now, Wheel: wheel,
		Tables: func(tables *modules.Tables) {
			tables.Shuffle(rand.New(rand.NewPCG(seed, 0)))
			s.watch(tables)
		},
	})
	if err != nil {
		t.Fatalf("start server: %v", err)
	}
	t.Cleanup(func() {
		s.stop(t)
		if t.Failed() {
			t.Logf("XMPPD_TEST_SEED=%d runs the handlers in the same order again", seed)
		}
	})
	return s
}

// seed of the order of handlers.
func seed() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("XMPPD_TEST_SEED"), 10, 64); err == nil {
		return n
	}
	return rand.Uint64()
}

// Pair runs two servers that are nodes of one, over one database. With
// PostgreSQL each has connections of its own.
func Pair(t testing.TB, store Store) (a, b *Server) {
	t.Helper()
	hub := cluster.NewLocal()
	first, second := open(t, store)
	return Start(t, Options{DB: first, Cluster: hub}), Start(t, Options{DB: second, Cluster: hub})
}

// Open makes an empty database, which is closed when the test has ended.
func Open(t testing.TB, store Store) all.DB {
	t.Helper()
	if store == Postgres {
		return openPostgres(t, pgtest.URL(t))
	}
	db, err := sqlite.Open(context.Background(), sqlite.Options{
		Path: filepath.Join(t.TempDir(), "xmppd.db"), Durability: "normal",
	})
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, db.Close)
	return db
}

func open(t testing.TB, store Store) (first, second all.DB) {
	if store == Postgres {
		url := pgtest.URL(t)
		return openPostgres(t, url), openPostgres(t, url)
	}
	db := Open(t, store)
	return db, db
}

func openPostgres(t testing.TB, url string) all.DB {
	t.Helper()
	db, err := postgres.Open(context.Background(), postgres.Options{URL: url, MaxConnections: 4})
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, db.Close)
	return db
}

func closeAfter(t testing.TB, fn func() error) {
	t.Cleanup(func() {
		if err := fn(); err != nil {
			t.Errorf("close database: %v", err)
		}
	})
}

func (s *Server) stop(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Errorf("stop server: %v", err)
	}
	select {
	case err := <-s.Node.Failed():
		t.Errorf("listener: %v", err)
	default:
	}
	for _, line := range s.log.errors() {
		t.Errorf("the server logged: %s", line)
	}
}

// Stop shuts the server down; calls after the first wait for that.
func (s *Server) Stop(ctx context.Context) error {
	s.stopping.Do(func() { s.stopErr = s.Node.Shutdown(ctx) })
	return s.stopErr
}

// Addr is where the listener of that key of the configuration is, such as "c2s".
func (s *Server) Addr(t testing.TB, key string) string {
	t.Helper()
	list := s.Node.Addrs("listen." + key)
	if len(list) == 0 {
		t.Fatalf("listen.%s is off", key)
	}
	return list[0].(*net.TCPAddr).String()
}

// Account makes an account with Password unless there is one. The address
// without a domain is one of Domain.
func (s *Server) Account(t testing.TB, account string) jid.JID {
	t.Helper()
	if !strings.Contains(account, "@") {
		account += "@" + Domain
	}
	c, err := credentials()
	if err != nil {
		t.Fatal(err)
	}
	j := jid.MustParse(account).Bare()
	if err := s.DB.CreateAccount(context.Background(), j, c); err != nil && !errors.Is(err, storage.ErrExists) {
		t.Fatalf("create account %s: %v", j, err)
	}
	return j
}

// credentials of Password are the same for all accounts: making them costs more
// than most tests.
var credentials = sync.OnceValues(func() ([]storage.Credential, error) {
	b, err := auth.New(context.Background(), noStore{}, auth.Options{Iterations: func() int { return 4096 }})
	if err != nil {
		return nil, err
	}
	return b.Derive(context.Background(), Password)
})

// noStore suffices to derive credentials.
type noStore struct{ auth.Store }

func (noStore) Meta(context.Context, string) ([]byte, error) { return make([]byte, 32), nil }
