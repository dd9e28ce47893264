package storagetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

func retraction(owner, chat jid.JID, own bool, id string) *storage.Retraction {
	return &storage.Retraction{Owner: owner, Chat: chat, FromOwner: own, ID: id, Element: []byte("<gone/>")}
}

// wantXML checks what the rows of romeo's archive hold.
func wantXML(t *testing.T, s Store, want ...string) {
	t.Helper()
	got := selected(t, s, storage.ArchiveQuery{Owner: romeo})
	if len(got) != len(want) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	for i, m := range got {
		if !strings.Contains(string(m.XML), want[i]) || (want[i] == "<gone/>") != m.Flags.Has(storage.Tombstone) {
			t.Errorf("row %d is %s, flags %b; want %s", m.Seq, m.XML, m.Flags, want[i])
		}
	}
}

// groupChanges: what a group reads and retracts may be in it, and comes behind all of
// its messages.
func groupChanges(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo, juliet)
	flags := storage.Archived | storage.Shown | storage.Unread
	var rows []*storage.Message
	for i := range 4 {
		m := archived(juliet, fmt.Sprint("m", i), fmt.Sprint("<b>", i, "</b>"))
		m.Flags, m.Text = flags, new(storage.Text)
		rows = append(rows, m)
	}
	errs := write(s, rows[0], &storage.Read{Owner: romeo, Chat: juliet, ID: "m1"}, rows[1], retraction(romeo, juliet, false, "m3"),
		rows[2], rows[3], &storage.Read{Owner: romeo, Chat: juliet, ID: "m0"}, &storage.Read{Owner: romeo, Chat: juliet, ID: "unknown"},
		&storage.Read{Owner: nurse, Chat: juliet, ID: "m0"}, retraction(nurse, juliet, false, "m0"),
		&storage.Read{Owner: romeo, Chat: nurse, ID: "m0"}, retraction(romeo, nurse, false, "m0"),
		retraction(romeo, juliet, true, "m2"), retraction(romeo, juliet, false, "unknown"))
	for i, err := range errs {
		if err != nil {
			t.Errorf("write %d: %v", i, err)
		}
	}
	wantXML(t, s, "<b>0</b>", "<b>1</b>", "<b>2</b>", "<gone/>")
	lines, _ := inboxOf(t, s, storage.InboxQuery{Messages: true, Limit: 10})
	if want := "juliet@example.org: 1 unread, last 4, shown 4"; len(lines) != 1 || lines[0] != want {
		t.Errorf("the inbox is %v, want %s", lines, want)
	}
	if n := d.Tables(t)["text"]; n != 3 {
		t.Errorf("%d texts", n)
	}
}

// retractions: the newest message of the one who retracts becomes a tombstone, with
// all that corrects it.
func retractions(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo, juliet)
	add := func(own bool, id, replaces string) {
		t.Helper()
		m := archived(juliet, id, "body")
		if own {
			m.Flags |= storage.FromOwner
		}
		if m.Replaces = replaces; replaces != "" {
			m.XML = fmt.Appendf(nil, "<message id='%s'><body>body</body><replace xmlns='urn:xmpp:message-correct:0' id='%s'/></message>", id, replaces)
		}
		must(t, store(s, m))
	}
	retract := func(own bool, id string) {
		t.Helper()
		must(t, write(s, retraction(romeo, juliet, own, id))[0])
	}
	add(false, "a", "")  // 1
	add(false, "b", "a") // 2
	add(true, "a", "")   // 3
	add(false, "a", "")  // 4
	add(true, "c", "a")  // 5: corrects 3
	add(false, "d", "a") // 6: corrects 4
	add(false, "e", "f") // 7
	retract(false, "a")
	retract(false, "a") // it has been
	wantXML(t, s, "body", "body", "body", "<gone/>", "body", "<gone/>", "body")
	retract(true, "a")
	wantXML(t, s, "body", "body", "<gone/>", "<gone/>", "<gone/>", "<gone/>", "body")

	// Another id with the same key is another message.
	d.Exec(t, fmt.Sprintf("UPDATE message SET key = %d WHERE key = %d", storage.Key("x", 0), storage.Key("e", 0)))
	retract(false, "x")
	wantXML(t, s, "body", "body", "<gone/>", "<gone/>", "<gone/>", "<gone/>", "body")
}

// bothCopies: a message of two accounts is one text, as long as one has it. What has
// been corrected cannot be found.
func bothCopies(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo, juliet)
	texts := func(when string, want int, romeos, juliets []int64) {
		t.Helper()
		for range 2 { // out of the index, and beside it
			for owner, want := range map[jid.JID][]int64{romeo: romeos, juliet: juliets} {
				if got := found(t, s, searched(storage.ArchiveQuery{Owner: owner}, "word")); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%s: %s finds %v, want %v", when, owner, got, want)
				}
			}
			index(t, s, 100)
		}
		if tables := d.Tables(t); tables["word"] != want {
			t.Errorf("%s: %d texts, want %d", when, tables["word"], want)
		}
	}
	correction := func(id, of string) [2]*storage.Message {
		copies := exchange(romeo, juliet, id, "word", noon)
		for _, m := range copies {
			m.Replaces = of
			m.XML = []byte(strings.Replace(string(m.XML), "</message>", "<replace xmlns='urn:xmpp:message-correct:0' id='"+of+"'/></message>", 1))
		}
		return copies
	}
	a, b := exchange(romeo, juliet, "a", "word", noon), exchange(romeo, juliet, "b", "word", noon)
	must(t, store(s, a[0], a[1], b[0], b[1]))
	if a[0].Text.ID == 0 || a[0].Text.Owners[0] == a[0].Text.Owners[1] || a[0].Text.Seqs != [2]int64{1, 1} || b[0].Text.ID <= a[0].Text.ID {
		t.Errorf("texts are %+v, %+v", *a[0].Text, *b[0].Text)
	}
	texts("stored", 2, []int64{1, 2}, []int64{1, 2})
	c := correction("c", "a")
	must(t, store(s, c[0], c[1]))
	texts("corrected", 2, []int64{2, 3}, []int64{2, 3})
	e, f := correction("e", "a"), correction("f", "a")
	must(t, store(s, e[0], e[1], f[0], f[1]))
	texts("corrected in a group", 2, []int64{2, 5}, []int64{2, 5})
	must(t, write(s, retraction(romeo, juliet, true, "a"))[0])
	texts("retracted by one", 2, []int64{2}, []int64{2, 5})
	must(t, write(s, retraction(juliet, romeo, false, "a"))[0])
	texts("retracted by both", 1, []int64{2}, []int64{2})
	_, err := s.RemoveArchive(t.Context(), juliet, jid.JID{}, 100)
	must(t, err)
	texts("removed by one", 1, []int64{2}, []int64{})
	must(t, s.RemoveAccount(t.Context(), romeo))
	texts("removed by both", 0, []int64{}, []int64{})
}
