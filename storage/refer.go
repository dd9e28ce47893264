package storage

import (
	"bytes"
	"hash/fnv"
	"strings"

	"github.com/xmppd/xmppd/jid"
)

// Key is what the stores index the id of a message by, within its chat. It is negative
// if side has FromOwner, else positive, so that nobody is in the way of who looks for a
// message of the other side; 0 is for no id. Different ids may have the same key.
func Key(id string, side Flags) int64 {
	if id == "" {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(id))
	key := max(1, int64(h.Sum64()>>1))
	if side.Has(FromOwner) {
		return -key
	}
	return key
}

// Read moves the read position of a chat forward to a message that the owner has
// seen, if the chat has it; a message of the owner himself is none. An unknown one
// changes nothing.
type Read struct {
	Owner jid.JID // bare
	Chat  jid.JID
	ID    string   // as its sender gave it
	By    *Message // the row of the same run that brings it: nothing changes if that is refused; nil: none
}

func (*Read) write() {}

// Retraction puts a tombstone in the place of the newest message of a chat with
// that id, and of its corrections (XEP-0424). An unknown one changes nothing. If there
// are more than RetractStep corrections, the store goes on in the write groups that
// follow.
type Retraction struct {
	Owner     jid.JID // bare
	Chat      jid.JID
	FromOwner bool     // the owner retracts; else the peer does
	ID        string   // of the message
	Element   []byte   // stands in place of the message's content
	By        *Message // as in Read

	// Of and Below are for the store, which goes on: the seq of the message, a tombstone by
	// now, and that of the oldest correction that has been looked at. 0: it begins.
	Of, Below int64
}

// RetractStep is how many corrections a write group looks at for one Retraction.
const RetractStep = 100

// Rest is what is left of a retraction. It shares nothing with r.
func (r *Retraction) Rest(of, below int64) *Retraction {
	return &Retraction{
		Owner: r.Owner, Chat: r.Chat, FromOwner: r.FromOwner, ID: strings.Clone(r.ID), Element: bytes.Clone(r.Element),
		Of: of, Below: below,
	}
}

// Side is FromOwner or 0: who has sent what is retracted.
func (r *Retraction) Side() Flags {
	if r.FromOwner {
		return FromOwner
	}
	return 0
}

func (*Retraction) write() {}

// Corrects reports whether m is a correction: its chat has an original by the same side,
// and a person who finds m there finds that, too. What only says that it corrects
// something is a message like others (XEP-0308 §4).
func (m *Message) Corrects() bool {
	return m.Original != 0 && (m.Original.Has(Shown) || !m.Flags.Has(Shown))
}

// Kept are the flags that are stored. A correction is not one more to be read.
func (m *Message) Kept() Flags {
	if m.Corrects() {
		return m.Flags &^ (Unique | Unread)
	}
	return m.Flags &^ Unique
}

// Ref is the Key of the message that m corrects; 0: of none.
func (m *Message) Ref() int64 {
	if !m.Corrects() {
		return 0
	}
	return Key(m.Replaces, m.Flags)
}
