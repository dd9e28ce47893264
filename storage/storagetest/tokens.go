package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// token is a new one as AddToken takes it, good for ten hours.
func token(agent, nonce string, at time.Time) storage.Token {
	return storage.Token{Agent: agent, Software: "softwäre", Device: "de'vice", New: true, Mechanism: "HT-SHA-256-NONE",
		Nonce: []byte(nonce), Created: at, Used: at, Expires: at.Add(10 * time.Hour), Count: -1}
}

// inUse is the same once it has been used.
func inUse(t storage.Token, at time.Time, count int64) storage.Token {
	t.New, t.Used, t.Count = false, at, count
	return t
}

func epoch(t *testing.T, s Store, owner jid.JID) int64 {
	t.Helper()
	a, err := s.Account(t.Context(), owner)
	must(t, err)
	return a.Epoch
}

// holds checks the tokens of an agent, or of all with an empty one.
func holds(t *testing.T, s Store, owner jid.JID, agent string, want ...storage.Token) {
	t.Helper()
	got, err := s.Tokens(t.Context(), owner)
	if agent != "" {
		var a storage.Access
		a, err = s.Access(t.Context(), owner, agent)
		got = a.Tokens
	}
	must(t, err)
	if diff := cmp.Diff(want, got, byValue); diff != "" {
		t.Errorf("tokens of %s, agent %q (-want +got):\n%s", owner, agent, diff)
	}
}

func use(nonce string, at time.Time, count int64) storage.TokenUse {
	return storage.TokenUse{Nonce: []byte(nonce), At: at, Count: count}
}

// tokens walks an agent through the two slots of XEP-0484 §5.1.
func tokens(t *testing.T, d Database) {
	ctx, s := t.Context(), openWith(t, d, Options{}, romeo, juliet)
	hour := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Hour) }
	now := epoch(t, s, romeo)
	if a, err := s.Access(ctx, jid.MustParse("romeo@example.org/orchard"), "a"); err != nil || a.Epoch != now || now == 0 || a.Ban != nil {
		t.Errorf("access %+v, %v, epoch %d", a, err, now)
	}
	holds(t, s, romeo, "a")
	holds(t, s, romeo, "")
	first, second, third := token("a", "1", hour(0)), token("a", "2", hour(1)), token("a", "3", hour(2))
	must(t, s.AddToken(ctx, romeo, now, first, 5))
	holds(t, s, romeo, "a", first)
	must(t, s.AddToken(ctx, romeo, now, second, 5)) // takes the place of one never used
	holds(t, s, romeo, "a", second)
	wantError(t, s.UseToken(ctx, romeo, "a", use("1", hour(1), -1)), storage.ErrNotFound)

	must(t, s.UseToken(ctx, romeo, "a", use("2", hour(2), -1)))
	second = inUse(second, hour(2), -1)
	holds(t, s, romeo, "a", second)
	must(t, s.AddToken(ctx, romeo, now, third, 5))
	holds(t, s, romeo, "a", third, second)
	must(t, s.UseToken(ctx, romeo, "a", use("2", hour(3), -1))) // the old one is good until the new one is used
	second.Used = hour(3)
	holds(t, s, romeo, "a", third, second)
	must(t, s.UseToken(ctx, romeo, "a", use("2", hour(1), -1))) // clocks of nodes differ
	other := token("b", "4", hour(3))
	other.Mechanism, other.Software, other.Device = "HT-SHA-512-EXPR", "", ""
	must(t, s.AddToken(ctx, romeo, now, other, 5))
	holds(t, s, romeo, "", third, second, other)
	must(t, s.UseToken(ctx, romeo, "a", use("3", hour(4), -1)))
	third = inUse(third, hour(4), -1)
	holds(t, s, romeo, "", third, other)
	holds(t, s, romeo, "A")
	holds(t, s, juliet, "")

	// Only the account, the agent and the nonce together name a token.
	for _, err := range []error{
		s.UseToken(ctx, juliet, "a", use("3", hour(5), -1)), s.UseToken(ctx, romeo, "b", use("3", hour(5), -1)),
		s.UseToken(ctx, romeo, "a", use("4", hour(5), -1)), s.UseToken(ctx, nurse, "a", use("3", hour(5), -1)),
	} {
		wantError(t, err, storage.ErrNotFound)
	}
	_, err := s.Access(ctx, nurse, "a")
	wantError(t, err, storage.ErrNotFound)
	_, err = s.Tokens(ctx, nurse)
	wantError(t, err, storage.ErrNotFound)
	wantError(t, s.AddToken(ctx, nurse, now, first, 5), storage.ErrNotFound)

	// Who logs out loses all.
	fourth := token("a", "5", hour(5))
	must(t, s.AddToken(ctx, romeo, now, fourth, 5))
	last := use("3", hour(5), -1)
	last.Remove = true
	must(t, s.UseToken(ctx, romeo, "a", last))
	holds(t, s, romeo, "", other)
	// What has expired goes when there is something new.
	must(t, s.AddToken(ctx, romeo, now, token("a", "6", hour(14)), 5))
	holds(t, s, romeo, "", token("a", "6", hour(14)))
}

func tokenCount(t *testing.T, d Database) {
	ctx, s := t.Context(), openWith(t, d, Options{}, romeo)
	one := token("a", "1", noon)
	must(t, s.AddToken(ctx, romeo, epoch(t, s, romeo), one, 5))
	for _, step := range []struct{ count, want int64 }{{-1, -1}, {0, 0}, {0, -2}, {7, 7}, {7, -2}, {6, -2}, {-1, 7}, {1 << 40, 1 << 40}} {
		err := s.UseToken(ctx, romeo, "a", use("1", noon, step.count))
		if step.want == -2 {
			wantError(t, err, storage.ErrNotFound)
			continue
		}
		must(t, err)
		holds(t, s, romeo, "a", inUse(one, noon, step.want))
	}
	// Of those who come at the same time with the same count one gets in.
	var wg sync.WaitGroup
	results := make(chan error, 8)
	for range cap(results) {
		wg.Go(func() { results <- s.UseToken(t.Context(), romeo, "a", use("1", noon, 1<<41)) })
	}
	wg.Wait()
	close(results)
	in := 0
	for err := range results {
		if err == nil {
			in++
		} else {
			wantError(t, err, storage.ErrNotFound)
		}
	}
	if in != 1 {
		t.Errorf("%d of %d got in with one count", in, cap(results))
	}
}

// tokenOrder: use of a token ends what expires before it, in either slot.
func tokenOrder(t *testing.T, d Database) {
	ctx, s := t.Context(), openWith(t, d, Options{}, romeo)
	long, short := token("a", "long", noon), token("a", "short", noon)
	short.Expires = noon.Add(time.Hour)
	must(t, s.AddToken(ctx, romeo, epoch(t, s, romeo), long, 5))
	must(t, s.UseToken(ctx, romeo, "a", use("long", noon, -1)))
	must(t, s.AddToken(ctx, romeo, epoch(t, s, romeo), short, 5))
	long = inUse(long, noon, -1)
	holds(t, s, romeo, "a", short, long)
	must(t, s.UseToken(ctx, romeo, "a", use("long", noon, -1)))
	holds(t, s, romeo, "a", long)
	must(t, s.AddToken(ctx, romeo, epoch(t, s, romeo), short, 5))
	must(t, s.UseToken(ctx, romeo, "a", use("short", noon, -1)))
	holds(t, s, romeo, "a", inUse(short, noon, -1))
}

func tokenLimit(t *testing.T, d Database) {
	ctx, s := t.Context(), openWith(t, d, Options{}, romeo, juliet)
	now := epoch(t, s, romeo)
	add := func(agent string, minute, limit int) {
		t.Helper()
		at := noon.Add(time.Duration(minute) * time.Minute)
		must(t, s.AddToken(ctx, romeo, now, token(agent, fmt.Sprint(agent, minute), at), limit))
	}
	agents := func(want ...string) {
		t.Helper()
		list, err := s.Tokens(ctx, romeo)
		must(t, err)
		var got []string
		for _, one := range list {
			got = append(got, one.Agent)
		}
		if !slices.Equal(slices.Compact(got), want) {
			t.Errorf("agents %q, want %q", got, want)
		}
	}
	must(t, s.AddToken(ctx, juliet, epoch(t, s, juliet), token("x", "x", noon), 1))
	add("a", 0, 3)
	add("b", 1, 3)
	add("c", 2, 3)
	agents("a", "b", "c")
	must(t, s.UseToken(ctx, romeo, "a", use("a0", noon.Add(3*time.Minute), -1)))
	add("a", 4, 3) // both slots of one agent count once
	agents("a", "b", "c")
	add("d", 5, 3)
	agents("a", "c", "d")
	add("c", 6, 3)
	agents("a", "c", "d")
	add("e", 0, 2) // who gets one is never the one who goes
	agents("c", "e")
	add("f", 7, 1)
	agents("f")
	holds(t, s, juliet, "", token("x", "x", noon))
}

// tokenRevocation: what ends an epoch takes the tokens along, all else does not.
func tokenRevocation(t *testing.T, d Database) {
	ctx, s := t.Context(), openWith(t, d, Options{}, romeo, juliet)
	kept := token("a", "kept", noon)
	must(t, s.AddToken(ctx, juliet, epoch(t, s, juliet), kept, 5))
	for name, test := range map[string]struct {
		change func() error
		left   []string
		same   bool
	}{
		"password":         {func() error { return s.SetCredentials(ctx, romeo, credentials("new")) }, nil, false},
		"ban":              {func() error { return s.SetBan(ctx, romeo, &storage.Ban{Reason: "feud", Since: noon}) }, nil, false},
		"end of ban":       {func() error { return s.SetBan(ctx, romeo, nil) }, []string{"a", "b"}, true},
		"upgrade":          {func() error { return s.AddCredentials(ctx, romeo, epoch(t, s, romeo), nil) }, []string{"a", "b"}, true},
		"all":              {func() error { return revoked(ctx, s, romeo, "", 2) }, nil, false},
		"one agent":        {func() error { return revoked(ctx, s, romeo, "a", 1) }, []string{"b"}, false},
		"an unknown agent": {func() error { return revoked(ctx, s, romeo, "x", 0) }, []string{"a", "b"}, false},
		"account anew": {func() error {
			return errors.Join(s.RemoveAccount(ctx, romeo), s.CreateAccount(ctx, romeo, nil))
		}, nil, false},
	} {
		before := epoch(t, s, romeo)
		for _, agent := range []string{"a", "b"} {
			must(t, s.AddToken(ctx, romeo, before, token(agent, agent, noon), 5))
		}
		must(t, test.change())
		var left []string
		list, err := s.Tokens(ctx, romeo)
		must(t, err)
		for _, one := range list {
			left = append(left, one.Agent)
		}
		if !slices.Equal(left, test.left) {
			t.Errorf("%s leaves tokens of %q, want %q", name, left, test.left)
		}
		a, err := s.Access(ctx, romeo, "a")
		must(t, err)
		if same := a.Epoch == before; same != test.same || a.Epoch != epoch(t, s, romeo) || (a.Ban != nil) != (name == "ban") {
			t.Errorf("%s: epoch %d before, access %+v", name, before, a)
		}
		if !test.same {
			wantError(t, s.AddToken(ctx, romeo, before, token("late", "late", noon), 5), storage.ErrNotFound)
			wantError(t, s.AddCredentials(ctx, romeo, before, credentials("old")), storage.ErrNotFound)
		}
		must(t, s.SetBan(ctx, romeo, nil))
	}
	holds(t, s, juliet, "", kept)
	for range 3 { // each account of a name has epochs of its own
		now := epoch(t, s, romeo)
		must(t, s.RemoveAccount(ctx, romeo))
		must(t, s.CreateAccount(ctx, romeo, nil))
		if again := epoch(t, s, romeo); again <= now {
			t.Errorf("epoch %d behind %d", again, now)
		}
	}
	wantError(t, revoked(ctx, s, nurse, "", 0), storage.ErrNotFound)
}

func revoked(ctx context.Context, s Store, account jid.JID, agent string, want int) error {
	n, err := s.RevokeTokens(ctx, account, agent)
	if err == nil && n != want {
		err = fmt.Errorf("%d tokens revoked, want %d", n, want)
	}
	return err
}

// tokenRace: a token that is issued or used while all are revoked is gone too.
func tokenRace(t *testing.T, d Database) {
	ctx, s := t.Context(), openWith(t, d, Options{}, romeo)
	for round := range 10 {
		now := epoch(t, s, romeo)
		must(t, s.AddToken(ctx, romeo, now, token("a", "0", noon), 5))
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				agent := fmt.Sprint(i % 2)
				err := s.AddToken(t.Context(), romeo, now, token(agent, fmt.Sprint(i), noon), 5)
				if err == nil {
					err = s.UseToken(t.Context(), romeo, "a", use("0", noon, int64(i)))
				}
				if err != nil && !errors.Is(err, storage.ErrNotFound) {
					t.Error(err)
				}
			})
		}
		must(t, s.SetCredentials(ctx, romeo, credentials(fmt.Sprint(round))))
		wg.Wait()
		holds(t, s, romeo, "")
	}
}

func addCredentials(t *testing.T, d Database) {
	ctx, s := t.Context(), open(t, d, Options{})
	have := credentials("one")
	must(t, s.CreateAccount(ctx, romeo, have[1:]))
	must(t, s.AddCredentials(ctx, romeo, epoch(t, s, romeo), credentials("two"))) // the other stays as it is
	a, err := s.Account(ctx, romeo)
	must(t, err)
	want := []storage.Credential{credentials("two")[0], have[1]}
	if diff := cmp.Diff(want, a.Credentials); diff != "" {
		t.Errorf("credentials (-want +got):\n%s", diff)
	}
	wantError(t, s.AddCredentials(ctx, romeo, a.Epoch-1, have), storage.ErrNotFound)
	wantError(t, s.AddCredentials(ctx, nurse, a.Epoch, have), storage.ErrNotFound)
}
