package storagetest

import (
	"fmt"
	"testing"

	"github.com/xmppd/xmppd/storage"
)

// Crowd tests how far queries for a full JID look. fill is a statement that adds so
// many rows of another resource behind the only row of the only chat.
func Crowd(t *testing.T, d Database, fill func(rows int) string) {
	s := openWith(t, d, Options{}, romeo)
	rare := resource(juliet, "rare")
	must(t, store(s, archived(rare, "1", "x")))
	ask := func(q storage.ArchiveQuery, rows int, want error) {
		t.Helper()
		q.Owner, q.With = romeo, rare
		n := 0
		err := s.Archive(t.Context(), q, func(*storage.Message) error { n++; return nil })
		if wantError(t, err, want); err == nil && n != rows {
			t.Errorf("%+v: %d rows, want %d", q, n, rows)
		}
	}
	count := func(want error) {
		t.Helper()
		n, err := s.CountArchive(t.Context(), storage.ArchiveQuery{Owner: romeo, With: rare})
		if wantError(t, err, want); err == nil && n != 1 {
			t.Errorf("counted %d", n)
		}
	}
	d.Exec(t, fill(storage.PeerRows-1))
	ask(storage.ArchiveQuery{Limit: 2}, 1, nil)
	ask(storage.ArchiveQuery{Limit: 2, Backward: true}, 1, nil)
	count(nil)
	d.Exec(t, fill(1))
	ask(storage.ArchiveQuery{Limit: 1}, 1, nil)
	ask(storage.ArchiveQuery{Limit: 2}, 0, storage.ErrUnavailable)
	ask(storage.ArchiveQuery{Limit: 1, Backward: true}, 0, storage.ErrUnavailable)
	ask(storage.ArchiveQuery{Limit: 2, Backward: true, Before: storage.PeerRows}, 1, nil)
	ask(storage.ArchiveQuery{Limit: 2, After: 1}, 0, nil)
	count(storage.ErrUnavailable)
	if got := selected(t, s, storage.ArchiveQuery{Owner: romeo, With: juliet, Limit: 3}); fmt.Sprint(seqs(got)) != "[1 2 3]" {
		t.Errorf("with the bare address: %v", seqs(got))
	}
}
