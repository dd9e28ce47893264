package xmpptest

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"testing"
)

const nsSM = "urn:xmpp:sm:3"

// managed is the client's side of a stream with stream management (XEP-0198).
// Whoever resumes the stream goes on with it.
type managed struct {
	id     string   // empty: the stream cannot be resumed
	in     uint32   // stanzas from the server that were handled: all that were read
	out    uint32   // stanzas to the server
	acked  uint32   // of these handled there
	sent   []string // those after acked, out-acked of them
	silent bool     // does not answer <r/>
	asked  int      // <r/> that no test has asked for yet
}

// EnableSM switches stream management on (XEP-0198 §3) and returns <enabled/>.
// From then on the client counts, and answers <r/> when it reads one.
func (c *Client) EnableSM(resume bool) *Element {
	c.t.Helper()
	ask := ""
	if resume {
		ask = " resume='true'"
	}
	c.Send("<enable xmlns='" + nsSM + "'" + ask + "/>")
	for {
		e, err := c.read()
		switch {
		case err != nil:
			c.t.Fatalf("%s: stream management: %v", c, err)
		case e.Space == nsSM:
			if err := c.manage(e, resume); err != nil {
				c.t.Fatalf("%s: stream management: %v", c, err)
			}
			return e
		}
		c.queue = append(c.queue, e) // sent before <enabled/>: it does not count
	}
}

// manage begins to count with <enabled/>.
func (c *Client) manage(e *Element, resume bool) error {
	can := e.Attr("resume") == "true" || e.Attr("resume") == "1"
	if e.Name != "enabled" || can != resume || resume && e.Attr("id") == "" {
		return fmt.Errorf("asked to resume=%v and got\n%s", resume, e)
	}
	c.sm = &managed{}
	if resume {
		c.sm.id = e.Attr("id")
	}
	return nil
}

// Handled is how many stanzas of the server the client has handled, and how many
// of its own it has sent and seen acknowledged.
func (c *Client) Handled() (in, out, acked uint32) { return c.sm.in, c.sm.out, c.sm.acked }

// StreamID is the SM-ID; it is empty if the stream cannot be resumed.
func (c *Client) StreamID() string {
	if c.sm == nil {
		return ""
	}
	return c.sm.id
}

// AnswerAcks says whether the client answers <r/>, which it does at first.
func (c *Client) AnswerAcks(on bool) { c.sm.silent = !on }

// Ack acknowledges what was handled, off by so many stanzas.
func (c *Client) Ack(off int) {
	c.t.Helper()
	c.Send("<a xmlns='" + nsSM + "' h='" + utoa(c.sm.in+uint32(off)) + "'/>")
}

// Asked is how often the server has asked for an acknowledgement since the last
// call. With wait it returns when there is at least one.
func (c *Client) Asked(wait bool) int {
	c.t.Helper()
	for wait && c.sm.asked == 0 {
		if err := c.more(); err != nil {
			c.t.Fatalf("%s is not asked to acknowledge: %v", c, err)
		}
	}
	c.Sync()
	n := c.sm.asked
	c.sm.asked = 0
	return n
}

// ExpectAck asks for an acknowledgement, which has to cover all stanzas that the
// client has sent (XEP-0198 §4).
func (c *Client) ExpectAck() {
	c.t.Helper()
	if err := c.askAck(); err != nil {
		c.t.Fatalf("%s: %v", c, err)
	}
}

func (c *Client) askAck() error {
	if err := c.send("<r xmlns='" + nsSM + "'/>"); err != nil {
		return err
	}
	for c.ack = false; !c.ack; {
		if err := c.more(); err != nil {
			return fmt.Errorf("wait for an acknowledgement: %w", err)
		}
	}
	if c.sm.acked != c.sm.out {
		return fmt.Errorf("the server has handled %d of %d stanzas that were sent before <r/>", c.sm.acked, c.sm.out)
	}
	return nil
}

// more reads one element and keeps it unless it belongs to stream management.
func (c *Client) more() error {
	e, err := c.pull()
	if err == nil && e != nil {
		c.queue = append(c.queue, e)
	}
	return err
}

// AnswerPings has pings of the server answered as clients do, without the test
// seeing them; so it is unless the test says otherwise.
func (c *Client) AnswerPings(on bool) { c.pinged = !on }

// isPing reports whether the server asks whether the client is there (XEP-0199 §4.1).
func isPing(e *Element, domain string) bool {
	return e.Name == "iq" && e.Attr("type") == "get" && e.Attr("from") == domain && e.Child("urn:xmpp:ping", "ping") != nil
}

// handle counts what has been read and reports whether it was an <r/>, an <a/> or
// a ping, which are dealt with here.
func (c *Client) handle(e *Element) (own bool, err error) {
	if !c.pinged && isPing(e, c.domain) {
		if c.sm != nil {
			c.sm.in++
		}
		return true, c.send("<iq type='result' id='" + e.Attr("id") + "' to='" + c.domain + "'/>")
	}
	if c.sm == nil {
		return false, nil
	}
	switch {
	case isStanza(e):
		c.sm.in++
	case e.Space == nsSM && e.Name == "r":
		if c.sm.asked++; !c.sm.silent {
			err = c.w.write("<a xmlns='" + nsSM + "' h='" + utoa(c.sm.in) + "'/>")
		}
		return true, err
	case e.Space == nsSM && e.Name == "a":
		c.ack = true
		return true, c.sm.confirm(e.Attr("h"))
	}
	return false, nil
}

// confirm takes the server's word for what it has handled.
func (m *managed) confirm(h string) error {
	n, err := strconv.ParseUint(h, 10, 32)
	if err != nil || uint32(n)-m.acked > m.out-m.acked {
		return fmt.Errorf("the server says that it has handled %q stanzas; %d were sent, of which it has acknowledged %d", h, m.out, m.acked)
	}
	m.sent = m.sent[uint32(n)-m.acked:]
	m.acked = uint32(n)
	return nil
}

// count notes stanzas that are about to be sent.
func (m *managed) count(elements []*Element) {
	for _, e := range elements {
		if isStanza(e) {
			m.out++
			m.sent = append(m.sent, e.Raw)
		}
	}
}

func isStanza(e *Element) bool {
	return e.Space == nsClient && (e.Name == "message" || e.Name == "presence" || e.Name == "iq")
}

// DropDetached loses the connection without a word and returns when the server
// has noticed, and keeps the session for a client that resumes it.
func (c *Client) DropDetached() {
	c.t.Helper()
	if c.StreamID() == "" {
		c.t.Fatalf("%s has nothing to resume", c)
	}
	var detached <-chan struct{}
	if c.server != nil {
		detached = c.server.detached.next(c.JID)
	}
	c.w.conn().Close()
	c.end = io.EOF
	c.await(detached, "has not noticed that the connection is lost")
}

// Resume logs in on a new connection and resumes the stream of a client, which
// may still be connected.
func (s *Server) Resume(t testing.TB, way Way, old *Client) *Client {
	t.Helper()
	c := s.Dial(t, way)
	c.domain = old.JID.Domain()
	c.Secure()
	c.Authenticate(old.JID.Local(), Password)
	if answer := c.TryResume(old); answer.Name != "resumed" {
		t.Fatalf("%s cannot resume:\n%s", old, answer)
	}
	return c
}

// TryResume asks for the stream of a client (XEP-0198 §5) behind a login and
// returns the answer. With <resumed/> this client has become the other one, and
// has sent again what the server had not handled.
func (c *Client) TryResume(old *Client) *Element {
	c.t.Helper()
	c.Send(old.resume())
	answer := c.Next()
	if answer.Space != nsSM || answer.Name != "resumed" && answer.Name != "failed" {
		c.t.Fatalf("%s: <resume/> was answered by\n%s", old, answer)
	}
	if answer.Name == "resumed" {
		if err := c.carryOn(old, answer); err != nil {
			c.t.Fatalf("%s: resume: %v", old, err)
		}
	}
	return answer
}

// resume is the element that asks for this client's stream.
func (c *Client) resume() string {
	return "<resume xmlns='" + nsSM + "' previd='" + escapeAttr.Replace(c.sm.id) + "' h='" + utoa(c.sm.in) + "'/>"
}

// carryOn goes on where the other client was (XEP-0198 §5).
func (c *Client) carryOn(old *Client, resumed *Element) error {
	if id := resumed.Attr("previd"); id != old.sm.id {
		return fmt.Errorf("asked for stream %q and got %q", old.sm.id, id)
	}
	m := *old.sm
	m.asked = 0
	if err := m.confirm(resumed.Attr("h")); err != nil {
		return err
	}
	c.sm, c.JID, c.gone = &m, old.JID, old.gone
	c.queue = append(old.queue, c.queue...)
	old.queue, old.gone = nil, nil
	var errs []error
	for _, stanza := range m.sent {
		errs = append(errs, c.w.write(stanza))
	}
	return errors.Join(errs...)
}

// Inactive tells the server whether somebody looks at the client (XEP-0352).
func (c *Client) Inactive(on bool) {
	c.t.Helper()
	name := "active"
	if c.inactive = on; on {
		name = "inactive"
	}
	c.Send("<" + name + " xmlns='urn:xmpp:csi:0'/>")
}

func utoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
