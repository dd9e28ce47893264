package stanza

const nsMUCUser = "http://jabber.org/protocol/muc#user"

// classify finds kind, type and class.
func (s *Stanza) classify() {
	root := s.Root()
	if root.node().ns != spaceClient {
		return
	}
	switch string(root.Name()) {
	case "message":
		s.Kind = Message
	case "presence":
		s.Kind = Presence
	case "iq":
		s.Kind = IQ
	default:
		return
	}
	t, _ := s.Attr("type")
	s.Type = typeOf(s.Kind, t)
	for i := int32(1); i < int32(len(s.nodes)); i = s.nodes[i].after {
		e := Elem{s, i}
		s.Class |= classOf(e)
	}
}

// classOf returns what one child tells about its stanza.
func classOf(e Elem) Class {
	name := e.Name()
	switch string(e.NS()) {
	case NSClient:
		switch string(name) {
		case "body":
			return Body
		case "subject":
			return Subject
		case "error":
			return HasError
		}
	case "http://jabber.org/protocol/chatstates":
		return ChatState
	case "urn:xmpp:chat-markers:0":
		switch string(name) {
		case "received", "displayed", "acknowledged":
			return Marker
		case "markable":
			return Markable
		}
	case "urn:xmpp:receipts":
		return Receipt
	case "eu.siacs.conversations.axolotl", "urn:xmpp:omemo:1", "urn:xmpp:omemo:2":
		if string(name) == "encrypted" {
			return Encrypted
		}
	case "urn:xmpp:eme:0", "urn:xmpp:openpgp:0", "jabber:x:encrypted":
		return Encrypted
	case "urn:xmpp:jingle-message:0":
		return Call
	case "urn:xmpp:message-retract:0", "urn:xmpp:message-retract:1":
		if string(name) == "retract" {
			return Retraction
		}
	case "urn:xmpp:fasten:0": // XEP-0424 before 0.4 attaches the retraction by XEP-0422
		if e.Child("urn:xmpp:message-retract:0", "retract").OK() {
			return Retraction
		}
	case "urn:xmpp:message-correct:0":
		return Correction
	case "http://jabber.org/protocol/pubsub#event":
		return PEPEvent
	case "urn:xmpp:hints":
		switch string(name) {
		case "no-copy":
			return NoCopy
		case "no-store":
			return NoStore
		case "no-permanent-store":
			return NoPermanentStore
		case "store":
			return Store
		}
	case "urn:xmpp:carbons:2":
		switch string(name) {
		case "private":
			return Private
		case "sent", "received":
			return Carbon
		}
	case nsMUCUser:
		switch {
		case string(name) != "x":
		case e.Child(nsMUCUser, "invite").OK():
			return MUCUser | Invite
		default:
			return MUCUser
		}
	case "jabber:x:conference":
		return Invite
	case "urn:xmpp:delay":
		return Delay
	case "urn:xmpp:sid:0":
		switch string(name) {
		case "origin-id":
			return OriginID
		case "stanza-id":
			return StanzaID
		}
	case "urn:xmpp:reactions:0":
		if string(name) == "reactions" {
			return Reaction
		}
	case "urn:xmpp:mam:2":
		if string(name) == "result" {
			return Archive
		}
	}
	return 0
}
