package postgres_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/xmppd/xmppd/internal/pgtest"
	"github.com/xmppd/xmppd/storage/postgres"
	"github.com/xmppd/xmppd/storage/storagetest"
)

type database struct{ url string }

func newDatabase(t *testing.T) storagetest.Database { return database{pgtest.URL(t)} }

func (d database) Open(ctx context.Context, o storagetest.Options) (storagetest.Store, error) {
	return postgres.Open(ctx, postgres.Options{URL: d.url, MaxConnections: 6, CommitTimeout: o.CommitTimeout, BeforeCommit: o.BeforeCommit})
}

func (d database) raw(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), d.url)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func (d database) Tables(t *testing.T) map[string]int {
	t.Helper()
	conn := d.raw(t)
	defer conn.Close(t.Context())
	list, err := conn.Query(t.Context(), "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(list, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]int{}
	for _, name := range names {
		var n int
		if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM "+name).Scan(&n); err != nil {
			t.Fatal(err)
		}
		rows[name] = n
	}
	return rows
}

func (d database) Exec(t *testing.T, statement string) {
	t.Helper()
	conn := d.raw(t)
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func TestStore(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, newDatabase)
}

// TestOpenErrors: what an operator can do wrong is one line without the password.
func TestOpenErrors(t *testing.T) {
	t.Parallel()
	good := pgtest.URL(t)
	for name, o := range map[string]postgres.Options{
		"refused":    {URL: "postgres://xmppd:secret@127.0.0.1:1/xmppd"},
		"no socket":  {URL: "postgres://xmppd:secret@/xmppd?host=" + t.TempDir()},
		"malformed":  {URL: "postgres://xmppd:secret@localhost:port/x"},
		"database":   {URL: strings.Replace(good, "/test_", "/absent_", 1)},
		"role":       {URL: strings.Replace(good, "user=postgres", "user=nobody&password=secret", 1)},
		"durability": {URL: good, Durability: "some"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := postgres.Open(t.Context(), o)
			if err == nil {
				db.Close()
				t.Fatal("opened")
			}
			t.Log(err)
			if s := err.Error(); strings.Contains(s, "\n") || strings.Contains(s, "secret") {
				t.Errorf("error is %q", s)
			}
		})
	}
}
