package xmpptest

import (
	"crypto/tls"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var everyMechanism = []string{
	"PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-512", "SCRAM-SHA-512-PLUS",
}

// stranger is a client that has not logged in.
func stranger(t *testing.T, s *Server, way Way, user string) *Client {
	c := s.Dial(t, way)
	c.from = user + "@" + Domain
	c.Secure()
	return c
}

func without(list []string, part string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return strings.Contains(s, part) })
}

// What is offered follows from where TLS ends and which version it has, and from
// nothing else: RFC 9266, RFC 5929, XEP-0388 §5, XEP-0440, XEP-0484 §3.1.
func TestOffers(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	s.Account(t, "romeo")
	tokens := []string{
		"HT-SHA-256-ENDP", "HT-SHA-256-EXPR", "HT-SHA-256-NONE", "HT-SHA-512-ENDP", "HT-SHA-512-EXPR", "HT-SHA-512-NONE",
	}
	for _, tt := range []struct {
		name                         string
		way                          Way
		version                      uint16
		mechanisms, tokens, bindings []string
	}{
		{"STARTTLS", TCP, 0, everyMechanism, tokens, []string{"tls-exporter", "tls-server-end-point"}},
		{"direct TLS", DirectTLS, 0, everyMechanism, tokens, []string{"tls-exporter", "tls-server-end-point"}},
		{"secure WebSocket", SecureWebSocket, 0, everyMechanism, tokens, []string{"tls-exporter", "tls-server-end-point"}},
		{"TLS 1.2", DirectTLS, tls.VersionTLS12, everyMechanism, without(tokens, "EXPR"), []string{"tls-server-end-point"}},
		{"TLS elsewhere", WebSocket, 0, without(everyMechanism, "PLUS"), []string{"HT-SHA-256-NONE", "HT-SHA-512-NONE"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, user := range []string{"romeo", "nobody"} {
				c := &Client{t: t, way: tt.way, domain: Domain, lang: "en", maxTLS: tt.version, from: user + "@" + Domain}
				key := map[Way]string{TCP: "c2s", DirectTLS: "c2s_tls", WebSocket: "http", SecureWebSocket: "https"}[tt.way]
				if err := c.connect(s.Addr(t, key), nil); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.w.conn().Close() })
				c.Secure()
				mechanisms, fast := c.Mechanisms2()
				for name, pair := range map[string][2][]string{
					"SASL": {tt.mechanisms, c.Mechanisms()}, "SASL2": {tt.mechanisms, mechanisms},
					"FAST": {tt.tokens, fast}, "bindings": {tt.bindings, c.Bindings()},
				} {
					got := slices.Sorted(slices.Values(pair[1]))
					if diff := cmp.Diff(slices.Sorted(slices.Values(pair[0])), got); diff != "" {
						t.Errorf("%s: %s: %s", user, name, diff)
					}
				}
			}
		})
	}
	t.Run("in clear", func(t *testing.T) {
		t.Parallel()
		c := s.Dial(t, TCP)
		c.Open()
		if e := c.Features.Child(nsSASL2, "authentication"); e != nil {
			t.Errorf("SASL2 without TLS:\n%s", e)
		}
	})
}

// Every mechanism works by both profiles, with every binding of the connection,
// and the server confirms what it has offered (XEP-0474).
func TestChannelBinding(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	s.Account(t, "romeo")
	for _, way := range []Way{TCP, DirectTLS, SecureWebSocket, WebSocket} {
		for _, mechanism := range everyMechanism {
			bindings := []string{"tls-exporter", "tls-server-end-point"}
			if plus := strings.HasSuffix(mechanism, "-PLUS"); plus && way == WebSocket {
				continue
			} else if !plus {
				bindings = []string{""}
			}
			for _, binding := range bindings {
				t.Run(string(way)+"/"+mechanism+"/"+binding, func(t *testing.T) {
					t.Parallel()
					r := Request{User: "romeo", Mechanism: mechanism, Binding: binding}
					first, err := stranger(t, s, way, "romeo").SASL(r)
					if err != nil {
						t.Fatalf("SASL: %v", err)
					}
					second, err := stranger(t, s, way, "romeo").SASL2(r)
					if err != nil {
						t.Fatalf("SASL2: %v", err)
					}
					if want := mechanism != "PLAIN"; first.Guarded != want || second.Guarded != want {
						t.Errorf("XEP-0474: %v by SASL, %v by SASL2", first.Guarded, second.Guarded)
					}
				})
			}
		}
	}
}

// What must not get in, and must leave the stream open for another attempt (RFC
// 5802 §6).
func TestChannelBindingRefused(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{Config: "auth: {failures_before_delay: 100, failures_per_address: 1000}"})
	s.Account(t, "romeo")
	for _, tt := range []struct {
		name string
		r    Request
	}{
		{"a client that saw no binding", Request{GS2: "y,,"}},
		{"another binding than it says", Request{Mechanism: "SCRAM-SHA-256-PLUS", Binding: "tls-server-end-point", GS2: "p=tls-exporter,,"}},
		{"a binding that is not offered", Request{Mechanism: "SCRAM-SHA-256-PLUS", GS2: "p=tls-unique,,"}},
		{"-PLUS without binding", Request{Mechanism: "SCRAM-SHA-256-PLUS", GS2: "n,,"}},
		{"binding without -PLUS", Request{GS2: "p=tls-exporter,,"}},
		{"a wrong password", Request{Mechanism: "SCRAM-SHA-512-PLUS", Secret: "wrong"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := stranger(t, s, TCP, "romeo")
			tt.r.User = "romeo"
			if _, err := c.SASL2(tt.r); err == nil || !regexp.MustCompile("^(not-authorized|malformed-request)$").MatchString(err.Error()) {
				t.Errorf("SASL2: %v", err)
			}
			if _, err := c.SASL2(Request{User: "romeo", Mechanism: "SCRAM-SHA-1-PLUS"}); err != nil {
				t.Errorf("afterwards: %v", err)
			}
			c = stranger(t, s, TCP, "romeo")
			if _, err := c.SASL(tt.r); err == nil || !regexp.MustCompile("^(not-authorized|malformed-request)$").MatchString(err.Error()) {
				t.Errorf("SASL: %v", err)
			}
		})
	}
	t.Run("rightly saw no binding", func(t *testing.T) {
		t.Parallel()
		if _, err := stranger(t, s, WebSocket, "romeo").SASL2(Request{User: "romeo", GS2: "y,,"}); err != nil {
			t.Error(err)
		}
	})
}

// Features follow <success/> at once and say what the session can do; clients
// look for all of these (XEP-0388 §2.6.1, XEP-0198 §2, XEP-0352 §3, RFC 6121 §2.6.1,
// XEP-0115 §6.3).
func TestFeaturesAfterSASL2(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	s.Account(t, "romeo")
	for _, bind := range []*Bind{nil, {Tag: "phone"}} {
		c := stranger(t, s, TCP, "romeo")
		if e := c.Features.Find(nsSASL2, "authentication", nsSASL2, "inline"); e.Find(nsSM, "sm") == nil || e.Find(nsBind2, "bind", nsBind2, "inline") == nil {
			t.Errorf("before:\n%s", c.Features)
		}
		var inline []string
		for _, e := range c.Features.Find(nsSASL2, "authentication", nsSASL2, "inline", nsBind2, "bind", nsBind2, "inline").Children() {
			inline = append(inline, e.Attr("var"))
		}
		slices.Sort(inline)
		if diff := cmp.Diff([]string{nsCarbons, "urn:xmpp:csi:0", nsSM}, inline); diff != "" {
			t.Error(diff)
		}
		if _, err := c.SASL2(Request{User: "romeo", Bind: bind}); err != nil {
			t.Fatal(err)
		}
		for _, want := range [][2]string{
			{nsSM, "sm"}, {"urn:xmpp:csi:0", "csi"}, {"urn:xmpp:features:rosterver", "ver"}, {"http://jabber.org/protocol/caps", "c"},
		} {
			if c.Features.Child(want[0], want[1]) == nil {
				t.Errorf("bound %v: no <%s/>:\n%s", bind != nil, want[1], c.Features)
			}
		}
		if bind == nil { // RFC 6120 §7 goes on from here
			c.Bind("home")
		} else if e := c.Features.Child("urn:ietf:params:xml:ns:xmpp-bind", "bind"); e != nil {
			t.Error("a resource is bound, but offered again")
		}
		c.Sync()
	}
}

// The resource begins with the tag, is the same for the same installation and
// does not tell which it is (XEP-0386 §3.2.1).
func TestBind2Resource(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	s.Account(t, "romeo")
	id := agent("romeo@localhost", "a")
	enter := func(tag, id string) string {
		t.Helper()
		c := stranger(t, s, TCP, "romeo")
		if _, err := c.SASL2(Request{User: "romeo", Agent: id, Bind: &Bind{Tag: tag}}); err != nil {
			t.Fatal(err)
		}
		c.Close()
		return c.JID.Resource()
	}
	for _, tag := range []string{"Phone", "ünïcode ☎", "a/b"} {
		first, again, other := enter(tag, id), enter(tag, id), enter(tag, "")
		if !strings.HasPrefix(first, tag+"/") && !strings.HasPrefix(first, tag+".") || first != again || first == other || strings.Contains(first, id) {
			t.Errorf("tag %q: %q, %q, without an agent %q", tag, first, again, other)
		}
	}
	if one, two := enter("", ""), enter("", ""); one == two || one == "" {
		t.Errorf("without a tag: %q, %q", one, two)
	}
	for _, tag := range []string{strings.Repeat("x", 3000), "a\u200Eb\x7f", " \t"} { // what no resource can hold
		if got := enter(tag, ""); got == "" || len(got) > 1023 {
			t.Errorf("tag %.20q: %q", tag, got)
		}
	}
}

// A token is good for one account, installation and mechanism (XEP-0484 §3.4).
// Whoever is refused may go on with a password.
func TestTokens(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	s.Account(t, "romeo")
	s.Account(t, "juliet")
	a, b := agent("romeo@localhost", "a"), agent("romeo@localhost", "b")
	c := stranger(t, s, TCP, "romeo")
	got, err := c.SASL2(Request{User: "romeo", Agent: a, Token: "HT-SHA-256-EXPR"})
	if err != nil || got.Token == nil {
		t.Fatalf("no token: %v", err)
	}
	token := got.Token.Attr("token")
	if until, err := time.Parse(time.RFC3339, got.Token.Attr("expiry")); err != nil || time.Until(until) < time.Hour {
		t.Errorf("expiry %q: %v", got.Token.Attr("expiry"), err)
	}
	for name, r := range map[string]Request{
		"another mechanism":    {User: "romeo", Agent: a, Mechanism: "HT-SHA-256-NONE", Secret: token},
		"another hash":         {User: "romeo", Agent: a, Mechanism: "HT-SHA-512-EXPR", Secret: token},
		"another installation": {User: "romeo", Agent: b, Mechanism: "HT-SHA-256-EXPR", Secret: token},
		"no installation":      {User: "romeo", Mechanism: "HT-SHA-256-EXPR", Secret: token},
		"another account":      {User: "juliet", Agent: a, Mechanism: "HT-SHA-256-EXPR", Secret: token},
		"another token":        {User: "romeo", Agent: a, Mechanism: "HT-SHA-256-EXPR", Secret: token + "A"},
		"the password":         {User: "romeo", Agent: a, Mechanism: "HT-SHA-256-EXPR", Secret: Password},
		"nobody's":             {User: "nobody", Agent: a, Mechanism: "HT-SHA-256-EXPR", Secret: token},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := stranger(t, s, DirectTLS, r.User)
			if _, err := c.SASL2(r); err == nil || !regexp.MustCompile("^(not-authorized|credentials-expired|malformed-request)$").MatchString(err.Error()) {
				t.Errorf("got in: %v", err)
			}
			if r.User == "nobody" {
				return
			}
			if _, err := c.SASL2(Request{User: r.User, Bind: &Bind{}}); err != nil {
				t.Errorf("with the password: %v", err)
			}
		})
	}
	t.Run("right", func(t *testing.T) {
		t.Parallel()
		for range 2 {
			c := stranger(t, s, SecureWebSocket, "romeo")
			got, err := c.SASL2(Request{User: "romeo", Agent: a, Mechanism: "HT-SHA-256-EXPR", Secret: token, Bind: &Bind{Manage: true}})
			if err != nil || got.Token != nil {
				t.Fatalf("a new token: %v, %v", got != nil, err)
			}
		}
	})
}

// Tokens are replaced with overlap, expire and can be given back (XEP-0484 §3.5,
// §3.6, §5.1).
func TestTokenRotation(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{Still: true, Config: "auth: {token_lifetime: 240h, token_rotation: 24h}"})
	s.Account(t, "romeo")
	a := agent("romeo@localhost", "a")
	enter := func(secret, attrs string) (token string, err error) {
		r := Request{User: "romeo", Agent: a, Mechanism: "HT-SHA-512-ENDP", Secret: secret, Fast: attrs}
		if secret == "" {
			r.Mechanism, r.Token = "SCRAM-SHA-1", "HT-SHA-512-ENDP"
		}
		got, err := stranger(t, s, TCP, "romeo").SASL2(r)
		if err == nil && got.Token != nil {
			token = got.Token.Attr("token")
		}
		return token, err
	}
	expect := func(what, secret, attrs string, ok, fresh bool) string {
		t.Helper()
		token, err := enter(secret, attrs)
		if (err == nil) != ok || (token != "") != fresh {
			t.Fatalf("%s: %v, a new token: %v", what, err, token != "")
		}
		return token
	}
	first := expect("password", "", "", true, true)
	expect("at once", first, "", true, false)
	s.Pass(25 * time.Hour)
	second := expect("a day later", first, "", true, true)
	again := expect("the client did not get the new token", first, "", true, true)
	expect("the newest", again, "", true, false)
	expect("the old one after that", first, "", false, false)
	if second != again {
		expect("one that was replaced before it was used", second, "", false, false)
	}
	expect("count", again, "count='5'", true, false)
	expect("count again", again, "count='5'", false, false)
	expect("smaller count", again, "count='4'", false, false)
	expect("larger count", again, "count='6'", true, false)
	expect("given back", again, "count='7' invalidate='true'", true, false)
	expect("after that", again, "count='8'", false, false)
	third := expect("password again", "", "", true, true)
	s.Pass(10 * 24 * time.Hour)
	expect("expired", third, "", false, false)
}

// Header and request may come in one packet, before the client has seen any
// feature (XEP-0509; XEP-0388 has all that it needs).
func TestQuickStart(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	s.Account(t, "romeo")
	a := agent("romeo@localhost", "a")
	c := stranger(t, s, DirectTLS, "romeo")
	got, err := c.SASL2(Request{User: "romeo", Agent: a, Token: "HT-SHA-256-EXPR", Bind: &Bind{Manage: true}})
	if err != nil || got.Token == nil {
		t.Fatalf("no token: %v", err)
	}
	c.DropDetached()
	next := s.Dial(t, DirectTLS)
	next.from = c.from
	again, err := next.QuickStart(Request{
		User: "romeo", Agent: a, Mechanism: "HT-SHA-256-EXPR", Secret: got.Token.Attr("token"), Resume: c, Bind: &Bind{Manage: true},
	})
	if err != nil || !again.Resumed {
		t.Fatalf("resumed: %v, %v", err == nil && again.Resumed, err)
	}
	next.Sync()
}
