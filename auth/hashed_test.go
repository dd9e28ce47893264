package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"hash"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xmppd/xmppd/storage"
)

const (
	phone   = "d4565fa7-4d72-4749-b3d3-740edbf87770"
	desktop = "00000000-0000-4000-8000-00000000000a"
)

var hashed = []string{"HT-SHA-512-EXPR", "HT-SHA-256-EXPR", "HT-SHA-512-ENDP", "HT-SHA-256-ENDP", "HT-SHA-512-NONE", "HT-SHA-256-NONE"}

// issue logs in with a password and gets a token.
func issue(t testing.TB, b *Backend, agent, mechanism string) Token {
	t.Helper()
	x, err := login(t, b, bound, "SCRAM-SHA-256-PLUS", "romeo", password)
	if err != nil {
		t.Fatal(err)
	}
	token, err := b.IssueToken(t.Context(), x, Agent{ID: agent, Software: "a client", Device: "a device"}, mechanism)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// hashedMAC is the client's side of draft-schmaus-kitten-sasl-ht-09, by its formula.
func hashedMAC(mechanism, secret, purpose string) []byte {
	var h func() hash.Hash = sha256.New
	if strings.HasPrefix(mechanism, "HT-SHA-512") {
		h = sha512.New
	}
	data := map[string]string{"EXPR": "exported", "ENDP": "end point", "NONE": ""}[mechanism[len(mechanism)-4:]]
	mac := hmac.New(h, []byte(secret))
	mac.Write([]byte(purpose + data))
	return mac.Sum(nil)
}

// redeem logs in with a token.
func redeem(t testing.TB, b *Backend, mechanism, name, secret string, use TokenUse) (*Exchange, error) {
	t.Helper()
	x, err := b.StartToken(bound, mechanism, use)
	if err != nil {
		t.Fatal(err)
	}
	message := slices.Concat([]byte(name), []byte{0}, hashedMAC(mechanism, secret, "Initiator"))
	answer, done, err := x.Step(t.Context(), message)
	if done != (err == nil) {
		t.Errorf("done %v with %v", done, err)
	}
	if err == nil && !bytes.Equal(answer, hashedMAC(mechanism, secret, "Responder")) {
		t.Errorf("%s: answer %x", mechanism, answer)
	}
	return x, err
}

func by(agent string) TokenUse { return TokenUse{Agent: agent, Count: -1} }

func TestTokenMechanisms(t *testing.T) {
	t.Parallel()
	b, _ := open(t)
	without, err := New(t.Context(), newMemory(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	old := bound
	old.Bindings = bound.Bindings[1:]
	for name, tc := range map[string]struct {
		b    *Backend
		conn Conn
		want []string
	}{
		"TLS 1.3":    {b, bound, hashed},
		"TLS 1.2":    {b, old, hashed[2:]},
		"proxy":      {b, tlsConn, hashed[4:]},
		"clear text": {b, Conn{Domain: domain, Addr: home}, nil},
		"no key":     {without, bound, nil},
	} {
		if got := tc.b.TokenMechanisms(tc.conn); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q", name, got)
		}
		for _, m := range append([]string{"", "SCRAM-SHA-256", "HT-SHA-1-NONE", "HT-SHA-256-UNIQ", "ht-sha-256-none"}, hashed...) {
			_, err := tc.b.StartToken(tc.conn, m, by(phone))
			if ok := slices.Contains(tc.want, m); ok != (err == nil) || !ok && !errors.Is(err, ErrMechanism) {
				t.Errorf("%s: start %s: %v", name, m, err)
			}
		}
	}
}

func TestTokenLogin(t *testing.T) {
	t.Parallel()
	for _, m := range hashed {
		b, _ := open(t)
		token := issue(t, b, strings.ToUpper(phone), m)
		for _, name := range []string{"romeo", "romeo@example.org", "ROMEO"} {
			x, err := redeem(t, b, m, name, token.Secret, by(phone))
			if err != nil || x.User() != romeo || x.Claimed() != romeo || x.Delay() != 0 || x.TokenDue() {
				t.Errorf("%s %s: user %q, delay %v, due %v, %v", m, name, x.User(), x.Delay(), x.TokenDue(), err)
			}
			if err := x.Still(t.Context()); err != nil {
				t.Errorf("%s: still: %v", m, err)
			}
			if _, _, err := x.Step(t.Context(), []byte("romeo\x00")); err == nil {
				t.Errorf("%s: a second step", m)
			}
		}
		// A token is for one account, agent and mechanism.
		for _, other := range hashed {
			if other != m {
				_, err := redeem(t, b, other, "romeo", token.Secret, by(phone))
				wantFailure(t, err, NotAuthorized)
			}
		}
		_, err := redeem(t, b, m, "romeo", token.Secret, by(desktop))
		wantFailure(t, err, NotAuthorized)
		_, err = redeem(t, b, m, "tybalt", token.Secret, by(phone))
		wantFailure(t, err, NotAuthorized)
		_, err = redeem(t, b, m, "romeo", token.Secret+"x", by(phone))
		wantFailure(t, err, NotAuthorized)
	}
}

// Refused tokens look the same, cost no delay and are no failed passwords.
func TestTokenRefused(t *testing.T) {
	t.Parallel()
	b, store := open(t)
	const m = "HT-SHA-256-EXPR"
	token := issue(t, b, phone, m)
	for range 10 {
		var texts []string
		for _, name := range []string{"romeo", "nobody", "tybalt", "juliet"} {
			x, err := redeem(t, b, m, name, "guess", by(phone))
			if x.Delay() != 0 || !x.User().IsZero() {
				t.Errorf("%s: delay %v, user %q", name, x.Delay(), x.User())
			}
			texts = append(texts, wantFailure(t, err, NotAuthorized).Error())
		}
		if len(slices.Compact(texts)) != 1 {
			t.Errorf("told apart by %q", texts)
		}
	}
	if n := len(b.throttle.address.entries) + len(b.throttle.pair.entries); n != 0 {
		t.Errorf("%d entries of failures", n)
	}
	// Nor does a good token wipe failures of passwords, or wait for them.
	for range 5 {
		login(t, b, tlsConn, "PLAIN", "romeo", "wrong")
	}
	before := b.Delay(home, romeo)
	if x, err := redeem(t, b, m, "romeo", token.Secret, by(phone)); err != nil || x.Delay() != 0 || before == 0 || b.Delay(home, romeo) != before {
		t.Errorf("%v, delay %v, of passwords %v, before %v", err, x.Delay(), b.Delay(home, romeo), before)
	}
	mac := string(hashedMAC(m, token.Secret, "Initiator"))
	for _, message := range []string{
		"", "\x00", "romeo", "romeo\x00", "romeo" + mac, "romeo\x00" + mac[1:], "romeo\x00" + mac + "\x00", "romeo\x00\x00" + mac, "ro\xffmeo\x00" + mac,
		"romeo\x00" + string(hashedMAC("HT-SHA-512-EXPR", token.Secret, "Initiator")), strings.Repeat("x", MaxResponse) + "\x00" + mac,
	} {
		x, _ := b.StartToken(bound, m, by(phone))
		_, _, err := x.Step(t.Context(), []byte(message))
		wantFailure(t, err, MalformedRequest)
		_, _, err = x.Step(t.Context(), []byte("romeo\x00"+mac))
		wantFailure(t, err, MalformedRequest)
	}
	x, _ := b.StartToken(bound, m, by(phone))
	_, _, err := x.Step(t.Context(), nil) // there is no second round trip
	wantFailure(t, err, MalformedRequest)
	for _, name := range []string{"romeo@example.net", "\x00", " ", "@"} {
		x, _ := b.StartToken(bound, m, by(phone))
		_, _, err := x.Step(t.Context(), []byte(strings.Trim(name, "\x00")+"\x00"+mac))
		wantFailure(t, err, NotAuthorized)
	}
	// What an empty slot would take is nobody's token.
	empty := string(b.tokens.secret(romeo, desktop, m, make([]byte, nonceLen)))
	_, err = redeem(t, b, m, "romeo", empty, by(desktop))
	wantFailure(t, err, NotAuthorized)
	// An answer of the server is no message of a client.
	x, _ = b.StartToken(bound, m, by(phone))
	_, _, err = x.Step(t.Context(), append([]byte("romeo\x00"), hashedMAC(m, token.Secret, "Responder")...))
	wantFailure(t, err, NotAuthorized)

	for _, agent := range []string{"", "x", strings.Repeat("a", 36), phone + "0", strings.ReplaceAll(phone, "-", "0"), "g" + phone[1:], "{" + phone + "}"} {
		_, err := b.StartToken(bound, m, TokenUse{Agent: agent})
		wantFailure(t, err, MalformedRequest)
	}
	broken := bound
	broken.Bindings = []Binding{{tlsExporter, func() ([]byte, error) { return nil, errBroke }}}
	x, _ = b.StartToken(broken, m, by(phone))
	_, _, err = x.Step(t.Context(), []byte("romeo\x00"+mac))
	wantFailure(t, err, TemporaryAuthFailure)
	store.change(func() { store.err = errBroke })
	_, err = redeem(t, b, m, "romeo", token.Secret, by(phone))
	wantFailure(t, err, TemporaryAuthFailure)
	_, err = redeem(t, b, m, "nobody", token.Secret, by(phone))
	wantFailure(t, err, TemporaryAuthFailure)
}

// A table of what happens to the tokens of one client, by the hour. Tokens are
// named by the order in which they are issued.
func TestRotation(t *testing.T) {
	t.Parallel()
	const m = "HT-SHA-512-NONE"
	type step struct {
		hour  float64
		token int    // that is used; 0: log in with the password and get one
		count int64  // -1: none
		flag  string // "renew": take what is due, "invalidate", "both"
		want  string // condition; "" ok, "due": ok and due
	}
	for name, steps := range map[string][]step{
		"in use for long": {
			{0, 0, -1, "", ""}, {1, 1, -1, "", ""}, {23.9, 1, -1, "", ""}, {24, 1, -1, "", "due"}, {30, 1, -1, "", "due"},
		},
		"rotation": {
			{0, 0, -1, "", ""}, {25, 1, -1, "renew", "due"}, {26, 2, -1, "", ""}, {27, 1, -1, "", NotAuthorized}, {27, 2, -1, "", ""},
		},
		"overlap: the new one got lost": {
			{0, 0, -1, "", ""}, {25, 1, -1, "renew", "due"}, {26, 1, -1, "renew", "due"}, {27, 2, -1, "", NotAuthorized},
			{28, 1, -1, "", "due"}, {29, 3, -1, "", ""}, {30, 1, -1, "", NotAuthorized},
		},
		"asked for again and again": {
			{0, 0, -1, "", ""}, {1, 0, -1, "", ""}, {2, 1, -1, "", NotAuthorized}, {3, 2, -1, "", ""}, {4, 0, -1, "", ""},
			{5, 2, -1, "", ""}, {6, 3, -1, "", ""}, {7, 2, -1, "", NotAuthorized},
		},
		"expiry": {
			{0, 0, -1, "", ""}, {719.9, 1, -1, "", "due"}, {720, 1, -1, "", CredentialsExpired}, {721, 1, -1, "", CredentialsExpired},
			{722, 0, -1, "", ""}, {723, 1, -1, "", NotAuthorized}, {723, 2, -1, "", ""},
		},
		"unused expires too": {{0, 0, -1, "", ""}, {800, 1, -1, "", CredentialsExpired}},
		"count": {
			{0, 0, -1, "", ""}, {1, 1, 0, "", ""}, {1, 1, 0, "", NotAuthorized}, {1, 1, 5, "", ""}, {1, 1, 5, "", NotAuthorized},
			{1, 1, 4, "", NotAuthorized}, {1, 1, -1, "", ""}, {1, 1, 6, "", ""},
		},
		"count begins anew": {
			{0, 0, -1, "", ""}, {1, 1, 9, "", ""}, {25, 1, 10, "renew", "due"}, {26, 2, 0, "", ""}, {26, 2, 0, "", NotAuthorized},
		},
		"invalidate":            {{0, 0, -1, "", ""}, {1, 1, -1, "invalidate", ""}, {1, 1, -1, "", NotAuthorized}},
		"invalidate one in use": {{0, 0, -1, "", ""}, {1, 1, -1, "", ""}, {1.1, 1, -1, "invalidate", ""}, {1.2, 1, -1, "", NotAuthorized}},
		"invalidate what is due": {
			{0, 0, -1, "", ""}, {25, 1, -1, "renew", "due"}, {26, 1, -1, "invalidate", ""}, {27, 1, -1, "", NotAuthorized},
			{27, 2, -1, "", NotAuthorized}, // that the client never took
		},
		"invalidate a new one": {{0, 0, -1, "", ""}, {1, 1, -1, "", ""}, {2, 0, -1, "", ""}, {3, 2, -1, "invalidate", ""}, {4, 1, -1, "", NotAuthorized}, {4, 2, -1, "", NotAuthorized}},
		"invalidate and ask":   {{0, 0, -1, "", ""}, {1, 1, -1, "both", ""}, {2, 1, -1, "", NotAuthorized}, {2, 2, -1, "", ""}},
		"replayed invalidation": {
			{0, 0, -1, "", ""}, {1, 1, 3, "", ""}, {1, 1, 3, "invalidate", NotAuthorized}, {2, 1, -1, "", ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _, c := openClock(t)
			begin := c.t
			secrets := []string{""}
			for i, s := range steps {
				c.t = begin.Add(time.Duration(s.hour * float64(time.Hour)))
				if s.token == 0 {
					secrets = append(secrets, issue(t, b, phone, m).Secret)
					continue
				}
				invalidate := s.flag == "invalidate" || s.flag == "both"
				x, err := redeem(t, b, m, "romeo", secrets[s.token], TokenUse{phone, s.count, invalidate})
				if s.want != "" && s.want != "due" {
					wantFailure(t, err, s.want)
					continue
				}
				if err != nil || x.TokenDue() != (s.want == "due") {
					t.Fatalf("step %d: %v, due %v", i, err, x.TokenDue())
				}
				if err := x.Still(t.Context()); err != nil {
					t.Errorf("step %d: still: %v", i, err)
				}
				if s.flag == "renew" || s.flag == "both" {
					token, err := b.IssueToken(t.Context(), x, Agent{ID: phone}, "")
					if err != nil {
						t.Fatal(err)
					}
					if want := c.t.Add(30 * 24 * time.Hour).Truncate(time.Second); !token.Expires.Equal(want) {
						t.Errorf("step %d: expires %v, want %v", i, token.Expires, want)
					}
					secrets = append(secrets, token.Secret)
				}
			}
			if all := len(slices.Compact(slices.Sorted(slices.Values(secrets)))); all != len(secrets) {
				t.Errorf("%d distinct tokens of %d", all, len(secrets))
			}
		})
	}
}

// The common login reads once and writes nothing.
func TestTokenWrites(t *testing.T) {
	t.Parallel()
	b, store, c := openClock(t)
	const m = "HT-SHA-256-ENDP"
	token := issue(t, b, phone, m)
	for i, tc := range []struct {
		after  time.Duration
		count  int64
		writes int
	}{
		{0, -1, 1},                   // the new one becomes the one in use
		{0, -1, 0},                   //
		{59 * time.Minute, -1, 0},    //
		{time.Minute, -1, 1},         // an hour later it is noted
		{time.Minute, -1, 0},         //
		{time.Minute, 1, 1},          // a count has to be
		{time.Minute, -1, 0},         //
		{time.Minute, 1, 0},          // a replay
		{100 * 24 * time.Hour, 2, 0}, // expired
	} {
		c.t = c.t.Add(tc.after)
		store.change(func() { store.writes = 0 })
		redeem(t, b, m, "romeo", token.Secret, TokenUse{Agent: phone, Count: tc.count})
		if store.writes != tc.writes {
			t.Errorf("%d: %d writes, want %d", i, store.writes, tc.writes)
		}
	}
}

// A shorter lifetime makes new tokens that expire before the one in use, whose
// use then has to end them.
func TestShorterLifetime(t *testing.T) {
	t.Parallel()
	b, store, c := openClock(t)
	life := 30 * 24 * time.Hour
	b.tokens.lifetime = func() time.Duration { return life }
	const m = "HT-SHA-256-NONE"
	long := issue(t, b, phone, m)
	redeem(t, b, m, "romeo", long.Secret, by(phone))
	life = 2 * time.Hour
	short := issue(t, b, phone, m)
	c.t = c.t.Add(time.Minute)
	if _, err := redeem(t, b, m, "romeo", long.Secret, by(phone)); err != nil {
		t.Fatal(err)
	}
	_, err := redeem(t, b, m, "romeo", short.Secret, by(phone))
	wantFailure(t, err, NotAuthorized)
	if n := len(store.tokens[romeo]); n != 1 {
		t.Errorf("%d tokens", n)
	}
	// It is due before the end of such a short life, not after.
	short = issue(t, b, phone, m)
	c.t = c.t.Add(59 * time.Minute)
	if x, err := redeem(t, b, m, "romeo", short.Secret, by(phone)); err != nil || x.TokenDue() {
		t.Errorf("due %v, %v", x.TokenDue(), err)
	}
	c.t = c.t.Add(2 * time.Minute)
	if x, err := redeem(t, b, m, "romeo", short.Secret, by(phone)); err != nil || !x.TokenDue() {
		t.Errorf("due %v, %v", x.TokenDue(), err)
	}
}

// Whatever ends the tokens of an account does so at each moment of a login.
func TestTokenRevoked(t *testing.T) {
	t.Parallel()
	const m = "HT-SHA-512-EXPR"
	for name, tc := range map[string]struct {
		change func(*testing.T, *Backend, *memory)
		still  string // condition of Still
	}{
		"password": {func(t *testing.T, b *Backend, _ *memory) {
			if err := b.SetPassword(t.Context(), romeo, "new"); err != nil {
				t.Error(err)
			}
		}, NotAuthorized},
		"ban": {func(_ *testing.T, _ *Backend, m *memory) { m.setBan(romeo, &storage.Ban{Reason: "duelling"}) }, AccountDisabled},
		"ban that is over": {func(_ *testing.T, _ *Backend, m *memory) {
			m.setBan(romeo, &storage.Ban{})
			m.setBan(romeo, nil)
		}, NotAuthorized},
		"removal": {func(_ *testing.T, _ *Backend, m *memory) {
			m.change(func() { delete(m.accounts, romeo); delete(m.tokens, romeo) })
		}, NotAuthorized},
		"admin": {func(t *testing.T, b *Backend, _ *memory) {
			if n, err := b.RevokeTokens(t.Context(), romeo, ""); n != 2 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		}, NotAuthorized},
		"admin, one agent": {func(t *testing.T, b *Backend, _ *memory) {
			if n, err := b.RevokeTokens(t.Context(), romeo, strings.ToUpper(phone)); n != 1 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		}, NotAuthorized},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, store := open(t)
			token := issue(t, b, phone, m)
			issue(t, b, desktop, m)
			byToken, err := redeem(t, b, m, "romeo", token.Secret, by(phone))
			if err != nil {
				t.Fatal(err)
			}
			byPassword, err := login(t, b, bound, "SCRAM-SHA-1-PLUS", "romeo", password)
			if err != nil {
				t.Fatal(err)
			}
			tc.change(t, b, store)
			wantFailure(t, byToken.Still(t.Context()), tc.still)
			for _, x := range []*Exchange{byToken, byPassword} {
				if _, err := b.IssueToken(t.Context(), x, Agent{ID: phone}, m); !errors.Is(err, storage.ErrNotFound) {
					t.Errorf("a token was issued: %v", err)
				}
			}
			_, err = redeem(t, b, m, "romeo", token.Secret, by(phone))
			wantFailure(t, err, NotAuthorized)
		})
	}
	b, store := open(t)
	token := issue(t, b, phone, m)
	x, _ := redeem(t, b, m, "romeo", token.Secret, by(phone))
	store.change(func() { store.err = errBroke })
	wantFailure(t, x.Still(t.Context()), TemporaryAuthFailure)
	x, _ = b.StartToken(bound, m, by(phone))
	wantFailure(t, x.Still(t.Context()), MalformedRequest)
}

// A ban that has left the tokens in place is told to who has one, and to nobody else.
func TestTokenOfBanned(t *testing.T) {
	t.Parallel()
	b, store := open(t)
	const m = "HT-SHA-512-EXPR"
	token := issue(t, b, phone, m)
	store.change(func() {
		a := store.accounts[romeo]
		a.Ban = &storage.Ban{Reason: "duelling"}
		store.accounts[romeo] = a
	})
	_, err := redeem(t, b, m, "romeo", token.Secret, by(phone))
	if f := wantFailure(t, err, AccountDisabled); f.Text != "duelling" {
		t.Errorf("text %q", f.Text)
	}
	_, err = redeem(t, b, m, "romeo", "guess", by(phone))
	wantFailure(t, err, NotAuthorized)
}

// One count, many connections: one gets in.
func TestCountRace(t *testing.T) {
	t.Parallel()
	b, _ := open(t)
	const m = "HT-SHA-256-NONE"
	token := issue(t, b, phone, m)
	var wg sync.WaitGroup
	results := make(chan error, 16)
	for range cap(results) {
		wg.Go(func() {
			_, err := redeem(t, b, m, "romeo", token.Secret, TokenUse{Agent: phone, Count: 7})
			results <- err
		})
	}
	wg.Wait()
	close(results)
	in := 0
	for err := range results {
		if err == nil {
			in++
		}
	}
	if in != 1 {
		t.Errorf("%d of %d got in", in, cap(results))
	}
}
