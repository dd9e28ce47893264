package c2s

import (
	"strconv"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/stanza"
)

const (
	nsTLS     = "urn:ietf:params:xml:ns:xmpp-tls"
	nsSASL    = "urn:ietf:params:xml:ns:xmpp-sasl"
	nsBind    = "urn:ietf:params:xml:ns:xmpp-bind"
	nsSession = "urn:ietf:params:xml:ns:xmpp-session"
	nsLimits  = "urn:xmpp:stream-limits:0"
	nsSM      = "urn:xmpp:sm:3"
)

// state is how far a stream has been negotiated.
type state uint8

const (
	awaitHeader  state = iota // nothing but a stream header may come
	beforeLogin               // features were sent: STARTTLS or authentication
	inSASL                    // a challenge was sent
	afterLogin                // features were sent again: bind
	boundSession              // stanzas
)

// verb is what the connection has to do for one element.
type verb uint8

const (
	doNothing   verb = iota
	doOpen           // answer the header, send features
	doStartTLS       // <proceed/>, then the handshake
	doAuth           // begin SASL with mechanism and data
	doResponse       // go on with data
	doAbort          // the client gave up
	doFail           // answer <failure/> with condition
	doStranger       // an IQ before login
	doBind           // bind the resource in data
	doNoSession      // answer the obsolete session request
	doStanza         // route it
	doManage         // an element of stream management (XEP-0198): enable, resume, r, a
	doNonza          // an element that is no stanza, for a module
)

// action is the outcome of one element for the negotiation.
type action struct {
	do        verb
	mechanism string
	data      []byte // base64 or a resource; may point into the element
	hasData   bool   // false: no initial response at all
	condition string
}

// machine is the negotiation of one stream as a pure state machine (RFC 6120
// §4.3): elements in, actions out, no I/O. Its owner tells it what became of an
// action by setting state, secure and authenticated.
type machine struct {
	state         state
	secure        bool // TLS, or a path that counts as such
	startTLS      bool // STARTTLS can be offered
	required      bool // no login before TLS
	authenticated bool
	domain        string // after login: the one that the client logged in to
	hosted        func(domain string) bool
}

// header judges the stream header of the client (RFC 6120 §4.7, RFC 7395 §3.4).
func (m *machine) header(h *stanza.StreamHeader) (action, *stanza.StreamError) {
	switch {
	case m.state != awaitHeader:
		return action{}, &stanza.StreamError{Condition: stanza.StreamNotWellFormed}
	case !supported(h.Version):
		return action{}, &stanza.StreamError{Condition: stanza.StreamUnsupportedVersion}
	case h.To == "":
		return action{}, &stanza.StreamError{Condition: stanza.StreamHostUnknown, Text: "the stream header has no 'to'"}
	case !m.hosted(h.To):
		return action{}, &stanza.StreamError{Condition: stanza.StreamHostUnknown}
	case m.authenticated && !m.same(h.To):
		return action{}, &stanza.StreamError{Condition: stanza.StreamNotAuthorized, Text: "logged in to another domain"}
	}
	m.state = beforeLogin
	if m.authenticated {
		m.state = afterLogin
	}
	return action{do: doOpen}, nil
}

// same reports whether the header names the domain that the client logged in to.
func (m *machine) same(to string) bool {
	j, err := jid.Parse(to)
	return err == nil && j.Domain() == m.domain
}

// supported reports whether the version of a header is 1.0 or a later 1.x;
// without a version the client speaks the protocol of before RFC 3920
// (RFC 6120 §4.7.5).
func supported(version string) bool {
	for i := range len(version) {
		if version[i] == '.' {
			major, err := strconv.Atoi(version[:i])
			return err == nil && major >= 1
		}
	}
	return false
}

// element decides what to do with a top-level element.
func (m *machine) element(st *stanza.Stanza) (action, *stanza.StreamError) {
	switch m.state {
	case boundSession:
		switch {
		case st.Kind != stanza.Other:
			return action{do: doStanza}, nil
		case string(st.Root().NS()) == nsSM:
			return action{do: doManage}, nil
		}
		return action{do: doNonza}, nil
	case afterLogin:
		return m.binding(st)
	case beforeLogin, inSASL:
		return m.login(st)
	}
	return action{}, &stanza.StreamError{Condition: stanza.StreamNotAuthorized}
}

func (m *machine) login(st *stanza.Stanza) (action, *stanza.StreamError) {
	root := st.Root()
	if st.Kind == stanza.IQ && m.state == beforeLogin {
		if m.required && !m.secure {
			return action{}, &stanza.StreamError{Condition: stanza.StreamPolicyViolation, Text: "use STARTTLS first"}
		}
		return action{do: doStranger}, nil
	}
	switch ns, name := string(root.NS()), string(root.Name()); {
	case st.Kind != stanza.Other:
		// RFC 6120 §4.9.3.12: no stanzas before authentication.
		return action{}, &stanza.StreamError{Condition: stanza.StreamNotAuthorized}
	case ns == nsTLS && name == "starttls":
		if !m.startTLS || m.secure || m.state == inSASL {
			return action{}, &stanza.StreamError{Condition: stanza.StreamUnsupportedStanzaType, Text: "STARTTLS is not offered"}
		}
		return action{do: doStartTLS}, nil
	case ns == nsSASL:
		return m.sasl(root, name)
	}
	return action{}, &stanza.StreamError{Condition: stanza.StreamUnsupportedStanzaType}
}

func (m *machine) sasl(root stanza.Elem, name string) (action, *stanza.StreamError) {
	switch {
	case m.required && !m.secure:
		return action{do: doFail, condition: "encryption-required"}, nil // RFC 6120 §6.5.4
	case name == "auth" && m.state == beforeLogin:
		mechanism, _ := root.Attr("mechanism")
		data := root.Inner()
		return action{do: doAuth, mechanism: mechanism, data: data, hasData: len(data) > 0}, nil
	case name == "response" && m.state == inSASL:
		return action{do: doResponse, data: root.Inner(), hasData: true}, nil
	case name == "abort":
		m.state = beforeLogin
		return action{do: doAbort}, nil
	}
	m.state = beforeLogin
	return action{do: doFail, condition: "malformed-request"}, nil
}

func (m *machine) binding(st *stanza.Stanza) (action, *stanza.StreamError) {
	if string(st.Root().NS()) == nsSM {
		return action{do: doManage}, nil
	}
	if st.Kind == stanza.IQ && st.Type == stanza.Set && len(st.ID()) > 0 {
		payload := st.Root().First()
		switch {
		case payload.Is(nsBind, "bind"):
			return action{do: doBind, data: []byte(payload.Child(nsBind, "resource").Text())}, nil
		case payload.Is(nsSession, "session"):
			return action{do: doNoSession}, nil
		}
	}
	// RFC 6120 §7.1: nothing is sent or received before the resource is bound.
	return action{}, &stanza.StreamError{Condition: stanza.StreamNotAuthorized, Text: "bind a resource first"}
}
