// Package auth decides who may log in: the SASL mechanisms PLAIN (RFC 4616),
// SCRAM with SHA-1, SHA-256 and SHA-512, with and without channel binding
// (RFC 5802, RFC 7677), and hashed tokens (XEP-0484), the credentials they check
// and the delays that failed attempts earn.
//
// It knows nothing of streams. A caller names the mechanisms of a connection
// with Mechanisms and TokenMechanisms, begins one with Start or StartToken and
// feeds it what the client sent, be it in the elements of RFC 6120 §6 or of
// XEP-0388; Decode reads their text. Behind a login by password the client may
// hand in credentials that the account lacks (XEP-0480): NextUpgrade.
//
// Nobody learns here whether an account exists: an unknown one gets the same
// exchange with a made-up salt that never changes, and the same refusal.
package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"time"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// DefaultIterations is the PBKDF2 iteration count where none is configured.
const DefaultIterations = 10_000

// ErrMechanism is returned for a mechanism that is not offered on the connection;
// a client that starts it is told invalid-mechanism (RFC 6120 §6.5.7).
var ErrMechanism = errors.New("mechanism not offered")

// Store is what auth needs of the database.
type Store interface {
	// Account returns storage.ErrNotFound for an address without an account.
	// Every other error counts as trouble of the database.
	Account(ctx context.Context, user jid.JID) (storage.Account, error)
	// CreateAccount returns storage.ErrExists if there is one already.
	CreateAccount(ctx context.Context, user jid.JID, c []storage.Credential) error
	// SetCredentials replaces all of them and revokes the account's tokens;
	// storage.ErrNotFound without an account.
	SetCredentials(ctx context.Context, user jid.JID, c []storage.Credential) error
	// AddCredentials adds those for hashes that the account has none for;
	// storage.ErrNotFound without an account that is in this epoch.
	AddCredentials(ctx context.Context, user jid.JID, epoch int64, c []storage.Credential) error

	// Access returns storage.ErrNotFound without an account.
	Access(ctx context.Context, user jid.JID, agent string) (storage.Access, error)
	// AddToken puts a token into the agent's slot for new ones and takes those of
	// the least recently used agents away if there are more than limit;
	// storage.ErrNotFound without an account that is in this epoch.
	AddToken(ctx context.Context, user jid.JID, epoch int64, t storage.Token, limit int) error
	// UseToken notes a login as XEP-0484 §5.1 has it; storage.ErrNotFound for a
	// token that is gone or was used with that count.
	UseToken(ctx context.Context, user jid.JID, agent string, use storage.TokenUse) error
	// Tokens lists all of an account; storage.ErrNotFound without one.
	Tokens(ctx context.Context, user jid.JID) ([]storage.Token, error)
	// RevokeTokens ends the epoch and forgets the tokens of an agent, "": of all;
	// storage.ErrNotFound without an account.
	RevokeTokens(ctx context.Context, user jid.JID, agent string) (int, error)

	// Meta returns storage.ErrNotFound for a missing key.
	Meta(ctx context.Context, key string) ([]byte, error)
	// PutMetaOnce stores a value unless there is one, and returns what is there.
	PutMetaOnce(ctx context.Context, key string, value []byte) ([]byte, error)
}

// Options are the settings of a Backend; the zero value is ready for use.
type Options struct {
	// Iterations is asked for each new credential and each made-up one, so
	// that a reloaded configuration applies at once. Nil or a result below 1:
	// DefaultIterations.
	Iterations func() int
	// Pair and Address say how failures delay answers, by address and account
	// and by address alone. A zero Limit is replaced by the default.
	Pair, Address Limit
	// TableSize bounds the entries of each of the two tables. 0: 16384.
	TableSize int
	// Parallel is how many passwords are hashed at a time. 0: half of the
	// processors, rounded up, so that a flood of them leaves room for the rest.
	Parallel int
	// TokenKey is what the secrets of tokens are derived with, 32 bytes or more;
	// see LoadTokenKey. Without one there are no tokens.
	TokenKey []byte
	// TokenLifetime is how long a token is good for, TokenRotation the age at
	// which it is due to be replaced, TokensPerAccount how many clients of an
	// account may hold tokens. They are asked each time. Nil or a result below 1:
	// 30 days, a day, 32.
	TokenLifetime, TokenRotation func() time.Duration
	TokensPerAccount             func() int
	// Now is the clock of the delays and of the tokens. Nil: time.Now.
	Now func() time.Time
}

// Backend answers for all accounts of all domains. Its methods may be called
// from any goroutine.
type Backend struct {
	store      Store
	iterations func() int
	fakeKey    []byte
	hashing    chan struct{} // holds one token per password being hashed
	throttle   *throttle
	tokens     tokenOptions
	now        func() time.Time
}

// fakeKeyName is where the store's meta table keeps the key of made-up salts.
const fakeKeyName = "auth.fake_salt_key"

// New returns a backend on a store. The key of the made-up salts is read from
// there or, by the first node that ever starts, put there: a salt that changed
// with a restart or from node to node would give an unknown account away.
func New(ctx context.Context, store Store, o Options) (*Backend, error) {
	key, err := store.Meta(ctx, fakeKeyName)
	if errors.Is(err, storage.ErrNotFound) {
		fresh := make([]byte, 32)
		rand.Read(fresh) // never fails
		key, err = store.PutMetaOnce(ctx, fakeKeyName, fresh)
	}
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", fakeKeyName, err)
	}
	if len(key) < 32 {
		return nil, fmt.Errorf("load %s: %d bytes, want at least 32", fakeKeyName, len(key))
	}
	if o.TokenKey != nil && len(o.TokenKey) < tokenKeyLen {
		return nil, fmt.Errorf("token key: %d bytes, want at least %d", len(o.TokenKey), tokenKeyLen)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	parallel := o.Parallel
	if parallel <= 0 {
		parallel = (runtime.GOMAXPROCS(0) + 1) / 2
	}
	return &Backend{
		store:      store,
		iterations: o.Iterations,
		fakeKey:    key,
		hashing:    make(chan struct{}, parallel),
		throttle:   newThrottle(o),
		tokens:     tokenOptions{o.TokenKey, o.TokenLifetime, o.TokenRotation, o.TokensPerAccount},
		now:        o.Now,
	}, nil
}

// Conn is what the mechanisms know about a connection. What is offered depends on
// nothing else, so it must be the same from the features to the login.
type Conn struct {
	Domain   jid.JID    // the virtual host of the stream: accounts are localparts of it
	TLS      bool       // whether what the client sends is protected, by TLS here or by a trusted proxy
	Addr     netip.Addr // where the client is, for the delays
	Bindings []Binding  // strongest first; none where TLS ends elsewhere
}

// Mechanisms lists what is offered on a connection, strongest first, the same in
// both profiles of SASL. It depends on nothing but c: clients refuse a list that
// is weaker than one they have seen, and check that they got all of it (XEP-0474).
func (b *Backend) Mechanisms(c Conn) []string {
	names := make([]string, 0, 2*len(algorithms)+1)
	if len(c.Bindings) > 0 {
		for i := range algorithms {
			names = append(names, algorithms[i].mechanism(true))
		}
	}
	for i := range algorithms {
		names = append(names, algorithms[i].mechanism(false))
	}
	if c.TLS {
		names = append(names, sasl.Plain.Name)
	}
	return names
}

// Start begins an exchange. It returns ErrMechanism for one that Mechanisms
// does not list for c.
func (b *Backend) Start(c Conn, mechanism string) (*Exchange, error) {
	x := &Exchange{backend: b, conn: c}
	if c.TLS && mechanism == sasl.Plain.Name {
		x.frame = sasl.NewServer(sasl.Plain, x.permitPlain)
		return x, nil
	}
	x.plus = strings.HasSuffix(mechanism, "-PLUS")
	for i := range algorithms {
		if a := &algorithms[i]; mechanism == a.mechanism(x.plus) && (!x.plus || len(c.Bindings) > 0) {
			x.frame = sasl.NewServer(x.scram(a), nil)
			return x, nil
		}
	}
	return nil, fmt.Errorf("%w: %q", ErrMechanism, mechanism)
}
