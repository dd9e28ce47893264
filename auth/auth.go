// Package auth decides who may log in: the SASL mechanisms PLAIN (RFC 4616) and
// SCRAM with SHA-1, SHA-256 and SHA-512 (RFC 5802, RFC 7677), the credentials
// they check and the delays that failed attempts earn.
//
// It knows nothing of streams. A caller names the mechanisms of a connection
// with Mechanisms, begins one with Start and feeds it what the client sent, be
// it in the elements of RFC 6120 §6 or of XEP-0388; Decode reads their text.
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
	"time"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// DefaultIterations is the PBKDF2 iteration count where none is configured.
const DefaultIterations = 10_000

// ErrMechanism is returned by Start for a mechanism that is not offered on the
// connection; the client is told invalid-mechanism (RFC 6120 §6.5.7).
var ErrMechanism = errors.New("mechanism not offered")

// Store is what auth needs of the database.
type Store interface {
	// Account returns storage.ErrNotFound for an address without an account.
	// Every other error counts as trouble of the database.
	Account(ctx context.Context, user jid.JID) (storage.Account, error)
	// CreateAccount returns storage.ErrExists if there is one already.
	CreateAccount(ctx context.Context, user jid.JID, c []storage.Credential) error
	// SetCredentials replaces all of them; storage.ErrNotFound without an account.
	SetCredentials(ctx context.Context, user jid.JID, c []storage.Credential) error
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
	// Now is the clock of the delays. Nil: time.Now.
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
	}, nil
}

// Conn is what the mechanisms know about a connection. Channel binding data
// will be a field here.
type Conn struct {
	Domain jid.JID    // the virtual host of the stream: accounts are localparts of it
	TLS    bool       // whether what the client sends is protected, by TLS here or by a trusted proxy
	Addr   netip.Addr // where the client is, for the delays
}

// Mechanisms lists what is offered on a connection, strongest first. It depends
// on nothing but c: clients refuse a list that is weaker than one they have seen.
func (b *Backend) Mechanisms(c Conn) []string {
	names := make([]string, 0, len(algorithms)+1)
	for i := range algorithms {
		names = append(names, algorithms[i].mechanism())
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
	for i := range algorithms {
		if a := &algorithms[i]; mechanism == a.mechanism() {
			x.frame = sasl.NewServer(x.scram(a), nil)
			return x, nil
		}
	}
	return nil, fmt.Errorf("%w: %q", ErrMechanism, mechanism)
}
