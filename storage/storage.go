// Package storage holds what both stores (storage/sqlite, storage/postgres)
// keep: row types, errors, the write group and a small key-value view. There is
// no SQL here. Interfaces that need queries are declared beside the package
// that uses them, in terms of these rows; both stores implement all of them.
package storage

import (
	"context"
	"errors"
	"time"

	"github.com/xmppd/xmppd/jid"
)

var (
	// ErrNotFound is returned when the row or account asked for does not exist.
	ErrNotFound = errors.New("not found")
	// ErrExists is returned when a row that must be new is there already.
	ErrExists = errors.New("exists already")
	// ErrTooMany is returned when a limit that the caller gave has been reached:
	// roster items, or messages that wait for an account.
	ErrTooMany = errors.New("too many")
	// ErrUnavailable is wrapped by errors that a later attempt may not meet: the
	// database is gone, busy beyond the timeout, or shutting down. Clients see
	// it as a stanza error of type wait or as temporary-auth-failure.
	ErrUnavailable = errors.New("database unavailable")
)

// Credential is what is stored of a password for one SCRAM hash (RFC 5802 §3).
type Credential struct {
	Hash       string // "SHA-1", "SHA-256" or "SHA-512"
	Iterations int
	Salt       []byte
	StoredKey  []byte
	ServerKey  []byte
}

// Account is a registered user.
type Account struct {
	JID         jid.JID // bare
	Credentials []Credential
	Created     time.Time
	Ban         *Ban // nil: not banned

	// Epoch grows when the password is changed, the account banned or a token
	// revoked: whatever was proven in an earlier epoch gives no new rights.
	Epoch int64
}

// Ban closes an account without removing it.
type Ban struct {
	Reason string
	Since  time.Time
}

// Subscription is the state of a roster item (RFC 6121 §2.1.2.5).
type Subscription uint8

// The bits of a subscription: To means the owner sees the contact's presence,
// From that the contact sees the owner's.
const (
	SubNone Subscription = 0
	SubTo   Subscription = 1
	SubFrom Subscription = 2
	SubBoth Subscription = SubTo | SubFrom
)

// String is the value of the subscription attribute.
func (s Subscription) String() string { return [...]string{"none", "to", "from", "both"}[s&3] }

// RosterItem is one contact of an account, together with its subscription
// requests (RFC 6121 Appendix A).
type RosterItem struct {
	Contact   jid.JID // bare
	Name      string
	Groups    []string // sorted, no duplicates
	Sub       Subscription
	Ask       bool   // an outbound request is pending ("ask='subscribe'")
	Approved  bool   // pre-approved (RFC 6121 §3.4)
	PendingIn []byte // the inbound request as it is to be delivered, nil: none pending
	Listed    bool   // the owner sees the item; false: it only holds PendingIn
	Version   uint64 // the roster version that last changed it
}

// RosterChange is what UpdateRoster found and left.
type RosterChange struct {
	Old, New RosterItem // Contact is set in both; New.Listed false: not (or no longer) in the roster
	Version  uint64     // the roster's version after the change
	Changed  bool       // whether anything was written
}

// RosterRemoval is a contact that left a roster, for versioning.
type RosterRemoval struct {
	Contact jid.JID // bare
	Version uint64  // the roster version that removed it
}

// KV is a small key-value store of one module, by account and key. Values are
// removed with the account.
type KV interface {
	// Get returns ErrNotFound for a missing key.
	Get(ctx context.Context, account jid.JID, key string) ([]byte, error)
	Put(ctx context.Context, account jid.JID, key string, value []byte) error
	// Delete removes a key; a missing one is no error.
	Delete(ctx context.Context, account jid.JID, key string) error
	// Keys lists the account's keys in order.
	Keys(ctx context.Context, account jid.JID) ([]string, error)
}
