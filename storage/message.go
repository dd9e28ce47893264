package storage

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/xmppd/xmppd/jid"
)

// Flags say what a row of the message log is for.
type Flags uint16

// The flags of a row.
const (
	// Archived rows are seen in the archive of their owner and stay when they have
	// been delivered; other rows go then.
	Archived Flags = 1 << iota
	// FromOwner rows were sent by the owner: they need not be delivered to it.
	FromOwner
	// Waiting rows had nobody to take them when they came: they count towards the
	// limits of messages that wait.
	Waiting
	// Shown rows are what a person sees in a chat: the newest one stands in the inbox.
	Shown
	// Unread rows count as unread while they are above the read position. Of
	// received rows only. The store takes it off those that correct others.
	Unread
	// ReadsChat rows move the read position of their chat to themselves: who
	// answers has read. Of sent rows only.
	ReadsChat
	// Unique rows are refused with ErrExists if the chat has a row with the same ID and
	// the same text, in the same direction, that arrived within the last hour: the sender
	// did not know that it had been taken. It is not stored.
	Unique
	// Tombstone rows have been retracted; XML is what stands in their place.
	Tombstone
)

// Has reports whether any bit of m is set.
func (f Flags) Has(m Flags) bool { return f&m != 0 }

// UniqueFor is how long the repetition of a Unique row is recognised.
const UniqueFor = time.Hour

// Message is a row of the message log: one copy of a message, of its sender or of
// its recipient. In memory XML may alias a read buffer until the write group that
// takes it has been committed.
type Message struct {
	Owner jid.JID // whose copy this is, bare
	// Seq is the position in the owner's log, taken inside the transaction; 0
	// before. Rows become visible in its order.
	Seq   int64
	Tag   int64 // 63 random bits, set with Seq; see StanzaID
	Flags Flags
	Peer  jid.JID // the other side, as in the stanza
	// Arrived is never earlier than that of the row before: the store moves it.
	Arrived time.Time
	XML     []byte // canonical form: no xmlns='jabber:client' on the root, no stanza-id of the owner

	// The rest is of archived rows.

	Chat     jid.JID // the conversation: the peer's bare JID, or an occupant's full JID
	ID       string  // the message's id, by which others refer to it; "": none
	Replaces string  // the ID of the message that this one says it corrects (XEP-0308); "": none
	Text     *Text   // what search finds it by, shared with the other side's copy; nil: nothing

	// Original are the flags of the row that Replaces names: the newest with that ID in
	// the chat, by the same side. The store sets it before Log.Add; 0: there is none.
	Original Flags

	// Limit and LimitBytes bound what may wait for the owner, this row included:
	// messages, and bytes of XML. Beyond it a row with the flag Waiting is refused
	// with ErrTooMany. 0: no limit. They are not stored.
	Limit      int
	LimitBytes int64

	// After is a row ahead of this one in the same run; if that is refused, so is this
	// one, with ErrTooMany. nil: none.
	After *Message
}

func (*Message) write() {}

// Refused reports whether a row that was to be stored has not been. It is for the
// stores, of a row of their write group when all of its messages have been added; nil
// is none.
func (m *Message) Refused() bool {
	return m != nil && m.Flags.Has(Archived|Waiting) && m.Seq == 0
}

// Text is the entry of a message in the index of words. Both copies of a message
// point to the same one; the stores fill it.
type Text struct {
	ID int64 // in the order of the log of each owner; 0 before it is stored
	// Rows are the copies: those of which both are set exist.
	Owners, Seqs [2]int64
}

// StanzaID is the public id of the row (XEP-0359), "" before it is stored.
func (m *Message) StanzaID() string {
	if m.Seq == 0 {
		return ""
	}
	return string(AppendStanzaID(nil, m.Seq, m.Tag))
}

// stanzaIDSize is the length of an id in bytes.
const stanzaIDSize = 22

// AppendStanzaID appends the public id of a row. It tells nobody how many rows
// there are without the tag, which stands in it, and nobody can guess another.
func AppendStanzaID(dst []byte, seq, tag int64) []byte {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(tag))
	binary.BigEndian.PutUint64(b[8:], uint64(seq)^scatter(uint64(tag)))
	return base64.RawURLEncoding.AppendEncode(dst, b[:])
}

// ParseStanzaID is the reverse; ok is false for what no store has made.
func ParseStanzaID(id string) (seq, tag int64, ok bool) {
	if len(id) != stanzaIDSize {
		return 0, 0, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(id)
	if err != nil || len(b) != 16 { // the decoder skips line breaks
		return 0, 0, false
	}
	tag = int64(binary.BigEndian.Uint64(b[:8]))
	seq = int64(binary.BigEndian.Uint64(b[8:]) ^ scatter(uint64(tag)))
	return seq, tag, seq > 0 && tag >= 0
}

// scatter spreads the bits of a number over all 64 (the finalizer of SplitMix64).
func scatter(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Range is a number of seqs without a gap, both ends included.
type Range struct{ First, Last int64 }

// Confirmed says which rows of a log have reached one of the owner's clients.
type Confirmed struct {
	Owner  jid.JID // bare
	Ranges []Range // sorted, disjoint
}

// Mark asks for the end of a log at its place in the order of runs: rows of
// earlier runs are at most Seq, those of later ones are above it. It writes nothing.
type Mark struct {
	Owner jid.JID // bare
	Seq   int64   // set with the commit
}

func (*Mark) write() {}

// ArchiveQuery selects rows of an archive (XEP-0313). Only rows with the flag
// Archived are in it.
type ArchiveQuery struct {
	Owner jid.JID // bare
	// With is the other side: a full JID matches only itself, a bare one with any
	// resource; the owner's own address matches what he sent to himself. Zero: all.
	With       jid.JID
	Start, End time.Time // of arrival, both included; zero: open
	After      int64     // a seq, excluded; 0: open
	Before     int64     // a seq, excluded; 0: open
	// Words are those that have to stand in the text of a row, as the index knows
	// them; Match decides in the end, and alone about rows that are not in the index
	// yet. No words: all rows, and Match is nil.
	Words []string
	Match func(*Message) bool

	Limit    int  // rows; at least 1
	Backward bool // the newest first

	// Size, unless it is nil, is set to the number of rows of the whole archive, or
	// of all with a bare With, if the query finds a row and has no Words.
	Size *int64
}

// PeerRows is how many rows of a conversation a query looks at whose With is a full
// JID: there is no index of these. One that has not found its rows by then fails.
const PeerRows = 100_000

// ErrPeerRows is the error of such a query.
var ErrPeerRows = fmt.Errorf("look at more than %d messages for one address: %w", PeerRows, ErrUnavailable)

// ArchiveEnd is the first or last row of an archive.
type ArchiveEnd struct {
	Seq, Tag int64
	Arrived  time.Time
}
