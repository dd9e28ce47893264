package auth

import (
	"crypto/pbkdf2"
	"slices"
	"testing"

	"github.com/xmppd/xmppd/storage"
)

// keep leaves an account only some of its credentials.
func (m *memory) keep(names ...string) {
	m.change(func() {
		a := m.accounts[romeo]
		a.Credentials = slices.DeleteFunc(slices.Clone(a.Credentials), func(c storage.Credential) bool { return !slices.Contains(names, c.Hash) })
		m.accounts[romeo] = a
	})
}

func TestUpgrades(t *testing.T) {
	t.Parallel()
	const long, short = "UPGR-SCRAM-SHA-512", "UPGR-SCRAM-SHA-256"
	b, _ := open(t)
	if got := b.Upgrades(); !slices.Equal(got, []string{long, short}) {
		t.Errorf("%q", got)
	}
	for _, tc := range []struct {
		has, requested, want []string
	}{
		{[]string{"SHA-1"}, []string{short, long}, []string{long, short}},
		{[]string{"SHA-1"}, []string{short, short, short}, []string{short}},
		{[]string{"SHA-1", "SHA-256"}, []string{short, long}, []string{long}},
		{[]string{"SHA-1", "SHA-512"}, []string{short, long}, []string{short}},
		{[]string{"SHA-1", "SHA-256", "SHA-512"}, []string{short, long}, nil},
		{[]string{"SHA-1"}, nil, nil},
		{[]string{"SHA-1"}, []string{"", "UPGR-SCRAM-SHA-1", "UPGR-SCRAM-SHA-512-PLUS", "SCRAM-SHA-512"}, nil},
		{[]string{"SHA-256"}, []string{"UPGR-SCRAM-SHA-1"}, nil},
	} {
		b, store := open(t)
		token := issue(t, b, phone, "HT-SHA-256-NONE")
		store.keep(tc.has...)
		before := store.accounts[romeo].Credentials
		x, err := login(t, b, bound, "SCRAM-"+tc.has[0]+"-PLUS", "romeo", password)
		if err != nil {
			t.Fatal(err)
		}
		var done []string
		for {
			task, salt, iterations, err := x.NextUpgrade(tc.requested)
			if err != nil {
				t.Fatal(err)
			}
			if task == "" {
				break
			}
			done = append(done, task)
			a := algorithmOf(task[len("UPGR-"):])
			if len(salt) != saltLen || iterations != 16 {
				t.Errorf("salt %x, %d iterations", salt, iterations)
			}
			salted, err := pbkdf2.Key(a.new, password, salt, iterations, a.size)
			if err != nil {
				t.Fatal(err)
			}
			if err := x.SetUpgrade(t.Context(), task, salted); err != nil {
				t.Fatalf("%s: %v", task, err)
			}
			if _, err := login(t, b, bound, a.mechanism(true), "romeo", password); err != nil {
				t.Errorf("behind %s: %v", task, err)
			}
		}
		if !slices.Equal(done, tc.want) {
			t.Errorf("has %q, requested %q: %q, want %q", tc.has, tc.requested, done, tc.want)
		}
		for _, c := range before {
			if now := find(store.accounts[romeo], c.Hash); now == nil || string(now.StoredKey) != string(c.StoredKey) {
				t.Errorf("credential %s has changed", c.Hash)
			}
		}
		if _, err := redeem(t, b, "HT-SHA-256-NONE", "romeo", token.Secret, by(phone)); err != nil {
			t.Errorf("the token was revoked: %v", err)
		}
	}
}

// What a client must not do in an upgrade.
func TestUpgradeRefused(t *testing.T) {
	t.Parallel()
	const task = "UPGR-SCRAM-SHA-256"
	ctx := t.Context()
	b, store := open(t)
	token := issue(t, b, phone, "HT-SHA-256-NONE")
	store.keep("SHA-1")
	begin := func() *Exchange {
		x, err := login(t, b, tlsConn, "SCRAM-SHA-1", "romeo", password)
		if err != nil {
			t.Fatal(err)
		}
		if got, _, _, err := x.NextUpgrade([]string{task}); got != task || err != nil {
			t.Fatalf("%s, %v", got, err)
		}
		return x
	}
	hash := make([]byte, 32)
	unfinished, _ := b.Start(tlsConn, "SCRAM-SHA-1")
	_, _, _, err := unfinished.NextUpgrade([]string{task})
	wantFailure(t, err, MalformedRequest)
	wantFailure(t, unfinished.SetUpgrade(ctx, task, hash), MalformedRequest)
	wantFailure(t, begin().SetUpgrade(ctx, "UPGR-SCRAM-SHA-512", hash), MalformedRequest)
	wantFailure(t, begin().SetUpgrade(ctx, task, hash[1:]), MalformedRequest)
	wantFailure(t, begin().SetUpgrade(ctx, task, nil), MalformedRequest)
	x := begin()
	x.NextUpgrade(nil)
	wantFailure(t, x.SetUpgrade(ctx, task, hash), MalformedRequest)
	x = begin()
	store.change(func() { store.err = errBroke })
	wantFailure(t, x.SetUpgrade(ctx, task, hash), TemporaryAuthFailure)
	store.change(func() { store.err = nil })
	wantFailure(t, x.SetUpgrade(ctx, task, hash), MalformedRequest) // once is enough

	// A token is no password and must not become one.
	if x, err = redeem(t, b, "HT-SHA-256-NONE", "romeo", token.Secret, by(phone)); err != nil {
		t.Fatal(err)
	}
	if got, _, _, err := x.NextUpgrade([]string{task}); got != "" || err != nil {
		t.Errorf("%s behind a token, %v", got, err)
	}
	// The old password must not come back.
	x = begin()
	if err := b.SetPassword(ctx, romeo, "new"); err != nil {
		t.Fatal(err)
	}
	store.keep("SHA-1")
	wantFailure(t, x.SetUpgrade(ctx, task, hash), NotAuthorized)
	if n := len(store.accounts[romeo].Credentials); n != 1 {
		t.Errorf("%d credentials", n)
	}
}
