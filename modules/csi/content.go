package csi

import "github.com/xmppd/xmppd/stanza"

// content is a set of what a message has in it.
type content uint8

const (
	states content = 1 << iota // XEP-0085
	notes                      // XEP-0184, XEP-0333
	events                     // XEP-0060
	others                     // what a person may want to see, or is unknown here
)

// contentOf looks at the children of a message.
func contentOf(message stanza.Elem) (c content) {
	for e := range message.Children() {
		switch string(e.NS()) {
		case "http://jabber.org/protocol/chatstates":
			c |= states
		case "urn:xmpp:receipts", "urn:xmpp:chat-markers:0":
			c |= notes
		case nsEvent:
			c |= events
		default:
			if !about(e) {
				c |= others
			}
		}
	}
	return c
}

// about reports whether an element only says something about its message.
func about(e stanza.Elem) bool {
	switch string(e.NS()) {
	case stanza.NSClient:
		return string(e.Name()) == "thread"
	case nsMUCUser:
		return !e.First().OK() // the mark of a private message (XEP-0045 §7.5)
	case "http://jabber.org/protocol/address", "http://jabber.org/protocol/shim",
		"urn:xmpp:delay", "urn:xmpp:hints", "urn:xmpp:occupant-id:0", "urn:xmpp:sid:0":
		return true
	}
	return false
}
