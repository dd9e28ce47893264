package stanza

// Kind says which of the three stanzas an element is (RFC 6120 §8.2).
type Kind uint8

// Other is every first-level element that is not a stanza: negotiation,
// stream management, the frames of RFC 7395, or a stanza's name in a foreign
// namespace.
const (
	Other Kind = iota
	Message
	Presence
	IQ
)

// String returns the element's name, or "other".
func (k Kind) String() string {
	return [...]string{"other", "message", "presence", "iq"}[k&3]
}

// Type is the value of a stanza's type attribute.
type Type uint8

// None is a message of type normal, an available presence, and no type at all.
// An unknown type is None on a message (RFC 6121 §5.2.2) and InvalidType on
// presence and IQ; an IQ without type is InvalidType too (RFC 6120 §8.2.3).
const (
	None Type = iota
	Chat
	Groupchat
	Headline
	ErrorType
	Unavailable
	Subscribe
	Subscribed
	Unsubscribe
	Unsubscribed
	Probe
	Get
	Set
	Result
	InvalidType
)

var typeNames = [...]string{
	None: "", Chat: "chat", Groupchat: "groupchat", Headline: "headline", ErrorType: "error",
	Unavailable: "unavailable", Subscribe: "subscribe", Subscribed: "subscribed",
	Unsubscribe: "unsubscribe", Unsubscribed: "unsubscribed", Probe: "probe",
	Get: "get", Set: "set", Result: "result", InvalidType: "invalid",
}

// String returns the attribute's value; "" for None, "invalid" for InvalidType.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "invalid"
}

// typeOf maps the attribute's value, which depends on the kind.
func typeOf(k Kind, value []byte) Type {
	switch k {
	case Message:
		switch string(value) {
		case "chat":
			return Chat
		case "groupchat":
			return Groupchat
		case "headline":
			return Headline
		case "error":
			return ErrorType
		}
		return None // RFC 6121 §5.2.2: treat an unknown type as normal
	case Presence:
		switch string(value) {
		case "", "available":
			return None
		case "error":
			return ErrorType
		case "unavailable":
			return Unavailable
		case "subscribe":
			return Subscribe
		case "subscribed":
			return Subscribed
		case "unsubscribe":
			return Unsubscribe
		case "unsubscribed":
			return Unsubscribed
		case "probe":
			return Probe
		}
		return InvalidType
	case IQ:
		switch string(value) {
		case "get":
			return Get
		case "set":
			return Set
		case "result":
			return Result
		case "error":
			return ErrorType
		}
		return InvalidType
	}
	return None
}

// Class is a set of facts about a stanza's children, found while indexing so
// that no later stage searches the XML again.
type Class uint32

// The bits of a Class. Each is set by a direct child of the stanza.
const (
	Body             Class = 1 << iota // <body/>
	Subject                            // <subject/>
	HasError                           // <error/>
	Encrypted                          // OMEMO, OpenPGP, or announced by XEP-0380
	ChatState                          // XEP-0085
	Marker                             // XEP-0333 received, displayed, acknowledged; not the mere request, markable
	Receipt                            // XEP-0184 received or request
	Call                               // XEP-0353 jingle messages
	Retraction                         // XEP-0424
	Correction                         // XEP-0308
	PEPEvent                           // XEP-0060 event
	NoCopy                             // XEP-0334 no-copy
	NoStore                            // XEP-0334 no-store
	NoPermanentStore                   // XEP-0334 no-permanent-store
	Store                              // XEP-0334 store
	Private                            // XEP-0280 private
	Delay                              // XEP-0203
	OriginID                           // XEP-0359 origin-id
	Markable                           // XEP-0333 markable: a marker is wanted
	Carbon                             // XEP-0280 sent or received: a copy of another message
	MUCUser                            // XEP-0045 x of muc#user
	Invite                             // into a room: XEP-0249, or mediated (XEP-0045 §7.8.2)
	StanzaID                           // XEP-0359 stanza-id
	Reaction                           // XEP-0444
	Archive                            // XEP-0313 result: a copy out of an archive
)

// Conversational is what belongs to a conversation without a text, too, and whatever
// the type of the message (XEP-0280 §6.1). Once one device has answered a call, the
// others stop ringing.
const Conversational = Receipt | ChatState | Marker | Markable | Invite | Call

// Has reports whether any bit of m is set.
func (c Class) Has(m Class) bool { return c&m != 0 }

// Side is the account for which an edit counts: the sender's or the
// recipient's.
type Side uint8

// The two passes of a stanza through the server.
const (
	Sent Side = iota
	Received
)
