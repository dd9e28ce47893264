package storage

import (
	"time"

	"github.com/xmppd/xmppd/jid"
)

// Stream is what is kept of a resumable stream (XEP-0198): how much of what its
// client sent is durable. As a Write it makes the stream known or advances it,
// in the transaction of the messages that it counts.
type Stream struct {
	ID    string    // SM-ID, a secret of the client's
	Owner jid.JID   // bare
	H     uint32    // stanzas from the client that were handled
	Until time.Time // the row may be forgotten then
}

func (*Stream) write() {}

// Snapshot is a session at a planned stop (DESIGN §5.2).
type Snapshot struct {
	Stream
	Data []byte // session.Snapshot's encoding
}
