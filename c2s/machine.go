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
	nsSASL2   = "urn:xmpp:sasl:2"
)

// state is how far a stream has been negotiated.
type state uint8

const (
	awaitHeader  state = iota // nothing but a stream header may come
	beforeLogin               // features were sent: STARTTLS or authentication
	inSASL                    // a challenge was sent
	inSASL2                   // the same in the profile of XEP-0388
	taskOffered               // <continue/> was sent: <next/> has to come
	inTask                    // <task-data/> was sent
	barred                    // a task has failed: no login on this stream any more
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
	doResponse       // go on with data, or with the task (XEP-0388) in st
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
	sasl2     bool           // an element of XEP-0388
	st        *stanza.Stanza // that element
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
	case m.secure && foreign(h.From, h.To):
		return action{}, &stanza.StreamError{Condition: stanza.StreamInvalidFrom} // XEP-0388 §2.1
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

// foreign reports whether from is an address of another domain than to. What is
// no address says nothing.
func foreign(from, to string) bool {
	if from == "" {
		return false
	}
	f, err1 := jid.Parse(from)
	t, err2 := jid.Parse(to)
	return err1 == nil && err2 == nil && f.Domain() != t.Domain()
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
		switch ns := string(st.Root().NS()); {
		case st.Kind != stanza.Other:
			return action{do: doStanza}, nil
		case ns == nsSM:
			return action{do: doManage}, nil
		case ns == nsSASL2:
			return action{}, loggedIn()
		}
		return action{do: doNonza}, nil
	case afterLogin:
		return m.binding(st)
	case beforeLogin, inSASL:
		return m.login(st)
	case inSASL2, taskOffered, inTask:
		return m.during(st)
	}
	return action{}, &stanza.StreamError{Condition: stanza.StreamNotAuthorized}
}

// space judges white space between elements.
func (m *machine) space() *stanza.StreamError {
	switch m.state {
	case inSASL2, taskOffered, inTask:
		return underWay()
	}
	return nil
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
		return m.sasl(root, name), nil
	case ns == nsSASL2:
		return m.sasl2(st, name), nil
	}
	return action{}, &stanza.StreamError{Condition: stanza.StreamUnsupportedStanzaType}
}

func (m *machine) sasl(root stanza.Elem, name string) action {
	switch {
	case m.required && !m.secure:
		return action{do: doFail, condition: "encryption-required"} // RFC 6120 §6.5.4
	case name == "auth" && m.state == beforeLogin:
		mechanism, _ := root.Attr("mechanism")
		data := root.Inner()
		return action{do: doAuth, mechanism: mechanism, data: data, hasData: len(data) > 0}
	case name == "response" && m.state == inSASL:
		return action{do: doResponse, data: root.Inner(), hasData: true}
	case name == "abort":
		m.refused()
		return action{do: doAbort}
	}
	m.refused()
	return action{do: doFail, condition: "malformed-request"}
}

// sasl2 decides on an element of XEP-0388 while none is expected but the first.
func (m *machine) sasl2(st *stanza.Stanza, name string) action {
	root := st.Root()
	switch {
	case !m.secure:
		return action{do: doFail, condition: "encryption-required", sasl2: true} // XEP-0388 §3
	case name == "authenticate" && m.state == beforeLogin:
		mechanism, _ := root.Attr("mechanism")
		initial := root.Child(nsSASL2, "initial-response")
		return action{do: doAuth, mechanism: mechanism, data: initial.Inner(), hasData: initial.OK(), sasl2: true, st: st}
	case name == "abort":
		m.refused()
		return action{do: doAbort, sasl2: true}
	}
	m.refused()
	return action{do: doFail, condition: "malformed-request", sasl2: true}
}

// during decides while an exchange of XEP-0388 is under way: only its own
// elements may come (§2.4).
func (m *machine) during(st *stanza.Stanza) (action, *stanza.StreamError) {
	root := st.Root()
	if string(root.NS()) != nsSASL2 {
		return action{}, underWay()
	}
	switch name := string(root.Name()); {
	case name == "response" && m.state == inSASL2:
		return action{do: doResponse, data: root.Inner(), hasData: true, sasl2: true, st: st}, nil
	case name == "next" && m.state == taskOffered, name == "task-data" && m.state == inTask:
		return action{do: doResponse, sasl2: true, st: st}, nil
	case name == "abort":
		m.refused()
		return action{do: doAbort, sasl2: true}, nil
	}
	return action{}, underWay()
}

// refused notes that an attempt to log in has failed. Another may follow, but
// not behind <continue/> (XEP-0388 §4.8).
func (m *machine) refused() {
	switch m.state {
	case taskOffered, inTask, barred:
		m.state = barred
	default:
		m.state = beforeLogin
	}
}

func underWay() *stanza.StreamError {
	return &stanza.StreamError{Condition: stanza.StreamNotAuthorized, Text: "authentication is under way"}
}

// loggedIn is for a second login (XEP-0388 §4.8).
func loggedIn() *stanza.StreamError {
	return &stanza.StreamError{Condition: stanza.StreamPolicyViolation, Text: "already logged in"}
}

func (m *machine) binding(st *stanza.Stanza) (action, *stanza.StreamError) {
	switch string(st.Root().NS()) {
	case nsSM:
		return action{do: doManage}, nil
	case nsSASL2:
		return action{}, loggedIn()
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
