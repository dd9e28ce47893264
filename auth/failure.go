package auth

import (
	"fmt"

	"github.com/xmppd/xmppd/storage"
)

// The conditions of RFC 6120 §6.5, as they are named on the wire.
const (
	Aborted              = "aborted"
	AccountDisabled      = "account-disabled"
	CredentialsExpired   = "credentials-expired"
	EncryptionRequired   = "encryption-required"
	IncorrectEncoding    = "incorrect-encoding"
	InvalidAuthzid       = "invalid-authzid"
	InvalidMechanism     = "invalid-mechanism"
	MalformedRequest     = "malformed-request"
	MechanismTooWeak     = "mechanism-too-weak"
	NotAuthorized        = "not-authorized"
	TemporaryAuthFailure = "temporary-auth-failure"
)

// Failure is the error of every exchange that ends without a login. Condition
// and Text are for the client: neither depends on whether the account exists
// before its password has been proven. Error and Unwrap tell the cause, for logs.
type Failure struct {
	Condition string // one of the constants of this package
	Text      string // optional, in English
	cause     error
}

// Error names the condition and, where known, the cause.
func (f *Failure) Error() string {
	if f.cause != nil {
		return fmt.Sprintf("sasl %s: %v", f.Condition, f.cause)
	}
	if f.Text != "" {
		return fmt.Sprintf("sasl %s: %s", f.Condition, f.Text)
	}
	return "sasl " + f.Condition
}

// Unwrap returns the cause, nil if the client is all there is to blame.
func (f *Failure) Unwrap() error { return f.cause }

func malformed(text string) *Failure { return &Failure{Condition: MalformedRequest, Text: text} }

func disabled(ban *storage.Ban) *Failure {
	return &Failure{Condition: AccountDisabled, Text: ban.Reason}
}

// unavailable is the answer to trouble that is ours: a client told
// not-authorized would ask its user for another password.
func unavailable(cause error) *Failure {
	return &Failure{Condition: TemporaryAuthFailure, cause: cause}
}
