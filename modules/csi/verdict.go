package csi

import (
	"strings"

	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
)

const (
	nsCarbons = "urn:xmpp:carbons:2"
	nsForward = "urn:xmpp:forward:0"
	nsMUCUser = "http://jabber.org/protocol/muc#user"
	nsEvent   = "http://jabber.org/protocol/pubsub#event"
)

// now is the verdict on what somebody may be waiting for.
var now = session.Verdict{}

// hold is the verdict on what can wait until it is replaced by something newer
// of the same key. No part of a key can contain the separator.
func hold(key ...string) session.Verdict {
	return session.Verdict{Hold: true, Key: strings.Join(key, "\x00")}
}

// verdict decides what can wait while nobody looks: how others are (presence,
// chat states), what they publish about themselves, and that they, or the user
// on another device, have received or read something. All else goes now, and
// takes what was held before it along.
func verdict(st *stanza.Stanza) session.Verdict {
	switch st.Kind {
	case stanza.Presence:
		return ofPresence(st)
	case stanza.Message:
		return ofMessage(st)
	}
	return now
}

// ofPresence holds where somebody is. A question to the user, an error and what
// happens to the user himself in a room go now: the client has just asked to
// enter and waits for it (XEP-0045 §7.2.2), or the user has been thrown out.
func ofPresence(st *stanza.Stanza) session.Verdict {
	if st.Type != stanza.None && st.Type != stanza.Unavailable {
		return now
	}
	if st.Class.Has(stanza.MUCUser) && ownInRoom(st) {
		return now
	}
	return hold("presence", string(st.From()))
}

// ownInRoom reports whether presence from a room is about the user that gets it
// (XEP-0045 §7.2.2), or the room is being destroyed (§10.9).
func ownInRoom(st *stanza.Stanza) bool {
	for e := range st.Root().Child(nsMUCUser, "x").Children() {
		switch string(e.Name()) {
		case "status":
			if code, _ := e.AttrBytes("code"); string(code) == "110" {
				return true
			}
		case "destroy":
			return true
		}
	}
	return false
}

func ofMessage(st *stanza.Stanza) session.Verdict {
	switch {
	case st.Type == stanza.ErrorType:
		return now
	case st.Class.Has(stanza.Carbon):
		return ofCopy(st)
	case st.Class.Has(stanza.PEPEvent):
		return ofEvent(st)
	case st.Class.Has(stanza.ChatState) && contentOf(st.Root()) == states:
		return hold("state", st.Type.String(), string(st.From()))
	}
	return now
}

// ofCopy looks into a copy of another message (XEP-0280). Receipts and markers
// are all different: they keep their order and none replaces another.
func ofCopy(st *stanza.Stanza) session.Verdict {
	wrapper := st.Root().Child(nsCarbons, "received")
	if !wrapper.OK() {
		wrapper = st.Root().Child(nsCarbons, "sent")
	}
	m := wrapper.Child(nsForward, "forwarded").Child(stanza.NSClient, "message")
	if t, _ := m.AttrBytes("type"); string(t) == "error" {
		return now
	}
	switch contentOf(m) {
	case states:
		from, _ := m.Attr("from")
		to, _ := m.Attr("to")
		return hold("copied state", from, to)
	case notes, notes | states:
		return session.Verdict{Hold: true}
	}
	return now
}

// ofEvent holds an item that was published or retracted. Nodes with several items
// report them one by one, so only the same item is replaced. What is about a
// whole node is rare and goes now.
func ofEvent(st *stanza.Stanza) session.Verdict {
	if contentOf(st.Root()) != events {
		return now
	}
	items := st.Root().Child(nsEvent, "event").Child(nsEvent, "items")
	item := items.First()
	if !item.OK() || item.Next().OK() {
		return now
	}
	node, _ := items.Attr("node")
	id := ""
	if !single(node) {
		id, _ = item.Attr("id")
	}
	return hold("event", string(st.From()), node, id)
}

// single reports whether a node has one item at a time, whatever its id is.
func single(node string) bool {
	switch node {
	case "http://jabber.org/protocol/activity", // XEP-0108
		"http://jabber.org/protocol/geoloc", // XEP-0080
		"http://jabber.org/protocol/mood",   // XEP-0107
		"http://jabber.org/protocol/nick",   // XEP-0172
		"http://jabber.org/protocol/tune",   // XEP-0118
		"urn:xmpp:avatar:metadata":          // XEP-0084
		return true
	}
	return false
}
