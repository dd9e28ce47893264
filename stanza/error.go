package stanza

// ErrType tells the sender of a refused stanza what to do (RFC 6120 §8.3.2).
type ErrType string

// The error types.
const (
	TypeAuth     ErrType = "auth"     // retry after providing credentials
	TypeCancel   ErrType = "cancel"   // do not retry
	TypeContinue ErrType = "continue" // only a warning
	TypeModify   ErrType = "modify"   // retry after changing the data
	TypeWait     ErrType = "wait"     // retry after waiting
)

const nsRegister = "jabber:iq:register"

const nsStanzaErrors = "urn:ietf:params:xml:ns:xmpp-stanzas"

// maxEcho is the longest payload that an error answer repeats (RFC 6120 §8.3.1
// leaves it to the server). It keeps a flood of refused stanzas from doubling.
const maxEcho = 4 << 10

// Error is a stanza error (RFC 6120 §8.3): what a handler returns to have its
// stanza answered with type='error'.
type Error struct {
	Type      ErrType
	Condition string // RFC 6120 §8.3.3, e.g. "item-not-found"
	Text      string // for a person; may be empty
	App       []byte // application-specific elements, trusted XML
	By        string // who found the error, if not the sender of the answer
	Data      string // new address in <gone/> and <redirect/>
}

// Error returns condition and text.
func (e *Error) Error() string {
	if e.Text == "" {
		return e.Condition
	}
	return e.Condition + ": " + e.Text
}

// Wait returns a copy of e of type wait: the sender may try again later.
func (e *Error) Wait() *Error {
	c := *e
	c.Type = TypeWait
	return &c
}

// WithApp returns a copy of e that carries an application-specific condition;
// xml is trusted and kept.
func (e *Error) WithApp(xml []byte) *Error {
	c := *e
	c.App = xml
	return &c
}

// AppendTo appends the <error/> element.
func (e *Error) AppendTo(dst []byte) []byte {
	b := NewBuilder(dst)
	b.Open("error", "").Attr("type", string(e.Type))
	if e.By != "" {
		b.Attr("by", e.By)
	}
	b.Open(e.Condition, nsStanzaErrors)
	if e.Data != "" {
		b.Chars(e.Data)
	}
	b.Close()
	if e.Text != "" {
		b.Open("text", nsStanzaErrors).Chars(e.Text).Close()
	}
	return b.Raw(e.App).Bytes()
}

// BuildError answers s with e: same kind and id, type='error', the payload of s
// when it has at most 4 KiB and holds no password, then <error/>. An empty from or to is left out.
// The caller makes sure that s is not itself an error (RFC 6120 §8.3.1).
func (s *Stanza) BuildError(from, to string, e *Error) *Builder {
	root := s.Root()
	inner := root.Inner()
	if len(inner) > maxEcho || string(root.First().NS()) == nsRegister {
		inner = nil // XEP-0077 §3.1.1: a password is not repeated
	}
	b := NewBuilder(make([]byte, 0, 256+len(inner)))
	b.Open(string(root.Name()), "")
	if from != "" {
		b.Attr("from", from)
	}
	if to != "" {
		b.Attr("to", to)
	}
	if id := s.ID(); id != nil {
		b.Attr("id", string(id))
	}
	b.Attr("type", "error")
	if inner != nil {
		s.appendPrefixes(b)
		b.Raw(inner)
	}
	b.endTag()
	b.buf = e.AppendTo(b.buf)
	return b
}

// BadRequest: the stanza is malformed or cannot be processed (§8.3.3.1).
func BadRequest(text string) *Error {
	return &Error{Type: TypeModify, Condition: "bad-request", Text: text}
}

// Conflict: a resource with this name exists (§8.3.3.2).
func Conflict(text string) *Error { return &Error{Type: TypeCancel, Condition: "conflict", Text: text} }

// FeatureNotImplemented: the recipient does not do this (§8.3.3.3).
func FeatureNotImplemented(text string) *Error {
	return &Error{Type: TypeCancel, Condition: "feature-not-implemented", Text: text}
}

// Forbidden: the sender lacks the permission (§8.3.3.4).
func Forbidden(text string) *Error { return &Error{Type: TypeAuth, Condition: "forbidden", Text: text} }

// Gone: the recipient is no longer at this address (§8.3.3.5); Data may hold
// the new one.
func Gone(text string) *Error { return &Error{Type: TypeCancel, Condition: "gone", Text: text} }

// InternalServerError: the server failed (§8.3.3.6).
func InternalServerError(text string) *Error {
	return &Error{Type: TypeCancel, Condition: "internal-server-error", Text: text}
}

// ItemNotFound: the address or item does not exist (§8.3.3.7).
func ItemNotFound(text string) *Error {
	return &Error{Type: TypeCancel, Condition: "item-not-found", Text: text}
}

// JIDMalformed: an address violates RFC 7622 (§8.3.3.8).
func JIDMalformed(text string) *Error {
	return &Error{Type: TypeModify, Condition: "jid-malformed", Text: text}
}

// NotAcceptable: the stanza does not meet the recipient's criteria (§8.3.3.9).
func NotAcceptable(text string) *Error {
	return &Error{Type: TypeModify, Condition: "not-acceptable", Text: text}
}

// NotAllowed: nobody may do this (§8.3.3.10).
func NotAllowed(text string) *Error {
	return &Error{Type: TypeCancel, Condition: "not-allowed", Text: text}
}

// NotAuthorized: credentials are needed first (§8.3.3.11).
func NotAuthorized(text string) *Error {
	return &Error{Type: TypeAuth, Condition: "not-authorized", Text: text}
}

// PolicyViolation: a local rule was broken (§8.3.3.12).
func PolicyViolation(text string) *Error {
	return &Error{Type: TypeModify, Condition: "policy-violation", Text: text}
}

// RecipientUnavailable: the recipient is temporarily away (§8.3.3.13).
func RecipientUnavailable(text string) *Error {
	return &Error{Type: TypeWait, Condition: "recipient-unavailable", Text: text}
}

// Redirect: ask elsewhere, this time (§8.3.3.14); Data holds the address.
func Redirect(text string) *Error {
	return &Error{Type: TypeModify, Condition: "redirect", Text: text}
}

// RegistrationRequired: the sender has to register first (§8.3.3.15).
func RegistrationRequired(text string) *Error {
	return &Error{Type: TypeAuth, Condition: "registration-required", Text: text}
}

// RemoteServerNotFound: the domain cannot be resolved or reached (§8.3.3.16).
func RemoteServerNotFound(text string) *Error {
	return &Error{Type: TypeCancel, Condition: "remote-server-not-found", Text: text}
}

// RemoteServerTimeout: the remote server did not answer in time (§8.3.3.17).
func RemoteServerTimeout(text string) *Error {
	return &Error{Type: TypeWait, Condition: "remote-server-timeout", Text: text}
}

// ResourceConstraint: the server is too busy or a quota is full (§8.3.3.18).
func ResourceConstraint(text string) *Error {
	return &Error{Type: TypeWait, Condition: "resource-constraint", Text: text}
}

// ServiceUnavailable: nobody here answers this (§8.3.3.19).
func ServiceUnavailable(text string) *Error {
	return &Error{Type: TypeCancel, Condition: "service-unavailable", Text: text}
}

// SubscriptionRequired: a presence subscription is needed first (§8.3.3.20).
func SubscriptionRequired(text string) *Error {
	return &Error{Type: TypeAuth, Condition: "subscription-required", Text: text}
}

// UndefinedCondition: only App says what happened (§8.3.3.21).
func UndefinedCondition(text string) *Error {
	return &Error{Type: TypeCancel, Condition: "undefined-condition", Text: text}
}

// UnexpectedRequest: out of order (§8.3.3.22).
func UnexpectedRequest(text string) *Error {
	return &Error{Type: TypeWait, Condition: "unexpected-request", Text: text}
}
