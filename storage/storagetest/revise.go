package storagetest

import (
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
	d.Exec(t, fmt.Sprintf("UPDATE message SET key = %d WHERE key = %d", storage.Key("a"), storage.Key("b")))
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

// boundedKeys: how many rows with the same id are looked at is bounded, so that
// nobody makes the writer look at thousands with each message. Within the bound, what
// is meant is found.
func boundedKeys(t *testing.T, d Database) {
	for _, c := range []struct {
		others int
		found  bool
	}{{99, true}, {100, false}} {
		s, peer := open(t, d, Options{}), jid.MustParse(fmt.Sprintf("peer%d@example.org", c.others))
		must(t, s.CreateAccount(t.Context(), peer, nil))
		write := func(writes ...storage.Write) []error { return write(s, writes...) }
		mine := func(m *storage.Message, own bool) *storage.Message {
			if m.Owner = peer; own {
				m.Flags |= storage.FromOwner
			}
			return m
		}
		target := mine(archived(juliet, "a", "body"), false)
		target.Flags |= storage.Unique
		run := []storage.Write{target, mine(correction(juliet, "c", "b"), false), mine(archived(juliet, "b", "body"), false),
			mine(correction(juliet, "d", "b"), false)}
		for range c.others { // by the other side
			run = append(run, mine(archived(juliet, "a", "other"), true), mine(correction(juliet, "x", "b"), true))
		}
		for _, err := range write(run...) {
			must(t, err)
		}
		for _, id := range []string{"a", "b"} {
			must(t, write(retraction(peer, juliet, false, id))[0])
		}
		got := selected(t, s, storage.ArchiveQuery{Owner: peer, Limit: 4})
		for i, want := range []bool{c.found, false, true, c.found} {
			if got[i].Flags.Has(storage.Tombstone) != want {
				t.Errorf("%d others: row %d is %s", c.others, i+1, got[i].XML)
			}
		}
		again := mine(archived(juliet, "a", "body"), false)
		again.Flags |= storage.Unique
		if err := write(again)[0]; (err == storage.ErrExists) != c.found {
			t.Errorf("%d others: error is %v", c.others, err)
		}
	}
}
