package c2s

import (
	"testing"

	"github.com/xmppd/xmppd/stanza"
)

func parse(t *testing.T, xml string) *stanza.Stanza {
	t.Helper()
	st := new(stanza.Stanza)
	if err := st.Parse([]byte(xml), stanza.Limits{}); err != nil {
		t.Fatalf("%s: %v", xml, err)
	}
	return st
}

func TestNegotiation(t *testing.T) {
	t.Parallel()
	const (
		starttls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
		auth     = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>"
		empty    = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'/>"
		response = "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>eA==</response>"
		abort    = "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
		bind     = "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>x</resource></bind></iq>"
		session  = "<iq type='set' id='2'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>"
		register = "<iq type='get' id='3'><query xmlns='jabber:iq:register'/></iq>"
		message  = "<message to='a@b'/>"
		strange  = "<x xmlns='urn:example'/>"
	)
	clear := machine{startTLS: true, required: true}
	optional := machine{startTLS: true}
	secure := machine{secure: true, required: true}
	in := func(m machine, s state) machine { m.state = s; return m }
	for name, c := range map[string]struct {
		m    machine
		xml  string
		do   verb
		bad  stanza.StreamCondition
		cond string
		next state
	}{
		"starttls":                         {m: in(clear, beforeLogin), xml: starttls, do: doStartTLS, next: beforeLogin},
		"starttls under TLS":               {m: in(secure, beforeLogin), xml: starttls, bad: stanza.StreamUnsupportedStanzaType},
		"starttls during SASL":             {m: in(optional, inSASL), xml: starttls, bad: stanza.StreamUnsupportedStanzaType},
		"login in clear where TLS must be": {m: in(clear, beforeLogin), xml: auth, do: doFail, cond: "encryption-required", next: beforeLogin},
		"registration in clear likewise":   {m: in(clear, beforeLogin), xml: register, bad: stanza.StreamPolicyViolation},
		"login in clear where it may":      {m: in(optional, beforeLogin), xml: auth, do: doAuth, next: beforeLogin},
		"login":                            {m: in(secure, beforeLogin), xml: auth, do: doAuth, next: beforeLogin},
		"login without initial response":   {m: in(secure, beforeLogin), xml: empty, do: doAuth, next: beforeLogin},
		"response":                         {m: in(secure, inSASL), xml: response, do: doResponse, next: inSASL},
		"response before auth":             {m: in(secure, beforeLogin), xml: response, do: doFail, cond: "malformed-request", next: beforeLogin},
		"auth during SASL":                 {m: in(secure, inSASL), xml: auth, do: doFail, cond: "malformed-request", next: beforeLogin},
		"abort":                            {m: in(secure, inSASL), xml: abort, do: doAbort, next: beforeLogin},
		"registration":                     {m: in(secure, beforeLogin), xml: register, do: doStranger, next: beforeLogin},
		"iq during SASL":                   {m: in(secure, inSASL), xml: register, bad: stanza.StreamNotAuthorized},
		"message before login":             {m: in(secure, beforeLogin), xml: message, bad: stanza.StreamNotAuthorized},
		"nonsense before login":            {m: in(secure, beforeLogin), xml: strange, bad: stanza.StreamUnsupportedStanzaType},
		"bind":                             {m: in(secure, afterLogin), xml: bind, do: doBind, next: afterLogin},
		"bind before login":                {m: in(secure, beforeLogin), xml: bind, do: doStranger, next: beforeLogin},
		"session before bind":              {m: in(secure, afterLogin), xml: session, do: doNoSession, next: afterLogin},
		"message before bind":              {m: in(secure, afterLogin), xml: message, bad: stanza.StreamNotAuthorized},
		"login twice":                      {m: in(secure, afterLogin), xml: auth, bad: stanza.StreamNotAuthorized},
		"stanza":                           {m: in(secure, boundSession), xml: message, do: doStanza, next: boundSession},
		"nonsense in a session":            {m: in(secure, boundSession), xml: strange, do: doNonza, next: boundSession},
		"anything before a header":         {m: in(secure, awaitHeader), xml: message, bad: stanza.StreamNotAuthorized},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := c.m
			a, bad := m.element(parse(t, c.xml))
			if (bad == nil) != (c.bad == "") || bad != nil && bad.Condition != c.bad {
				t.Fatalf("stream error %v, want %q", bad, c.bad)
			}
			if bad == nil && (a.do != c.do || a.condition != c.cond || m.state != c.next) {
				t.Errorf("action %d %q, state %d; want %d %q, %d", a.do, a.condition, m.state, c.do, c.cond, c.next)
			}
		})
	}
}

func TestStreamHeaderIsChecked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		h    stanza.StreamHeader
		auth bool
		bad  stanza.StreamCondition
		next state
	}{
		"first":           {h: stanza.StreamHeader{To: "localhost", Version: "1.0"}, next: beforeLogin},
		"after login":     {h: stanza.StreamHeader{To: "localhost", Version: "1.0"}, auth: true, next: afterLogin},
		"another domain":  {h: stanza.StreamHeader{To: "verona.example", Version: "1.0"}, auth: true, bad: stanza.StreamNotAuthorized},
		"another before":  {h: stanza.StreamHeader{To: "verona.example", Version: "1.0"}, next: beforeLogin},
		"later minor":     {h: stanza.StreamHeader{To: "localhost", Version: "1.10"}, next: beforeLogin},
		"later major":     {h: stanza.StreamHeader{To: "localhost", Version: "2.0"}, next: beforeLogin},
		"no version":      {h: stanza.StreamHeader{To: "localhost"}, bad: stanza.StreamUnsupportedVersion},
		"version 0.9":     {h: stanza.StreamHeader{To: "localhost", Version: "0.9"}, bad: stanza.StreamUnsupportedVersion},
		"version garbage": {h: stanza.StreamHeader{To: "localhost", Version: "x.y"}, bad: stanza.StreamUnsupportedVersion},
		"unknown domain":  {h: stanza.StreamHeader{To: "example.org", Version: "1.0"}, bad: stanza.StreamHostUnknown},
		"no domain":       {h: stanza.StreamHeader{Version: "1.0"}, bad: stanza.StreamHostUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := machine{authenticated: c.auth, domain: "localhost", hosted: func(d string) bool { return d != "example.org" }}
			_, bad := m.header(&c.h)
			if (bad == nil) != (c.bad == "") || bad != nil && bad.Condition != c.bad {
				t.Fatalf("stream error %v, want %q", bad, c.bad)
			}
			if bad == nil && m.state != c.next {
				t.Errorf("state %d, want %d", m.state, c.next)
			}
		})
	}
}
