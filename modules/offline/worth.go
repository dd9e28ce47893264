package offline

import "github.com/xmppd/xmppd/stanza"

const (
	// lasting are the classes of content that a person would miss: text and what
	// belongs to earlier text. A marker or receipt that gets lost would leave a
	// message unread or undelivered for ever on the other side.
	lasting = stanza.Body | stanza.Subject | stanza.Encrypted | stanza.Marker | stanza.Retraction | stanza.Correction | stanza.Store

	nsCall     = "urn:xmpp:jingle-message:0"
	nsReceipts = "urn:xmpp:receipts"
)

// passing reports whether elements of a namespace alone are no reason to keep
// a message: they are about the moment, or about another element.
func passing(ns string) bool {
	switch ns {
	case "http://jabber.org/protocol/chatstates", // XEP-0085, XEP-0160 §3
		"http://jabber.org/protocol/pubsub#event", // the newest comes with the next presence (XEP-0163 §4.3)
		"http://jabber.org/protocol/nick",
		"jabber:x:event",
		"urn:xmpp:carbons:2",
		"urn:xmpp:chat-markers:0", // what is left besides markers: markable
		"urn:xmpp:delay",
		"urn:xmpp:hints",
		"urn:xmpp:sid:0":
		return true
	}
	return false
}

// worthKeeping decides by XEP-0160 §3 and the hints of XEP-0334. What it does
// not know it keeps: an invitation or a reaction is worth it, and so will be
// what is invented next.
func worthKeeping(st *stanza.Stanza) bool {
	if st.Type != stanza.None && st.Type != stanza.Chat || st.Class.Has(stanza.NoStore) {
		return false
	}
	if st.Class.Has(lasting) {
		return true
	}
	for e := range st.Root().Children() {
		if lastingElement(e) {
			return true
		}
	}
	return false
}

func lastingElement(e stanza.Elem) bool {
	ns := string(e.NS())
	switch {
	case ns == stanza.NSClient: // thread; body and subject are classes
		return false
	case ns == nsReceipts:
		return string(e.Name()) == "received" // a request goes with its message
	case ns == nsCall:
		// A missed call is to be seen, and who answered it on which device. That a
		// telephone rang is not (XEP-0353 §3).
		return string(e.Name()) != "ringing"
	}
	return !passing(ns)
}
