package c2s_test

import (
	"crypto/tls"
	"encoding/base64"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/xmppd/xmppd/internal/xmpptest"
)

const (
	nsSASL2 = "urn:xmpp:sasl:2"
	nsBind2 = "urn:xmpp:bind:0"
	nsSM    = "urn:xmpp:sm:3"
	agentID = "d4565fa7-4d72-4749-b3d3-740edbf87770"
)

// authenticate is <authenticate/> by PLAIN with further elements.
func authenticate(user, password, more string) string {
	return "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>" +
		base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password)) + "</initial-response>" + more + "</authenticate>"
}

const bind2 = "<bind xmlns='urn:xmpp:bind:0'><tag>Gajim</tag></bind>"

var secureWays = []xmpptest.Way{xmpptest.TCP, xmpptest.DirectTLS, xmpptest.WebSocket, xmpptest.SecureWebSocket}

func onSecureWays(t *testing.T, fn func(t *testing.T, s *xmpptest.Server, c *xmpptest.Client)) {
	s := xmpptest.Start(t, xmpptest.Options{Config: "auth: {failure_delay: 0s}"})
	for _, way := range secureWays {
		t.Run(string(way), func(t *testing.T) {
			t.Parallel()
			s.Account(t, string(way))
			c := s.Dial(t, way)
			c.Secure()
			fn(t, s, c)
		})
	}
}

// features fails unless the next element are the features of a stream that is
// logged in.
func features(t *testing.T, c *xmpptest.Client, bound bool) {
	t.Helper()
	f := c.Next()
	if f.Name != "features" {
		t.Fatalf("no features behind <success/>:\n%s", f)
	}
	for space, name := range map[string]string{nsSM: "sm", "urn:xmpp:features:rosterver": "ver", "http://jabber.org/protocol/caps": "c"} {
		if f.Child(space, name) == nil {
			t.Errorf("no %s in the features:\n%s", space, f)
		}
	}
	if bind := f.Child("urn:ietf:params:xml:ns:xmpp-bind", "bind"); (bind == nil) != bound {
		t.Errorf("bound %v, but the features are\n%s", bound, f)
	}
}

func userOf(t *testing.T) string { return t.Name()[strings.LastIndexByte(t.Name(), '/')+1:] }

// Without anything else SASL2 saves the new stream (XEP-0388 §5.1).
func TestSASL2(t *testing.T) {
	t.Parallel()
	onSecureWays(t, func(t *testing.T, _ *xmpptest.Server, c *xmpptest.Client) {
		user := userOf(t)
		c.Send(authenticate(user, xmpptest.Password, ""))
		c.Expect("<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>" + user + "@localhost</authorization-identifier></success>")
		features(t, c, false)
		c.Bind("home")
		c.ExpectNothing()
		c.Send("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'/>")
		c.ExpectEnd("policy-violation")
	})
}

// A resource comes with the login, and stays the same for a client that names
// itself; its former session ends.
func TestBind2(t *testing.T) {
	t.Parallel()
	onSecureWays(t, func(t *testing.T, s *xmpptest.Server, c *xmpptest.Client) {
		user := userOf(t)
		login := func(c *xmpptest.Client) string {
			t.Helper()
			c.Send(authenticate(user, xmpptest.Password, "<user-agent id='"+agentID+"'/>"+bind2))
			vars := xmpptest.Vars{}
			c.ExpectVars("<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>{jid}</authorization-identifier>"+
				"<bound xmlns='urn:xmpp:bind:0'><metadata xmlns='urn:xmpp:mam:2'/></bound></success>", vars)
			features(t, c, true)
			return vars["jid"]
		}
		first := login(c)
		if !strings.HasPrefix(first, user+"@localhost/Gajim/") {
			t.Errorf("bound %s", first)
		}
		c.ExpectNothing()
		again := s.Dial(t, xmpptest.DirectTLS)
		again.Open()
		if second := login(again); second != first {
			t.Errorf("bound %s, then %s", first, second)
		}
		c.ExpectEnd("conflict")
		again.ExpectNothing()

		// Another tag is another resource, but the same client.
		third := s.Dial(t, xmpptest.WebSocket)
		third.Open()
		third.Send(authenticate(user, xmpptest.Password, "<user-agent id='"+agentID+"'/><bind xmlns='urn:xmpp:bind:0'/>"))
		if e := third.Next(); e.Name != "success" || strings.Contains(e.Raw, "Gajim") {
			t.Errorf("got %s", e)
		}
		again.ExpectEnd("conflict")
	})
}

// Who binds a resource learns which messages there are without asking (XEP-0386 §3.2).
func TestBoundMetadata(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{})
	s.Account(t, "romeo")
	var ids []string
	for n := range 3 {
		c := s.Dial(t, xmpptest.DirectTLS)
		c.Open()
		c.Send(authenticate("romeo", xmpptest.Password, bind2))
		success := c.Next()
		m := success.Child(nsBind2, "bound").Child("urn:xmpp:mam:2", "metadata")
		if m == nil || n == 0 && len(m.Children()) != 0 ||
			n > 0 && (m.Child("urn:xmpp:mam:2", "start").Attr("id") != ids[0] || m.Child("urn:xmpp:mam:2", "end").Attr("id") != ids[n-1]) {
			t.Fatalf("after the messages %q got %s", ids, success)
		}
		features(t, c, true)
		full := success.Child(nsSASL2, "authorization-identifier").Text()
		c.Send("<message to='" + full + "'><body>note</body></message>")
		ids = append(ids, c.Next().Child("urn:xmpp:sid:0", "stanza-id").Attr("id"))
	}
}

// A refused login leaves the stream as it was, for either profile.
func TestSASL2Failures(t *testing.T) {
	t.Parallel()
	onSecureWays(t, func(t *testing.T, _ *xmpptest.Server, c *xmpptest.Client) {
		user := userOf(t)
		refused := func(condition string) {
			t.Helper()
			if e := c.Next(); e.Space != nsSASL2 || e.Name != "failure" || e.Child("urn:ietf:params:xml:ns:xmpp-sasl", condition) == nil {
				t.Errorf("got %s, want %s", e, condition)
			}
		}
		c.Send(authenticate(user, "wrong", bind2))
		refused("not-authorized")
		c.Send("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-1'><user-agent id='me'/></authenticate>")
		refused("malformed-request")
		c.Send("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-1'/>")
		c.Expect("<challenge xmlns='urn:xmpp:sasl:2'/>")
		c.Send("<abort xmlns='urn:xmpp:sasl:2'/>")
		refused("aborted")
		c.Send("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='NONSENSE'/>")
		refused("invalid-mechanism")
		c.Send("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='NONSENSE'><config-version xmlns='urn:xmpp:iap:0' value='x'/></authenticate>")
		c.Expect("<failure xmlns='urn:xmpp:sasl:2'><aborted xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>" +
			"<config-version-mismatch xmlns='urn:xmpp:iap:0'/><text>the features have changed</text></failure>")
		c.Authenticate(user, xmpptest.Password)
		c.Bind("home")
		c.ExpectNothing()
	})
}

func TestSASL2AttemptsAreCounted(t *testing.T) {
	t.Parallel()
	onSecureWays(t, func(t *testing.T, _ *xmpptest.Server, c *xmpptest.Client) {
		for range 5 { // auth.attempts_per_connection
			c.Send(authenticate(userOf(t), "wrong", ""))
			if e := c.Next(); e.Name != "failure" {
				t.Fatalf("got %s", e)
			}
		}
		c.ExpectEnd("policy-violation")
	})
}

// XEP-0388 §2.4: nothing else may come while an exchange is under way.
func TestSASL2NothingElse(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{})
	for name, xml := range map[string]string{
		"message": "<message to='a@localhost'/>",
		"iq":      "<iq type='get' id='1'><query xmlns='jabber:iq:register'/></iq>",
		"again":   "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-1'/>",
		"sasl1":   "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>eA==</response>",
		"task":    "<next xmlns='urn:xmpp:sasl:2' task='x'/>",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := s.Dial(t, xmpptest.DirectTLS)
			c.Open()
			c.Send("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-1'/>")
			c.Next()
			c.Send(xml)
			c.ExpectEnd("not-authorized")
		})
	}
}

// XEP-0388 §2.3: who logs in has to be who the stream is from.
func TestStreamFrom(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{Config: "auth: {failure_delay: 0s}"})
	s.Account(t, "romeo")
	open := func(from string) *xmpptest.Client {
		c := s.Dial(t, xmpptest.DirectTLS)
		c.Raw("<stream:stream from='" + from + "' to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>")
		if to := c.Greeting().Attr("to"); to != from {
			t.Errorf("the stream is to %q, from %q", to, from)
		}
		return c
	}
	for from, ok := range map[string]bool{"romeo@localhost": true, "romeo@localhost/x": true, "localhost": true, "juliet@localhost": false} {
		c := open(from)
		c.Next()
		c.Send(authenticate("romeo", xmpptest.Password, ""))
		e := c.Next()
		if bad := e.Child("urn:ietf:params:xml:ns:xmpp-sasl", "invalid-authzid") != nil; (e.Name == "success") != ok || bad == ok {
			t.Errorf("from %s: %s", from, e)
		}
	}
	open("romeo@verona.example").ExpectEnd("invalid-from")
}

// corked writes nothing before it has to wait for an answer.
type corked struct {
	net.Conn
	mu  sync.Mutex
	out []byte
}

func (c *corked) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = append(c.out, p...)
	return len(p), nil
}

func (c *corked) Read(p []byte) (int, error) {
	c.mu.Lock()
	out := c.out
	c.out = nil
	c.mu.Unlock()
	if len(out) > 0 {
		if _, err := c.Conn.Write(out); err != nil {
			return 0, err
		}
	}
	return c.Conn.Read(p)
}

// A client that knows the server sends header, login and stanzas in one packet,
// together with the end of the TLS handshake (XEP-0509).
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{})
	s.Account(t, "romeo")
	const open = "<?xml version='1.0'?><stream:stream from='romeo@localhost' to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
	before := s.Dial(t, xmpptest.DirectTLS)
	before.Open()
	version := before.Features.Child("urn:xmpp:iap:0", "config-version")
	if version == nil || version.Attr("value") == "" {
		t.Fatalf("no version in\n%s", before.Features)
	}
	for _, tt := range []struct{ addr, name string }{{"c2s_tls", "direct"}, {"c2s", "starttls"}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tcp, err := net.Dial("tcp", s.Addr(t, tt.addr))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { tcp.Close() })
			if tt.name == "starttls" {
				clear := xmpptest.Over(t, tcp)
				clear.Open()
				clear.Send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
				clear.Next()
			}
			conn := tls.Client(&corked{Conn: tcp}, &tls.Config{ServerName: "localhost", InsecureSkipVerify: true, NextProtos: []string{"xmpp-client"}}) //nolint:gosec // its own certificate
			if err := conn.Handshake(); err != nil {
				t.Fatal(err)
			}
			c := xmpptest.Over(t, conn)
			c.Raw(open + authenticate("romeo", xmpptest.Password,
				"<config-version xmlns='urn:xmpp:iap:0' scheme='opaque' value='"+version.Attr("value")+"'/>"+bind2) +
				"<iq type='get' id='1' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
			c.Greeting()
			if f := c.Next(); f.Child(nsSASL2, "authentication") == nil {
				t.Errorf("features: %s", f)
			}
			if e := c.Next(); e.Name != "success" || e.Child(nsBind2, "bound") == nil {
				t.Fatalf("got %s", e)
			}
			features(t, c, true)
			if e := c.Next(); e.Name != "iq" || e.Attr("id") != "1" || e.Attr("type") != "result" {
				t.Errorf("got %s", e)
			}
		})
	}
}

// To resume is tried first; if that succeeds, nothing is bound and no features
// follow (XEP-0198 §9.2).
func TestInlineResume(t *testing.T) {
	t.Parallel()
	onSecureWays(t, func(t *testing.T, s *xmpptest.Server, c *xmpptest.Client) {
		user := userOf(t)
		const managed = "<bind xmlns='urn:xmpp:bind:0'><tag>Gajim</tag><enable xmlns='urn:xmpp:sm:3' resume='true'/><enable xmlns='urn:xmpp:sm:3' resume='true'/></bind>"
		c.Send(authenticate(user, xmpptest.Password, "<user-agent id='"+agentID+"'/>"+managed))
		success := c.Next()
		bound := success.Child(nsBind2, "bound")
		if bound == nil || len(bound.Children()) != 2 || bound.Child(nsSM, "enabled") == nil {
			t.Fatalf("got %s", success)
		}
		id, full := bound.Child(nsSM, "enabled").Attr("id"), success.Child(nsSASL2, "authorization-identifier").Text()
		features(t, c, true)
		c.Sync() // counts one stanza of each side

		second := s.Dial(t, xmpptest.DirectTLS)
		second.Open()
		second.Send(authenticate(user, xmpptest.Password, "<resume xmlns='urn:xmpp:sm:3' h='1' previd='"+id+"'/>"+managed))
		second.Expect("<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>" + full + "</authorization-identifier>" +
			"<resumed xmlns='urn:xmpp:sm:3' previd='" + id + "' h='1'/></success>")
		second.ExpectNothing()

		// What cannot be resumed is said, and then bound.
		third := s.Dial(t, xmpptest.WebSocket)
		third.Open()
		third.Send(authenticate(user, xmpptest.Password, "<resume xmlns='urn:xmpp:sm:3' h='1' previd='nonsense'/>"+managed))
		e := third.Next()
		if e.Child(nsSM, "failed") == nil || e.Child(nsBind2, "bound") == nil || e.Child(nsSM, "resumed") != nil {
			t.Errorf("got %s", e)
		}
		features(t, third, true)

		// Without <bind/> the client may bind, or try another one.
		fourth := s.Dial(t, xmpptest.DirectTLS)
		fourth.Open()
		fourth.Send(authenticate(user, xmpptest.Password, "<resume xmlns='urn:xmpp:sm:3' h='1' previd='nonsense'/>"))
		if e := fourth.Next(); e.Child(nsSM, "failed") == nil || e.Child(nsSASL2, "authorization-identifier").Text() != user+"@localhost" {
			t.Errorf("got %s", e)
		}
		features(t, fourth, false)
		fourth.Send("<resume xmlns='urn:xmpp:sm:3' h='2' previd='" + id + "'/>")
		if e := fourth.Next(); e.Name != "resumed" {
			t.Errorf("got %s", e)
		}
		second.ExpectEnd("conflict")
	})
}

// A success that has to wait for the penalties of earlier failures does
// everything that one without does.
func TestLateWelcome(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{Config: "auth: {failure_delay: 100ms, failure_delay_max: 300ms, failures_before_delay: 0}"})
	s.Account(t, "romeo")
	var guesses []*xmpptest.Client
	for range 5 {
		c := s.Dial(t, xmpptest.DirectTLS)
		c.Open()
		c.Send(authenticate("romeo", "wrong", bind2))
		guesses = append(guesses, c)
	}
	guesses[0].Next()
	c := s.Dial(t, xmpptest.DirectTLS)
	c.Open()
	c.Send(authenticate("romeo", xmpptest.Password, bind2) + "<iq type='get' id='1' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
	if e := c.Next(); e.Name != "success" || e.Child(nsBind2, "bound") == nil {
		t.Fatalf("got %s", e)
	}
	features(t, c, true)
	if e := c.Next(); e.Attr("id") != "1" {
		t.Errorf("got %s", e)
	}
	c.ExpectNothing()
}
