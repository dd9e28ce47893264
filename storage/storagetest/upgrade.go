package storagetest

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// upgrade opens a database with the first version of the schema. Nothing in it is
// lost, and it can do what a new one can.
func upgrade(t *testing.T, d Database) {
	ctx := t.Context()
	dump, err := os.ReadFile("testdata/version1.sql") // each store has its own
	must(t, err)
	d.Exec(t, string(dump))
	old := d.Tables(t)
	s := open(t, d, Options{})
	upgraded := d.Tables(t)
	for table, rows := range old {
		if table != "goose_db_version" && (rows == 0 || upgraded[table] != rows) {
			t.Errorf("table %s had %d rows and has %d", table, rows, upgraded[table])
		}
	}
	a, err := s.Account(ctx, romeo)
	must(t, err)
	if diff := cmp.Diff(credentials("salt"), a.Credentials); diff != "" {
		t.Errorf("credentials (-want +got):\n%s", diff)
	}
	a, err = s.Account(ctx, juliet)
	must(t, err)
	if diff := cmp.Diff(&storage.Ban{Reason: "feud", Since: noon}, a.Ban); diff != "" {
		t.Errorf("ban (-want +got):\n%s", diff)
	}
	two, three := *message(romeo, "2"), *message(romeo, "3")
	two.Seq, three.Seq = 2, 3
	kept := pending(t, s, romeo, 0, 10)
	wantCount(t, s, romeo, 2)
	for i := range kept {
		if kept[i].Tag <= 0 {
			t.Errorf("the tag of message %d is %d", i, kept[i].Tag)
		}
		kept[i].Tag = 0
	}
	if diff := cmp.Diff([]storage.Message{two, three}, kept, byValue); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	wantArchive(t, s, romeo) // they wait, nothing else
	if items, _, err := s.Roster(ctx, romeo); err != nil || len(items) != 2 {
		t.Errorf("%d contacts, %v", len(items), err)
	}

	four := message(romeo, "4")
	four.Arrived = noon.Add(-time.Hour)
	wantErrors(t, write(s, four, stream("a", romeo, 1)), nil, nil)
	wantH(t, s, "a", 1)
	if four.Seq != 4 {
		t.Errorf("seq is %d", four.Seq)
	}
	if !four.Arrived.Equal(noon) {
		t.Errorf("it arrived at %v, before the one before", four.Arrived)
	}
	confirm(t, s, romeo, 1, 3)
	wantCount(t, s, romeo, 1)
	must(t, s.CreateAccount(ctx, nurse, nil))
	fill(t, s, nurse)
	for _, owner := range []jid.JID{romeo, juliet, nurse} {
		must(t, s.RemoveAccount(ctx, owner))
	}
	for table, rows := range d.Tables(t) {
		if rows != 0 && table != "goose_db_version" && table != "meta" {
			t.Errorf("without accounts table %s has %d rows", table, rows)
		}
	}
}
