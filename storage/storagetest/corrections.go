package storagetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// corrected stores a message with many corrections, and others that stay.
func corrected(t *testing.T, s Store, corrections int) (kept int) {
	t.Helper()
	text := func(m *storage.Message) *storage.Message {
		m.Flags |= storage.Shown | storage.Unread
		m.Text = new(storage.Text)
		return m
	}
	// By nobody's original, of another message, and by the other side.
	run := []storage.Write{text(correction(juliet, "first", "a")), text(archived(juliet, "z", "word")), text(archived(juliet, "a", "body"))}
	for i := range corrections {
		run = append(run, text(correction(juliet, fmt.Sprint(i), "a")))
		if i%100 == 50 {
			other := correction(juliet, "other", "z")
			own := correction(juliet, "own", "a")
			own.Flags |= storage.FromOwner
			run = append(run, other, own)
			kept += 2
		}
	}
	must(t, errors.Join(write(s, run...)...))
	return kept + 2
}

func wantTombstones(t *testing.T, s Store, tombstones, kept int) {
	t.Helper()
	n := 0
	rows := selected(t, s, storage.ArchiveQuery{Owner: romeo, Limit: 10_000})
	for _, m := range rows {
		if m.Flags.Has(storage.Tombstone) {
			n++
		}
	}
	if n != tombstones || len(rows)-n != kept {
		t.Errorf("%d tombstones and %d others, want %d and %d", n, len(rows)-n, tombstones, kept)
	}
}

// manyCorrections: a retraction takes all versions of a message, by and by.
func manyCorrections(t *testing.T, d Database) {
	for _, n := range []int{99, 100, 101, 350} {
		s := open(t, d, Options{})
		must(t, s.CreateAccount(t.Context(), romeo, nil))
		kept := corrected(t, s, n)
		errs := write(s, retraction(romeo, juliet, false, "a"), retraction(romeo, juliet, false, "a"))
		must(t, errors.Join(errs...))
		// What has the same id by now is another message.
		late := archived(juliet, "a", "body")
		late.Flags |= storage.Shown | storage.Unread
		must(t, store(s, late, correction(juliet, "late", "a")))
		for range n/storage.RetractStep + 1 { // each step is in a group before, or in the same one
			must(t, write(s, &storage.Mark{Owner: romeo})[0])
		}
		wantTombstones(t, s, n+1, kept+2)
		want := fmt.Sprintf("juliet@example.org: 3 unread, last %d, shown %d", late.Seq+1, late.Seq)
		if lines, _ := inboxOf(t, s, storage.InboxQuery{Messages: true, Limit: 10}); len(lines) != 1 || lines[0] != want {
			t.Errorf("%d corrections: the inbox is %v, want %s", n, lines, want)
		}
		if tables := d.Tables(t); tables["text"] != 1 { // that of the first row
			t.Errorf("%d corrections: %d texts are left", n, tables["text"])
		}
		must(t, s.RemoveAccount(t.Context(), romeo))
	}
}

// retractionCloses: a store that is closed has finished what it began.
func retractionCloses(t *testing.T, d Database) {
	s, err := d.Open(t.Context(), Options{CommitTimeout: Patience})
	must(t, err)
	must(t, s.CreateAccount(t.Context(), romeo, nil))
	kept := corrected(t, s, 950)
	must(t, write(s, retraction(romeo, juliet, false, "a"))[0])
	must(t, s.Close())
	wantTombstones(t, open(t, d, Options{}), 951, kept)
}

// noOriginal: what corrects nothing that the archive has, by the same side, is a
// message like others: it is unread and moves its chat.
func noOriginal(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo)
	h := newHistory(t, s, 4)
	const unread = storage.Shown | storage.Unread
	want := func(when, line string) {
		t.Helper()
		for _, again := range []string{"", ", rebuilt"} {
			if got, _ := inboxOf(t, s, storage.InboxQuery{Messages: true, Limit: 100}); len(got) != 1 || got[0] != line {
				t.Errorf("%s%s: %v, want %s", when, again, got, line)
			}
			h.check(when + again)
			d.Exec(t, "UPDATE message SET flags = flags - (flags & 56)")
			h.rebuild()
		}
	}
	h.add(juliet, naiveRow{id: "a", ref: "unknown", says: unread})
	want("the first message of somebody", "juliet@example.org: 1 unread, last 1, shown 1")
	h.add(juliet, naiveRow{id: "b", ref: "b", says: unread})
	want("its own id", "juliet@example.org: 2 unread, last 2, shown 2")
	h.add(juliet, naiveRow{id: "c", ref: "a", says: unread})
	want("of an older one", "juliet@example.org: 2 unread, last 3, shown 2")
	h.add(juliet, naiveRow{id: "d", ref: "b", says: unread})
	want("of the last one", "juliet@example.org: 2 unread, last 4, shown 4")
	h.add(juliet, naiveRow{id: "e", own: true, says: storage.Shown})
	h.add(juliet, naiveRow{id: "f", ref: "e", says: unread})
	want("of what the owner has sent", "juliet@example.org: 3 unread, last 6, shown 6")
	h.add(juliet, naiveRow{id: "g", own: true, ref: "f", says: storage.Shown})
	want("by the owner, of what he got", "juliet@example.org: 3 unread, last 7, shown 7")
	h.add(juliet, naiveRow{id: "r"})
	h.add(juliet, naiveRow{id: "h", ref: "r", says: unread})
	want("of a receipt", "juliet@example.org: 4 unread, last 9, shown 9")
	h.remove(jid.JID{}, 2)
	want("removed", "juliet@example.org: 2 unread, last 9, shown 9")
	h.add(juliet, naiveRow{id: "i", ref: "a", says: unread})
	want("of what has been removed", "juliet@example.org: 3 unread, last 10, shown 10")
	h.add(juliet, naiveRow{id: "j", ref: "i", says: unread})
	want("of that", "juliet@example.org: 3 unread, last 11, shown 11")
}
