package sqlite

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// TestDiskFull: it is told apart from a bad row, and passes when there is room.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	db, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "a.db"), CommitTimeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	owner := jid.MustParse("romeo@example.org")
	if err := db.CreateAccount(t.Context(), owner, nil); err != nil {
		t.Fatal(err)
	}
	limit := func(pragma string) {
		t.Helper()
		// SQLite treats its own limit as it does a full disk.
		if _, err := db.writer.Exec(pragma); err != nil {
			t.Fatal(err)
		}
	}
	write := func() error {
		r := &storage.Run{Writes: []storage.Write{&storage.Message{Owner: owner, Peer: owner, XML: make([]byte, 100000)}}}
		db.Join(r)
		r.Wait()
		return r.Errs[0]
	}
	limit("PRAGMA max_page_count = 1") // it cannot be less than what is used
	if err := write(); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("error is %v", err)
	}
	if err := db.KV("test").Put(t.Context(), owner, "key", make([]byte, 100000)); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("error is %v", err)
	}
	limit("PRAGMA max_page_count = 1000000")
	for write() != nil {
		if t.Context().Err() != nil {
			t.Fatal("no write succeeds")
		}
	}
}
