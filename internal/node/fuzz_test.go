package node_test

import (
	"encoding/base64"
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
		"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>AGZ1eno=</initial-response></authenticate>",
		fuzzLogin("<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>x</software></user-agent>"+
			"<bind xmlns='urn:xmpp:bind:0'><tag>x</tag><enable xmlns='urn:xmpp:sm:3' resume='true'/><enable xmlns='urn:xmpp:carbons:2'/><inactive xmlns='urn:xmpp:csi:0'/></bind>"+
			"<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>") + "<presence/><r xmlns='urn:xmpp:sm:3'/>",
		fuzzLogin("<resume xmlns='urn:xmpp:sm:3' h='1' previd='x'/><upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-512</upgrade><config-version xmlns='urn:xmpp:iap:0' value='x'/>"),
		"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-NONE'><initial-response>ZnV6egAx</initial-response><fast xmlns='urn:xmpp:fast:0' count='1' invalidate='true'/></authenticate>",
		"<response xmlns='urn:xmpp:sasl:2'>biwsbj1mdXp6LHI9eA==</response>",
		"<abort xmlns='urn:xmpp:sasl:2'/>",
		"<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-512'/><task-data xmlns='urn:xmpp:sasl:2'><hash xmlns='urn:xmpp:scram-upgrade:0'>eA==</hash></task-data>",
		"<enable xmlns='urn:xmpp:sm:3' resume='1'/><a xmlns='urn:xmpp:sm:3' h='0'/>",
	} {
		for s := range fuzzStates {
			f.Add(uint8(i+s), []byte(xml))
		}
	}
	s := xmpptest.Start(f, xmpptest.Options{Config: `
modules: {register: {enabled: false}} # an input must not remove the account
auth: {failure_delay: 0s}
streams: {resume_timeout: 0s} # or sessions outlive their connections
`})
	s.Account(f, "fuzz")
	s.Account(f, "control")
	f.Fuzz(func(t *testing.T, state uint8, data []byte) {
		if len(data) > 64<<10 {
			return
		}
		enter(t, s, state%fuzzStates).Feed(data)
		control := s.Login(t, xmpptest.WebSocket, "control@localhost/c")
		control.Sync()
		control.Close()
	})
}

// fuzzStates is how many enter knows.
const fuzzStates = 10

// fuzzLogin logs in by SASL2, with further requests.
func fuzzLogin(more string) string {
	return "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>" +
		base64.StdEncoding.EncodeToString([]byte("\x00fuzz\x00"+xmpptest.Password)) + "</initial-response>" + more + "</authenticate>"
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
	case 6: // in the middle of SASL2
		c := s.Dial(t, xmpptest.DirectTLS)
		c.Secure()
		c.Send("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-1'><initial-response>biwsbj1mdXp6LHI9ZnlrbytkMmxiYkZnT05Sdjlxa3hkYXdM</initial-response></authenticate>")
		c.Next()
		return c
	case 7: // logged in by SASL2, not bound
		c := s.Dial(t, xmpptest.DirectTLS)
		c.Secure()
		c.Send(fuzzLogin(""))
		c.Next()
		return c
	case 8: // a session by Bind 2, with stream management
		c := s.Dial(t, xmpptest.WebSocket)
		c.Secure()
		c.Send(fuzzLogin("<bind xmlns='urn:xmpp:bind:0'><enable xmlns='urn:xmpp:sm:3'/></bind>"))
		c.Next()
		return c
	}
	return s.Login(t, xmpptest.WebSocket, "fuzz@localhost/w")
}
