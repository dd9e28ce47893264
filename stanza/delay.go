package stanza

import (
	"time"

	"github.com/xmppd/xmppd/jid"
)

// NSDelay is the namespace of XEP-0203.
const NSDelay = "urn:xmpp:delay"

// AppendDelay appends an element that says who held a stanza back, and when it
// had arrived there (XEP-0203). Milliseconds are written, because clients sort
// by them.
func AppendDelay(dst []byte, by jid.JID, arrived time.Time) []byte {
	dst = append(dst, "<delay xmlns='"+NSDelay+"' from='"...)
	dst = AppendEscaped(dst, by.String())
	dst = append(dst, "' stamp='"...)
	dst = arrived.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z") // XEP-0082 §3.2
	return append(dst, "'/>"...)
}

// WithDelay returns a stanza in canonical form with that element as its last
// child.
func WithDelay(xml []byte, by jid.JID, arrived time.Time) []byte {
	var st Stanza
	if st.Parse(xml, Limits{}) != nil {
		return xml
	}
	st.Append(Received, AppendDelay(nil, by, arrived))
	return st.Emit(make([]byte, 0, st.Size()), Received)
}

// IsDelay reports whether e is such an element and says that it is by that
// entity, in any spelling of the address.
func IsDelay(e Elem, by jid.JID) bool {
	if !e.Is(NSDelay, "delay") {
		return false
	}
	from, _ := e.Attr("from")
	j, err := jid.Parse(from)
	return err == nil && j == by
}

// CutDelay removes what says that this entity held the stanza back, on the
// Received side: it is forged, or will be said anew.
func (s *Stanza) CutDelay(by jid.JID) {
	if !s.Class.Has(Delay) {
		return
	}
	for e := range s.Root().Children() {
		if IsDelay(e, by) {
			s.Cut(Received, e)
		}
	}
}
