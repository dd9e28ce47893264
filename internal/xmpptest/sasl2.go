package xmpptest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/xmppd/xmppd/jid"
)

const (
	nsSASL2   = "urn:xmpp:sasl:2"
	nsBind2   = "urn:xmpp:bind:0"
	nsFAST    = "urn:xmpp:fast:0"
	nsCarbons = "urn:xmpp:carbons:2"
)

// Request is a login, and with SASL2 (XEP-0388) what is asked for along with it.
type Request struct {
	User      string // localpart
	Secret    string // password or, with HT-*, token; empty: Password
	Mechanism string // empty: SCRAM-SHA-1
	Binding   string // type of channel binding; empty: the strongest that is offered
	GS2       string // header of SCRAM, if it should not be the right one

	Agent  string  // id of the user agent
	Bind   *Bind   // nil: no resource is bound
	Resume *Client // whose stream is to be resumed
	Token  string  // mechanism for which a token is requested (XEP-0484)
	Fast   string  // attributes of <fast/>, such as "count='1'"
	Extra  string  // more XML inside <authenticate/>
}

// Bind is a request of Bind 2 (XEP-0386).
type Bind struct {
	Tag      string
	Manage   bool // stream management, with resumption
	Carbons  bool
	Inactive bool
	Extra    string // more XML inside <bind/>
}

// Success is a login that succeeded.
type Success struct {
	*Element         // <success/>
	JID      jid.JID // SASL2: the authorization identifier
	Resumed  bool
	Token    *Element // XEP-0484
	Guarded  bool     // the server has confirmed what it offered (XEP-0474)
}

// SASL logs in by RFC 6120 §6 and returns the condition of <failure/> as an
// error. Afterwards the stream has to be opened again.
func (c *Client) SASL(r Request) (*Success, error) {
	c.t.Helper()
	m, err := c.mechanism(&r, c.Mechanisms())
	if err != nil {
		return nil, err
	}
	x := exchange{c: c, ns: nsSASL, m: m}
	e, err := x.run("<auth xmlns='" + nsSASL + "' mechanism='" + r.Mechanism + "'>" + data(m.initial()) + "</auth>")
	if err != nil {
		return nil, err
	}
	return &Success{Element: e, Guarded: guarded(m)}, x.finish(e, true)
}

// SASL2 logs in by XEP-0388, and binds or resumes if that is asked for. The
// condition of <failure/> is returned as an error; the client may try again.
func (c *Client) SASL2(r Request) (*Success, error) {
	c.t.Helper()
	offer, _ := c.Mechanisms2()
	m, err := c.mechanism(&r, offer)
	if err != nil {
		return nil, err
	}
	return c.authenticate(&r, m, r.xml(m))
}

// authenticate is SASL2 from <authenticate/> on, which has been sent if begin is
// empty.
func (c *Client) authenticate(r *Request, m mechanism, begin string) (*Success, error) {
	x := exchange{c: c, ns: nsSASL2, m: m}
	e, err := x.run(begin)
	if err != nil {
		return nil, err
	}
	more := e.Child(nsSASL2, "additional-data")
	if err := x.finish(more, more != nil); err != nil {
		return nil, err
	}
	s := &Success{Element: e, Guarded: guarded(m)}
	return s, c.enter(r, s)
}

// QuickStart sends the stream header and the request in one go, before anything
// is known of the server (XEP-0509). The mechanism must be one of a single step.
func (c *Client) QuickStart(r Request) (*Success, error) {
	c.t.Helper()
	m, err := c.mechanism(&r, nil)
	if err != nil {
		return nil, err
	}
	w, ok := c.w.(*tcp)
	if !ok {
		return nil, errors.New("a WebSocket cannot send two elements at once")
	}
	if err := w.raw(header(c.domain, c.from, c.lang) + r.xml(m)); err != nil {
		return nil, err
	}
	if _, err := w.greeting(); err != nil {
		return nil, err
	}
	if err := c.features(); err != nil {
		return nil, err
	}
	return c.authenticate(&r, m, "")
}

// xml is <authenticate/>.
func (r *Request) xml(m mechanism) string {
	var b strings.Builder
	b.WriteString("<authenticate xmlns='" + nsSASL2 + "' mechanism='" + r.Mechanism + "'>")
	b.WriteString("<initial-response>" + encode(m.initial()) + "</initial-response>")
	if r.Agent != "" {
		b.WriteString("<user-agent id='" + r.Agent + "'><software>xmpptest</software><device>test</device></user-agent>")
	}
	if r.Resume != nil {
		b.WriteString(r.Resume.resume())
	}
	if r.Bind != nil {
		b.WriteString(r.Bind.xml())
	}
	if r.Token != "" {
		b.WriteString("<request-token xmlns='" + nsFAST + "' mechanism='" + r.Token + "'/>")
	}
	if _, ok := m.(hashed); ok {
		b.WriteString("<fast xmlns='" + nsFAST + "' " + r.Fast + "/>")
	}
	b.WriteString(r.Extra + "</authenticate>")
	return b.String()
}

func (b *Bind) xml() string {
	x := "<bind xmlns='" + nsBind2 + "'>"
	if b.Tag != "" {
		x += "<tag>" + escapeText.Replace(b.Tag) + "</tag>"
	}
	if b.Manage {
		x += "<enable xmlns='" + nsSM + "' resume='true'/>"
	}
	if b.Carbons {
		x += "<enable xmlns='" + nsCarbons + "'/>"
	}
	if b.Inactive {
		x += "<inactive xmlns='urn:xmpp:csi:0'/>"
	}
	return x + b.Extra + "</bind>"
}

func guarded(m mechanism) bool {
	x, ok := m.(*scram)
	return ok && x.guarded
}

func data(b []byte) string {
	if len(b) == 0 {
		return "="
	}
	return encode(b)
}

// exchange runs a mechanism in the elements of either profile.
type exchange struct {
	c  *Client
	ns string
	m  mechanism
}

// run returns <success/>.
func (x *exchange) run(begin string) (*Element, error) {
	if begin != "" {
		if err := x.c.send(begin); err != nil {
			return nil, err
		}
	}
	for {
		e, err := x.c.read()
		switch {
		case err != nil:
			return nil, err
		case e.Space != x.ns:
			return nil, fmt.Errorf("in the login came\n%s", e)
		case e.Name == "success":
			return e, nil
		case e.Name == "failure":
			return nil, failure(e)
		case e.Name != "challenge":
			return nil, fmt.Errorf("in the login came\n%s", e)
		}
		challenge, err := decode(e.Text())
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", e.Raw, err)
		}
		answer, err := x.m.step(challenge)
		if err != nil {
			return nil, err
		}
		if err := x.c.send("<response xmlns='" + x.ns + "'>" + encode(answer) + "</response>"); err != nil {
			return nil, err
		}
	}
}

// finish checks the additional data of success.
func (x *exchange) finish(e *Element, has bool) error {
	if !has {
		return x.m.done(nil)
	}
	additional, err := decode(strings.TrimPrefix(e.Text(), "="))
	if err != nil {
		return fmt.Errorf("read %s: %w", e, err)
	}
	return x.m.done(additional)
}

// failure is the condition (RFC 6120 §6.5), which is of that namespace in both
// profiles.
func failure(e *Element) error {
	for _, condition := range e.Children() {
		if condition.Space == nsSASL && condition.Name != "text" {
			return errors.New(condition.Name)
		}
	}
	return fmt.Errorf("a failure without a condition:\n%s", e)
}
