package auth

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// saltLen is the length of all salts, real and made up.
const saltLen = 16

// algorithm is a hash function that SCRAM runs on.
type algorithm struct {
	name string // as in storage.Credential
	new  func() hash.Hash
	size int
}

func (a *algorithm) mechanism(plus bool) string {
	if plus {
		return "SCRAM-" + a.name + "-PLUS"
	}
	return "SCRAM-" + a.name
}

// algorithms is what every account has a credential for, strongest first. It is
// never changed. An account that lacked one could not log in with a mechanism
// that its client has pinned, and would differ from the unknown.
var algorithms = [...]algorithm{
	{"SHA-512", sha512.New, sha512.Size},
	{"SHA-256", sha256.New, sha256.Size},
	{"SHA-1", sha1.New, sha1.Size},
}

func (a *algorithm) hmac(key []byte, text string) []byte {
	h := hmac.New(a.new, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func (a *algorithm) sum(b []byte) []byte {
	h := a.new()
	h.Write(b)
	return h.Sum(nil)
}

// credential derives what is stored (RFC 5802 §3) from a prepared password. It
// takes milliseconds: callers hold a token of Backend.hashing.
func (a *algorithm) credential(prepared string, salt []byte, iterations int) (storage.Credential, error) {
	salted, err := pbkdf2.Key(a.new, prepared, salt, iterations, a.size)
	if err != nil {
		return storage.Credential{}, fmt.Errorf("hash password: %w", err)
	}
	return a.fromSalted(salted, salt, iterations), nil
}

// fromSalted derives what is stored from the SaltedPassword.
func (a *algorithm) fromSalted(salted, salt []byte, iterations int) storage.Credential {
	return storage.Credential{
		Hash:       a.name,
		Iterations: iterations,
		Salt:       salt,
		StoredKey:  a.sum(a.hmac(salted, "Client Key")),
		ServerKey:  a.hmac(salted, "Server Key"),
	}
}

// Derive returns what is stored of a password, one credential for each hash,
// each with a salt of its own. The error wraps ErrPassword for a password that
// cannot be used, or is ctx's if it ended while waiting for a free processor.
func (b *Backend) Derive(ctx context.Context, password string) ([]storage.Credential, error) {
	prepared, err := prepare(password)
	if err != nil {
		return nil, err
	}
	return b.derive(ctx, prepared, algorithms[:])
}

func (b *Backend) derive(ctx context.Context, prepared string, with []algorithm) (creds []storage.Credential, err error) {
	if err := b.beginHashing(ctx); err != nil {
		return nil, err
	}
	defer b.endHashing()
	iterations := b.iterationCount()
	creds = make([]storage.Credential, len(with))
	for i := range with {
		if creds[i], err = with[i].credential(prepared, newSalt(), iterations); err != nil {
			return nil, err
		}
	}
	return creds, nil
}

func newSalt() []byte {
	salt := make([]byte, saltLen)
	rand.Read(salt) // never fails
	return salt
}

// Register creates an account. The error wraps ErrPassword, jid.ErrMalformed
// for an address that is not that of a user, or is the store's:
// storage.ErrExists for one that is taken.
func (b *Backend) Register(ctx context.Context, user jid.JID, password string) error {
	if user.Local() == "" || !user.IsBare() {
		return fmt.Errorf("register %q: %w", user, jid.ErrMalformed)
	}
	creds, err := b.Derive(ctx, password)
	if err != nil {
		return err
	}
	return b.store.CreateAccount(ctx, user, creds)
}

// SetPassword replaces the password of an account and revokes its tokens. The error wraps ErrPassword
// or is the store's: storage.ErrNotFound without an account.
func (b *Backend) SetPassword(ctx context.Context, user jid.JID, password string) error {
	creds, err := b.Derive(ctx, password)
	if err != nil {
		return err
	}
	return b.store.SetCredentials(ctx, user.Bare(), creds)
}

// CheckPassword reports whether a password is that of an account, banned or
// not. An account that does not exist has none, and takes as long to say so.
// The error is the store's or ctx's. Nothing is delayed or counted.
func (b *Backend) CheckPassword(ctx context.Context, user jid.JID, password string) (bool, error) {
	_, ok, err := b.verify(ctx, user.Bare(), password)
	return ok, err
}

// verify hashes a password for the strongest credential of an account, which it
// returns, and compares.
func (b *Backend) verify(ctx context.Context, user jid.JID, password string) (storage.Credential, bool, error) {
	prepared, err := prepare(password)
	if err != nil {
		// No account can have it. That this is answered sooner tells about
		// the password, not about the account.
		return storage.Credential{}, false, nil
	}
	known, a, err := b.lookup(ctx, user, algorithms[:])
	if err != nil {
		return known, false, err
	}
	if err := b.beginHashing(ctx); err != nil {
		return known, false, err
	}
	defer b.endHashing()
	given, err := a.credential(prepared, known.Salt, known.Iterations)
	if err != nil {
		return known, false, err
	}
	return known, subtle.ConstantTimeCompare(given.StoredKey, known.StoredKey) == 1, nil
}

// lookup returns the account's credential for the first of the algorithms that
// it has one for, a made-up one for the first if it has none or does not exist.
func (b *Backend) lookup(ctx context.Context, user jid.JID, among []algorithm) (storage.Credential, *algorithm, error) {
	fake := b.fake(user, &among[0]) // always, so that both cases cost the same
	account, err := b.store.Account(ctx, user)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return storage.Credential{}, nil, fmt.Errorf("load account: %w", err)
	}
	for i := range among {
		if c := find(account, among[i].name); c != nil {
			return *c, &among[i], nil
		}
	}
	return fake, &among[0], nil
}

func find(account storage.Account, hash string) *storage.Credential {
	for i := range account.Credentials {
		if c := &account.Credentials[i]; c.Hash == hash {
			return c
		}
	}
	return nil
}

// fake makes up the credential of an account that does not exist: for ever the
// same, on every node, and with keys that no password hashes to.
func (b *Backend) fake(user jid.JID, a *algorithm) storage.Credential {
	derive := func(purpose string) []byte {
		h := hmac.New(sha512.New, b.fakeKey)
		h.Write([]byte(purpose + "\x00" + a.name + "\x00" + user.String()))
		return h.Sum(nil)
	}
	return storage.Credential{
		Hash:       a.name,
		Iterations: b.iterationCount(),
		Salt:       derive("salt")[:saltLen],
		StoredKey:  derive("stored key")[:a.size],
		ServerKey:  derive("server key")[:a.size],
	}
}

// admit is the last word after the password has been proven against used.
func (x *Exchange) admit(used storage.Credential) *Failure {
	account, f := x.backend.current(x.ctx, x.claimed, used)
	x.used, x.epoch, x.lacks = used, account.Epoch, lacking(account)
	return f
}

// current reads the account again: it may have been banned, removed or given
// another password while the client was computing.
func (b *Backend) current(ctx context.Context, user jid.JID, used storage.Credential) (storage.Account, *Failure) {
	account, err := b.store.Account(ctx, user)
	if errors.Is(err, storage.ErrNotFound) {
		return account, &Failure{Condition: NotAuthorized, cause: err}
	}
	if err != nil {
		return account, unavailable(fmt.Errorf("load account: %w", err))
	}
	c := find(account, used.Hash)
	if c == nil || subtle.ConstantTimeCompare(c.StoredKey, used.StoredKey) == 0 {
		return account, &Failure{Condition: NotAuthorized, cause: errors.New("password changed meanwhile")}
	}
	if account.Ban != nil {
		return account, disabled(account.Ban)
	}
	return account, nil
}

func (b *Backend) iterationCount() int {
	if b.iterations != nil {
		if n := b.iterations(); n > 0 {
			return n
		}
	}
	return DefaultIterations
}

func (b *Backend) beginHashing(ctx context.Context) error {
	select {
	case b.hashing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait to hash password: %w", context.Cause(ctx))
	}
}

func (b *Backend) endHashing() { <-b.hashing }
