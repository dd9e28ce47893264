package storage

import "time"

// Token is one token of a client of an account (XEP-0484). Its secret is not
// stored: it is derived from Nonce and a key that is kept outside the database.
type Token struct {
	Agent     string // the id of the user agent, unique within the account
	Software  string // what the client says of itself
	Device    string
	New       bool   // issued and not yet used (XEP-0484 §5.1); an agent has at most one such token and one other
	Mechanism string // the only one that it may be used with
	Nonce     []byte // tells it from all others
	Created   time.Time
	Used      time.Time // the last time that was written down; Created if there is none
	Expires   time.Time
	Count     int64 // the highest count that it was used with, -1 for none
}

// TokenUse is a login with a token.
type TokenUse struct {
	Nonce  []byte // of the token
	At     time.Time
	Count  int64 // must be above the token's, -1 for none
	Remove bool  // it was the last: forget all tokens of the agent
}

// Access is what a login with a token needs to know of an account.
type Access struct {
	Epoch  int64   // see Account
	Ban    *Ban    // nil: not banned
	Tokens []Token // of one agent, the new one first
}
