package node_test

import (
	"testing"

	"github.com/xmppd/xmppd/internal/streamcase"
	"github.com/xmppd/xmppd/internal/xmpptest"
)

// FuzzServer feeds bytes to a server in each state of a stream. Whatever they
// are, the server closes the connection in the end, forgets the session, logs
// no failure and goes on serving others.
func FuzzServer(f *testing.F) {
	for i, c := range streamcase.Load(f) {
		f.Add(uint8(i), c.In)
	}
	for i, xml := range []string{
		"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGZ1eno=</auth>",
		"<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>biwsbj1mdXp6LHI9eA==</response>",
		"<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>x</resource></bind></iq>",
		"<presence/><iq type='get' id='r'><query xmlns='jabber:iq:roster' ver=''/></iq>",
		"<presence type='subscribe' to='control@localhost'><status>x</status></presence>",
		"<iq type='set' id='s'><query xmlns='jabber:iq:roster'><item jid='a@b' name='n'><group>g</group></item></query></iq>",
		"<message to='fuzz@localhost' type='chat'><body>x</body></message>",
		"<iq type='get' id='d' to='localhost'><query xmlns='http://jabber.org/protocol/disco#info' node='x'/></iq>",
	} {
		for s := range 7 {
			f.Add(uint8(i+s), []byte(xml))
		}
	}
	s := xmpptest.Start(f, xmpptest.Options{Config: `
modules: {register: {enabled: false}} # an input must not remove the account
auth: {failure_delay: 0s}
`})
	s.Account(f, "fuzz")
	s.Account(f, "control")
	f.Fuzz(func(t *testing.T, state uint8, data []byte) {
		if len(data) > 64<<10 {
			return
		}
		enter(t, s, state%7).Feed(data)
		control := s.Login(t, xmpptest.WebSocket, "control@localhost/c")
		control.Sync()
		control.Close()
	})
}

// enter brings a client into a state of a stream.
func enter(t *testing.T, s *xmpptest.Server, state uint8) *xmpptest.Client {
	switch state {
	case 0: // nothing sent yet
		return s.Dial(t, xmpptest.TCP)
	case 1: // STARTTLS is due
		c := s.Dial(t, xmpptest.TCP)
		c.Open()
		return c
	case 2: // authentication is due
		c := s.Dial(t, xmpptest.TCP)
		c.Secure()
		return c
	case 3: // in the middle of SASL
		c := s.Dial(t, xmpptest.TCP)
		c.Secure()
		c.Send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>biwsbj1mdXp6LHI9ZnlrbytkMmxiYkZnT05Sdjlxa3hkYXdM</auth>")
		c.Next()
		return c
	case 4: // binding is due
		c := s.Dial(t, xmpptest.TCP)
		c.Secure()
		c.Authenticate("fuzz", xmpptest.Password)
		return c
	case 5: // a session
		return s.Login(t, xmpptest.DirectTLS, "fuzz@localhost/f")
	}
	return s.Login(t, xmpptest.WebSocket, "fuzz@localhost/w")
}
