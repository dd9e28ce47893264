package node_test

import (
	"strings"
	"testing"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/internal/xmpptest"
)

const nsRegister = "jabber:iq:register"

func registration(name, password string) string {
	return "<iq type='set' id='1' to='localhost'><query xmlns='" + nsRegister + "'><username>" + name + "</username><password>" + password + "</password></query></iq>"
}

// XEP-0077 §3.1: an account is made in band where the operator allows it, and
// so many an hour from one address.
func TestRegistration(t *testing.T) {
	t.Parallel()
	for _, way := range []xmpptest.Way{xmpptest.TCP, xmpptest.WebSocket} {
		t.Run(string(way), func(t *testing.T) {
			t.Parallel()
			s := xmpptest.Start(t, xmpptest.Options{Config: "registration: {enabled: true, per_address_per_hour: 2}"})
			c := s.Dial(t, way)
			c.Secure()
			if c.Features.Child("http://jabber.org/features/iq-register", "register") == nil {
				t.Errorf("no feature: %s", c.Features)
			}
			c.Send("<iq type='get' id='1' to='localhost'><query xmlns='" + nsRegister + "'/></iq>")
			if e := c.Next().Child(nsRegister, "query"); e == nil || e.Child(nsRegister, "username") == nil || e.Child(nsRegister, "password") == nil {
				t.Fatalf("form: %s", e)
			}
			refused := func(name, password, typ, condition string) {
				t.Helper()
				c.Send(registration(name, password))
				c.Expect("<iq type='error' id='1' from='localhost'><error type='" + typ + "'><" + condition + " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
			}
			refused("romeo", "", "modify", "not-acceptable")
			refused("", "secret", "modify", "not-acceptable")
			refused("ro meo", "secret", "modify", "jid-malformed")
			refused("romeo", "a\u202eb", "modify", "not-acceptable")
			c.Send(registration("romeo", "secret"))
			c.Expect("<iq type='result' id='1' from='localhost'/>")
			refused("Romeo", "other", "cancel", "conflict")
			c.Send(registration("juliet", "secret"))
			c.Expect("<iq type='result' id='1' from='localhost'/>")
			refused("nurse", "secret", "wait", "resource-constraint")

			// The same stream goes on with the login.
			if err := c.Login(sasl.ScramSha256, "romeo", "secret"); err != nil {
				t.Fatal(err)
			}
			c.Open()
			c.Bind("home")

			// §3.3: from now on with another password.
			c.Send(registration("romeo", "changed"))
			c.Expect("<iq type='result' id='1' from='localhost' to='romeo@localhost/home'/>")
			again := s.Dial(t, way)
			again.Secure()
			if err := again.Login(sasl.ScramSha1, "romeo", "secret"); err == nil || err.Error() != "not-authorized" {
				t.Errorf("old password: %v", err)
			}
			if err := again.Login(sasl.ScramSha1, "romeo", "changed"); err != nil {
				t.Errorf("new password: %v", err)
			}
		})
	}
}

// Off by default: not announced, not answered, and not possible.
func TestRegistrationOff(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{})
	c := s.Dial(t, xmpptest.TCP)
	c.Secure()
	if strings.Contains(c.Features.Raw, "iq-register") {
		t.Errorf("features: %s", c.Features.Raw)
	}
	for _, send := range []string{"<iq type='get' id='1' to='localhost'><query xmlns='" + nsRegister + "'/></iq>", registration("romeo", "secret"),
		"<iq type='get' id='1' to='localhost'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>", "<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>"} {
		c.Send(send)
		if e := c.Next(); e.Attr("type") != "error" {
			t.Errorf("%s: %s", send, e)
		}
	}
	if err := c.Login(sasl.ScramSha1, "romeo", "secret"); err == nil || err.Error() != "not-authorized" {
		t.Errorf("login: %v", err)
	}
}
