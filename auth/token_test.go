package auth

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

func TestAgentID(t *testing.T) {
	t.Parallel()
	const id = "d4565fa7-4d72-4749-b3d3-740edbf87770"
	for in, want := range map[string]string{
		id:                                     id,
		"D4565FA7-4D72-4749-b3d3-740edbf87770": id,
		"":                                     "",
		"phone":                                "",
		id + "0":                               "",
		id[1:]:                                 "",
		"{" + id[2:] + "}":                     "",
		"d4565fa74d72-4749-b3d3-740edbf8-7770": "",
		"d4565fa7-4d72-4749-b3d3-740edbf8777-": "",
		"d4565fa7-4d72-4749-b3d3-740edbf8777g": "",
		"d4565fa7-4d72-4749-b3d3-740edbf877K":  "", // lower case makes it shorter
	} {
		if got, ok := AgentID(in); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v", in, got, ok)
		}
	}
}

func TestIssueToken(t *testing.T) {
	t.Parallel()
	b, store, c := openClock(t)
	x, err := login(t, b, tlsConn, "PLAIN", "romeo", password)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for _, m := range []string{"", "HT-SHA-256-EXPR", "SCRAM-SHA-256"} { // on this connection
		if _, err := b.IssueToken(ctx, x, Agent{ID: phone}, m); !errors.Is(err, ErrMechanism) {
			t.Errorf("%s: %v", m, err)
		}
	}
	const m = "HT-SHA-256-NONE"
	_, err = b.IssueToken(ctx, x, Agent{ID: "phone"}, m)
	wantFailure(t, err, MalformedRequest)
	unfinished, _ := b.Start(tlsConn, "SCRAM-SHA-1")
	_, err = b.IssueToken(ctx, unfinished, Agent{ID: phone}, m)
	wantFailure(t, err, MalformedRequest)
	if unfinished.TokenDue() || x.TokenDue() {
		t.Error("a token is due where none was used")
	}
	if n := len(store.tokens[romeo]); n != 0 {
		t.Fatalf("%d tokens", n)
	}

	long := "a\x00\xff" + strings.Repeat("ü", 100)
	token, err := b.IssueToken(ctx, x, Agent{strings.ToUpper(phone), long, "device"}, m)
	if err != nil {
		t.Fatal(err)
	}
	list, err := b.Tokens(ctx, jid.MustParse("romeo@example.org/orchard"))
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	got := list[0]
	if len(got.Software) > maxAgentText || !utf8.ValidString(got.Software) || !strings.HasPrefix(got.Software, "aü") || len(got.Nonce) != nonceLen {
		t.Errorf("software %q, nonce %x", got.Software, got.Nonce)
	}
	want := storage.Token{Agent: phone, Software: got.Software, Device: "device", New: true, Mechanism: m, Nonce: got.Nonce,
		Created: c.t.UTC(), Used: c.t.UTC(), Expires: c.t.Add(720 * time.Hour).UTC().Truncate(time.Second), Count: -1}
	if diff := cmp.Diff(want, got); diff != "" || !token.Expires.Equal(want.Expires) {
		t.Errorf("expires %v, stored (-want +got):\n%s", token.Expires, diff)
	}
	store.change(func() { store.err = errBroke })
	if _, err := b.IssueToken(ctx, x, Agent{ID: phone}, m); !errors.Is(err, errBroke) {
		t.Errorf("broken store: %v", err)
	}
}

// The secret needs the key and everything that is in the row.
func TestSecret(t *testing.T) {
	t.Parallel()
	key := tokenOptions{key: tokenKey}
	other := tokenOptions{key: []byte("another key of more than 32 bytes.")}
	nonce := bytes.Repeat([]byte{7}, nonceLen)
	secrets := map[string]bool{}
	for _, s := range [][]byte{
		key.secret(romeo, phone, "HT-SHA-256-NONE", nonce),
		other.secret(romeo, phone, "HT-SHA-256-NONE", nonce),
		key.secret(nobody, phone, "HT-SHA-256-NONE", nonce),
		key.secret(romeo, desktop, "HT-SHA-256-NONE", nonce),
		key.secret(romeo, phone, "HT-SHA-256-EXPR", nonce),
		key.secret(romeo, phone, "HT-SHA-256-NONE", nonce[1:]),
		key.secret(romeo, phone+"H", "T-SHA-256-NONE", nonce),
	} {
		if len(s) != 43 { // 256 bits
			t.Errorf("secret of %d characters", len(s))
		}
		secrets[string(s)] = true
	}
	if len(secrets) != 7 {
		t.Errorf("%d distinct secrets of 7", len(secrets))
	}
	if !bytes.Equal(key.secret(romeo, phone, "m", nonce), key.secret(romeo, phone, "m", nonce)) {
		t.Error("not the same twice")
	}

	// Rows that somebody swaps are of no use to anybody, nor is another key.
	b, store := open(t)
	const m = "HT-SHA-256-NONE"
	token := issue(t, b, phone, m)
	store.change(func() { store.tokens[banned] = slices.Clone(store.tokens[romeo]) })
	_, err := redeem(t, b, m, "tybalt", token.Secret, by(phone))
	wantFailure(t, err, NotAuthorized)
	store.change(func() {
		moved := slices.Clone(store.tokens[romeo])
		moved[0].Agent = desktop
		store.tokens[romeo] = append(store.tokens[romeo], moved...)
	})
	_, err = redeem(t, b, m, "romeo", token.Secret, by(desktop))
	wantFailure(t, err, NotAuthorized)
	b.tokens.key = other.key
	_, err = redeem(t, b, m, "romeo", token.Secret, by(phone))
	wantFailure(t, err, NotAuthorized)
}

func TestTokenOptions(t *testing.T) {
	t.Parallel()
	if _, err := New(t.Context(), newMemory(), Options{TokenKey: make([]byte, 31)}); err == nil {
		t.Error("a short key was accepted")
	}
	b, store, c := openClock(t)
	b.tokens.perAccount = func() int { return 2 }
	const m = "HT-SHA-512-NONE"
	var tokens []Token
	agents := []string{phone, desktop, "00000000-0000-4000-8000-00000000000b"}
	for _, agent := range agents {
		tokens = append(tokens, issue(t, b, agent, m))
		c.t = c.t.Add(time.Minute)
	}
	_, err := redeem(t, b, m, "romeo", tokens[0].Secret, by(agents[0]))
	wantFailure(t, err, NotAuthorized)
	for i := 1; i < 3; i++ {
		if _, err := redeem(t, b, m, "romeo", tokens[i].Secret, by(agents[i])); err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	if n := len(store.tokens[romeo]); n != 2 {
		t.Errorf("%d tokens", n)
	}
}

func TestLoadTokenKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "token.key")
	key, err := LoadTokenKey(path)
	if err != nil || len(key) < 32 {
		t.Fatalf("%d bytes, %v", len(key), err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	again, err := LoadTokenKey(path)
	if err != nil || !bytes.Equal(key, again) {
		t.Errorf("another key the second time, %v", err)
	}
	if other, _ := LoadTokenKey(filepath.Join(t.TempDir(), "k")); bytes.Equal(other, key) {
		t.Error("two servers made the same key")
	}
	if files, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(files) != 1 {
		t.Errorf("left behind: %q", files)
	}

	for name, tc := range map[string]struct {
		content string
		mode    os.FileMode
		want    string // part of the error, "" for none
	}{
		"own key":        {strings.Repeat("k", 32), 0o600, ""},
		"read-only":      {strings.Repeat("k", 33), 0o400, ""},
		"short":          {strings.Repeat("k", 31), 0o600, "31 bytes, want at least 32"},
		"empty":          {"", 0o600, "0 bytes"},
		"a whole file":   {strings.Repeat("k", 5000), 0o600, "longer than 4096 bytes"},
		"group-readable": {strings.Repeat("k", 32), 0o640, "(mode 0640): chmod 600 it"},
		"world-readable": {strings.Repeat("k", 32), 0o604, "(mode 0604): chmod 600 it"},
	} {
		path := filepath.Join(t.TempDir(), "token.key")
		if err := errors.Join(os.WriteFile(path, []byte(tc.content), 0o600), os.Chmod(path, tc.mode)); err != nil {
			t.Fatal(err)
		}
		key, err := LoadTokenKey(path)
		if tc.want == "" {
			if err != nil || string(key) != tc.content {
				t.Errorf("%s: %q, %v", name, key, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := LoadTokenKey(t.TempDir()); err == nil {
		t.Error("a folder is a key")
	}
}

// Nodes that start together on one folder get the same key.
func TestLoadTokenKeyRace(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token.key")
	keys := make([][]byte, 16)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], err = LoadTokenKey(path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, k := range keys {
		if !bytes.Equal(k, keys[0]) {
			t.Fatalf("keys differ: %s", fmt.Sprintf("%x, %x", k[:4], keys[0][:4]))
		}
	}
}
