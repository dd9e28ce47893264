package inbox

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/command"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules/internal/moduletest"
	"github.com/xmppd/xmppd/storage"
)

// slow is a store whose rebuilds last until they are stopped, or fail at once.
type slow struct {
	Store
	err     error
	started chan struct{}
}

func (slow) CountAccounts(context.Context, string) (int, error) { return 7, nil }

func (slow) Accounts(context.Context, string, jid.JID, int) ([]jid.JID, error) {
	return []jid.JID{jid.MustParse("juliet@capulet.lit")}, nil
}

func (s slow) RebuildInbox(ctx context.Context, _ jid.JID, at storage.InboxRebuild, _ int, _ func(*storage.Message) storage.Judgement) (storage.InboxRebuild, error) {
	if s.err != nil {
		return at, s.err
	}
	s.started <- struct{}{}
	<-ctx.Done()
	return at, ctx.Err()
}

// There is one rebuild of a domain at a time; it ends when it is told to, and with
// the server.
func TestRebuildEnds(t *testing.T) {
	t.Parallel()
	w, started := moduletest.New(t), make(chan struct{})
	m := New(slow{started: started}, limits)
	w.Init(m)
	call := func(command, want string) {
		t.Helper()
		got, err := w.Call(command, "capulet.lit")
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", command, got, want)
		}
	}
	const progress = "0 of 7 accounts, 0 messages: "
	call("rebuild_inbox_batch", progress+"running")
	<-started
	call("rebuild_inbox_batch", "conflict: it is running already")
	call("rebuild_inbox_status", progress+"running")
	call("abort_rebuild_inbox", progress+"aborted")
	call("rebuild_inbox_batch", progress+"running")
	<-started
	if err := w.Tables.Stopping(t.Context()); err != nil {
		t.Error(err)
	}
	call("rebuild_inbox_status", progress+"aborted")
	if got, err := w.Call("rebuild_inbox_batch", "capulet.lit"); err == nil {
		t.Errorf("started in a server that stops: %s", got)
	}
}

// A rebuild that fails says why.
func TestRebuildFails(t *testing.T) {
	t.Parallel()
	w := moduletest.New(t)
	m := New(slow{err: errors.New("no database")}, limits)
	w.Init(m)
	if _, err := w.Call("rebuild_inbox_batch", "capulet.lit"); err != nil {
		t.Fatal(err)
	}
	m.jobs.running.Wait()
	if got, err := w.Call("rebuild_inbox_status", "capulet.lit"); !strings.HasSuffix(got, ": failed: juliet@capulet.lit: no database") {
		t.Errorf("%s, %v", got, err)
	}
}

// stepping is a store that takes three steps for an archive that grows meanwhile,
// and one for the chats.
type stepping struct{ Store }

func (stepping) RebuildInbox(_ context.Context, _ jid.JID, at storage.InboxRebuild, limit int, _ func(*storage.Message) storage.Judgement) (storage.InboxRebuild, error) {
	at.Done = at.Chats
	if !at.Chats {
		at.Rows += int64(limit)
		at.Of = 1000 + at.Rows/3
		at.Chats = at.Rows >= at.Of
	}
	return at, nil
}

// The rebuild of one account tells how far it is, in rows of the archive.
func TestRebuildProgress(t *testing.T) {
	t.Parallel()
	w := moduletest.New(t)
	w.Init(New(stepping{}, limits))
	w.Account("juliet@capulet.lit")
	var set command.Set
	set.Add(w.Tables.Commands()...)
	var got [][2]int64
	ctx := command.WithProgress(t.Context(), func(done, of int64) { got = append(got, [2]int64{done, of}) })
	_, v, err := set.Call(ctx, "rebuild_inbox", json.RawMessage(`{"user":"juliet","host":"capulet.lit"}`))
	if err != nil || v != "1 account, 1500 messages" {
		t.Errorf("%v, %v", v, err)
	}
	if want := [][2]int64{{500, 1166}, {1000, 1333}, {1500, 1500}, {1500, 1500}}; !slices.Equal(got, want) {
		t.Errorf("progress %v, want %v", got, want)
	}
}
