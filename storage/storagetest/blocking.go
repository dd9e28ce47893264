package storagetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

func addresses(list ...string) []jid.JID {
	var all []jid.JID
	for _, a := range list {
		all = append(all, jid.MustParse(a))
	}
	return all
}

// blocks checks the blocklists of accounts.
func blocks(t *testing.T, s Store, owners []jid.JID, want ...storage.Blocked) {
	t.Helper()
	got, err := s.Blocklists(t.Context(), owners)
	must(t, err)
	if diff := cmp.Diff(want, got, byValue); diff != "" {
		t.Errorf("blocklists (-want +got):\n%s", diff)
	}
}

func blocklists(t *testing.T, d Database) {
	ctx, s := t.Context(), openWith(t, d, Options{}, romeo, juliet)
	both := []jid.JID{romeo, juliet, nurse}
	blocks(t, s, both)
	blocks(t, s, nil)

	block := func(owner jid.JID, before []jid.JID, items ...string) {
		t.Helper()
		got, n, err := s.Block(ctx, storage.Block{Owner: owner, Items: addresses(items...), Limit: 4})
		must(t, err)
		if diff := cmp.Diff(before, got, byValue); diff != "" || n != 0 {
			t.Errorf("%d reports, before (-want +got):\n%s", n, diff)
		}
	}
	block(romeo, nil, "tybalt@example.org/it's \"<ü>\"", "example.net")
	block(romeo, addresses("example.net", "tybalt@example.org/it's \"<ü>\""), "example.net", "example.net/x", "a@example.net")
	block(juliet, nil, "paris@example.org")
	all := []storage.Blocked{
		{Owner: juliet, JID: jid.MustParse("paris@example.org")},
		{Owner: romeo, JID: jid.MustParse("a@example.net")},
		{Owner: romeo, JID: jid.MustParse("example.net")},
		{Owner: romeo, JID: jid.MustParse("example.net/x")},
		{Owner: romeo, JID: jid.MustParse("tybalt@example.org/it's \"<ü>\"")},
	}
	blocks(t, s, both, all...)
	blocks(t, s, []jid.JID{juliet}, all[0])

	// A full list takes what it has already, and nothing else.
	block(romeo, addresses("a@example.net", "example.net", "example.net/x", "tybalt@example.org/it's \"<ü>\""), "a@example.net")
	_, _, err := s.Block(ctx, storage.Block{Owner: romeo, Items: addresses("a@example.net", "b@example.net"), Limit: 4})
	wantError(t, err, storage.ErrTooMany)
	blocks(t, s, both, all...)

	before, err := s.Unblock(ctx, romeo, addresses("example.net", "nobody@example.net"))
	must(t, err)
	if len(before) != 4 {
		t.Errorf("before: %v", before)
	}
	blocks(t, s, both, all[0], all[1], all[3], all[4])
	before, err = s.Unblock(ctx, romeo, nil)
	must(t, err)
	if len(before) != 3 {
		t.Errorf("before: %v", before)
	}
	blocks(t, s, both, all[0])

	_, _, err = s.Block(ctx, storage.Block{Owner: nurse, Items: addresses("example.net"), Limit: 4})
	wantError(t, err, storage.ErrNotFound)
	_, err = s.Unblock(ctx, nurse, nil)
	wantError(t, err, storage.ErrNotFound)
}

// blockRace: the limit holds whoever blocks at the same time.
func blockRace(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo)
	const limit = 10
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 5 {
				item := jid.MustParse(fmt.Sprintf("w%d-%d@example.net", w, i))
				_, _, err := s.Block(t.Context(), storage.Block{Owner: romeo, Items: []jid.JID{item}, Limit: limit})
				if err != nil {
					wantError(t, err, storage.ErrTooMany)
				}
			}
		})
	}
	wg.Wait()
	if got, err := s.Blocklists(t.Context(), []jid.JID{romeo}); len(got) != limit || err != nil {
		t.Errorf("%d items, %v", len(got), err)
	}
}

func reports(t *testing.T, d Database) {
	ctx, s := t.Context(), openWith(t, d, Options{}, romeo, juliet)
	now := time.Date(2026, 7, 14, 23, 8, 25, 123456000, time.UTC)
	report := func(reporter jid.JID, reported string, at time.Time) storage.Report {
		return storage.Report{Reporter: reporter, Reported: jid.MustParse(reported), Reason: "urn:xmpp:reporting:spam", Created: at}
	}
	block := func(owner jid.JID, stored int, list ...storage.Report) {
		t.Helper()
		_, n, err := s.Block(ctx, storage.Block{Owner: owner, Items: addresses("tybalt@example.org"), Limit: 10,
			Reports: list, ReportLimit: 2, ReportsSince: now.Add(-24 * time.Hour)})
		must(t, err)
		if n != stored {
			t.Errorf("%d reports stored, want %d", n, stored)
		}
	}
	full := report(romeo, "tybalt@example.org/street", now)
	full.Texts = []storage.ReportText{{Lang: "en", Text: "He says \"<villain>\"\n ü"}, {Text: "x"}}
	full.Messages = []storage.StanzaID{{By: "romeo@example.org", ID: "1&2"}, {By: "romeo@example.org", ID: "3"}}
	full.Copies = []storage.ReportCopy{{ID: "3", Arrived: now.Add(-time.Minute), XML: "<message><body>\"<&amp;ü</body></message>"}}
	full.ToOrigin, full.ThirdParty = true, false
	block(romeo, 1, report(romeo, "old@example.org", now.Add(-24*time.Hour)))
	block(romeo, 2, full, report(romeo, "second@example.org", now), report(romeo, "third@example.org", now))
	block(romeo, 0, report(romeo, "fourth@example.org", now))
	other := report(juliet, "romeo@example.org", now.Add(time.Hour))
	other.ThirdParty = true
	block(juliet, 1, other)
	_, n, err := s.Block(ctx, storage.Block{Owner: juliet, Items: addresses("a@x", "b@x"), Limit: 1,
		Reports: []storage.Report{other}, ReportLimit: 2})
	wantError(t, err, storage.ErrTooMany)
	if n != 0 {
		t.Errorf("%d reports of a block that was refused", n)
	}

	list := func(state storage.ReportState, want ...string) (all []storage.Report) {
		t.Helper()
		for after := int64(0); ; { // page by page
			page, err := s.Reports(ctx, state, after, 2)
			must(t, err)
			all = append(all, page...)
			if len(page) < 2 {
				break
			}
			after = page[1].ID
		}
		var got []string
		for _, r := range all {
			got = append(got, r.Reported.Local())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("reports (-want +got):\n%s", diff)
		}
		return all
	}
	all := list(storage.OpenReports, "old", "tybalt", "second", "romeo")
	full.ID, other.ID = all[1].ID, all[3].ID
	if diff := cmp.Diff([]storage.Report{full, other}, []storage.Report{all[1], all[3]}, byValue); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
	list(storage.ClosedReports)
	closed := now.Add(2 * time.Hour)
	must(t, s.CloseReport(ctx, full.ID, closed, "warned"))
	wantError(t, s.CloseReport(ctx, full.ID, closed, "again"), storage.ErrNotFound)
	wantError(t, s.CloseReport(ctx, full.ID+1000, closed, ""), storage.ErrNotFound)
	list(storage.OpenReports, "old", "second", "romeo")
	full.Closed, full.Comment = closed, "warned"
	if diff := cmp.Diff([]storage.Report{full}, list(storage.ClosedReports, "tybalt"), byValue); diff != "" {
		t.Errorf("closed (-want +got):\n%s", diff)
	}

	// Reports go with who made them, not with whom they are about.
	must(t, s.RemoveAccount(ctx, romeo))
	list(storage.AllReports, "romeo")
	must(t, s.RemoveAccount(ctx, juliet))
	list(storage.AllReports)
}
