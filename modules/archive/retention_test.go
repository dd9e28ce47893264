package archive_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules/archive"
	"github.com/xmppd/xmppd/modules/internal/moduletest"
	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/sqlite"
)

// kept is a module above a database, with the accounts Romeo and Juliet.
type kept struct {
	*moduletest.World
	db *sqlite.DB
}

func keeping(t *testing.T, options map[string]any) kept {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "test.db"), Durability: "normal"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	w := kept{moduletest.New(t), db}
	w.Account("romeo@capulet.lit", "juliet@capulet.lit")
	for _, a := range []string{"romeo@capulet.lit", "juliet@capulet.lit"} {
		if err := db.CreateAccount(t.Context(), jid.MustParse(a), nil); err != nil {
			t.Fatal(err)
		}
	}
	w.InitWith(archive.New(db, contacts{}, nil, nil, limits), options)
	return w
}

// add archives n messages of 100 bytes with a peer, one each hour, the last one now.
func (w kept) add(owner, peer string, n int) {
	w.T.Helper()
	run := storage.Run{}
	for i := range n {
		xml := "<message from='" + peer + "' to='" + owner + "'><body></body></message>"
		m := &storage.Message{
			Owner: jid.MustParse(owner), Peer: jid.MustParse(peer), Chat: jid.MustParse(peer).Bare(), Flags: storage.Archived | storage.FromOwner,
			Arrived: w.Now().Add(-time.Duration(n-1-i) * time.Hour), XML: []byte(strings.Replace(xml, "<body>", "<body>"+strings.Repeat("x", 100-len(xml)), 1)),
		}
		run.Writes = append(run.Writes, m)
	}
	w.db.Join(&run)
	run.Wait()
	for _, err := range run.Errs {
		if err != nil {
			w.T.Fatal(err)
		}
	}
}

// holds compares how many messages the archives of Romeo and Juliet hold.
func (w kept) holds(romeo, juliet int) {
	w.T.Helper()
	for owner, want := range map[string]int{"romeo": romeo, "juliet": juliet} {
		if got, err := w.Call("get_mam_count", owner, "capulet.lit"); err != nil || strings.TrimSpace(got) != fmt.Sprint(want) {
			w.T.Errorf("%s holds %s, %v; want %d", owner, got, err, want)
		}
	}
}

// task runs one of the module's tasks once.
func (w kept) task(name string) {
	w.T.Helper()
	for _, t := range w.Tables.Tasks() {
		if t.Name == "archive."+name {
			if err := t.Run(w.T.Context()); err != nil {
				w.T.Error(err)
			}
			return
		}
	}
	w.T.Errorf("no task %s", name)
}

func (w kept) says(want string, words ...string) {
	w.T.Helper()
	if got, err := w.Call(words...); err != nil || strings.TrimSpace(got) != want {
		w.T.Errorf("%s: %q, %v; want %q", words, got, err, want)
	}
}

// Messages go by their age and by the size of their archive.
func TestRetention(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		options       map[string]any
		romeo, juliet int
	}{
		{map[string]any{"keep": "48h"}, 49, 10},
		{map[string]any{"keep": "1h"}, 2, 2},
		{map[string]any{"max_bytes": "2000"}, 20, 10},
		{map[string]any{"max_bytes": "500", "keep": "48h"}, 5, 5},
		{map[string]any{"max_bytes": "1GiB", "keep": "10000h"}, 1200, 10},
	} {
		w := keeping(t, tt.options)
		w.add("romeo@capulet.lit", "nurse@capulet.lit", 1200)
		w.add("juliet@capulet.lit", "nurse@capulet.lit", 10)
		w.task("retention")
		w.holds(tt.romeo, tt.juliet)
	}
	w := keeping(t, nil)
	for _, task := range w.Tables.Tasks() {
		if task.Name == "archive.retention" {
			t.Error("there is something to do although everything is kept")
		}
	}
}

func TestDeleteCommands(t *testing.T) {
	t.Parallel()
	w := keeping(t, nil)
	w.add("romeo@capulet.lit", "nurse@capulet.lit", 100)
	w.add("romeo@capulet.lit", "tybalt@capulet.lit/home", 30)
	w.add("juliet@capulet.lit", "nurse@capulet.lit", 100)
	w.says("", "delete_old_mam_messages", "groupchat", "0")
	w.says("", "delete_old_mam_messages", "all", "99999999")
	w.holds(130, 100)
	w.says("", "delete_old_mam_messages", "chat", "3")
	w.holds(103, 73)
	w.says("MAM archive removed", "remove_mam_for_user_with_peer", "romeo", "capulet.lit", "tybalt@capulet.lit")
	w.holds(73, 73)
	w.says("MAM archive removed", "remove_mam_for_user", "romeo", "capulet.lit")
	w.holds(0, 73)
	for _, words := range [][]string{
		{"delete_old_mam_messages", "some", "1"}, {"delete_old_mam_messages", "all", "-1"},
		{"get_mam_count", "nobody", "capulet.lit"}, {"get_mam_count", "romeo", "montague.lit"},
		{"remove_mam_for_user", "nobody", "capulet.lit"},
		{"delete_old_mam_messages_batch", "montague.lit", "all", "1", "1", "1"},
		{"delete_old_mam_messages_batch", "capulet.lit", "all", "1", "0", "1"},
		{"delete_old_mam_messages_batch", "capulet.lit", "all", "1", "1", "0"},
	} {
		if got, err := w.Call(words...); err == nil {
			t.Errorf("%s: %s", words, got)
		}
	}
}

// A batch goes on at its rate, can be looked at, and be aborted.
func TestBatch(t *testing.T) {
	t.Parallel()
	w := keeping(t, nil)
	w.add("romeo@capulet.lit", "nurse@capulet.lit", 100)
	w.says("Operation not started", "delete_old_mam_messages_status", "capulet.lit")
	w.says("No task running", "abort_delete_old_mam_messages", "capulet.lit")
	start := []string{"delete_old_mam_messages_batch", "capulet.lit", "all", "0", "7", "60"}
	w.says("Operation started", start...)
	if got, err := w.Call(start...); err == nil {
		t.Errorf("started twice: %s", got)
	}
	w.task("batches")
	w.says("Operation in progress, deleted 0 messages", "delete_old_mam_messages_status", "capulet.lit")
	w.Advance(20 * time.Second)
	w.task("batches")
	w.task("batches")
	w.says("Operation in progress, deleted 20 messages", "delete_old_mam_messages_status", "capulet.lit")
	w.holds(80, 0)
	w.says("Operation aborted", "abort_delete_old_mam_messages", "capulet.lit")
	w.Advance(time.Hour)
	w.task("batches")
	w.says("Operation was aborted after deleting 20 messages", "delete_old_mam_messages_status", "capulet.lit")
	w.holds(80, 0)
	w.says("Operation started", "delete_old_mam_messages_batch", "capulet.lit", "chat", "1", "1000", "6000")
	w.Advance(10 * time.Second)
	w.task("batches")
	w.says("Operation was completed after deleting 57 messages", "delete_old_mam_messages_status", "capulet.lit")
	w.holds(23, 0)
}

func TestListCommand(t *testing.T) {
	t.Parallel()
	w := keeping(t, nil)
	w.add("romeo@capulet.lit", "nurse@capulet.lit", 1)
	got, err := w.Call("get_mam_messages", "romeo", "capulet.lit")
	if err != nil || !strings.HasPrefix(got, "2026-07-14T23:08:25Z\tromeo@capulet.lit\tnurse@capulet.lit\t<message from='nurse@capulet.lit' ") {
		t.Errorf("%q, %v", got, err)
	}
}
