package xmpptest

import (
	"encoding/base64"
	"errors"
	"fmt"
	"testing"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/jid"
)

// StartTLS negotiates TLS on a stream that is open.
func (c *Client) StartTLS() {
	c.t.Helper()
	c.Send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
	c.Expect("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
	c.HandshakeTLS()
}

// HandshakeTLS follows <proceed/>.
func (c *Client) HandshakeTLS() {
	c.t.Helper()
	if err := c.w.(*tcp).startTLS(c.domain); err != nil {
		c.t.Fatalf("start TLS: %v", err)
	}
}

// Secure opens the stream and, where that is needed, makes it secure.
func (c *Client) Secure() {
	c.t.Helper()
	if err := c.secure(); err != nil {
		c.t.Fatalf("open stream: %v", err)
	}
}

func (c *Client) secure() error {
	const ns = "urn:ietf:params:xml:ns:xmpp-tls"
	if _, err := c.open(); err != nil || c.way != TCP || c.Features.Child(ns, "starttls") == nil {
		return err
	}
	if err := c.send("<starttls xmlns='" + ns + "'/>"); err != nil {
		return err
	}
	if e, err := c.read(); err != nil {
		return err
	} else if e.Space != ns || e.Name != "proceed" {
		return fmt.Errorf("STARTTLS was answered by\n%s", e)
	}
	if err := c.w.(*tcp).startTLS(c.domain); err != nil {
		return fmt.Errorf("start TLS: %w", err)
	}
	_, err := c.open()
	return err
}

// Authenticate logs in by SCRAM-SHA-1 and opens the stream again.
func (c *Client) Authenticate(user, password string) {
	c.t.Helper()
	if err := c.Login(sasl.ScramSha1, user, password); err != nil {
		c.t.Fatalf("log in as %s: %v", user, err)
	}
	c.Open()
}

const nsSASL = "urn:ietf:params:xml:ns:xmpp-sasl"

// Login runs a SASL exchange and returns the condition of <failure/> as an error.
func (c *Client) Login(m sasl.Mechanism, user, password string) error {
	c.t.Helper()
	n := sasl.NewClient(m,
		sasl.Credentials(func() (username, pass, identity []byte) { return []byte(user), []byte(password), nil }),
		sasl.RemoteMechanisms(m.Name))
	more, out, err := n.Step(nil)
	if err != nil {
		return err
	}
	text := base64.StdEncoding.EncodeToString
	c.Send("<auth xmlns='" + nsSASL + "' mechanism='" + m.Name + "'>" + text(out) + "</auth>")
	for {
		e := c.Next()
		data, err := base64.StdEncoding.DecodeString(e.Text())
		if err != nil && e.Text() != "=" {
			return fmt.Errorf("read %s: %w", e.Raw, err)
		}
		switch e.Name {
		case "challenge":
			if more, out, err = n.Step(data); err != nil {
				return err
			}
			c.Send("<response xmlns='" + nsSASL + "'>" + text(out) + "</response>")
		case "success":
			if more {
				_, _, err = n.Step(data) // the server's signature
			}
			return err
		default:
			for _, condition := range e.Children() {
				return errors.New(condition.Name)
			}
			return errors.New(e.Raw)
		}
	}
}

// Bind binds a resource, or with an empty one what the server chooses.
func (c *Client) Bind(resource string) {
	c.t.Helper()
	want := ""
	if resource != "" {
		want = "<resource>" + escapeText.Replace(resource) + "</resource>"
	}
	c.Send("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>" + want + "</bind></iq>")
	vars := Vars{}
	c.ExpectVars("<iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>{jid}</jid></bind></iq>", vars)
	j, err := jid.Parse(vars["jid"])
	if err != nil || resource != "" && j.Resource() != resource {
		c.t.Fatalf("bound %q, asked for %q: %v", vars["jid"], resource, err)
	}
	c.bound(j)
}

// Login connects, logs in and binds, without presence. The account is made if
// there is none.
func (s *Server) Login(t testing.TB, way Way, full string) *Client {
	t.Helper()
	j := jid.MustParse(full)
	s.Account(t, full)
	c := s.Dial(t, way)
	c.domain = j.Domain()
	c.Secure()
	c.Authenticate(j.Local(), Password)
	c.Bind(j.Resource())
	return c
}
