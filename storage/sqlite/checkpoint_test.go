package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// TestCheckpoint: the log is copied into the file while the store is in use,
// and emptied if it has grown too long.
func TestCheckpoint(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	db, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	owner := jid.MustParse("romeo@example.org")
	if err := db.CreateAccount(t.Context(), owner, nil); err != nil {
		t.Fatal(err)
	}
	write := func() {
		t.Helper()
		r := &storage.Run{}
		for range 16 {
			r.Writes = append(r.Writes, &storage.Message{Owner: owner, Flags: storage.Waiting, Peer: owner, XML: []byte(strings.Repeat("x", 60000))})
		}
		db.Join(r)
		r.Wait()
		if err := errors.Join(r.Errs...); err != nil {
			t.Fatal(err)
		}
	}
	size := func(name string) int64 {
		t.Helper()
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	for before := size(path); size(path) < before+8<<20; {
		write()
	}

	p, err := openPool(db.checkpoint.dsn, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	write()
	if size(path+"-wal") == 0 {
		t.Fatal("there is no log")
	}
	c := *startCheckpointer(db.checkpoint.dsn, db.writer, db.opts.Log)
	defer c.close()
	c.truncateAt = 0
	// The store's own checkpointer may be at work at the same time.
	for size(path+"-wal") != 0 {
		if err := c.checkpoint(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	write()
	if n, err := db.CountMessages(t.Context(), owner); err != nil || n%16 != 0 {
		t.Errorf("%d messages, %v", n, err)
	}
}
