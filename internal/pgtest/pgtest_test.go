package pgtest_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/xmppd/xmppd/internal/pgtest"
)

func exec(t *testing.T, url, statement string) error {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		return err
	}
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), statement)
	return err
}

// TestDatabases: each test has a database of its own.
func TestDatabases(t *testing.T) {
	t.Parallel()
	for range 3 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			if err := exec(t, pgtest.URL(t), "CREATE TABLE mine ()"); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestServer: a server that was stopped has its data when it runs again.
func TestServer(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, pgtest.Options{})
	url := s.URL(t)
	if err := exec(t, url, "CREATE TABLE mine ()"); err != nil {
		t.Fatal(err)
	}
	s.Stop(t)
	if err := exec(t, url, "TABLE mine"); err == nil {
		t.Error("a stopped server answers")
	}
	s.Start(t)
	if err := exec(t, url, "TABLE mine"); err != nil {
		t.Error(err)
	}
}
