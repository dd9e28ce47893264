package archived

import (
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const (
	stampHead = "<stanza-id xmlns='urn:xmpp:sid:0' by='"
	stampID   = "' id='"
	stampTail = "'/>"
)

// Stamp is the element that tells the owner of a stored row its id (XEP-0359 §3.2).
func Stamp(m *storage.Message) []byte {
	owner := m.Owner.String()
	b := make([]byte, 0, len(stampHead)+len(owner)+len(stampID)+idSize+len(stampTail))
	b = append(b, stampHead...)
	b = stanza.AppendEscaped(b, owner)
	b = append(b, stampID...)
	b = storage.AppendStanzaID(b, m.Seq, m.Tag)
	return append(b, stampTail...)
}
