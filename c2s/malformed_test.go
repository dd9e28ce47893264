package c2s_test

import (
	"encoding/base64"
	"maps"
	"testing"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/internal/xmpptest"
)

// Input that is no XML, or XML that must not come (RFC 6120 §11), ends the stream
// with the same error in every state of it.
func TestMalformedInEveryState(t *testing.T) {
	t.Parallel()
	const upgrade = "<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-512</upgrade>"
	s := xmpptest.Start(t, xmpptest.Options{Config: "auth: {failure_delay: 0s}"})
	s.Account(t, "romeo")
	s.Account(t, "juliet")
	weaken(t, s, "juliet")
	raw := base64.StdEncoding.EncodeToString([]byte("n,,n=romeo,r=abcdefgh"))
	inside := map[string]string{
		"text":                       "bad-format",
		"<a xmlns='x'></b>":          "not-well-formed",
		"<a xmlns='x' b='1' b='2'/>": "not-well-formed",
		"<p:a/>":                     "not-well-formed",
		"<a>\x01</a>":                "not-well-formed",
		"<a>\xff</a>":                "unsupported-encoding",
		"<a xmlns='x'>&amp;&x;</a>":  "restricted-xml",
	}
	all := map[string]string{
		"<!-- x -->":   "restricted-xml",
		"<?x y?>":      "restricted-xml",
		"<!DOCTYPE a>": "restricted-xml",
	}
	maps.Copy(all, inside)
	secure := func(t *testing.T) *xmpptest.Client {
		c := s.Dial(t, xmpptest.DirectTLS)
		c.Secure()
		return c
	}
	say := func(t *testing.T, c *xmpptest.Client, xml, answer string) *xmpptest.Client {
		t.Helper()
		c.Send(xml)
		if e := c.Next(); e.Name != answer {
			t.Fatalf("%s was answered by\n%s", xml, e)
		}
		return c
	}
	offered := func(t *testing.T) *xmpptest.Client {
		c := secure(t)
		if e := scram(t, c, "juliet", "n", nil, upgrade); e.Name != "continue" {
			t.Fatalf("no task is offered:\n%s", e)
		}
		return c
	}
	for name, enter := range map[string]func(t *testing.T) *xmpptest.Client{
		"STARTTLS is due": func(t *testing.T) *xmpptest.Client {
			c := s.Dial(t, xmpptest.TCP)
			c.Open()
			return c
		},
		"before the login": secure,
		"in SASL": func(t *testing.T) *xmpptest.Client {
			return say(t, secure(t), "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>"+raw+"</auth>", "challenge")
		},
		"in SASL2": func(t *testing.T) *xmpptest.Client {
			return say(t, secure(t), "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-1'><initial-response>"+raw+"</initial-response></authenticate>", "challenge")
		},
		"a task is offered": func(t *testing.T) *xmpptest.Client {
			return offered(t)
		},
		"in a task": func(t *testing.T) *xmpptest.Client {
			c := offered(t)
			return say(t, c, "<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-512'/>", "task-data")
		},
		"no login any more": func(t *testing.T) *xmpptest.Client {
			c := offered(t)
			return say(t, c, "<abort xmlns='urn:xmpp:sasl:2'/>", "failure")
		},
		"a header is due": func(t *testing.T) *xmpptest.Client {
			c := secure(t)
			if err := c.Login(sasl.ScramSha1, "romeo", xmpptest.Password); err != nil {
				t.Fatal(err)
			}
			return c
		},
		"behind the login": func(t *testing.T) *xmpptest.Client {
			c := secure(t)
			c.Authenticate("romeo", xmpptest.Password)
			return c
		},
		"a session": func(t *testing.T) *xmpptest.Client {
			return s.Login(t, xmpptest.DirectTLS, "romeo@localhost/home")
		},
		"a stream that can be resumed": func(t *testing.T) *xmpptest.Client {
			c := s.Login(t, xmpptest.DirectTLS, "romeo@localhost/phone")
			c.EnableSM(true)
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for xml, condition := range all {
				c := enter(t)
				c.Raw(xml)
				if name == "a header is due" {
					c.Greeting() // the error needs a stream (§4.9.1.2)
					if inside[xml] != "" {
						condition = "" // any: it is no stream header in the first place
					}
				}
				if got := c.Ended(); got == "" || condition != "" && got != condition {
					t.Errorf("%q: %q, want %q", xml, got, condition)
				}
			}
		})
	}
}
