package storagetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// byValue compares addresses, whose fields are hidden.
var byValue = cmp.Options{cmp.Comparer(func(a, b jid.JID) bool { return a == b }), cmpopts.EquateEmpty()}

func credentials(salt string) []storage.Credential {
	return []storage.Credential{
		{Hash: "SHA-1", Iterations: 10000, Salt: []byte(salt), StoredKey: []byte{0, 1}, ServerKey: []byte{2, 3}},
		{Hash: "SHA-256", Iterations: 4096, Salt: []byte(salt), StoredKey: []byte{4}, ServerKey: []byte{5}},
	}
}

func accounts(t *testing.T, d Database) {
	ctx, s := t.Context(), open(t, d, Options{})
	_, err := s.Account(ctx, romeo)
	wantError(t, err, storage.ErrNotFound)
	wantError(t, s.SetCredentials(ctx, romeo, nil), storage.ErrNotFound)
	wantError(t, s.RemoveAccount(ctx, romeo), storage.ErrNotFound)

	before := time.Now().Add(-time.Second)
	must(t, s.CreateAccount(ctx, romeo, credentials("one")))
	wantError(t, s.CreateAccount(ctx, romeo, credentials("two")), storage.ErrExists)
	must(t, s.CreateAccount(ctx, juliet, nil))

	full := jid.MustParse("romeo@example.org/orchard")
	for _, j := range []jid.JID{romeo, full} {
		a, err := s.Account(ctx, j)
		must(t, err)
		if a.Created.Before(before) || a.Created.After(time.Now().Add(time.Second)) {
			t.Errorf("created at %v", a.Created)
		}
		a.Created, a.Epoch = time.Time{}, 0
		if diff := cmp.Diff(storage.Account{JID: romeo, Credentials: credentials("one")}, a, byValue); diff != "" {
			t.Errorf("account (-want +got):\n%s", diff)
		}
	}

	must(t, s.SetCredentials(ctx, romeo, credentials("three")[1:]))
	a, err := s.Account(ctx, romeo)
	must(t, err)
	if diff := cmp.Diff(credentials("three")[1:], a.Credentials); diff != "" {
		t.Errorf("credentials (-want +got):\n%s", diff)
	}
	for j, want := range map[jid.JID]bool{romeo: true, full: true, nurse: false, romeo.DomainJID(): false} {
		if got, err := s.AccountExists(ctx, j); err != nil || got != want {
			t.Errorf("AccountExists(%s) = %v, %v", j, got, err)
		}
	}
	must(t, s.RemoveAccount(ctx, romeo))
	_, err = s.Account(ctx, romeo)
	wantError(t, err, storage.ErrNotFound)
	_, err = s.Account(ctx, juliet)
	must(t, err)
	must(t, s.Ping(ctx))
}

func accountPages(t *testing.T, d Database) {
	ctx := t.Context()
	var want []jid.JID
	for i := range 25 {
		want = append(want, jid.MustParse(fmt.Sprintf("user%02d@example.org", i)))
	}
	want = append(want, jid.MustParse("ünal@example.org"))
	s := openWith(t, d, Options{}, append(slices.Clone(want), nurse)...)

	var got []jid.JID
	var after jid.JID
	for {
		page, err := s.Accounts(ctx, "example.org", after, 10)
		must(t, err)
		if len(page) == 0 {
			break
		}
		got = append(got, page...)
		after = page[len(page)-1]
	}
	if diff := cmp.Diff(want, got, byValue); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
	for domain, want := range map[string]int{"example.org": 26, "example.com": 1, "example.net": 0} {
		if n, err := s.CountAccounts(ctx, domain); err != nil || n != want {
			t.Errorf("CountAccounts(%s) = %d, %v", domain, n, err)
		}
	}
}

func ban(t *testing.T, d Database) {
	ctx, s := t.Context(), openWith(t, d, Options{}, romeo)
	since := time.Date(2024, 2, 29, 12, 0, 0, 123456000, time.UTC)
	for _, want := range []*storage.Ban{nil, {Reason: "feud", Since: since}, {Since: since}, nil} {
		must(t, s.SetBan(ctx, romeo, want))
		a, err := s.Account(ctx, romeo)
		must(t, err)
		if diff := cmp.Diff(want, a.Ban); diff != "" {
			t.Errorf("ban (-want +got):\n%s", diff)
		}
	}
	wantError(t, s.SetBan(ctx, juliet, nil), storage.ErrNotFound)
}

// removeLeavesNothing counts the rows of every table that the schema has, so
// that it covers tables that come later, if fill does.
func removeLeavesNothing(t *testing.T, d Database) {
	ctx, s := t.Context(), openWith(t, d, Options{}, juliet)
	fill(t, s, juliet)
	index(t, s, 100)
	before := d.Tables(t)
	must(t, s.CreateAccount(ctx, romeo, credentials("salt")))
	fill(t, s, romeo)
	for table, rows := range d.Tables(t) {
		if rows == before[table] && table != "meta" && table != "goose_db_version" {
			t.Errorf("the test puts nothing into table %s", table)
		}
	}
	must(t, s.RemoveAccount(ctx, romeo))
	if diff := cmp.Diff(before, d.Tables(t)); diff != "" {
		t.Errorf("rows by table (-before +after):\n%s", diff)
	}
	// A new account of that name finds nothing either.
	must(t, s.CreateAccount(ctx, romeo, nil))
	if n, err := s.CountMessages(ctx, romeo); n != 0 || err != nil {
		t.Errorf("%d messages, %v", n, err)
	}
}

// fill stores something of each kind for an account.
func fill(t *testing.T, s Store, owner jid.JID) {
	t.Helper()
	ctx := t.Context()
	for _, contact := range []jid.JID{nurse, jid.MustParse("tybalt@example.org")} {
		_, err := s.UpdateRoster(ctx, owner, contact, 0, func(i *storage.RosterItem) error {
			i.Listed, i.PendingIn = true, []byte("<presence/>")
			return nil
		})
		must(t, err)
	}
	_, err := s.UpdateRoster(ctx, owner, nurse, 0, func(i *storage.RosterItem) error {
		*i = storage.RosterItem{}
		return nil
	})
	must(t, err)
	_, _, err = s.Block(ctx, storage.Block{Owner: owner, Items: []jid.JID{nurse}, Limit: 1,
		Reports: []storage.Report{{Reported: nurse, Reason: "urn:xmpp:reporting:spam"}}, ReportLimit: 1})
	must(t, err)
	must(t, s.AddToken(ctx, owner, epoch(t, s, owner), token("agent", "nonce", noon), 1))
	must(t, s.KV("test").Put(ctx, owner, "key", []byte("value")))
	must(t, store(s, message(owner, "kept")))
	must(t, store(s, exchange(owner, nurse, "id", "in the index", noon)[0]))
	index(t, s, 100)
	must(t, store(s, exchange(owner, nurse, "id2", "not yet", noon)[0]))
	id := owner.String()
	must(t, s.SaveSnapshots(ctx, []storage.Snapshot{snapshot(id, owner, 1, "kept"), snapshot(id+" 2", owner, 1, "kept")}))
	must(t, errors.Join(write(s, stream(id, owner, 2))...))
}

func reopen(t *testing.T, d Database) {
	s, err := d.Open(t.Context(), Options{})
	must(t, err)
	must(t, s.CreateAccount(t.Context(), romeo, nil))
	must(t, s.Close())
	before := d.Tables(t)
	s = open(t, d, Options{})
	if diff := cmp.Diff(slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(d.Tables(t)))); diff != "" || before["goose_db_version"] != d.Tables(t)["goose_db_version"] {
		t.Errorf("opening again changed the schema: %s", diff)
	}
	if ok, err := s.AccountExists(t.Context(), romeo); !ok || err != nil {
		t.Errorf("account: %v, %v", ok, err)
	}
}

func newerSchema(t *testing.T, d Database) {
	s, err := d.Open(t.Context(), Options{})
	must(t, err)
	must(t, s.Close())
	d.Exec(t, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)")
	before := d.Tables(t)
	if s, err = d.Open(t.Context(), Options{}); err == nil {
		must(t, s.Close())
		t.Fatal("a database with a newer schema was opened")
	}
	t.Log(err)
	if diff := cmp.Diff(before, d.Tables(t)); diff != "" {
		t.Errorf("it was changed: %s", diff)
	}
}

// cancelled: a caller that gives up is told that it may try again.
func cancelled(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Account(ctx, romeo)
	wantError(t, err, storage.ErrUnavailable)
	wantError(t, s.CreateAccount(ctx, juliet, nil), storage.ErrUnavailable)
	_, err = s.UpdateRoster(ctx, romeo, juliet, 0, func(*storage.RosterItem) error { return errors.New("called") })
	wantError(t, err, storage.ErrUnavailable)
	_, err = s.Account(t.Context(), romeo)
	must(t, err)
}
