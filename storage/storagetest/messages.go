package storagetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

var noon = time.Date(2024, 5, 1, 12, 0, 0, 123456000, time.UTC)

func message(owner jid.JID, body string) *storage.Message {
	return &storage.Message{Owner: owner, Flags: storage.Waiting, Peer: jid.MustParse("nurse@example.com/kitchen"), Arrived: noon, XML: []byte("<message><body>" + body + "</body></message>")}
}

// confirm notes that rows from one seq to another have reached their owner.
func confirm(t *testing.T, s Store, owner jid.JID, first, last int64) {
	t.Helper()
	must(t, s.ConfirmMessages(t.Context(), []storage.Confirmed{{Owner: owner, Ranges: []storage.Range{{First: first, Last: last}}}}))
}

// store writes messages in one run and returns their errors.
func store(s Store, messages ...*storage.Message) error {
	r := &storage.Run{}
	for _, m := range messages {
		r.Writes = append(r.Writes, m)
	}
	s.Join(r)
	r.Wait()
	return errors.Join(r.Errs...)
}

func pending(t *testing.T, s Store, owner jid.JID, after int64, limit int) []storage.Message {
	t.Helper()
	m, err := s.PendingMessages(t.Context(), owner, after, 0, limit)
	must(t, err)
	return m
}

func wantCount(t *testing.T, s Store, owner jid.JID, want int) {
	t.Helper()
	if n, err := s.CountMessages(t.Context(), owner); n != want || err != nil {
		t.Errorf("CountMessages(%s) = %d, %v; want %d", owner, n, err, want)
	}
	if n := len(pending(t, s, owner, 0, 10000)); n != want {
		t.Errorf("%s has %d messages, want %d", owner, n, want)
	}
}

func messages(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo, juliet)
	var want []storage.Message
	for i := range 5 {
		m := message(romeo, fmt.Sprint("to romeo ", i))
		must(t, store(s, m, message(juliet, "to juliet")))
		if m.Seq != int64(i+1) {
			t.Errorf("message %d has seq %d", i, m.Seq)
		}
		want = append(want, *m)
	}
	full := jid.MustParse("romeo@example.org/orchard")
	if diff := cmp.Diff(want, pending(t, s, full, 0, 10), byValue); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[1:3], pending(t, s, romeo, 1, 2), byValue); diff != "" {
		t.Errorf("a page (-want +got):\n%s", diff)
	}
	confirm(t, s, romeo, 1, 3)
	confirm(t, s, romeo, 1, 3)
	confirm(t, s, nurse, 1, 3) // no such account
	wantCount(t, s, romeo, 2)
	wantCount(t, s, juliet, 5)
	wantCount(t, s, nurse, 0)

	// A seq is never used twice.
	confirm(t, s, romeo, 1, 100)
	m := message(full, "later")
	must(t, store(s, m))
	if m.Seq != 6 {
		t.Errorf("seq is %d, want 6", m.Seq)
	}
	wantCount(t, s, romeo, 1)
}

func messageLimits(t *testing.T, d Database) {
	ctx, s := t.Context(), openWith(t, d, Options{}, romeo, juliet)
	try := func(owner jid.JID, limit int, bytes int64, want error) {
		t.Helper()
		m := message(owner, "0123456789")
		m.Limit, m.LimitBytes = limit, bytes
		err := store(s, m)
		if !errors.Is(err, want) || (m.Seq == 0) != (want != nil) {
			t.Errorf("error is %v, want %v; seq is %d", err, want, m.Seq)
		}
	}
	size := int64(len(message(romeo, "0123456789").XML))
	try(romeo, 2, 0, nil)
	try(romeo, 2, 0, nil)
	try(romeo, 2, 0, storage.ErrTooMany)
	confirm(t, s, romeo, 1, 1)
	try(romeo, 2, 0, nil)
	try(romeo, 2, 0, storage.ErrTooMany)
	wantCount(t, s, romeo, 2)

	try(juliet, 0, 2*size, nil)
	try(juliet, 0, 2*size, nil)
	try(juliet, 0, 2*size, storage.ErrTooMany)
	confirm(t, s, juliet, 1, 1)
	try(juliet, 0, 2*size-1, storage.ErrTooMany)
	try(juliet, 0, 2*size, nil)
	if _, err := s.DeleteMessagesBefore(ctx, noon.Add(time.Hour), 100); err != nil {
		t.Error(err)
	}
	try(juliet, 1, size, nil)
}

// knownAtLimit: what is stored already is never one too many.
func knownAtLimit(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo, juliet)
	limited := func(id string) *storage.Message {
		m := exchange(juliet, romeo, id, "x", noon)[1]
		m.Flags |= storage.Waiting
		m.Limit = 2
		return m
	}
	a, b := limited("a"), limited("b")
	// In a group, and later.
	wantErrors(t, write(s, a, b, limited("a"), limited("c")), nil, nil, storage.ErrExists, storage.ErrTooMany)
	wantErrors(t, write(s, limited("c"), limited("b")), storage.ErrTooMany, storage.ErrExists)
	again := limited("a")
	again.Limit, again.LimitBytes = 0, 1
	wantErrors(t, write(s, again), storage.ErrExists)
	if again.Seq != 0 || again.Text.ID != 0 {
		t.Errorf("a refused message has seq %d, text %d", again.Seq, again.Text.ID)
	}
	wantCount(t, s, romeo, 2)
}

func oldMessages(t *testing.T, d Database) {
	ctx, s := t.Context(), openWith(t, d, Options{}, romeo, juliet)
	for i := range 6 {
		for _, owner := range []jid.JID{romeo, juliet} {
			m := message(owner, "old")
			m.Arrived = noon.Add(time.Duration(i) * time.Minute)
			must(t, store(s, m))
		}
	}
	limit := noon.Add(3 * time.Minute) // three of each are older
	for _, want := range []int{4, 2, 0} {
		if n, err := s.DeleteMessagesBefore(ctx, limit, 4); n != want || err != nil {
			t.Errorf("deleted %d, %v; want %d", n, err, want)
		}
	}
	for _, owner := range []jid.JID{romeo, juliet} {
		wantCount(t, s, owner, 3)
		for _, m := range pending(t, s, owner, 0, 10) {
			if m.Arrived.Before(limit) {
				t.Errorf("a message of %v is still there", m.Arrived)
			}
		}
	}
}

// refusedTogether: what the recipient's row is refused for, the sender's is, too, with
// what it brings.
func refusedTogether(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo, juliet)
	send := func(id string) []error {
		pair := exchange(juliet, romeo, id, "x", noon)
		sent, received := pair[0], pair[1]
		received.Flags |= storage.Waiting
		received.Limit, sent.After = 1, received
		gone := &storage.Retraction{By: sent, Owner: juliet, Chat: romeo, FromOwner: true, ID: "a", Element: []byte("<gone/>")}
		return write(s, received, sent, gone)
	}
	wantErrors(t, send("a"), nil, nil, nil)
	wantErrors(t, send("b"), storage.ErrTooMany, storage.ErrTooMany, nil)
	got := selected(t, s, storage.ArchiveQuery{Owner: juliet})
	if len(got) != 1 || !got[0].Flags.Has(storage.Tombstone) {
		t.Errorf("the sender has %+v", got)
	}
}
