package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// login runs a client of the SASL library against a backend.
func login(t testing.TB, b *Backend, c Conn, mechanism, name, password string) (*Exchange, error) {
	t.Helper()
	x, err := b.Start(c, mechanism)
	if err != nil {
		t.Fatal(err)
	}
	if mechanism == "SCRAM-SHA-512" || x.plus { // the library has no client for it
		_, err := scramLogin(t, x, mechanism, name, password)
		return x, err
	}
	m := map[string]sasl.Mechanism{
		"PLAIN": sasl.Plain, "SCRAM-SHA-1": sasl.ScramSha1, "SCRAM-SHA-256": sasl.ScramSha256,
	}[mechanism]
	client := sasl.NewClient(m, sasl.Credentials(func() (user, pass, identity []byte) {
		return []byte(name), []byte(password), nil
	}))
	_, response, err := client.Step(nil)
	if err != nil {
		t.Fatal(err)
	}
	for {
		challenge, done, err := x.Step(t.Context(), response)
		if err != nil {
			return x, err
		}
		if done && challenge == nil {
			return x, nil
		}
		if _, response, err = client.Step(challenge); err != nil {
			t.Fatalf("client: %v", err)
		}
		if done {
			return x, nil
		}
	}
}

// scramLogin is a client of its own, which tells what the server sent first.
func scramLogin(t testing.TB, x *Exchange, mechanism, name, password string) (serverFirst string, err error) {
	t.Helper()
	const nonce = "fyko+d2lbbFgONRv9qkxdawL"
	bare := "n=" + strings.NewReplacer(",", "=2C", "=", "=3D").Replace(name) + ",r=" + nonce
	gs2, data := "n,,", []byte(nil)
	if x.plus {
		gs2 = "p=" + x.conn.Bindings[0].Type + ",,"
		data, _ = x.conn.Bindings[0].Data()
	}
	challenge, done, err := x.Step(t.Context(), []byte(gs2+bare))
	if err != nil {
		return "", err
	}
	serverFirst = string(challenge)
	if done {
		t.Fatal("done after the first message")
	}
	final, verifier := boundProof(t, mechanism, password, gs2+string(data), bare, serverFirst)
	challenge, done, err = x.Step(t.Context(), []byte(final))
	if err == nil && (!done || string(challenge) != verifier) {
		t.Errorf("server-final %q, done %v, want %q", challenge, done, verifier)
	}
	return serverFirst, err
}

var serverFirstForm = regexp.MustCompile(`^r=([!-+\--~]+),s=([A-Za-z0-9+/]+=*),i=([1-9][0-9]*),h=([A-Za-z0-9+/]+=*)$`)

// clientProof is the client-final-message and the answer that it has to get.
func clientProof(t testing.TB, mechanism, password, bare, serverFirst string) (final, verifier string) {
	t.Helper()
	return boundProof(t, mechanism, password, "n,,", bare, serverFirst)
}

// boundProof is the same with channel binding: the header and the data.
func boundProof(t testing.TB, mechanism, password, binding, bare, serverFirst string) (final, verifier string) {
	t.Helper()
	a := algorithmOf(mechanism)
	parts := serverFirstForm.FindStringSubmatch(serverFirst)
	if parts == nil {
		t.Fatalf("server-first %q", serverFirst)
	}
	salt, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	iterations := 0
	for _, c := range parts[3] {
		iterations = iterations*10 + int(c-'0')
	}
	salted := sasl.SCRAMSaltPassword(a.new, []byte(password), salt, iterations)
	without := "c=" + base64.StdEncoding.EncodeToString([]byte(binding)) + ",r=" + parts[1]
	authMessage := bare + "," + serverFirst + "," + without
	clientKey := a.hmac(salted, "Client Key")
	proof := a.hmac(a.sum(clientKey), authMessage)
	for i := range proof {
		proof[i] ^= clientKey[i]
	}
	signature := a.hmac(a.hmac(salted, "Server Key"), authMessage)
	return without + ",p=" + base64.StdEncoding.EncodeToString(proof),
		"v=" + base64.StdEncoding.EncodeToString(signature)
}

func algorithmOf(mechanism string) *algorithm {
	for i := range algorithms {
		if algorithms[i].mechanism(false) == strings.TrimSuffix(mechanism, "-PLUS") {
			return &algorithms[i]
		}
	}
	return nil
}

// The examples of RFC 5802 §5 and RFC 7677 §3, and one for SHA-512 that
// circulates among implementers.
func TestVectors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		mechanism, first, nonce, salt, serverFirst, final, serverFinal string
	}{
		{
			"SCRAM-SHA-1", "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL", "3rfcNHYJY1ZVvWVs7j",
			"QSXCR+Q6sek8bf92",
			"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
			"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
			"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
		}, {
			"SCRAM-SHA-256", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
			"W22ZaJ0SNY7soEsUEjb6gQ==",
			"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
			"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
			"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
		}, {
			"SCRAM-SHA-512", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO", "02431b08-2f89-4bad-a4e6-80c0564ec865",
			"Yin2FuHTt/M0kJWb0t9OI32n2VmOGi3m+JfjOvuDF88=",
			"r=rOprNGfwEbeRWgbNEkqO02431b08-2f89-4bad-a4e6-80c0564ec865,s=Yin2FuHTt/M0kJWb0t9OI32n2VmOGi3m+JfjOvuDF88=,i=4096",
			"c=biws,r=rOprNGfwEbeRWgbNEkqO02431b08-2f89-4bad-a4e6-80c0564ec865,p=Hc5yec3NmCD7t+kFRw4/3yD6/F3SQHc7AVYschRja+Bc3sbdjlA0eH1OjJc0DD4ghn1tnXN5/Wr6qm9xmaHt4A==",
			"v=BQuhnKHqYDwQWS5jAw4sZed+C9KFUALsbrq81bB0mh+bcUUbbMPNNmBIupnS2AmyyDnG5CTBQtkjJ9kyY4kzmw==",
		},
	} {
		t.Run(tc.mechanism, func(t *testing.T) {
			t.Parallel()
			b, store := open(t)
			a := algorithmOf(tc.mechanism)
			salt, _ := base64.StdEncoding.DecodeString(tc.salt)
			c, err := a.credential("pencil", salt, 4096)
			if err != nil {
				t.Fatal(err)
			}
			user := jid.MustParse("user@example.org")
			store.accounts[user] = storage.Account{JID: user, Credentials: []storage.Credential{c}}

			x := &Exchange{backend: b, conn: tlsConn, ctx: t.Context()}
			_, got, state, err := x.scramFirst(a, tc.first, tc.nonce)
			// What is offered here is not in the examples.
			first, _, _ := strings.Cut(string(got), ",h=")
			if err != nil || first != tc.serverFirst {
				t.Fatalf("server-first %q, %v", got, err)
			}
			state.(*scramState).serverFirst = first
			more, got, _, err := x.scramFinal(a, state.(*scramState), tc.final)
			if err != nil || more || string(got) != tc.serverFinal {
				t.Fatalf("server-final %q, %v", got, err)
			}
		})
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	b, store := open(t)
	odd := jid.MustParse("o=h,dear@example.org")
	if err := b.Register(t.Context(), odd, password); err != nil {
		t.Fatal(err)
	}
	for _, m := range slices.Concat(plus, mechs) {
		for _, tc := range []struct {
			name, password string
			user           jid.JID
			condition      string
		}{
			{"romeo", password, romeo, ""},
			{"romeo@example.org", password, romeo, ""},
			{"ROMEO", password, romeo, ""}, // prepared
			{"o=h,dear", password, odd, ""},
			{"romeo", "wrong", romeo, NotAuthorized},
			{"nobody", password, nobody, NotAuthorized},
			{"tybalt", password, banned, AccountDisabled},
			{"tybalt", "wrong", banned, NotAuthorized}, // who does not know the password learns nothing
			{"romeo@example.net", password, jid.JID{}, NotAuthorized},
			{"romeo@", password, jid.JID{}, NotAuthorized},
			{"romeo@example.org/x", password, jid.JID{}, NotAuthorized},
			{"ro meo", password, jid.JID{}, NotAuthorized},
			{"@example.org", password, jid.JID{}, NotAuthorized},
		} {
			x, err := login(t, b, bound, m, tc.name, tc.password)
			if x.Claimed() != tc.user {
				t.Errorf("%s %q: claimed %q", m, tc.name, x.Claimed())
			}
			if tc.condition == "" {
				if err != nil || x.User() != tc.user {
					t.Errorf("%s %q: user %q, %v", m, tc.name, x.User(), err)
				}
				continue
			}
			f := wantFailure(t, err, tc.condition)
			if !x.User().IsZero() {
				t.Errorf("%s %q: user %q", m, tc.name, x.User())
			}
			if tc.condition == AccountDisabled && f.Text != "duelling" {
				t.Errorf("text %q", f.Text)
			}
			if tc.condition == NotAuthorized && f.Text != "" {
				t.Errorf("%s %q: text %q", m, tc.name, f.Text)
			}
		}
	}
	store.change(func() { store.err = errBroke })
	for _, m := range mechs {
		for _, name := range []string{"romeo", "nobody"} {
			_, err := login(t, b, tlsConn, m, name, password)
			wantFailure(t, err, TemporaryAuthFailure)
			if !errors.Is(err, errBroke) {
				t.Errorf("%s: cause lost: %v", m, err)
			}
		}
	}
}

// What changes while the client computes its proof counts.
func TestChangedMeanwhile(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change    func(*Backend, *memory) error
		condition string
	}{
		"banned": {func(_ *Backend, m *memory) error {
			m.setBan(romeo, &storage.Ban{})
			return nil
		}, AccountDisabled},
		"removed": {func(_ *Backend, m *memory) error {
			m.change(func() { delete(m.accounts, romeo) })
			return nil
		}, NotAuthorized},
		"new password": {func(b *Backend, _ *memory) error {
			return b.SetPassword(context.Background(), romeo, "new")
		}, NotAuthorized},
		"database gone": {func(_ *Backend, m *memory) error {
			m.change(func() { m.err = errBroke })
			return nil
		}, TemporaryAuthFailure},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, store := open(t)
			x, _ := b.Start(tlsConn, "SCRAM-SHA-256")
			const bare = "n=romeo,r=abc"
			first, _, err := x.Step(t.Context(), []byte("n,,"+bare))
			if err != nil {
				t.Fatal(err)
			}
			if err := tc.change(b, store); err != nil {
				t.Fatal(err)
			}
			final, _ := clientProof(t, "SCRAM-SHA-256", password, bare, string(first))
			_, done, err := x.Step(t.Context(), []byte(final))
			if done {
				t.Error("done")
			}
			wantFailure(t, err, tc.condition)
		})
	}
}

// An unknown account looks like any other: the same salt each time, of the same
// length, the same count, the same refusal.
func TestUnknownLooksKnown(t *testing.T) {
	t.Parallel()
	b, _ := open(t)
	for _, m := range slices.Concat(plus, mechs[:3]) {
		salts := map[string]map[string]bool{}
		for range 2 {
			shape := map[string]bool{}
			for _, name := range []string{"romeo", "nobody", "tybalt", "noone"} {
				x, _ := b.Start(bound, m)
				first, err := scramLogin(t, x, m, name, "wrong")
				f := wantFailure(t, err, NotAuthorized)
				parts := serverFirstForm.FindStringSubmatch(first)
				if salts[name] == nil {
					salts[name] = map[string]bool{}
				}
				salts[name][parts[2]] = true
				parts[1], parts[2] = "", strings.Repeat("x", len(parts[2]))
				shape[strings.Join(parts[1:], "|")+f.Error()] = true
			}
			if len(shape) != 1 {
				t.Errorf("%s: told apart by %q", m, sortedKeys(shape))
			}
		}
		for name, s := range salts {
			if len(s) != 1 {
				t.Errorf("%s %s: salts %q", m, name, sortedKeys(s))
			}
		}
	}
}
