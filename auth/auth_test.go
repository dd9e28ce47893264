package auth

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

const password = "pencil, sharp=yes"

var (
	domain   = jid.MustParse("example.org")
	romeo    = jid.MustParse("romeo@example.org")
	nobody   = jid.MustParse("nobody@example.org")
	banned   = jid.MustParse("tybalt@example.org")
	home     = netip.MustParseAddr("192.0.2.1")
	tlsConn  = Conn{Domain: domain, TLS: true, Addr: home}
	mechs    = []string{"SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"}
	plus     = []string{"SCRAM-SHA-512-PLUS", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"}
	errBroke = errors.New("disk on fire")
)

// memory is a Store in a map. A set err is returned by all methods.
type memory struct {
	mu       sync.Mutex
	accounts map[jid.JID]storage.Account
	tokens   map[jid.JID][]storage.Token
	meta     map[string][]byte
	err      error
	writes   int // of tokens
}

func newMemory() *memory {
	return &memory{accounts: map[jid.JID]storage.Account{}, tokens: map[jid.JID][]storage.Token{}, meta: map[string][]byte{}}
}

func (m *memory) change(fn func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fn()
}

func (m *memory) Account(_ context.Context, user jid.JID) (storage.Account, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return storage.Account{}, m.err
	}
	a, ok := m.accounts[user]
	if !ok {
		return a, storage.ErrNotFound
	}
	return a, nil
}

func (m *memory) CreateAccount(_ context.Context, user jid.JID, c []storage.Credential) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.accounts[user]; ok {
		return storage.ErrExists
	}
	m.accounts[user] = storage.Account{JID: user, Credentials: c, Epoch: 7}
	return m.err
}

func (m *memory) SetCredentials(_ context.Context, user jid.JID, c []storage.Credential) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, ok := m.accounts[user]
	if !ok {
		return storage.ErrNotFound
	}
	a.Credentials = c
	a.Epoch++
	m.accounts[user] = a
	delete(m.tokens, user)
	return m.err
}

func (m *memory) Meta(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.meta[key]
	if !ok {
		return nil, storage.ErrNotFound
	}
	return v, m.err
}

func (m *memory) PutMetaOnce(_ context.Context, key string, value []byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return nil, m.err
	}
	if _, ok := m.meta[key]; !ok {
		m.meta[key] = value
	}
	return m.meta[key], nil
}

// clock is a time that only tests move.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

// tokenKey is that of all backends here.
var tokenKey = bytes.Repeat([]byte("key."), 16)

// open returns a backend with the accounts romeo and tybalt, who is banned.
func open(t testing.TB) (*Backend, *memory) {
	t.Helper()
	b, store, _ := openClock(t)
	return b, store
}

func openClock(t testing.TB) (*Backend, *memory, *clock) {
	t.Helper()
	store := newMemory()
	c := &clock{time.Unix(1e9, 5e8)}
	b, err := New(t.Context(), store, Options{Iterations: func() int { return 16 }, TokenKey: tokenKey, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range []jid.JID{romeo, banned} {
		if err := b.Register(t.Context(), user, password); err != nil {
			t.Fatal(err)
		}
	}
	store.setBan(banned, &storage.Ban{Reason: "duelling"})
	return b, store, c
}

func (m *memory) setBan(user jid.JID, ban *storage.Ban) {
	m.change(func() {
		a := m.accounts[user]
		a.Ban = ban
		if ban != nil {
			a.Epoch++
			delete(m.tokens, user)
		}
		m.accounts[user] = a
	})
}

func TestMechanisms(t *testing.T) {
	t.Parallel()
	b, _ := open(t)
	clear := Conn{Domain: domain, Addr: home}
	if got := b.Mechanisms(tlsConn); !slices.Equal(got, mechs) {
		t.Errorf("with TLS: %v", got)
	}
	if got := b.Mechanisms(clear); !slices.Equal(got, mechs[:3]) {
		t.Errorf("without TLS: %v", got)
	}
	if got := b.Mechanisms(bound); !slices.Equal(got, slices.Concat(plus, mechs)) {
		t.Errorf("with channel binding: %v", got)
	}
	for _, name := range slices.Concat(plus, mechs) {
		if _, err := b.Start(bound, name); err != nil {
			t.Errorf("start %s: %v", name, err)
		}
	}
	for _, name := range []string{"", "PLAIN", "plain", "SCRAM-SHA-1-PLUS", "SCRAM-", "ANONYMOUS", "scram-sha-1", "-PLUS", "HT-SHA-256-NONE"} {
		if _, err := b.Start(clear, name); !errors.Is(err, ErrMechanism) {
			t.Errorf("start %q: %v", name, err)
		}
	}
	for _, name := range []string{"PLAIN-PLUS", "SCRAM-SHA-1-PLUS-PLUS", "SCRAM-SHA-384-PLUS", "HT-SHA-256-EXPR"} {
		if _, err := b.Start(bound, name); !errors.Is(err, ErrMechanism) {
			t.Errorf("start %q: %v", name, err)
		}
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	b, store := open(t)
	salts := map[string]bool{}
	creds := store.accounts[romeo].Credentials
	for i, c := range creds {
		a := algorithms[i]
		if c.Hash != a.name || c.Iterations != 16 || len(c.Salt) != saltLen || len(c.StoredKey) != a.size || len(c.ServerKey) != a.size {
			t.Errorf("credential %d: %+v", i, c)
		}
		salts[string(c.Salt)] = true
	}
	if len(creds) != len(algorithms) || len(salts) != len(creds) {
		t.Errorf("%d credentials with %d salts", len(creds), len(salts))
	}

	ctx := t.Context()
	for _, tc := range []struct {
		user     jid.JID
		password string
		want     bool
	}{
		{romeo, password, true},
		{jid.MustParse("romeo@example.org/x"), password, true},
		{banned, password, true},
		{romeo, password + " ", false},
		{romeo, "", false},
		{romeo, "\x00", false},
		{nobody, password, false},
		{domain, password, false},
	} {
		if ok, err := b.CheckPassword(ctx, tc.user, tc.password); ok != tc.want || err != nil {
			t.Errorf("check %s %q: %v, %v", tc.user, tc.password, ok, err)
		}
	}

	if err := b.SetPassword(ctx, romeo, "new"); err != nil {
		t.Fatal(err)
	}
	if ok, _ := b.CheckPassword(ctx, romeo, "new"); !ok {
		t.Error("new password refused")
	}
	if ok, _ := b.CheckPassword(ctx, romeo, password); ok {
		t.Error("old password accepted")
	}
	for _, tc := range []struct {
		err, want error
	}{
		{b.SetPassword(ctx, nobody, "new"), storage.ErrNotFound},
		{b.SetPassword(ctx, romeo, ""), ErrPassword},
		{b.Register(ctx, romeo, "x"), storage.ErrExists},
		{b.Register(ctx, nobody, "\n"), ErrPassword},
		{b.Register(ctx, domain, "x"), jid.ErrMalformed},
		{b.Register(ctx, jid.MustParse("a@example.org/b"), "x"), jid.ErrMalformed},
	} {
		if !errors.Is(tc.err, tc.want) {
			t.Errorf("%v, want %v", tc.err, tc.want)
		}
	}
	store.change(func() { store.err = errBroke })
	if _, err := b.CheckPassword(ctx, romeo, "new"); !errors.Is(err, errBroke) {
		t.Errorf("check without database: %v", err)
	}
}

// An account from before a hash was added is checked with what it has.
func TestOlderAccount(t *testing.T) {
	t.Parallel()
	b, store := open(t)
	store.change(func() {
		a := store.accounts[romeo]
		a.Credentials = a.Credentials[2:]
		store.accounts[romeo] = a
	})
	if ok, err := b.CheckPassword(t.Context(), romeo, password); !ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	if _, err := login(t, b, tlsConn, "SCRAM-SHA-512", "romeo", password); err == nil {
		t.Error("logged in with a hash that the account lacks")
	}
	// A login with the password itself adds the others.
	if _, err := login(t, b, tlsConn, "PLAIN", "romeo", password); err != nil {
		t.Error(err)
	}
	for _, m := range mechs {
		if _, err := login(t, b, tlsConn, m, "romeo", password); err != nil {
			t.Errorf("%s: %v", m, err)
		}
	}
}

func TestFakeKey(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store := newMemory()
	var salts [][]byte
	for range 3 { // restarts, or nodes
		b, err := New(ctx, store, Options{})
		if err != nil {
			t.Fatal(err)
		}
		salts = append(salts, b.fake(nobody, &algorithms[0]).Salt)
	}
	if len(salts[0]) != saltLen || !bytes.Equal(salts[0], salts[1]) || !bytes.Equal(salts[1], salts[2]) {
		t.Errorf("salts differ: %x", salts)
	}
	b, _ := New(ctx, store, Options{})
	distinct := map[string]bool{}
	for _, user := range []string{"a@example.org", "b@example.org", "a@example.net"} {
		for i := range algorithms {
			c := b.fake(jid.MustParse(user), &algorithms[i])
			distinct[string(c.Salt)] = true
			distinct[string(c.StoredKey)] = true
			distinct[string(c.ServerKey)] = true
		}
	}
	if len(distinct) != 27 {
		t.Errorf("%d distinct values of 27", len(distinct))
	}
	other, _ := New(ctx, newMemory(), Options{})
	if bytes.Equal(other.fake(nobody, &algorithms[0]).Salt, salts[0]) {
		t.Error("two servers share a salt")
	}

	short := newMemory()
	short.meta[fakeKeyName] = []byte("short")
	if _, err := New(ctx, short, Options{}); err == nil {
		t.Error("short key accepted")
	}
	broken := newMemory()
	broken.err = errBroke
	if _, err := New(ctx, broken, Options{}); !errors.Is(err, errBroke) {
		t.Errorf("broken store: %v", err)
	}
}

func TestHashingIsBounded(t *testing.T) {
	t.Parallel()
	b, err := New(t.Context(), newMemory(), Options{Parallel: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.beginHashing(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Derive(ctx, password); !errors.Is(err, context.Canceled) {
		t.Errorf("derive: %v", err)
	}
	x, _ := b.Start(tlsConn, "PLAIN")
	_, _, err = x.Step(ctx, []byte("\x00romeo\x00x"))
	wantFailure(t, err, TemporaryAuthFailure)
	b.endHashing()
	if _, err := b.Derive(t.Context(), password); err != nil {
		t.Error(err)
	}
	if n := len(b.hashing); n != 0 {
		t.Errorf("%d tokens lost", n)
	}
}

func TestIterations(t *testing.T) {
	t.Parallel()
	n := 0
	b, err := New(t.Context(), newMemory(), Options{Iterations: func() int { return n }})
	if err != nil {
		t.Fatal(err)
	}
	if got := b.iterationCount(); got != DefaultIterations {
		t.Errorf("unset: %d", got)
	}
	n = 20_000
	if got := b.fake(nobody, &algorithms[0]).Iterations; got != n {
		t.Errorf("after a change: %d", got)
	}
}

func wantFailure(t *testing.T, err error, condition string) *Failure {
	t.Helper()
	var f *Failure
	if !errors.As(err, &f) {
		t.Fatalf("error %v (%T), want %s", err, err, condition)
	}
	if f.Condition != condition {
		t.Errorf("%v, want %s", f, condition)
	}
	return f
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
