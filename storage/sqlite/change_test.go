package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

func newDB(t *testing.T) *DB {
	t.Helper()
	db, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "test.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestChangesThatShareATransactionFailAlone(t *testing.T) {
	t.Parallel()
	ctx, db := context.Background(), newDB(t)
	u := jid.MustParse("juliet@example.org")
	if err := db.CreateAccount(ctx, u, nil); err != nil {
		t.Fatal(err)
	}
	const changes = 300
	refused := errors.New("refused")
	errs := make([]error, changes)
	var all sync.WaitGroup
	for i := range changes {
		all.Go(func() {
			_, errs[i] = db.UpdateRoster(ctx, u, jid.MustParse(fmt.Sprintf("c%d@example.org", i)), 1000, func(item *storage.RosterItem) error {
				item.Listed = true
				if i%3 == 0 {
					return refused
				}
				return nil
			})
		})
	}
	all.Wait()
	items, _, err := db.Roster(ctx, u)
	if err != nil {
		t.Fatal(err)
	}
	there := make(map[string]bool)
	for _, i := range items {
		there[i.Contact.String()] = true
	}
	for i, err := range errs {
		name := fmt.Sprintf("c%d@example.org", i)
		if i%3 == 0 && (!errors.Is(err, refused) || there[name]) || i%3 != 0 && (err != nil || !there[name]) {
			t.Errorf("%s: error %v, written %v", name, err, there[name])
		}
	}
}

func TestChangeGivesUpWaiting(t *testing.T) {
	t.Parallel()
	db, err := Open(context.Background(), Options{Path: filepath.Join(t.TempDir(), "test.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	inside, leave := make(chan struct{}), make(chan struct{})
	var first sync.WaitGroup
	first.Go(func() {
		db.write(context.Background(), func(*tx) error { close(inside); <-leave; return errUnchanged })
	})
	<-inside
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	ran := false
	if err := db.write(ctx, func(*tx) error { ran = true; return nil }); !errors.Is(err, context.Canceled) && !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	close(leave)
	first.Wait()
	if ran {
		t.Error("it was written all the same")
	}
}

// TestChangesForgetLittle: the changes that come every second or so leave what write
// groups remember, apart from what they change.
func TestChangesForgetLittle(t *testing.T) {
	t.Parallel()
	ctx, db := context.Background(), newDB(t)
	romeo, juliet := jid.MustParse("romeo@example.org"), jid.MustParse("juliet@example.org")
	r := &storage.Run{}
	for _, u := range []jid.JID{romeo, juliet} {
		if err := db.CreateAccount(ctx, u, nil); err != nil {
			t.Fatal(err)
		}
		r.Writes = append(r.Writes, &storage.Message{Owner: u, Peer: u, Chat: u, Flags: storage.Archived, Text: new(storage.Text),
			Arrived: time.Now(), XML: []byte("<message/>")})
	}
	db.Join(r)
	if r.Wait(); r.Errs[0] != nil || r.Errs[1] != nil {
		t.Fatal(r.Errs)
	}
	want := func(when string, romeos, juliets bool) {
		t.Helper()
		if a, b := db.memory.log(romeo) != nil, db.memory.log(juliet) != nil; a != romeos || b != juliets {
			t.Errorf("%s: %v, %v are remembered", when, a, b)
		}
	}
	if n, err := db.IndexTexts(ctx, 10, func([]byte) []string { return nil }); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	want("indexed", true, true)
	if err := db.ConfirmMessages(ctx, []storage.Confirmed{{Owner: romeo, Ranges: []storage.Range{{First: 1, Last: 1}}}}); err != nil {
		t.Fatal(err)
	}
	want("confirmed", false, true)
	if _, err := db.RemoveArchive(ctx, romeo, jid.JID{}, 1); err != nil {
		t.Fatal(err)
	}
	want("removed", false, false)
}
