package node_test

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/internal/streamcase"
	"github.com/xmppd/xmppd/internal/xmpptest"
)

const (
	nsStream   = "http://etherx.jabber.org/streams"
	nsTLS      = "urn:ietf:params:xml:ns:xmpp-tls"
	nsSASL     = "urn:ietf:params:xml:ns:xmpp-sasl"
	nsFraming  = "urn:ietf:params:xml:ns:xmpp-framing"
	plainRomeo = "<auth xmlns='" + nsSASL + "' mechanism='PLAIN'>" + "{plain}" + "</auth>"
	bind       = "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>home</resource></bind></iq>"
)

func header(attrs string) string {
	return "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='" + nsStream + "' " + attrs + ">"
}

// What a client can do wrong before and with its stream header (RFC 6120 §4.7,
// §4.8, §4.9.3). Our header comes before the error, even where the client's was
// none (§4.9.1.2).
func TestStreamErrorsAtTheHeader(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{})
	for _, tt := range []struct{ name, send, condition string }{
		{"no XML", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "not-well-formed"},
		{"unknown domain", header("to='elsewhere.example' version='1.0'"), "host-unknown"},
		{"no domain", header("version='1.0'"), "host-unknown"},
		{"malformed domain", header("to='@' version='1.0'"), "host-unknown"},
		{"no version", header("to='localhost'"), "unsupported-version"},
		{"old version", header("to='localhost' version='0.9'"), "unsupported-version"},
		{"version without sense", header("to='localhost' version='one'"), "unsupported-version"},
		{"wrong namespace of the stream", "<stream:stream xmlns='jabber:client' xmlns:stream='urn:x' to='localhost' version='1.0'>", "invalid-namespace"},
		{"wrong namespace of the content", "<stream:stream xmlns='jabber:server' xmlns:stream='" + nsStream + "' to='localhost' version='1.0'>", "invalid-namespace"},
		{"not a stream", "<message to='localhost'/>", "bad-format"},
		{"encoding", "<?xml version='1.0' encoding='ISO-8859-1'?>" + header("to='localhost' version='1.0'")[21:], "unsupported-encoding"},
		{"DTD", "<?xml version='1.0'?><!DOCTYPE a>" + header("to='localhost' version='1.0'")[21:], "restricted-xml"},
		{"header longer than allowed", header("to='localhost' version='1.0' x='" + strings.Repeat("x", 20000) + "'"), "policy-violation"},
		{"header that never ends", "<stream:stream " + strings.Repeat("x", 20000), "policy-violation"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := s.Dial(t, xmpptest.TCP)
			c.Raw(tt.send)
			c.Greeting()
			c.ExpectEnd(tt.condition)
		})
	}
}

// A later 1.x is fine (RFC 6120 §4.7.5).
func TestLaterVersion(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{})
	c := s.Dial(t, xmpptest.TCP)
	c.Raw(header("to='localhost' version='1.17' from='romeo@localhost' xml:lang='de'"))
	h := c.Greeting()
	for name, want := range map[string]string{"from": "localhost", "to": "romeo@localhost", "version": "1.0"} {
		if got := h.Attr(name); got != want {
			t.Errorf("%s=%q, want %q", name, got, want)
		}
	}
	if !strings.HasPrefix(h.Raw, "<?xml version='1.0'?><stream:stream") || h.Attr("id") == "" || !strings.Contains(h.Raw, "xml:lang='en'") {
		t.Errorf("header: %s", h.Raw)
	}
	c.Next()
	c.Close()
}

// What a client can do wrong before it has logged in (RFC 6120 §4.9.3, §5, §6, §7).
func TestStreamErrorsBeforeLogin(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{})
	s.Account(t, "romeo")
	for _, tt := range []struct {
		name      string
		tls       bool
		send      string
		condition string
	}{
		{"message in clear", false, "<message to='romeo@localhost'/>", "not-authorized"},
		{"presence", true, "<presence/>", "not-authorized"},
		{"IQ in clear", false, "<iq type='get' id='1'><query xmlns='jabber:iq:register'/></iq>", "policy-violation"},
		{"unknown element", true, "<nonsense xmlns='urn:nonsense'/>", "unsupported-stanza-type"},
		{"STARTTLS again", true, "<starttls xmlns='" + nsTLS + "'/>", "unsupported-stanza-type"},
		{"mismatched tags", true, "<a></b>", "not-well-formed"},
		{"comment", true, "<!-- x -->", "restricted-xml"},
		{"large element", true, "<auth xmlns='" + nsSASL + "' mechanism='PLAIN'>" + strings.Repeat("A", 20000), "policy-violation"},
		{"header again", true, header("to='localhost' version='1.0'"), "restricted-xml"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := s.Dial(t, xmpptest.TCP)
			if tt.tls {
				c.Secure()
			} else {
				c.Open()
			}
			c.Raw(tt.send)
			c.ExpectEnd(tt.condition)
		})
	}
}

// RFC 6120 §7.1: between login and bind nothing else goes.
func TestStreamErrorsBeforeBind(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{})
	s.Account(t, "romeo")
	for _, send := range []string{"<message to='romeo@localhost'/>", "<presence/>", "<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>"} {
		c := s.Dial(t, xmpptest.TCP)
		c.Secure()
		c.Authenticate("romeo", xmpptest.Password)
		c.Send(send)
		c.ExpectEnd("not-authorized")
	}
	for _, resource := range []string{strings.Repeat("x", 1024), "a\u0007b"} {
		c := s.Dial(t, xmpptest.TCP)
		c.Secure()
		c.Authenticate("romeo", xmpptest.Password)
		c.Send("<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>" + strings.ReplaceAll(resource, "\u0007", "\u200e\u200f\u00a0\u2028") + "</resource></bind></iq>")
		// RFC 6120 §7.7.2.1: a resource that is none is a bad request; one may try again.
		c.Expect("<iq type='error' id='1'><error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
		c.Bind("")
		if c.JID.Resource() == "" {
			t.Error("no resource chosen")
		}
		c.ExpectNothing()
	}
}

// The raw-byte cases end a stream with the same condition behind a login, over
// TCP and as messages of a WebSocket.
func TestStreamCases(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{Config: "limits: {sessions_per_account: 10000}"})
	s.Account(t, "romeo")
	for _, tt := range streamcase.Load(t) {
		way := map[streamcase.Mode]xmpptest.Way{streamcase.Stream: xmpptest.TCP, streamcase.Frame: xmpptest.WebSocket}[tt.Mode]
		condition, ok := strings.CutPrefix(tt.Want[len(tt.Want)-1], "error ")
		if way == "" || !ok || len(tt.Limits) > 0 || slices.Contains(tt.Want, "end") {
			continue
		}
		if tt.Mode == streamcase.Frame {
			switch in := string(tt.In); {
			case strings.HasPrefix(in, "<?xml"): // RFC 7395 §3.3.3 allows it
				continue
			case !strings.HasPrefix(in, "<"):
				condition = "bad-format" // the same section, before any XML
			}
		}
		t.Run(tt.Name, func(t *testing.T) {
			t.Parallel()
			c := s.Login(t, way, "romeo@localhost/"+strings.ReplaceAll(tt.Name, "/", "-"))
			c.Raw(string(tt.In))
			if got := c.Ended(); got != condition {
				t.Errorf("got %q, want %q", got, condition)
			}
		})
	}
}

// Limits after login (RFC 6120 §4.9.3.14, §13.12; announced by XEP-0478).
func TestLimits(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{Config: "limits: {stanza_bytes: 20000, depth: 16, attributes: 16, elements: 100}"})
	for _, way := range []xmpptest.Way{xmpptest.TCP, xmpptest.WebSocket} {
		for name, send := range map[string]string{
			"size":       "<message to='romeo@localhost'><body>" + strings.Repeat("x", 20000) + "</body></message>",
			"depth":      "<message>" + strings.Repeat("<a>", 17) + strings.Repeat("</a>", 17) + "</message>",
			"attributes": "<message a='' b='' c='' d='' e='' f='' g='' h='' i='' j='' k='' l='' m='' n='' o='' p='' q=''/>",
			"elements":   "<message>" + strings.Repeat("<a/>", 101) + "</message>",
		} {
			t.Run(string(way)+"/"+name, func(t *testing.T) {
				t.Parallel()
				c := s.Login(t, way, "romeo@localhost/"+name+string(way))
				ok := "<message to='" + c.JID.String() + "' id='1'><body>" + strings.Repeat("x", 19000) + "</body></message>"
				c.Send(ok)
				if e := c.Next(); e.Attr("id") != "1" || len(e.Raw) < len(ok) {
					t.Fatalf("within the limits: %s", e)
				}
				if way == xmpptest.WebSocket {
					send = strings.Replace(send, "<message", "<message xmlns='jabber:client'", 1)
				}
				c.Raw(send)
				if got := c.Ended(); got != "policy-violation" {
					t.Errorf("got %q", got)
				}
			})
		}
	}
}

// What is sent in clear behind <starttls/> is never interpreted; the connection
// is not usable any more (RFC 6120 §5.4.3.3).
func TestInjectionBeforeTLS(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{})
	s.Account(t, "romeo")
	c := s.Dial(t, xmpptest.TCP)
	c.Open()
	c.Raw("<starttls xmlns='" + nsTLS + "'/>" + header("to='localhost' version='1.0'") + plain("romeo") + header("to='localhost' version='1.0'") + bind)
	c.Expect("<proceed xmlns='" + nsTLS + "'/>")
	c.ExpectLost()
}

func plain(user string) string {
	return strings.Replace(plainRomeo, "{plain}", base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+xmpptest.Password)), 1)
}

// Clients may write everything in one packet and lose no byte of it: header,
// login, header, bind, presence, message.
func TestPipelining(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{})
	s.Account(t, "romeo")
	c := s.Dial(t, xmpptest.DirectTLS)
	open := header("to='localhost' version='1.0'")
	c.Raw(open + plain("romeo") + open + bind + "<presence/><message to='romeo@localhost' id='1'><body>to myself</body></message>")
	c.Greeting()
	c.Next() // features
	c.Expect("<success xmlns='" + nsSASL + "'/>")
	c.Greeting()
	c.Next()
	c.Expect(`<iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>romeo@localhost/home</jid></bind></iq>
		<presence from='romeo@localhost/home' to='romeo@localhost'/>
		<message from='romeo@localhost/home' to='romeo@localhost' id='1'><body>to myself</body></message>`)
	c.ExpectNothing()

	// STARTTLS and the header in one packet, and the handshake behind it.
	c = s.Dial(t, xmpptest.TCP)
	c.Raw(open + "<starttls xmlns='" + nsTLS + "'/>")
	c.Greeting()
	c.Next()
	c.Expect("<proceed xmlns='" + nsTLS + "'/>")
	c.HandshakeTLS()
	c.Raw(open + plain("romeo") + open + bind)
	c.Greeting()
	c.Next()
	c.Expect("<success xmlns='" + nsSASL + "'/>")
	c.Greeting()
	c.Next()
	c.Expect(`<iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>romeo@localhost/home</jid></bind></iq>`)
}

// One byte at a time is as good as all at once.
func TestByteByByte(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{})
	c := s.Login(t, xmpptest.TCP, "romeo@localhost/home")
	for _, b := range []byte("<message to='romeo@localhost/home' id='1'><body>träge</body></message><iq type='get' id='2' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>") {
		c.Raw(string([]byte{b}))
	}
	c.Expect(`<message from='romeo@localhost/home' to='romeo@localhost/home' id='1'><body>träge</body></message>
		<iq type='result' id='2' from='localhost' to='romeo@localhost/home'/>`)
}

// Login (RFC 6120 §6).
func TestLogin(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{Config: "auth: {failures_before_delay: 100, failures_per_address: 100}"})
	s.Account(t, "romeo")
	for _, way := range []xmpptest.Way{xmpptest.TCP, xmpptest.DirectTLS, xmpptest.WebSocket, xmpptest.SecureWebSocket} {
		for _, m := range []sasl.Mechanism{sasl.Plain, sasl.ScramSha1, sasl.ScramSha256} {
			t.Run(string(way)+"/"+m.Name, func(t *testing.T) {
				t.Parallel()
				c := s.Dial(t, way)
				c.Secure()
				for user, password := range map[string]string{"romeo": "wrong", "nobody": xmpptest.Password} {
					if err := c.Login(m, user, password); err == nil || err.Error() != "not-authorized" {
						t.Errorf("%s with %q: %v", user, password, err)
					}
				}
				if err := c.Login(m, "romeo", xmpptest.Password); err != nil {
					t.Fatal(err)
				}
				c.Open()
				c.Bind("")
				c.ExpectNothing()
				c.Close()
			})
		}
	}
}

// SASL errors that a client can cause (RFC 6120 §6.5).
func TestLoginErrors(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{Config: "auth: {failures_before_delay: 100, failures_per_address: 100, attempts_per_connection: 100}"})
	s.Account(t, "romeo")
	s.Account(t, "juliet")
	text := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	auth := func(mechanism, data string) string {
		return "<auth xmlns='" + nsSASL + "' mechanism='" + mechanism + "'>" + data + "</auth>"
	}
	for _, way := range []xmpptest.Way{xmpptest.TCP, xmpptest.WebSocket} {
		c := s.Dial(t, way)
		c.Secure()
		for _, tt := range []struct{ send, condition string }{
			{auth("X-NONSENSE", ""), "invalid-mechanism"},
			{auth("scram-sha-1", text("n,,n=romeo,r=abc")), "invalid-mechanism"},
			{auth("PLAIN", "not base64!"), "incorrect-encoding"},
			{auth("PLAIN", text("romeo")), "malformed-request"},
			{auth("PLAIN", "="), "malformed-request"},
			{auth("PLAIN", text("juliet@localhost\x00romeo\x00"+xmpptest.Password)), "invalid-authzid"},
			{"<response xmlns='" + nsSASL + "'/>", "malformed-request"},
			{"<abort xmlns='" + nsSASL + "'/>", "aborted"},
		} {
			c.Send(tt.send)
			if e := c.Next(); e.Name != "failure" || e.Child(nsSASL, tt.condition) == nil {
				t.Errorf("%s: %s: want %s, got %s", way, tt.send, tt.condition, e)
			}
		}
		// Aborted in the middle; the next attempt works.
		c.Send(auth("SCRAM-SHA-1", text("n,,n=romeo,r=abcdefgh")))
		if e := c.Next(); e.Name != "challenge" {
			t.Fatalf("%s", e)
		}
		c.Send("<abort xmlns='" + nsSASL + "'/>")
		c.Expect("<failure xmlns='" + nsSASL + "'><aborted/></failure>")
		// No initial response: the empty challenge asks for it (§6.4.2).
		c.Send("<auth xmlns='" + nsSASL + "' mechanism='PLAIN'/>")
		c.Expect("<challenge xmlns='" + nsSASL + "'/>")
		c.Send("<response xmlns='" + nsSASL + "'>" + text("\x00romeo\x00"+xmpptest.Password) + "</response>")
		c.Expect("<success xmlns='" + nsSASL + "'/>")
		c.Open()
		c.Bind("")
	}

	// No login before TLS (§6.5.4).
	c := s.Dial(t, xmpptest.TCP)
	c.Open()
	c.Send(plain("romeo"))
	c.Expect("<failure xmlns='" + nsSASL + "'><encryption-required/></failure>")
}

// RFC 6120 §6.4.5: there is an end to guessing.
func TestTooManyAttempts(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{Config: "auth: {failures_before_delay: 100, attempts_per_connection: 3}"})
	for _, way := range []xmpptest.Way{xmpptest.TCP, xmpptest.WebSocket} {
		c := s.Dial(t, way)
		c.Secure()
		for range 3 {
			c.Send("<auth xmlns='" + nsSASL + "' mechanism='PLAIN'>AHJvbWVvAHdyb25n</auth>")
			c.Expect("<failure xmlns='" + nsSASL + "'><not-authorized/></failure>")
		}
		c.ExpectEnd("policy-violation")
	}
}

// A stop tells every client, in whatever state it is (RFC 6120 §4.9.3.19).
func TestShutdown(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{})
	var all []*xmpptest.Client
	for _, way := range []xmpptest.Way{xmpptest.TCP, xmpptest.DirectTLS, xmpptest.WebSocket, xmpptest.SecureWebSocket} {
		all = append(all, s.Login(t, way, "romeo@localhost/"+string(way)))
		c := s.Dial(t, way)
		c.Secure()
		all = append(all, c)
	}
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), xmpptest.Patience)
		defer cancel()
		stopped <- s.Stop(ctx)
	}()
	for _, c := range all {
		c.ExpectEnd("system-shutdown")
	}
	select {
	case err := <-stopped:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(xmpptest.Patience):
		t.Error("the server does not stop")
	}
}
