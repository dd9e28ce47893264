// Package pgtest runs a PostgreSQL server for tests: one for each test process,
// in a temporary folder, reached by a Unix socket there, so that no port can be
// taken. It needs the programs of Debian's package postgresql; without them
// tests fail, they are never skipped.
package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
)

// shared is the server of this process. It ends with the process: see launch.
var shared = sync.OnceValues(func() (*instance, error) {
	s, err := newInstance(false)
	if err != nil {
		return nil, err
	}
	return s, s.launch()
})

// URL returns the postgres:// URL of a new empty database, which is dropped when
// the test has ended.
func URL(t testing.TB) string {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatalf("start PostgreSQL for tests (`make test` installs it, Debian's package is postgresql): %v", err)
	}
	return s.database(t)
}

// Server is a PostgreSQL server of one test, which may stop it.
type Server struct{ s *instance }

// Options of Start.
type Options struct {
	// Durable leaves fsync on, for measurements.
	Durable bool
}

// Start runs a server until the test has ended.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := newInstance(o.Durable)
	if err == nil {
		err = s.launch()
	}
	if err != nil {
		t.Fatalf("start PostgreSQL for a test (`make test` installs it, Debian's package is postgresql): %v", err)
	}
	t.Cleanup(s.remove)
	return &Server{s}
}

// URL returns the URL of a new empty database. It stays when the server is
// stopped and started again.
func (s *Server) URL(t testing.TB) string {
	t.Helper()
	return s.s.database(t)
}

// Stop ends the server as a crash would: at once, without finishing anything.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if err := s.s.stop(); err != nil {
		t.Fatalf("stop PostgreSQL: %v", err)
	}
}

// Start runs the server again after Stop, with the data that it had.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := s.s.launch(); err != nil {
		t.Fatalf("start PostgreSQL again: %v", err)
	}
}

// Socket is the path of the Unix socket, for tests that put something between.
func (s *Server) Socket() string { return s.s.socket() }

var databases atomic.Int64

func (s *instance) database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", databases.Add(1))
	if err := s.admin("CREATE DATABASE " + name + " TEMPLATE template0 ENCODING 'UTF8'"); err != nil {
		t.Fatalf("create database for the test: %v", err)
	}
	t.Cleanup(func() {
		// A test may have stopped its own server; the database ends with it.
		if err := s.admin("DROP DATABASE " + name + " WITH (FORCE)"); err != nil && s.running() {
			t.Errorf("drop database of the test: %v", err)
		}
	})
	return s.url(name)
}

func (s *instance) url(database string) string {
	q := url.Values{"host": {s.dir}, "user": {role}}
	return "postgres:///" + database + "?" + q.Encode()
}

// admin runs a statement outside of the databases of tests. They are made one
// after the other: the template must not be in use.
func (s *instance) admin(statement string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx) // nothing is lost with it
	_, err = conn.Exec(ctx, statement)
	return err
}
