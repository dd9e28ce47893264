package storage

import (
	"crypto/rand"
	"encoding/binary"
	"time"
)

// Log is the part of an owner's row that a write group reads, advances for each
// message and writes back. Both stores number rows by it, so that what depends on
// their order is the same in both.
type Log struct {
	Owner   int64 // the owner's number in this store
	Next    int64 // the seq of the next message
	Last    int64 // when the latest message arrived, Unix microseconds
	Stored  int64 // messages in the archive
	Bytes   int64 // their XML
	Waiting int64 // messages that nobody took when they came, and nobody has confirmed
	Queued  int64 // their XML, bytes
	// Delivered is the delivery cursor: up to it every row has been confirmed or is
	// the owner's own. Confirmed are the rows above it of which that is true too.
	Delivered int64
	Confirmed Ranges

	Changed bool // it is to be written back
}

// Add gives the message its Seq and Tag, moves its time if need be, and takes it
// into the books of the log and of its chat, which is nil if it is not archived.
// It refuses a message at one of its limits with ErrTooMany.
func (l *Log) Add(m *Message, c *Chat) error {
	m.Seq = 0
	size := int64(len(m.XML))
	if m.Flags.Has(Waiting) {
		if m.Limit > 0 && l.Waiting >= int64(m.Limit) || m.LimitBytes > 0 && l.Queued+size > m.LimitBytes {
			return ErrTooMany
		}
		l.Waiting++
		l.Queued += size
	}
	m.Seq, m.Tag = l.Next, newTag()
	l.Next++
	l.Changed = true
	if at := m.Arrived.UnixMicro(); at < l.Last {
		m.Arrived = time.UnixMicro(l.Last).UTC()
	} else {
		l.Last = at
	}
	if m.Flags.Has(FromOwner) && l.Delivered == m.Seq-1 {
		l.Delivered = m.Seq
	}
	if m.Flags.Has(Archived) {
		l.Stored++
		l.Bytes += size
		c.add(m)
	}
	return nil
}

// Confirm takes ranges into the set that a client has for sure, and returns those
// that were not in it. Advance has to follow.
func (l *Log) Confirm(ranges []Range) (fresh []Range) {
	for _, n := range ranges {
		n.First, n.Last = max(n.First, l.Delivered+1), min(n.Last, l.Next-1)
		if n.First > n.Last {
			continue
		}
		fresh = append(fresh, l.Confirmed.Without(n)...)
		l.Confirmed = l.Confirmed.Add(n)
	}
	return fresh
}

// Gaps returns what is not confirmed next to ranges that Confirm has just taken, up to
// the last confirmed row. Join is to be told about each.
func (l *Log) Gaps(fresh []Range) (gaps []Range) {
	for _, gap := range l.Confirmed.Without(Range{l.Delivered + 1, l.Next - 1}) {
		for len(fresh) > 0 && fresh[0].Last < gap.First-1 {
			fresh = fresh[1:]
		}
		if len(fresh) == 0 || gap.Last == l.Next-1 {
			break
		}
		if fresh[0].Last == gap.First-1 || fresh[0].First == gap.Last+1 {
			gaps = append(gaps, gap)
		}
	}
	return gaps
}

// Join takes the owner's own rows at the beginning of a gap into the confirmed set: up
// to the first row that has to be delivered; 0: there is none. So a conversation makes
// few ranges, and nobody looks for that row in the same place again.
func (l *Log) Join(gap Range, pending int64) {
	if pending > 0 {
		gap.Last = pending - 1
	}
	l.Confirmed = l.Confirmed.Add(gap)
}

// Advance moves the cursor to just before the first row that is neither confirmed
// nor the owner's own; 0: there is none.
func (l *Log) Advance(pending int64) {
	if l.Delivered = l.Next - 1; pending > 0 {
		l.Delivered = pending - 1
	}
	for len(l.Confirmed) > 0 && l.Confirmed[0].First <= l.Delivered+1 {
		l.Delivered = max(l.Delivered, l.Confirmed[0].Last)
		l.Confirmed = l.Confirmed[1:]
	}
	l.Confirmed = l.Confirmed[:min(len(l.Confirmed), MaxRanges)]
}

// Pending reports whether a row has to be delivered to the owner yet.
func (l *Log) Pending(seq int64, f Flags) bool {
	return !f.Has(FromOwner) && seq > l.Delivered && !l.Confirmed.Has(seq)
}

// Taken takes rows with the flag Waiting, and the bytes of their XML, off what
// waits. They lose the flag.
func (l *Log) Taken(rows, size int64) {
	l.Waiting -= rows
	l.Queued -= size
	l.Changed = true
}

// Remove takes a row out of the archive's books and its chat's; size is that of its
// XML. It returns the flags that the row keeps, without a chat, an id or a text: it
// waits for delivery. 0: the row goes.
//
// Where it sets Shown or Last of the chat to 0 while rows are Stored, the store
// looks for what stands there now.
func (l *Log) Remove(c *Chat, seq int64, f Flags, size int64) Flags {
	l.Changed, c.Changed = true, true
	l.Stored--
	l.Bytes -= size
	c.Stored--
	if c.Last == seq {
		c.Last = 0
	}
	if c.Shown == seq {
		c.Shown, c.ShownID = 0, 0
	}
	if f.Has(Unread) && seq > c.Read {
		c.Unread--
	}
	switch {
	case !l.Pending(seq, f):
		if f.Has(Waiting) {
			l.Taken(1, size)
		}
		return 0
	case !f.Has(Waiting):
		l.Waiting++
		l.Queued += size
	}
	return f&Tombstone | Waiting
}

// Retract takes into the books that a row has become a tombstone, and its XML that
// had was bytes has now bytes. It returns the row's flags.
func (l *Log) Retract(c *Chat, seq int64, f Flags, was, now int64) Flags {
	l.Changed, c.Changed = true, true
	l.Bytes += now - was
	if f.Has(Waiting) {
		l.Queued += now - was
	}
	if f.Has(Unread) && seq > c.Read {
		c.Unread--
	}
	return f&^Unread | Tombstone
}

func newTag() int64 {
	var b [8]byte
	rand.Read(b[:])
	return int64(binary.BigEndian.Uint64(b[:]) >> 1)
}

// Chat is the part of a chat's row that a write group reads, changes and writes
// back (XEP-0430): one conversation of an owner.
type Chat struct {
	ID      int64 // the chat's number in this store
	Stored  int64 // rows of it in the archive
	Last    int64 // seq of the latest of them
	Shown   int64 // seq of the message that stands in the inbox: the latest, or its newest correction; 0: none
	ShownID int64 // Key of its ID, or of the ID that it corrects
	Unread  int64 // rows with the flag Unread above Read
	// Read is the read position: everything up to it has been read. It counts in
	// the archive of the owner, and only grows.
	Read int64

	Changed bool
}

func (c *Chat) add(m *Message) {
	c.Changed = true
	c.Stored++
	c.Last = m.Seq
	switch {
	case !m.Flags.Has(Shown):
	case !m.Corrects():
		c.Shown, c.ShownID = m.Seq, Key(m.ID, m.Flags)
	case c.Shown == 0, m.Ref() == c.ShownID:
		c.Shown, c.ShownID = m.Seq, m.Ref()
	}
	switch {
	case m.Flags.Has(ReadsChat):
		c.Read, c.Unread = m.Seq, 0
	case m.Kept().Has(Unread):
		c.Unread++
	}
}
