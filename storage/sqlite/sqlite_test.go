package sqlite_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/storage/sqlite"
	"github.com/xmppd/xmppd/storage/storagetest"
)

type database struct{ path string }

func newDatabase(t *testing.T) storagetest.Database {
	return database{filepath.Join(t.TempDir(), "data", "xmppd.db")}
}

func (d database) Open(ctx context.Context, o storagetest.Options) (storagetest.Store, error) {
	return sqlite.Open(ctx, sqlite.Options{Path: d.path, CommitTimeout: o.CommitTimeout, BeforeCommit: o.BeforeCommit})
}

func (d database) raw(t *testing.T) *sql.DB {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(d.path), 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", d.path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func (d database) Tables(t *testing.T) map[string]int {
	t.Helper()
	db := d.raw(t)
	defer db.Close()
	names, err := db.Query("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual') AND name NOT LIKE 'sqlite_%'")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]int{}
	for names.Next() {
		var name string
		if err := names.Scan(&name); err != nil {
			t.Fatal(err)
		}
		rows[name] = 0
	}
	if err := names.Close(); err != nil {
		t.Fatal(err)
	}
	for name := range rows {
		var n int
		if err := db.QueryRow("SELECT count(*) FROM " + name).Scan(&n); err != nil {
			t.Fatal(err)
		}
		rows[name] = n
	}
	return rows
}

func (d database) Exec(t *testing.T, statement string) {
	t.Helper()
	db := d.raw(t)
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

func TestStore(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, newDatabase)
}

func TestModes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data", "a %3f?#b.db")
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, Durability: "normal"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for name, want := range map[string]os.FileMode{
		filepath.Dir(path): 0o700 | os.ModeDir, path: 0o600, path + "-wal": 0o600, path + "-shm": 0o600,
	} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", filepath.Base(name), info.Mode(), want)
		}
	}
}

// TestOpenErrors: what an operator can do wrong is one line with the path.
func TestOpenErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("this is no database. ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]sqlite.Options{
		"corrupt":     {Path: garbage},
		"folder":      {Path: dir},
		"unreachable": {Path: filepath.Join(garbage, "below", "a.db")},
		"no path":     {},
		"durability":  {Path: filepath.Join(dir, "a.db"), Durability: "some"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := sqlite.Open(t.Context(), o)
			if err == nil {
				db.Close()
				t.Fatal("opened")
			}
			t.Log(err)
			if s := err.Error(); strings.Contains(s, "\n") || !strings.Contains(s, o.Path) {
				t.Errorf("error is %q", s)
			}
		})
	}
}
