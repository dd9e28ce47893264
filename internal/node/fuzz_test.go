package node_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"testing"
	"time"

	"github.com/xmppd/xmppd/internal/streamcase"
	"github.com/xmppd/xmppd/internal/xmpptest"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
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
		"<resume xmlns='urn:xmpp:sm:3' h='0' previd='{stream}'/><message to='fuzz@localhost'><body>x</body></message><r xmlns='urn:xmpp:sm:3'/>",
		"<resume xmlns='urn:xmpp:sm:3' h='9' previd='{stream}'/>",
		fuzzLogin("<resume xmlns='urn:xmpp:sm:3' h='1' previd='{stream}'/><bind xmlns='urn:xmpp:bind:0'/>"),
		"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-NONE'><initial-response>{fast}</initial-response><user-agent id='" + fuzzAgent + "'/>" +
			"<resume xmlns='urn:xmpp:sm:3' h='0' previd='{stream}'/><bind xmlns='urn:xmpp:bind:0'><enable xmlns='urn:xmpp:sm:3' resume='true'/></bind><fast xmlns='urn:xmpp:fast:0' count='1'/></authenticate><presence/>",
		"<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-512'/>",
		"<task-data xmlns='urn:xmpp:sasl:2'><hash xmlns='urn:xmpp:scram-upgrade:0'>" + base64.StdEncoding.EncodeToString(make([]byte, 64)) + "</hash></task-data>",
		"<active xmlns='urn:xmpp:csi:0'/><a xmlns='urn:xmpp:sm:3' h='1'/><inactive xmlns='urn:xmpp:csi:0'/>",
	} {
		for s := range fuzzStates {
			f.Add(uint8(i+s), []byte(xml))
		}
	}
	s := xmpptest.Start(f, xmpptest.Options{Still: true, Config: `
modules: {register: {enabled: false}} # an input must not remove the account
auth: {failure_delay: 0s}
streams: {resume_timeout: 2s}
`})
	s.Account(f, "fuzz")
	s.Account(f, "weak")
	s.Account(f, "control")
	f.Fuzz(func(t *testing.T, state uint8, data []byte) {
		if len(data) > 64<<10 {
			return
		}
		c, vars, gone := enter(t, s, state%fuzzStates)
		for name, value := range vars {
			data = bytes.ReplaceAll(data, []byte(name), []byte(value))
		}
		stop := hurry(s)
		c.Feed(data)
		if gone != nil {
			gone.Gone()
		}
		stop()
		control := s.Login(t, xmpptest.WebSocket, "control@localhost/c")
		control.Sync()
		control.Close()
	})
}

// hurry makes time pass until stop is called, so that sessions do not wait for
// their clients.
func hurry(s *xmpptest.Server) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.Pass(time.Second)
			case <-quit:
				return
			}
		}
	}()
	return func() { close(quit); <-done }
}

// fuzzStates is how many enter knows.
const fuzzStates = 17

const fuzzAgent = "d4565fa7-4d72-4749-b3d3-740edbf87770"

// fuzzLogin logs in by SASL2, with further requests.
func fuzzLogin(more string) string {
	return "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>" +
		base64.StdEncoding.EncodeToString([]byte("\x00fuzz\x00"+xmpptest.Password)) + "</initial-response>" + more + "</authenticate>"
}

// enter brings a client into a state of a stream. vars are what an input may
// know by name only; gone is a client whose session goes on besides.
func enter(t *testing.T, s *xmpptest.Server, state uint8) (c *xmpptest.Client, vars map[string]string, gone *xmpptest.Client) {
	if state < 10 {
		return simple(t, s, state), nil, nil
	}
	secure := func() *xmpptest.Client {
		c := s.Dial(t, xmpptest.DirectTLS)
		c.Secure()
		return c
	}
	must := func(_ *xmpptest.Success, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	switch state {
	case 10, 11: // logged in while a session waits for its client, resumed or not yet
		old := s.Login(t, xmpptest.TCP, "fuzz@localhost/s")
		old.EnableSM(true)
		old.Send("<presence/><message to='fuzz@localhost/s'><body>x</body></message>")
		old.Sync()
		old.DropDetached()
		vars = map[string]string{"{stream}": old.StreamID()}
		if c = secure(); state == 11 {
			return c, vars, old
		}
		c.Authenticate("fuzz", xmpptest.Password)
		if answer := c.TryResume(old); answer.Name != "resumed" {
			t.Fatalf("%s", answer)
		}
		return c, vars, nil
	case 12, 13: // a task is offered, or under way (XEP-0480)
		weaken(t, s, "weak")
		c = secure()
		if _, err := c.SASL2(xmpptest.Request{User: "weak", Mechanism: "SCRAM-SHA-256", Extra: "<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-512</upgrade>"}); err == nil {
			t.Fatal("no task is offered")
		}
		if state == 13 {
			c.Send("<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-512'/>")
			if e := c.Next(); e.Name != "task-data" {
				t.Fatalf("%s", e)
			}
		}
		return c, nil, nil
	case 14, 15: // with a token that is valid, not logged in or logged in by it
		const mechanism = "HT-SHA-256-NONE"
		c = secure()
		login, err := c.SASL2(xmpptest.Request{User: "fuzz", Mechanism: "PLAIN", Agent: fuzzAgent, Token: mechanism})
		must(login, err)
		c.Drop()
		token := login.Token.Attr("token")
		if c = secure(); state == 15 {
			must(c.SASL2(xmpptest.Request{User: "fuzz", Secret: token, Mechanism: mechanism, Agent: fuzzAgent, Fast: "count='1'", Bind: &xmpptest.Bind{Tag: "t", Manage: true}}))
		}
		proof := hmac.New(sha256.New, []byte(token))
		proof.Write([]byte("Initiator"))
		return c, map[string]string{"{fast}": base64.StdEncoding.EncodeToString(proof.Sum([]byte("fuzz\x00")))}, nil
	}
	// An inactive client for which something is held back.
	c = secure()
	must(c.SASL2(xmpptest.Request{User: "fuzz", Mechanism: "PLAIN", Bind: &xmpptest.Bind{Tag: "i", Manage: true, Carbons: true, Inactive: true}}))
	control := s.Login(t, xmpptest.WebSocket, "control@localhost/c")
	for range 3 {
		control.Send("<presence to='" + c.JID.String() + "'/><message to='" + c.JID.String() + "' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>")
	}
	control.Sync()
	control.Close()
	return c, map[string]string{"{stream}": c.StreamID()}, nil
}

// weaken leaves an account the credentials for SHA-256 only.
func weaken(t *testing.T, s *xmpptest.Server, user string) {
	t.Helper()
	j := jid.MustParse(user + "@localhost")
	a, err := s.DB.Account(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	few := slices.DeleteFunc(a.Credentials, func(c storage.Credential) bool { return c.Hash != "SHA-256" })
	if err := s.DB.SetCredentials(t.Context(), j, few); err != nil {
		t.Fatal(err)
	}
}

// simple is enter for states that need nothing else.
func simple(t *testing.T, s *xmpptest.Server, state uint8) *xmpptest.Client {
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
