package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

const (
	defaultTokenLifetime    = 30 * 24 * time.Hour
	defaultTokenRotation    = 24 * time.Hour
	defaultTokensPerAccount = 32

	nonceLen     = 32
	maxAgentText = 128 // bytes of what a client says of itself
)

// tokenOptions are those of Options.
type tokenOptions struct {
	key                []byte
	lifetime, rotation func() time.Duration
	perAccount         func() int
}

// Agent is a client's installation (XEP-0388 §2.3).
type Agent struct {
	ID       string // see AgentID
	Software string // optional, as the next: only for people
	Device   string
}

// Token is what a client logs in with instead of a password.
type Token struct {
	Secret  string // as the client gets it
	Expires time.Time
}

// IssueToken makes a token for the account and mechanism of an exchange that has
// ended well, for a mechanism of TokenMechanisms; "" stands for that of the login
// with a token. It replaces one that the agent got and has not used; the one in
// use stays valid until the new one is used (XEP-0484 §3.5). It is to be called
// when the client asks for a token, and when TokenDue says so.
//
// The error is ErrMechanism; a *Failure for an agent without a UUID; wraps
// storage.ErrNotFound if the password was changed, the account banned or a token
// revoked since the login; or is the store's. The login is good without a token.
func (b *Backend) IssueToken(ctx context.Context, x *Exchange, agent Agent, mechanism string) (Token, error) {
	if mechanism == "" && x.token != nil {
		mechanism = x.token.name
	}
	m := b.tokenMechanism(x.conn, mechanism)
	id, ok := AgentID(agent.ID)
	switch {
	case !x.done:
		return Token{}, malformed("not logged in")
	case m == nil:
		return Token{}, fmt.Errorf("%w: %q", ErrMechanism, mechanism)
	case !ok:
		return Token{}, malformed("the id of the user agent is no UUID")
	}
	now := b.now().UTC()
	t := storage.Token{
		Agent: id, Software: bounded(agent.Software), Device: bounded(agent.Device),
		New: true, Mechanism: m.name, Nonce: make([]byte, nonceLen),
		// Whole seconds, so that what the client is told is what holds.
		Created: now, Used: now, Expires: now.Add(b.tokens.life()).Truncate(time.Second), Count: -1,
	}
	rand.Read(t.Nonce) // never fails
	if err := b.store.AddToken(ctx, x.claimed, x.epoch, t, b.tokens.agents()); err != nil {
		return Token{}, err
	}
	return Token{string(b.tokens.secret(x.claimed, id, m.name, t.Nonce)), t.Expires}, nil
}

// TokenDue reports whether the client that logged in with a token is to get
// another: the token has reached the age of rotation, or half of its time is over
// where that comes first. A token that was invalidated is not replaced (XEP-0484
// §3.6).
func (x *Exchange) TokenDue() bool {
	if !x.done || x.token == nil || x.token.use.Invalidate {
		return false
	}
	t := &x.token.found
	age := min(x.backend.tokens.rotate(), t.Expires.Sub(t.Created)/2)
	return x.backend.now().Sub(t.Created) >= age
}

// Tokens lists the tokens of an account by agent; storage.ErrNotFound without an
// account. There are no secrets in it.
func (b *Backend) Tokens(ctx context.Context, user jid.JID) ([]storage.Token, error) {
	return b.store.Tokens(ctx, user.Bare())
}

// RevokeTokens takes the tokens of an agent away, or those of all with an empty
// id, and returns how many there were. Sessions stay as they are.
// storage.ErrNotFound without an account.
func (b *Backend) RevokeTokens(ctx context.Context, user jid.JID, agent string) (int, error) {
	return b.store.RevokeTokens(ctx, user.Bare(), strings.ToLower(agent))
}

// secret derives what the client gets. Knowing the database, nonce and all, is of
// no use without the key; and a row that was copied to another account, agent or
// mechanism makes another secret.
func (o *tokenOptions) secret(user jid.JID, agent, mechanism string, nonce []byte) []byte {
	h := hmac.New(sha256.New, o.key)
	var length [4]byte
	for _, part := range [...]string{"xmppd token 1", user.String(), agent, mechanism, string(nonce)} {
		binary.BigEndian.PutUint32(length[:], uint32(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	return base64.RawURLEncoding.AppendEncode(nil, h.Sum(nil))
}

func (o *tokenOptions) life() time.Duration   { return asked(o.lifetime, defaultTokenLifetime) }
func (o *tokenOptions) rotate() time.Duration { return asked(o.rotation, defaultTokenRotation) }
func (o *tokenOptions) agents() int           { return asked(o.perAccount, defaultTokensPerAccount) }

// asked is what a live option says, or the default.
func asked[T int | time.Duration](option func() T, otherwise T) T {
	if option != nil {
		if v := option(); v > 0 {
			return v
		}
	}
	return otherwise
}

// AgentID prepares the id of a user agent, which is a UUID (XEP-0388 §2.3) in the
// form of RFC 9562 §4: letters come in either case and go in lower case. It
// reports false for anything else.
func AgentID(s string) (string, bool) {
	if len(s) != 36 {
		return "", false
	}
	s = strings.ToLower(s)
	for i := range len(s) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if c := s[i]; dash && c != '-' || !dash && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", false
		}
	}
	return s, true
}

// bounded cuts a text between two characters.
func bounded(s string) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "")
	if len(s) <= maxAgentText {
		return s
	}
	n := maxAgentText
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
