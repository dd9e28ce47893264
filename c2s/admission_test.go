package c2s_test

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"testing"
	"testing/synctest"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/internal/xmpptest"
)

const (
	tlsHeader = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>"
	wrongAuth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHJvbWVvAHdyb25n</auth>"
	scramAuth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>biwsbj1yb21lbyxyPXg=</auth>"
)

// When as many wait as may, who has not got beyond his stream header is told to
// come later, where there is no TLS to hide behind.
func TestCrowdedBeforeTLS(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind   string
		secure bool
		end    string
	}{
		"before STARTTLS":         {"c2s", false, "resource-constraint"},
		"behind TLS":              {"c2s", true, ""},
		"WebSocket":               {"websocket", false, "resource-constraint"},
		"WebSocket behind a wall": {"websocket", true, "resource-constraint"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := open(t, config.Defaults(), new(one), nil)
				h.Crowd(true)
				client := h.dial(c.kind, c.secure)
				if c.end == "" {
					client.Open()
					return
				}
				client.Raw(tlsHeader)
				client.Greeting()
				client.ExpectEnd(c.end)
				h.Crowd(false)
				h.dial(c.kind, c.secure).Open()
			})
		})
	}
}

// Behind its login a client is let through: the stream that it opens then is
// no newcomer's.
func TestCrowdedBehindTheLogin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := open(t, config.Defaults(), new(one), nil)
		c := h.dial("websocket", true)
		c.Open()
		if err := c.Login(sasl.ScramSha1, "romeo", xmpptest.Password); err != nil {
			t.Fatal(err)
		}
		h.Crowd(true)
		c.Open()
		c.Bind("home")
		c.ExpectNothing()
	})
}

// A login that has begun goes on; whether it ends well or not is another matter.
func TestCrowdedInTheLogin(t *testing.T) {
	t.Parallel()
	const start = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>"
	for send, want := range map[string]string{
		"<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>" + base64.StdEncoding.EncodeToString([]byte("\x00romeo\x00"+xmpptest.Password)) + "</response>": "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
		"<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>": "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><aborted/></failure>",
	} {
		synctest.Test(t, func(t *testing.T) {
			h := open(t, config.Defaults(), new(one), nil)
			c := h.dial("c2s", true)
			c.Open()
			c.Send(start)
			c.Next()
			h.Crowd(true)
			c.Send(send)
			c.Expect(want)
		})
	}
}

// On a port with TLS from the first byte nothing can be said before the
// handshake, which is what there is no room for.
func TestCrowdedDirectTLS(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := open(t, config.Defaults(), new(one), nil)
		hello := func() error {
			return tls.Client(h.pipe("c2s_tls", false, true), &tls.Config{ServerName: "localhost"}).Handshake()
		}
		h.Crowd(true)
		if err := hello(); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("crowded: %v", err)
		}
		h.Crowd(false)
		if err := hello(); err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) { // it has no certificate
			t.Errorf("not crowded: %v", err)
		}
	})
}

// A login that there is no room for has not failed: it is no guess, waits for
// nothing, and whoever insists is told the reason.
func TestCrowdedLogin(t *testing.T) {
	t.Parallel()
	const (
		refused  = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><temporary-auth-failure/><text xml:lang='en'>{any}</text></failure>"
		refused2 = "<failure xmlns='urn:xmpp:sasl:2'><temporary-auth-failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/><text>{any}</text></failure>"
	)
	for name, c := range map[string]struct{ xml, want string }{
		"PLAIN": {wrongAuth, refused},
		"SCRAM": {scramAuth, refused},
		"SASL2": {authenticate("romeo", "wrong", ""), refused2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cfg := config.Defaults()
				cfg.Auth.AttemptsPerConnection = 2
				h := open(t, cfg, new(one), nil)
				client := h.dial("c2s", true)
				client.Open()
				h.Crowd(true)
				for range 5 {
					client.Send(c.xml)
					client.Expect(c.want)
				}
				h.Crowd(false)
				client.Authenticate("romeo", xmpptest.Password)
				client.Bind("home")

				stubborn := h.dial("c2s", true)
				stubborn.Open()
				h.Crowd(true)
				for range 10 {
					stubborn.Send(c.xml)
					stubborn.Expect(c.want)
				}
				stubborn.ExpectEnd("resource-constraint")
				if n := h.Stats().LoginFailures.Load(); n != 0 {
					t.Errorf("%d failed logins counted", n)
				}
			})
		})
	}
}

// Who comes with a token has been here before, and is let in.
func TestCrowdedLoginByToken(t *testing.T) {
	t.Parallel()
	h := open(t, config.Defaults(), xmpptest.Open(t, xmpptest.SQLite), nil)
	c := h.dial("c2s", true)
	c.Open()
	const mechanism = "HT-SHA-256-NONE"
	login, err := c.SASL2(xmpptest.Request{User: "romeo", Mechanism: "PLAIN", Agent: agentID, Token: mechanism})
	if err != nil {
		t.Fatal(err)
	}
	again := h.dial("c2s", true)
	again.Open()
	h.Crowd(true)
	if _, err := again.SASL2(xmpptest.Request{User: "romeo", Secret: login.Token.Attr("token"), Mechanism: mechanism, Agent: agentID, Bind: &xmpptest.Bind{}}); err != nil {
		t.Fatal(err)
	}
	again.ExpectNothing()
}

// Beyond limits.connections_before_login a connection hears why it has to go,
// where that can be said.
func TestTooManyBeforeLogin(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"c2s", "websocket"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cfg := config.Defaults()
				cfg.Limits.ConnectionsBeforeLogin = 2
				h := open(t, cfg, new(one), nil)
				h.enter("home") // does not count
				h.dial(kind, false)
				h.dial(kind, false).Open()
				synctest.Wait()
				c := h.dial(kind, false)
				c.Greeting()
				c.ExpectEnd("resource-constraint")
				if n := h.Stats().Refused.Load(); n != 1 {
					t.Errorf("%d refused", n)
				}
				direct := h.pipe("c2s_tls", false, true)
				if n, err := direct.Read(make([]byte, 1)); n != 0 || err == nil {
					t.Errorf("read %d bytes, %v", n, err)
				}
			})
		})
	}
}
