package c2s

import (
	"bytes"
	"errors"
	"testing"

	"github.com/xmppd/xmppd/auth"
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

// Every element in every state of a secure stream. A cell is what is done, and
// the state afterwards if that is another; "!" is a stream error.
func TestEveryElementInEveryState(t *testing.T) {
	t.Parallel()
	const (
		sasl1, sasl2 = "urn:ietf:params:xml:ns:xmpp-sasl", "urn:xmpp:sasl:2"
		na, un, pv   = "!not-authorized", "!unsupported-stanza-type", "!policy-violation"
	)
	states := []state{awaitHeader, beforeLogin, inSASL, inSASL2, taskOffered, inTask, barred, afterLogin, boundSession}
	names := map[state]string{awaitHeader: "header", beforeLogin: "before", inSASL: "sasl", inSASL2: "sasl2", taskOffered: "offered", inTask: "task", barred: "barred", afterLogin: "after", boundSession: "bound"}
	verbs := map[verb]string{doAuth: "auth", doResponse: "go", doAbort: "abort", doFail: "fail", doStranger: "stranger", doBind: "bind", doNoSession: "nosession", doStanza: "stanza", doManage: "manage", doNonza: "nonza", doStartTLS: "starttls"}
	for xml, cells := range map[string][]string{
		"<starttls xmlns='" + nsTLS + "'/>":                                                  {na, un, un, na, na, na, na, na, "nonza"},
		"<auth xmlns='" + sasl1 + "' mechanism='PLAIN'>AGEAYg==</auth>":                      {na, "auth", "fail→before", na, na, na, na, na, "nonza"},
		"<response xmlns='" + sasl1 + "'>eA==</response>":                                    {na, "fail", "go", na, na, na, na, na, "nonza"},
		"<abort xmlns='" + sasl1 + "'/>":                                                     {na, "abort", "abort→before", na, na, na, na, na, "nonza"},
		"<authenticate xmlns='" + sasl2 + "' mechanism='PLAIN'/>":                            {na, "auth", "fail→before", na, na, na, na, pv, pv},
		"<response xmlns='" + sasl2 + "'>eA==</response>":                                    {na, "fail", "fail→before", "go", na, na, na, pv, pv},
		"<next xmlns='" + sasl2 + "' task='UPGR-SCRAM-SHA-256'/>":                            {na, "fail", "fail→before", na, "go", na, na, pv, pv},
		"<task-data xmlns='" + sasl2 + "'/>":                                                 {na, "fail", "fail→before", na, na, "go", na, pv, pv},
		"<abort xmlns='" + sasl2 + "'/>":                                                     {na, "abort", "abort→before", "abort→before", "abort→barred", "abort→barred", na, pv, pv},
		"<nonsense xmlns='" + sasl2 + "'/>":                                                  {na, "fail", "fail→before", na, na, na, na, pv, pv},
		"<success xmlns='" + sasl2 + "'/>":                                                   {na, "fail", "fail→before", na, na, na, na, pv, pv},
		"<iq type='set' id='1'><bind xmlns='" + nsBind + "'/></iq>":                          {na, "stranger", na, na, na, na, na, "bind", "stanza"},
		"<iq type='set' id='1'><bind xmlns='" + nsBind2 + "'/></iq>":                         {na, "stranger", na, na, na, na, na, na, "stanza"},
		"<iq type='set'><bind xmlns='" + nsBind + "'/></iq>":                                 {na, "stranger", na, na, na, na, na, na, "stanza"},
		"<iq type='set' id='1'><session xmlns='" + nsSession + "'/></iq>":                    {na, "stranger", na, na, na, na, na, "nosession", "stanza"},
		"<bind xmlns='" + nsBind2 + "'/>":                                                    {na, un, un, na, na, na, na, na, "nonza"},
		"<resume xmlns='" + nsSM + "' previd='x' h='0'/>":                                    {na, un, un, na, na, na, na, "manage", "manage"},
		"<enable xmlns='" + nsSM + "'/>":                                                     {na, un, un, na, na, na, na, "manage", "manage"},
		"<r xmlns='" + nsSM + "'/>":                                                          {na, un, un, na, na, na, na, "manage", "manage"},
		"<inactive xmlns='urn:xmpp:csi:0'/>":                                                 {na, un, un, na, na, na, na, na, "nonza"},
		"<message><body>x</body></message>":                                                  {na, na, na, na, na, na, na, na, "stanza"},
		"<presence/>":                                                                        {na, na, na, na, na, na, na, na, "stanza"},
		"<fast xmlns='urn:xmpp:fast:0'/>":                                                    {na, un, un, na, na, na, na, na, "nonza"},
		"<stream:error xmlns:stream='" + stanza.NSStream + "'><x xmlns='y'/></stream:error>": {na, un, un, na, na, na, na, na, "nonza"},
	} {
		for i, s := range states {
			m := machine{secure: true, required: true, startTLS: true, state: s}
			got := ""
			if a, bad := m.element(parse(t, xml)); bad != nil {
				got = "!" + string(bad.Condition)
			} else if got = verbs[a.do]; m.state != s {
				got += "→" + names[m.state]
			}
			if got != cells[i] {
				t.Errorf("%s in state %s: %s, want %s", xml, names[s], got, cells[i])
			}
		}
	}
	for _, s := range states {
		m := machine{state: s}
		if got, want := m.space() != nil, s == inSASL2 || s == taskOffered || s == inTask; got != want {
			t.Errorf("white space in state %s: refused %v", names[s], got)
		}
	}
}

func TestSASL2NeedsTLS(t *testing.T) {
	t.Parallel()
	for _, m := range []machine{{startTLS: true}, {startTLS: true, required: true}, {}} {
		m.state = beforeLogin
		for _, name := range []string{"authenticate", "response", "abort", "next"} {
			a, bad := m.element(parse(t, "<"+name+" xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'/>"))
			if bad != nil || a.do != doFail || a.condition != "encryption-required" || !a.sasl2 || m.state != beforeLogin {
				t.Errorf("%s: %+v, %v", name, a, bad)
			}
		}
	}
}

// XEP-0388 §2.2: no initial response and an empty one are not the same.
func TestInitialResponse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		child string
		data  []byte
		bad   string
	}{
		{"", nil, ""},
		{"<initial-response/>", []byte{}, ""},
		{"<initial-response></initial-response>", []byte{}, ""},
		{"<initial-response>=</initial-response>", []byte{}, ""},
		{"<initial-response>\n  AGEAYg==\n</initial-response>", []byte("\x00a\x00b"), ""},
		{"<initial-response xmlns='urn:other'>AGEAYg==</initial-response>", nil, ""},
		{"<initial-response>!</initial-response>", nil, "incorrect-encoding"},
		{"<initial-response>AGEAYg==<x/></initial-response>", nil, "incorrect-encoding"},
	} {
		m := machine{secure: true, state: beforeLogin}
		a, bad := m.element(parse(t, "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'>"+c.child+"</authenticate>"))
		if bad != nil || a.do != doAuth || a.mechanism != "PLAIN" {
			t.Fatalf("%q: %+v, %v", c.child, a, bad)
		}
		data, err := a.response()
		f, _ := errors.AsType[*auth.Failure](err)
		switch {
		case c.bad != "":
			if f == nil || f.Condition != c.bad {
				t.Errorf("%q: %v, want %s", c.child, err, c.bad)
			}
		case err != nil || !bytes.Equal(data, c.data) || (data == nil) != (c.data == nil):
			t.Errorf("%q: %q, %v; want %q", c.child, data, err, c.data)
		}
	}
}

// An address of another domain in the header is refused where it may be used.
func TestStreamFromElsewhere(t *testing.T) {
	t.Parallel()
	for from, want := range map[string]bool{
		"": true, "romeo@localhost": true, "romeo@localhost/x": true, "localhost": true, "romeo@LOCALHOST": true, "@@": true,
		"romeo@verona.example": false, "verona.example": false,
	} {
		for _, secure := range []bool{false, true} {
			m := machine{secure: secure, hosted: func(string) bool { return true }}
			_, bad := m.header(&stanza.StreamHeader{To: "localhost", From: from, Version: "1.0"})
			if ok := bad == nil; ok != (want || !secure) || !ok && bad.Condition != stanza.StreamInvalidFrom {
				t.Errorf("from %q, secure %v: %v", from, secure, bad)
			}
		}
	}
}
