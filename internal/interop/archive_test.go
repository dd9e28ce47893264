package interop

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/internal/pgtest"
)

// TestArchive has slixmpp and stanza page through what was said (XEP-0313).
func TestArchive(t *testing.T) {
	t.Parallel()
	archives(t, "sqlite")
}

func TestArchivePostgreSQL(t *testing.T) {
	t.Parallel()
	archives(t, pgtest.URL(t))
}

func archives(t *testing.T, database string) {
	s, all := serve(t, database), kinds()
	romeo := newUser(t, s, all["slixmpp STARTTLS"], "romeo")
	juliet := newUser(t, s, all["slixmpp TLS"], "juliet")
	nurse := newUser(t, s, all["slixmpp TLS"], "nurse")
	for _, u := range []*user{romeo, juliet, nurse} {
		u.login()
		u.do(request{Do: "presence"})
	}
	live := discuss(juliet, romeo, nurse)
	rows := juliet.do(request{Do: "pages", Max: 7}).Rows
	equalRows(t, "all pages", rows, live)
	for i, m := range rows {
		if m.StanzaID == "" || slices.ContainsFunc(rows[:i], func(o event) bool { return o.StanzaID == m.StanzaID }) {
			t.Errorf("the id of row %d is %q, which is no new one", i, m.StanzaID)
		}
		if len(m.By) > 0 {
			t.Errorf("row %d carries ids by %v", i, m.By)
		}
	}
	parts(t, juliet, rows, romeo)
	paging(t, juliet, rows)

	own := romeo.do(request{Do: "pages", Max: 100, With: juliet.bare}).Rows
	equalRows(t, "the other side", without(own), without(filter(rows, func(m event) bool { return !strings.HasPrefix(m.From, "nurse@") })))
	for _, m := range own {
		if slices.ContainsFunc(rows, func(o event) bool { return o.StanzaID == m.StanzaID }) {
			t.Errorf("%s is the id of a row of two archives", m.StanzaID)
		}
	}
	otherDevice(t, juliet, rows)
	references(t, romeo, juliet)
}

// discuss has two people talk with another one, and returns what is in her archive
// then; messages of her own have no id.
func discuss(juliet, romeo, nurse *user) (live []event) {
	for n := range 24 {
		from, to := romeo, juliet
		switch {
		case n%6 == 5:
			from = nurse
		case n%4 == 0:
			from, to = juliet, romeo
		}
		r := request{Do: "message", To: to.bare, Type: "chat", ID: fmt.Sprint("m", n), Body: fmt.Sprint("number ", n)}
		from.do(r)
		e := to.awaitMessage(from.full, r.Body)
		if len(e.By) > 0 || e.StanzaID == "" {
			to.Errorf("%s: a message with the id %q and others by %v", to.kind.name, e.StanzaID, e.By)
		}
		m := event{From: from.full, To: to.bare, Type: "chat", ID: r.ID, Body: r.Body}
		if to == juliet {
			m.StanzaID = e.StanzaID
		}
		live = append(live, m)
	}
	return live
}

// equalRows compares messages; ids only where both are known.
func equalRows(t *testing.T, what string, got, want []event) {
	t.Helper()
	line := func(list []event) (lines []string) {
		for i, m := range list {
			id := m.StanzaID
			if len(got) == len(want) && (got[i].StanzaID == "" || want[i].StanzaID == "") {
				id = ""
			}
			lines = append(lines, fmt.Sprintf("%s -> %s %s %s %q %s", m.From, m.To, m.Type, m.ID, m.Body, id))
		}
		return lines
	}
	if a, b := line(got), line(want); !slices.Equal(a, b) {
		t.Errorf("%s:\n%s\ninstead of\n%s", what, strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
}

func filter(list []event, keep func(event) bool) (kept []event) {
	for _, m := range list {
		if keep(m) {
			kept = append(kept, m)
		}
	}
	return kept
}

// without leaves the ids out.
func without(list []event) []event {
	list = slices.Clone(list)
	for i := range list {
		list[i].StanzaID = ""
	}
	return list
}

func reversed(list []event) []event {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}

// parts asks for parts of the archive by their sender and time.
func parts(t *testing.T, u *user, rows []event, romeo *user) {
	with := func(jids ...string) []event {
		return filter(rows, func(m event) bool { return slices.Contains(jids, m.From) || slices.Contains(jids, m.To) })
	}
	equalRows(t, "with a bare JID", u.do(request{Do: "pages", Max: 4, With: romeo.bare}).Rows, with(romeo.bare, romeo.full))
	equalRows(t, "with a full JID", u.do(request{Do: "pages", Max: 4, With: romeo.full}).Rows, with(romeo.full))
	equalRows(t, "with nobody", u.do(request{Do: "pages", Max: 4, With: "nobody@localhost"}).Rows, nil)
	start, end := rows[8].Delay, rows[15].Delay
	between := filter(rows, func(m event) bool { return start <= m.Delay && m.Delay <= end })
	equalRows(t, "between two times", u.do(request{Do: "pages", Max: 3, Start: start, End: end}).Rows, between)
	equalRows(t, "between two times, backwards", u.do(request{Do: "pages", Max: 3, Start: start, End: end, Reverse: true}).Rows, reversed(between))
}

// paging goes through the archive in several ways.
func paging(t *testing.T, u *user, rows []event) {
	equalRows(t, "all pages backwards", u.do(request{Do: "pages", Max: 7, Reverse: true}).Rows, reversed(rows))
	equalRows(t, "the last page", u.do(request{Do: "pages", Max: 5, Total: 5, Reverse: true}).Rows, reversed(rows[19:]))

	a := u.do(request{Do: "page", Max: 7, After: rows[3].StanzaID})
	equalRows(t, "a page", a.Rows, rows[4:11])
	if a.First != rows[4].StanzaID || a.Last != rows[10].StanzaID || a.Complete || a.Index != 4 && a.Index != -1 || a.Count != len(rows) && a.Count != -1 {
		t.Errorf("a page from row 4 to row 10 of %d: %+v", len(rows), a)
	}
	a = u.do(request{Do: "page", Max: 7, After: rows[16].StanzaID})
	equalRows(t, "the page at the end", a.Rows, rows[17:])
	if !a.Complete {
		t.Errorf("the page at the end is not complete: %+v", a)
	}
	equalRows(t, "a page before", u.do(request{Do: "page", Max: 4, Before: rows[10].StanzaID}).Rows, rows[6:10])
	if _, err := u.try(request{Do: "page", Max: 4, After: "unknown"}); err == nil || !strings.Contains(err.Error(), "item-not-found") {
		t.Errorf("a page after an id that is unknown: %v, want item-not-found", err)
	}

	ends := u.do(request{Do: "metadata"}).Rows
	if last := len(rows) - 1; len(ends) != 2 || ends[0].StanzaID != rows[0].StanzaID || ends[1].StanzaID != rows[last].StanzaID ||
		ends[0].Delay != rows[0].Delay || ends[1].Delay != rows[last].Delay {
		t.Errorf("the archive begins and ends with %+v, %+v, and its metadata is %+v", rows[0], rows[last], ends)
	}
	fields := u.do(request{Do: "fields"}).Items
	for _, name := range []string{"with", "start", "end", "before-id", "after-id", "ids"} {
		if !slices.Contains(fields, name) {
			t.Errorf("the fields of a query are %v, without %s", fields, name)
		}
	}
}

// otherDevice pages with stanza (npm), over WebSocket.
func otherDevice(t *testing.T, juliet *user, rows []event) {
	if _, err := os.Stat("js/node_modules/stanza"); err != nil {
		t.Fatalf("find stanza (`make test` installs it): %v", err)
	}
	u := &user{T: t, kind: kind{name: "stanza"}, server: juliet.server, name: juliet.name, bare: juliet.bare}
	u.client = startProcess(t, nil, "node", "js/stanza.js")
	u.do(request{Do: "login", JID: u.bare, Password: password, Resource: "node", Service: fmt.Sprintf("ws://127.0.0.1:%d/ws", u.server.port("http"))})
	var list []event
	for a := (answer{}); !a.Complete; list = append(list, a.Rows...) {
		a = u.do(request{Do: "page", Max: 10, After: a.Last})
	}
	equalRows(t, "stanza forwards", list, rows)
	list = nil
	for a := (answer{}); !a.Complete; list = append(a.Rows, list...) {
		a = u.do(request{Do: "page", Max: 10, Before: a.First, Reverse: true})
	}
	equalRows(t, "stanza backwards", list, rows)
	u.do(request{Do: "close"})
}

// references are messages about others: receipts, markers, corrections, reactions
// and retractions. All of them are in both archives.
func references(t *testing.T, romeo, juliet *user) {
	before := len(romeo.do(request{Do: "pages", Max: 100}).Rows)
	var live []event
	arrive := func(u *user, elements ...string) {
		t.Helper()
		live = append(live, u.await(elements[0], func(e event) bool {
			return e.Event == "message" && slices.ContainsFunc(elements, func(s string) bool { return slices.Contains(e.Has, s) })
		}))
	}
	romeo.do(request{Do: "ask", To: juliet.bare, ID: "r1", Body: "got it?"})
	arrive(juliet, "{urn:xmpp:receipts}request")
	arrive(romeo, "{urn:xmpp:receipts}received") // slixmpp sends it by itself
	juliet.do(request{Do: "mark", To: romeo.bare, Of: "r1", Type: "displayed"})
	arrive(romeo, "{urn:xmpp:chat-markers:0}displayed")
	romeo.do(request{Do: "correct", To: juliet.bare, ID: "r2", Of: "r1", Body: "have you got it?"})
	arrive(juliet, "{urn:xmpp:message-correct:0}replace")
	juliet.do(request{Do: "react", To: romeo.bare, Of: "r1", Body: "👍"})
	arrive(romeo, "{urn:xmpp:reactions:0}reactions")
	sides := map[*user]string{romeo: juliet.bare, juliet: romeo.bare}
	archives := func() (rows map[*user][]event) {
		rows = make(map[*user][]event)
		for u, with := range sides {
			all := u.do(request{Do: "pages", Max: 100, With: with}).Rows
			if rows[u] = all[min(before, len(all)):]; len(rows[u]) != len(live) {
				t.Fatalf("%s has %d rows of %d messages: %+v", u.name, len(rows[u]), len(live), rows[u])
			}
		}
		return rows
	}
	for u, rows := range archives() {
		for i, m := range live {
			if rows[i].ID != m.ID || rows[i].From != m.From || !sameChildren(rows[i].Has, m.Has) {
				t.Errorf("%s has %+v of %+v", u.name, rows[i], m)
			}
		}
	}

	romeo.do(request{Do: "retract", To: juliet.bare, Of: "r1"})
	arrive(juliet, "{urn:xmpp:fasten:0}apply-to", "{urn:xmpp:message-retract:1}retract") // up to slixmpp 1.8, and later
	for u, rows := range archives() {
		for i, m := range live {
			gone := m.ID == "r1" || m.ID == "r2" // the message and its correction
			if rows[i].ID != m.ID || gone != slices.Contains(rows[i].Has, "{urn:xmpp:message-retract:1}retracted") || gone && rows[i].Body != "" {
				t.Errorf("after a retraction %s has %+v of %+v", u.name, rows[i], m)
			}
		}
	}
}

// sameChildren compares what is in a message, except for ids that accounts add.
func sameChildren(a, b []string) bool {
	drop := func(list []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == "{urn:xmpp:sid:0}stanza-id" })
	}
	return slices.Equal(drop(a), drop(b))
}
