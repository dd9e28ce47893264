// Package delay writes and recognises the element that says when a stanza was
// sent that arrives late (XEP-0203).
package delay

import (
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/stanza"
)

// NS is the namespace of the element.
const NS = "urn:xmpp:delay"

// Append appends the element: by whom the stanza was held back, and when it
// had arrived there. Milliseconds are written, because clients sort by them.
func Append(dst []byte, by jid.JID, arrived time.Time) []byte {
	dst = append(dst, "<delay xmlns='"+NS+"' from='"...)
	dst = stanza.AppendEscaped(dst, by.String())
	dst = append(dst, "' stamp='"...)
	dst = arrived.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z") // XEP-0082 §3.2
	return append(dst, "'/>"...)
}

// Is reports whether e is such an element and says that it is by that entity,
// in any spelling of the address.
func Is(e stanza.Elem, by jid.JID) bool {
	if !e.Is(NS, "delay") {
		return false
	}
	from, _ := e.Attr("from")
	j, err := jid.Parse(from)
	return err == nil && j == by
}
