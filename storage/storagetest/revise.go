package storagetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// correction is a message to romeo that takes the place of another one.
func correction(peer jid.JID, id, of string) *storage.Message {
	m := archived(peer, id, "body")
	m.Replaces = of
	m.XML = fmt.Appendf(nil, "<message id='%s'><body>body</body><replace xmlns='urn:xmpp:message-correct:0' id='%s'/></message>", id, of)
	return m
}

// retractedAgain: a message that is a tombstone already can be retracted: what has
// corrected it since goes, too.
func retractedAgain(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo)
	origin := archived(juliet, "o", "body")
	origin.XML = []byte("<message id='attribute'><body>body</body><origin-id xmlns='urn:xmpp:sid:0' id='o'/></message>")
	must(t, store(s, archived(juliet, "a", "body"), origin))
	for _, id := range []string{"a", "o"} {
		must(t, write(s, retraction(romeo, juliet, false, id))[0])
		must(t, store(s, correction(juliet, "of "+id, id)))
	}
	wantXML(t, s, "<gone/>", "<gone/>", "body", "body")
	must(t, write(s, retraction(romeo, juliet, false, "a"))[0])
	must(t, write(s, retraction(romeo, juliet, false, "o"))[0])
	wantXML(t, s, "<gone/>", "<gone/>", "<gone/>", "<gone/>")
}

// refusedRows: what a row brings is not made if the row is refused.
func refusedRows(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo, juliet)
	unread := func(id string) *storage.Message {
		m := archived(juliet, id, "body")
		m.Flags |= storage.Shown | storage.Unread
		return m
	}
	must(t, store(s, unread("a"), unread("b"), unread("c")))
	carrier := func(id string) *storage.Message {
		m := archived(juliet, id, "body")
		m.Flags |= storage.Waiting | storage.Unique
		m.Limit = 1
		return m
	}
	bring := func(m *storage.Message, of string) []error {
		r := retraction(romeo, juliet, false, of)
		r.By = m
		return write(s, r, &storage.Read{Owner: romeo, Chat: juliet, ID: of, By: m}, m)
	}
	want := func(when, line string, xml ...string) {
		t.Helper()
		if lines, _ := inboxOf(t, s, storage.InboxQuery{Messages: true, Limit: 10}); len(lines) != 1 || lines[0] != line {
			t.Errorf("%s: the inbox is %v, want %s", when, lines, line)
		}
		wantXML(t, s, xml...)
	}
	wantErrors(t, bring(carrier("1"), "a"), nil, nil, nil)
	want("stored", "juliet@example.org: 2 unread, last 4, shown 3", "<gone/>", "body", "body", "body")
	wantErrors(t, bring(carrier("2"), "b"), nil, nil, storage.ErrTooMany)
	wantErrors(t, bring(carrier("1"), "b"), nil, nil, storage.ErrExists)
	want("refused", "juliet@example.org: 2 unread, last 4, shown 3", "<gone/>", "body", "body", "body")

	// What is not to be stored refuses nothing.
	gone := retraction(romeo, juliet, false, "b")
	gone.By = &storage.Message{Owner: romeo, Chat: juliet}
	wantErrors(t, write(s, gone, &storage.Read{Owner: romeo, Chat: juliet, ID: "b", By: gone.By}), nil, nil)
	want("no row", "juliet@example.org: 1 unread, last 4, shown 3", "<gone/>", "<gone/>", "body", "body")
}

// refusedAlone: the same, when a group fails and its writes are tried one by one.
func refusedAlone(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo)
	must(t, store(s, archived(juliet, "a", "body"), archived(juliet, "b", "body")))
	bad, good := archived(juliet, "1", "body"), archived(juliet, "2", "body")
	bad.XML = []byte{} // the schema refuses it
	first, second := retraction(romeo, juliet, false, "a"), retraction(romeo, juliet, false, "b")
	first.By, second.By = bad, good
	errs := write(s, first, bad, second, good)
	if errs[0] != nil || errs[1] == nil || errs[2] != nil || errs[3] != nil || bad.Seq != 0 {
		t.Errorf("errors are %v, seq %d", errs, bad.Seq)
	}
	wantXML(t, s, "body", "<gone/>", "body")
}

// sameKey: ids that have the same key by chance are told apart.
func sameKey(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo, juliet)
	for _, id := range []string{"a", "b", "c"} { // only the key of c is its own
		m := exchange(juliet, romeo, id, "word", noon)[1]
		must(t, store(s, m))
	}
	d.Exec(t, fmt.Sprintf("UPDATE message SET key = %d WHERE key = %d", storage.Key("a", 0), storage.Key("b", 0)))
	unread := func(want string) {
		t.Helper()
		if lines, _ := inboxOf(t, s, storage.InboxQuery{Limit: 10}); len(lines) != 1 || lines[0] != want {
			t.Errorf("the inbox is %v, want %s", lines, want)
		}
	}
	wantErrors(t, write(s, exchange(juliet, romeo, "a", "word", noon)[1]), storage.ErrExists)
	must(t, write(s, &storage.Read{Owner: romeo, Chat: juliet, ID: "a"})[0])
	unread("juliet@example.org: 2 unread, last 3, shown 0")

	c := correction(juliet, "d", "a")
	c.Text = new(storage.Text)
	must(t, store(s, c))
	if got := found(t, s, searched(storage.ArchiveQuery{Owner: romeo}, "word")); fmt.Sprint(got) != "[2 3]" {
		t.Errorf("found %v, want 2 and 3", got)
	}
	must(t, write(s, retraction(romeo, juliet, false, "a"))[0])
	wantXML(t, s, "<gone/>", "word", "word", "<gone/>")
}

// boundedKeys: how many rows with the same key are looked at is bounded, so that
// nobody makes the writer look at thousands with each message. Within the bound, what
// is meant is found.
func boundedKeys(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo)
	for others, found := range map[int]bool{15: true, 16: false} {
		peer := jid.MustParse(fmt.Sprintf("peer%d@example.org", others))
		target := archived(peer, "a", "body")
		target.Flags |= storage.Unique | storage.Shown | storage.Unread
		run := []storage.Write{target}
		for range others {
			run = append(run, archived(peer, "b", "other"))
		}
		must(t, errors.Join(write(s, run...)...))
		d.Exec(t, fmt.Sprintf("UPDATE message SET key = %d WHERE key = %d", storage.Key("a", 0), storage.Key("b", 0)))
		again, c := *target, correction(peer, "c", "a")
		must(t, errors.Join(write(s, c, retraction(romeo, peer, false, "a"))...))
		rows := selected(t, s, storage.ArchiveQuery{Owner: romeo, With: peer})
		if got := rows[0].Flags.Has(storage.Tombstone); got != found || c.Corrects() != found {
			t.Errorf("%d others: it is %s, corrected %v", others, rows[0].XML, c.Corrects())
		}
		if err := write(s, &again)[0]; (err == storage.ErrExists) != found {
			t.Errorf("%d others: error is %v", others, err)
		}
	}
}

// otherSide: nobody gets in the way of who refers to what the other side has sent, by
// as many messages with the same id, or corrections of it, as he likes.
func otherSide(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo, juliet)
	for _, own := range []bool{false, true} {
		peer := nurse
		by := func(own bool, m *storage.Message) *storage.Message {
			if m.Flags |= storage.Shown; own {
				m.Flags |= storage.FromOwner
			} else {
				m.Flags |= storage.Unread
			}
			return m
		}
		if own {
			peer = juliet
		}
		target := by(own, archived(peer, "a", "word"))
		target.Flags |= storage.Unique
		target.Text = new(storage.Text)
		run := []storage.Write{by(!own, archived(peer, "before", "x")), target, by(own, correction(peer, "b", "a"))}
		for range 150 {
			run = append(run, by(!own, archived(peer, "a", "word")), by(!own, correction(peer, "x", "a")))
		}
		must(t, errors.Join(write(s, run...)...))
		again, late := *target, by(own, correction(peer, "c", "a"))
		wantErrors(t, write(s, &again, late), storage.ErrExists, nil)
		if !late.Corrects() {
			t.Errorf("own %v: it does not correct its original", own)
		}
		if got := found(t, s, searched(storage.ArchiveQuery{Owner: romeo, With: peer}, "word")); len(got) != 0 {
			t.Errorf("own %v: found %v, which has been corrected", own, got)
		}
		if !own {
			must(t, write(s, &storage.Read{Owner: romeo, Chat: peer, ID: "a"})[0])
			want := fmt.Sprintf("%s: 0 unread, last %d, shown %d", peer, late.Seq, late.Seq-1)
			if lines, _ := inboxOf(t, s, storage.InboxQuery{Messages: true, Limit: 10}); len(lines) != 1 || lines[0] != want {
				t.Errorf("the inbox is %v, want %s", lines, want)
			}
		}
		must(t, write(s, retraction(romeo, peer, own, "a"))[0])
		gone := 0
		for _, m := range selected(t, s, storage.ArchiveQuery{Owner: romeo, With: peer}) {
			if m.Flags.Has(storage.Tombstone) {
				gone++
			}
			if m.Flags.Has(storage.Tombstone) != (m.Seq == target.Seq || m.Seq == target.Seq+1 || m.Seq == late.Seq) {
				t.Errorf("own %v: row %d is %s", own, m.Seq, m.XML)
			}
		}
		if gone != 3 {
			t.Errorf("own %v: %d tombstones", own, gone)
		}
	}
}

// sameText: an id that its sender has used for another text is no repetition.
func sameText(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo)
	text := func(body, more string) *storage.Message {
		m := archived(juliet, "1", "")
		m.Flags |= storage.Unique
		m.XML = []byte("<message id='1'>" + body + more + "</message>")
		return m
	}
	const delay = "<delay xmlns='urn:xmpp:delay' stamp='2024-05-01T12:00:00Z'/>"
	steps := []struct {
		m    *storage.Message
		want error
	}{
		{text("<body>x</body>", ""), nil},
		{text("<body>y</body>", ""), nil},
		{text("<body>x</body>", delay), storage.ErrExists},
		{text("<body>y</body>", delay), storage.ErrExists},
		{text("", delay), nil},
		{text("", ""), storage.ErrExists},
		{text("<body>z</body>", ""), nil},
	}
	var all []storage.Write // in one group
	var want []error
	for _, step := range steps {
		xml := string(step.m.XML)
		wantErrors(t, write(s, step.m), step.want)
		if string(step.m.XML) != xml {
			t.Errorf("%s became %s", xml, step.m.XML)
		}
		m := *step.m
		m.Chat, m.Peer = nurse, nurse
		all, want = append(all, &m), append(want, step.want)
	}
	wantErrors(t, write(s, all...), want...)
	for _, with := range []jid.JID{juliet, nurse} {
		if got := selected(t, s, storage.ArchiveQuery{Owner: romeo, With: with}); len(got) != 4 {
			t.Errorf("%d rows with %s, want 4", len(got), with)
		}
	}
	must(t, write(s, retraction(romeo, juliet, false, "1"))[0])
	wantErrors(t, write(s, text("<body>new</body>", "")), storage.ErrExists) // who knows what stood there
}
