package storage

// Log is the part of an owner's row that a write group reads, advances for each
// message and writes back.
type Log struct {
	Owner   int64 // the owner's number in this store
	Next    int64 // the seq of the next message
	Stored  int64 // messages in the log
	Bytes   int64 // their XML
	Changed bool  // Add has taken a message
}

// Add gives the message its Seq, or refuses it at one of its limits with
// ErrTooMany.
func (l *Log) Add(m *Message) error {
	m.Seq = 0
	size := int64(len(m.XML))
	if m.Limit > 0 && l.Stored >= int64(m.Limit) || m.LimitBytes > 0 && l.Bytes+size > m.LimitBytes {
		return ErrTooMany
	}
	m.Seq = l.Next
	l.Next++
	l.Stored++
	l.Bytes += size
	l.Changed = true
	return nil
}
