// Package lasting decides which messages are worth keeping: what a person would
// miss who was not there when they came. The archive and offline delivery ask the
// same question, so that nobody finds a message in one and not in the other.
package lasting

import "github.com/xmppd/xmppd/stanza"

const (
	// content are the classes that a person would miss: text and what belongs to
	// earlier text. A marker or receipt that gets lost would leave a message unread or
	// undelivered for ever on the other side.
	content = stanza.Body | stanza.Subject | stanza.Encrypted | stanza.Marker | stanza.Retraction |
		stanza.Correction | stanza.Reaction | stanza.Invite | stanza.Store

	// wrapper are the classes of messages that hold a copy of another one, which is
	// kept by itself.
	wrapper = stanza.Carbon | stanza.Archive

	nsCall     = "urn:xmpp:jingle-message:0"
	nsReceipts = "urn:xmpp:receipts"
)

// Lasting reports whether a message is worth keeping (XEP-0160 §3, XEP-0313 §5.1.1)
// and its sender does not ask for the contrary (XEP-0334). What it does not know is:
// what is invented next will be too. Messages of rooms are not; they are kept where
// the room is. The hint no-permanent-store is for the caller: it concerns archives
// only.
func Lasting(st *stanza.Stanza) bool {
	if st.Type != stanza.None && st.Type != stanza.Chat || st.Class.Has(stanza.NoStore|wrapper) {
		return false
	}
	if st.Class.Has(content) {
		return true
	}
	for e := st.Root().First(); e.OK(); e = e.Next() {
		if lastingElement(e) {
			return true
		}
	}
	return false
}

func lastingElement(e stanza.Elem) bool {
	switch string(e.NS()) {
	case stanza.NSClient: // thread; body and subject are classes
		return false
	case nsReceipts:
		return string(e.Name()) == "received" // a request goes with its message
	case nsCall:
		// A missed call is to be seen, and who answered it on which device. That a
		// telephone rang is not (XEP-0353 §3).
		return string(e.Name()) != "ringing"
	case "http://jabber.org/protocol/chatstates", // XEP-0085, XEP-0160 §3
		"http://jabber.org/protocol/pubsub#event", // the newest comes with the next presence (XEP-0163 §4.3)
		"http://jabber.org/protocol/nick",
		"jabber:x:event",
		"urn:xmpp:carbons:2",
		"urn:xmpp:chat-markers:0", // what is left besides markers: markable
		"urn:xmpp:delay",
		"urn:xmpp:hints",
		"urn:xmpp:sid:0":
		return false // about the moment, or about another element
	}
	return true
}
