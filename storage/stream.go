package storage

import (
	"time"

	"github.com/xmppd/xmppd/jid"
)

// Stream is what is kept of a resumable stream (XEP-0198): how much of what its
// client sent is durable. As a Write it makes the stream known or advances it,
// in the transaction of the messages that it counts; so it is the last write of
// their run. It ends what a Snapshot of the stream was for, and removes that.
type Stream struct {
	ID    string    // SM-ID, a secret of the client's
	Owner jid.JID   // bare
	H     uint32    // stanzas from the client that were handled
	Until time.Time // the row may be forgotten then; stores round it up to the hour
}

func (*Stream) write() {}

// Kept is Until as it is stored. Rows of which only H changes cost no index an
// update.
func (s *Stream) Kept() time.Time {
	t := s.Until.UTC().Truncate(time.Hour)
	if t.Before(s.Until) {
		t = t.Add(time.Hour)
	}
	return t
}

// Snapshot is a session at a planned stop (DESIGN §5.2).
type Snapshot struct {
	Stream
	Data []byte // session.Snapshot's encoding
}
