package node_test

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/internal/node"
	"github.com/xmppd/xmppd/internal/xmpptest"
)

// loggedIn is a client that has authenticated and opened its second stream.
func loggedIn(t *testing.T, s *xmpptest.Server, account string) *xmpptest.Client {
	t.Helper()
	s.Account(t, account)
	c := s.Dial(t, xmpptest.TCP)
	c.Secure()
	c.Authenticate(account, xmpptest.Password)
	return c
}

// secondHeader logs in by hand up to the second stream header.
func secondHeader(t *testing.T, s *xmpptest.Server, account, attrs string) *xmpptest.Client {
	t.Helper()
	s.Account(t, account)
	c := s.Dial(t, xmpptest.DirectTLS)
	c.Open()
	c.Send("<auth xmlns='" + nsSASL + "' mechanism='PLAIN'>" +
		base64.StdEncoding.EncodeToString([]byte("\x00"+account+"\x00"+xmpptest.Password)) + "</auth>")
	c.Expect("<success xmlns='" + nsSASL + "'/>")
	c.Raw(header(attrs))
	c.Greeting()
	return c
}

// The language of a stream goes onto each of its stanzas (RFC 6120 §8.1.5): if it
// could be of any length, a few bytes would fill the queue of the addressee.
func TestLanguageIsNoLever(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{})
	juliet := s.Login(t, xmpptest.TCP, "juliet@localhost/balcony")
	c := secondHeader(t, s, "romeo", "to='localhost' version='1.0' xml:lang='"+strings.Repeat("x", 100_000)+"'")
	c.Next()
	c.Bind("home")
	c.Send(strings.Repeat("<message to='juliet@localhost/balcony' id='1'/>", 60))
	c.Sync()
	for range 60 {
		juliet.Expect("<message from='romeo@localhost/home' to='juliet@localhost/balcony' id='1'/>")
	}
}

// What the end of the old session sends to the address reaches the new one, but
// not before its client knows the address (RFC 6120 §7.1).
func TestBindIsAnsweredFirst(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{})
	old := s.Login(t, xmpptest.TCP, "juliet@localhost/balcony")
	old.Send("<presence to='juliet@localhost/balcony'/>")
	old.Sync()
	c := loggedIn(t, s, "juliet")
	c.Bind("balcony")
	c.Expect("<presence from='juliet@localhost/balcony' to='juliet@localhost/balcony' type='unavailable'/>")
}

// Whoever ends the sessions of an account does not see a client that is about to
// bind one.
func TestAccountGoneBeforeBind(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{})
	for _, tt := range []struct{ name, args string }{
		{"unregister", `{"user":"unregister","host":"localhost"}`},
		{"ban_account", `{"user":"ban_account","host":"localhost","reason":"spam"}`},
		{"change_password", `{"user":"change_password","host":"localhost","newpass":"other"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := loggedIn(t, s, tt.name)
			call(t, s, tt.name, tt.args)
			c.Send(bind)
			c.Next()
			c.ExpectEnd("not-authorized")
		})
	}
}

// A client that has been told to go, and does not read it, cannot go on speaking.
func TestKickedClientIsSilent(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{Config: "limits:\n  outbox_bytes: 256MiB\n"})
	romeo := s.Login(t, xmpptest.TCP, "romeo@localhost/home")
	juliet := s.Login(t, xmpptest.TCP, "juliet@localhost/balcony")
	stall(romeo, "juliet@localhost/balcony")
	call(t, s, "kick_user", `{"user":"juliet","host":"localhost"}`)
	juliet.Send("<message to='romeo@localhost/home'><body>still here</body></message>")
	juliet.Gone()
	romeo.ExpectNothing()
}

// call runs an admin command; args is a JSON object.
func call(t *testing.T, s *xmpptest.Server, name, args string) {
	t.Helper()
	if _, _, err := s.Node.Commands(node.Process{}).Call(t.Context(), name, []byte(args)); err != nil {
		t.Fatalf("%s %s: %v", name, args, err)
	}
}

// The end of the server waits neither for clients that do not read nor for the
// delay of a failed login.
func TestShutdownWaitsForNobody(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{Config: "limits:\n  outbox_bytes: 256MiB\n  login_timeout: 10m\n" +
		"auth:\n  failures_before_delay: 0\n  failure_delay: 1m\n  failure_delay_max: 9m\n"})
	guesser := s.Dial(t, xmpptest.DirectTLS)
	guesser.Open()
	guesser.Send("<auth xmlns='" + nsSASL + "' mechanism='PLAIN'>AG5vYm9keQBndWVzcw==</auth>")
	romeo := s.Login(t, xmpptest.TCP, "romeo@localhost/home")
	juliet := s.Login(t, xmpptest.TCP, "juliet@localhost/balcony")
	stall(romeo, "juliet@localhost/balcony")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
	juliet.Gone()
}

// stall sends more than the system keeps for a client that does not read.
func stall(c *xmpptest.Client, to string) {
	long := "<message to='" + to + "'><body>" + strings.Repeat("x", 200<<10) + "</body></message>"
	for range 120 {
		c.Send(long)
	}
	c.Sync()
}

// Tags cost a stranger little and the server much.
func TestManyElementsBeforeLogin(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{})
	c := s.Dial(t, xmpptest.DirectTLS)
	c.Open()
	c.Raw("<iq type='get' id='1'><query xmlns='jabber:iq:register'>" + strings.Repeat("<a/>", 200))
	c.ExpectEnd("policy-violation")
}
