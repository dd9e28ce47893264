package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// MaxResponse limits one response of a client in bytes, after base64. Both
// names of a PLAIN message at their longest and a long password fit.
const MaxResponse = 8192

// Exchange is one run of a mechanism. It belongs to one goroutine.
//
// The steps are counted and dispatched by sasl.Negotiator. That frame has no
// contexts and its permission callback answers only yes or no, so the exchange
// carries the context of the current Step and the callback's reason for it.
type Exchange struct {
	backend *Backend
	conn    Conn
	frame   *sasl.Negotiator
	plus    bool        // the mechanism needs channel binding
	token   *tokenLogin // nil: by password

	ctx     context.Context // of the Step that is running
	refusal *Failure        // why the permission callback said no
	claimed jid.JID
	used    storage.Credential // that was proven
	epoch   int64              // of the account, when it was
	lacks   []algorithm        // that the account has no credential for
	upgrade *upgrade           // the task under way
	delay   time.Duration
	begun   bool
	over    bool
	done    bool
}

// Step takes what the client sent, decoded, and returns what to send it: a
// challenge, or with done the additional data of success, nil if there is none.
// An error is always a *Failure and ends the exchange; after the end every
// further call fails. Before the client is told the outcome Delay has to pass.
//
// A nil response begins an exchange for a client that sent no initial response
// and is answered by an empty challenge (RFC 6120 §6.4.2); an empty response is
// not nil. Step keeps no reference to response.
func (x *Exchange) Step(ctx context.Context, response []byte) (challenge []byte, done bool, err error) {
	switch {
	case x.over:
		return nil, false, malformed("the exchange is over")
	case response == nil && x.token != nil:
		return nil, false, x.fail(malformed("initial response missing")) // XEP-0484 §3.1: one round trip
	case response == nil && !x.begun:
		x.begun = true
		return []byte{}, false, nil
	case len(response) > MaxResponse:
		return nil, false, x.fail(malformed("response too long"))
	}
	x.begun = true
	x.ctx = ctx
	more, challenge, err := x.frame.Step(response)
	x.ctx = nil
	if err != nil {
		return nil, false, x.fail(x.reason(err))
	}
	if more {
		return challenge, false, nil
	}
	x.over, x.done = true, true
	if x.token != nil {
		return challenge, true, nil
	}
	// Taken before success clears the entry: a right guess among many at a
	// time must not come back sooner than the wrong ones.
	x.delay = x.backend.Delay(x.conn.Addr, x.claimed)
	x.backend.Succeeded(x.conn.Addr, x.claimed)
	return challenge, true, nil
}

// User is the bare address that logged in; zero unless Step has returned done.
func (x *Exchange) User() jid.JID {
	if !x.done {
		return jid.JID{}
	}
	return x.claimed
}

// Still returns nil if the account that logged in exists, is open and has the
// password that was proven, or has had no token revoked since; otherwise a
// *Failure. Time passes between a login and the session: whoever removes or bans
// an account ends the sessions that there are, and a session asks this once it
// can be found.
func (x *Exchange) Still(ctx context.Context) error {
	if !x.done {
		return malformed("not logged in")
	}
	var f *Failure
	if x.token != nil {
		f = x.stillGood(ctx)
	} else {
		_, f = x.backend.current(ctx, x.claimed, x.used)
	}
	if f != nil {
		return f
	}
	return nil
}

// Claimed is the account that the client named, whether it exists or not, for
// the log; zero before it named one that could exist.
func (x *Exchange) Claimed() jid.JID { return x.claimed }

// Delay is how long to wait before the client is told how the exchange ended,
// whatever the outcome; never with a token.
func (x *Exchange) Delay() time.Duration { return x.delay }

func (x *Exchange) fail(f *Failure) *Failure {
	x.over = true
	if x.token != nil {
		return f // see StartToken
	}
	if f.Condition == NotAuthorized {
		x.backend.Failed(x.conn.Addr, x.claimed)
	}
	x.delay = x.backend.Delay(x.conn.Addr, x.claimed)
	return f
}

// reason translates what came through the frame.
func (x *Exchange) reason(err error) *Failure {
	var f *Failure
	switch {
	case errors.As(err, &f):
		return f
	case x.refusal != nil:
		return x.refusal
	case errors.Is(err, sasl.ErrAuthn):
		return &Failure{Condition: NotAuthorized}
	}
	return &Failure{Condition: MalformedRequest, cause: err}
}

// claim notes the account that the client names as its own. The name is a
// localpart; a bare address of the same domain is taken too, because some
// clients send one and no localpart contains an "@". The authorization identity
// may only repeat the account (RFC 6120 §6.3.8). Both checks come before the
// password because they tell nothing about what is stored.
func (x *Exchange) claim(name, authzid string) *Failure {
	local, domain, found := strings.Cut(name, "@")
	if found {
		if d, err := jid.Parse(domain); err != nil || d != x.conn.Domain {
			return &Failure{Condition: NotAuthorized, cause: errors.New("name of another domain")}
		}
	}
	if local == "" {
		return &Failure{Condition: NotAuthorized, cause: errors.New("empty name")}
	}
	user, err := jid.New(local, x.conn.Domain.Domain(), "")
	if err != nil {
		return &Failure{Condition: NotAuthorized, cause: err}
	}
	x.claimed = user
	if authzid == "" {
		return nil
	}
	if as, err := jid.Parse(authzid); err != nil || as != user {
		return &Failure{Condition: InvalidAuthzid}
	}
	return nil
}

// Decode reads the text of an <auth/>, <response/> or <initial-response/>
// element: nil for none, an empty slice for "=" (RFC 6120 §6.4.2). The error is
// a *Failure, for text that is not base64 or too long.
func Decode(text []byte) ([]byte, error) {
	switch {
	case len(text) == 0:
		return nil, nil
	case string(text) == "=":
		return []byte{}, nil
	case base64.StdEncoding.DecodedLen(len(text)) > MaxResponse+2:
		return nil, malformed("response too long")
	}
	b, err := decode64(text)
	if err != nil {
		return nil, &Failure{Condition: IncorrectEncoding, cause: err}
	}
	return b, nil
}

// decode64 is strict: RFC 4648 §3.3 and §3.5 allow neither line breaks nor
// stray bits, while the standard decoder skips the former.
func decode64(b []byte) ([]byte, error) {
	for _, c := range b {
		if c == '\r' || c == '\n' {
			return nil, errors.New("decode base64: line break")
		}
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(b)))
	n, err := base64.StdEncoding.Strict().Decode(out, b)
	if err != nil {
		return nil, fmt.Errorf("decode base64: %w", err)
	}
	return out[:n], nil
}
