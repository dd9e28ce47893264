package auth

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/storage"
)

// usedEvery is how exactly it is known when a token was last used: logins in
// between write nothing.
const usedEvery = time.Hour

// tokenMechanism is one of draft-schmaus-kitten-sasl-ht-09.
type tokenMechanism struct {
	name    string
	hash    *algorithm
	binding string // the type of channel binding, "" for none
}

// tokenMechanisms lists them, strongest first: what ties a token to the
// connection weighs more than the length of a hash. It is never changed.
var tokenMechanisms = [...]tokenMechanism{
	{"HT-SHA-512-EXPR", &algorithms[0], tlsExporter},
	{"HT-SHA-256-EXPR", &algorithms[1], tlsExporter},
	{"HT-SHA-512-ENDP", &algorithms[0], tlsEndPoint},
	{"HT-SHA-256-ENDP", &algorithms[1], tlsEndPoint},
	{"HT-SHA-512-NONE", &algorithms[0], ""},
	{"HT-SHA-256-NONE", &algorithms[1], ""},
}

// TokenMechanisms lists what XEP-0484 offers on a connection, strongest first:
// nothing without TLS, or without a key for tokens. Mechanisms has none of them.
func (b *Backend) TokenMechanisms(c Conn) (names []string) {
	for i := range tokenMechanisms {
		if m := &tokenMechanisms[i]; b.offersTokens(c, m) {
			names = append(names, m.name)
		}
	}
	return names
}

func (b *Backend) offersTokens(c Conn, m *tokenMechanism) bool {
	return b.tokens.key != nil && c.TLS && (m.binding == "" || c.binding(m.binding) != nil)
}

// tokenMechanism returns nil for a mechanism that is not offered.
func (b *Backend) tokenMechanism(c Conn, name string) *tokenMechanism {
	for i := range tokenMechanisms {
		if m := &tokenMechanisms[i]; m.name == name && b.offersTokens(c, m) {
			return m
		}
	}
	return nil
}

// TokenUse is what a client says beside its token (XEP-0484 §3.4).
type TokenUse struct {
	Agent      string // the id of the user agent that the token was given to
	Count      int64  // must be above that of every earlier login with this token; -1: absent
	Invalidate bool   // the client logs out: nothing that it has is to be good any more
}

// tokenLogin is what an exchange with a token knows.
type tokenLogin struct {
	*tokenMechanism
	use      TokenUse
	found    storage.Token
	outlives bool // the agent has another that expires earlier and must go (XEP-0484 §3.5)
}

var (
	errNoToken = errors.New("no such token")
	errCount   = errors.New("token used with this count before")
)

// StartToken begins an exchange that takes one step. It returns ErrMechanism for
// a mechanism that TokenMechanisms does not list for c, and a *Failure if the
// agent is no UUID. A refused token is told as not-authorized, or
// credentials-expired if it was good once; the client may then use another
// mechanism.
//
// It is not counted as a failed password and nothing delays the answer, for a
// client with an old token must get to its password at once. Nor is there need:
// a secret has 256 bits, of which a guess that takes no time at all learns
// nothing, and costs here no more than a first message of SCRAM.
func (b *Backend) StartToken(c Conn, mechanism string, use TokenUse) (*Exchange, error) {
	m := b.tokenMechanism(c, mechanism)
	if m == nil {
		return nil, fmt.Errorf("%w: %q", ErrMechanism, mechanism)
	}
	id, ok := AgentID(use.Agent)
	if !ok {
		return nil, malformed("a token needs the user agent that it was given to") // XEP-0484 §4.1
	}
	use.Agent = id
	x := &Exchange{backend: b, conn: c, token: &tokenLogin{tokenMechanism: m, use: use}}
	x.frame = sasl.NewServer(sasl.Mechanism{
		Name: m.name,
		Next: func(_ *sasl.Negotiator, message []byte, _ any) (bool, []byte, any, error) {
			answer, f := x.checkToken(message)
			if f != nil {
				return false, nil, nil, f
			}
			return false, answer, nil, nil
		},
	}, nil)
	return x, nil
}

// checkToken reads
//
//	authcid NUL HMAC(token, "Initiator" || cb-data)
//
// and returns HMAC(token, "Responder" || cb-data).
func (x *Exchange) checkToken(message []byte) ([]byte, *Failure) {
	m := x.token
	name, hashed, ok := bytes.Cut(message, []byte{0})
	if !ok || len(hashed) != m.hash.size || !utf8.Valid(name) {
		return nil, malformed("invalid message")
	}
	var data []byte
	if m.binding != "" {
		var f *Failure
		if data, f = x.bindingData(m.binding); f != nil {
			return nil, f
		}
	}
	if f := x.claim(string(name), ""); f != nil {
		return nil, f
	}
	access, err := x.backend.store.Access(x.ctx, x.claimed, m.use.Agent)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, unavailable(fmt.Errorf("load tokens: %w", err))
	}
	secret, ok := x.match(access.Tokens, hashed, data)
	if !ok {
		return nil, &Failure{Condition: NotAuthorized, cause: errNoToken}
	}
	if access.Ban != nil {
		return nil, disabled(access.Ban)
	}
	if f := x.useToken(); f != nil {
		return nil, f
	}
	x.epoch = access.Epoch
	return m.mac(secret, "Responder", data), nil
}

// match looks for the token that was hashed, the new one first (XEP-0484 §5.1),
// and returns its secret. It always compares twice, so that its time does not
// tell how many there are, if any.
func (x *Exchange) match(tokens []storage.Token, hashed, data []byte) (secret []byte, ok bool) {
	m := x.token
	for i := range 2 {
		t := storage.Token{Nonce: make([]byte, nonceLen)}
		there := i < len(tokens)
		if there {
			t = tokens[i]
		}
		s := x.backend.tokens.secret(x.claimed, m.use.Agent, m.name, t.Nonce)
		equal := subtle.ConstantTimeCompare(m.mac(s, "Initiator", data), hashed) == 1
		if equal && there && !ok {
			m.found, secret, ok = t, s, true
		}
	}
	for i := range tokens {
		m.outlives = m.outlives || tokens[i].Expires.Before(m.found.Expires)
	}
	return secret, ok
}

// useToken checks the token that was found and notes its use, if there is
// anything to note: what it returns success for is durable.
func (x *Exchange) useToken() *Failure {
	t, use, now := &x.token.found, x.token.use, x.backend.now()
	switch {
	case !now.Before(t.Expires):
		return &Failure{Condition: CredentialsExpired}
	case use.Count >= 0 && use.Count <= t.Count:
		return &Failure{Condition: NotAuthorized, cause: errCount}
	case !t.New && use.Count < 0 && !use.Invalidate && now.Sub(t.Used) < usedEvery && !x.token.outlives:
		return nil
	}
	err := x.backend.store.UseToken(x.ctx, x.claimed, use.Agent, storage.TokenUse{
		Nonce: t.Nonce, At: now, Count: max(use.Count, -1), Remove: use.Invalidate,
	})
	if errors.Is(err, storage.ErrNotFound) {
		return &Failure{Condition: NotAuthorized, cause: errNoToken} // revoked, or used at the same time
	}
	if err != nil {
		return unavailable(fmt.Errorf("use token: %w", err))
	}
	return nil
}

// stillGood is Still behind a login with a token. Tokens that have replaced this
// one, or that it was the last, make no difference.
func (x *Exchange) stillGood(ctx context.Context) *Failure {
	access, err := x.backend.store.Access(ctx, x.claimed, x.token.use.Agent)
	switch {
	case err != nil && !errors.Is(err, storage.ErrNotFound):
		return unavailable(fmt.Errorf("load tokens: %w", err))
	case access.Ban != nil:
		return disabled(access.Ban)
	case err != nil || access.Epoch != x.epoch:
		return &Failure{Condition: NotAuthorized, cause: errors.New("token revoked meanwhile")}
	}
	return nil
}

// mac is HMAC(secret, purpose || data).
func (m *tokenMechanism) mac(secret []byte, purpose string, data []byte) []byte {
	h := hmac.New(m.hash.new, secret)
	h.Write([]byte(purpose))
	h.Write(data)
	return h.Sum(nil)
}
