package xmpptest

import (
	"crypto/tls"
	"fmt"
	"io"
	"strconv"
	"testing"
	"time"

	"github.com/xmppd/xmppd/jid"
)

// Client is a scripted client. It has one goroutine, the test's: nothing is
// read before the test asks for it. A failure ends the test.
type Client struct {
	JID      jid.JID // after Bind
	Features *Element

	t       testing.TB
	way     Way
	domain  string
	lang    string
	w       wire
	queue   []*Element // read, but not yet asked for
	barrier int
	gone    <-chan struct{} // the server has done with the session
	end     error           // what ended the stream

	server   *Server  // nil: another one
	from     string   // of stream headers that nobody can overhear
	sm       *managed // nil: without stream management
	ack      bool     // an <a/> has been read
	inactive bool     // XEP-0352
	pinged   bool     // pings of the server are the test's business
	maxTLS   uint16   // as in tls.Config
}

func (c *Client) deadline() { c.w.conn().SetDeadline(time.Now().Add(Patience)) }

// Open begins a stream and returns the server's header; Features are set.
func (c *Client) Open() *Element {
	c.t.Helper()
	h, err := c.open()
	if err != nil {
		c.t.Fatalf("open stream: %v", err)
	}
	return h
}

func (c *Client) open() (*Element, error) {
	c.deadline()
	from := ""
	if _, secure := c.w.conn().(*tls.Conn); secure || c.way == WebSocket {
		from = c.from // RFC 6120 §4.7.1: not in clear
	}
	h, err := c.w.open(c.domain, from, c.lang)
	if err != nil {
		return nil, err
	}
	return h, c.features()
}

// features reads the stream features.
func (c *Client) features() (err error) {
	if c.Features, err = c.read(); err == nil && (c.Features.Space != nsStream || c.Features.Name != "features") {
		err = fmt.Errorf("no stream features but:\n%s", c.Features)
	}
	return err
}

// Greeting reads a stream header that answers one sent by Raw.
func (c *Client) Greeting() *Element {
	c.t.Helper()
	c.deadline()
	var h *Element
	var err error
	switch w := c.w.(type) {
	case *tcp:
		h, err = w.greeting()
	case *websocket:
		h, err = w.greeting()
	}
	if err != nil {
		c.t.Fatalf("read stream header: %v", err)
	}
	return h
}

// Send writes elements, all at once where the connection is a stream.
func (c *Client) Send(xml string) {
	c.t.Helper()
	if err := c.send(xml); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

func (c *Client) send(xml string) error {
	c.deadline()
	stream := c.way == TCP || c.way == DirectTLS
	if stream && c.sm == nil {
		return c.w.raw(xml)
	}
	elements, err := Parse(xml)
	if err != nil {
		return fmt.Errorf("%w in\n%s", err, xml)
	}
	if c.sm != nil {
		c.sm.count(elements)
	}
	if stream {
		return c.w.raw(xml)
	}
	for _, e := range elements {
		if err := c.w.write(e.Raw); err != nil {
			return err
		}
	}
	return nil
}

// Raw writes bytes, or one text message, as they stand.
func (c *Client) Raw(bytes string) {
	c.t.Helper()
	c.deadline()
	if err := c.w.raw(bytes); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// End closes the stream, but waits for nothing.
func (c *Client) End() {
	c.t.Helper()
	c.deadline()
	if err := c.w.end(); err != nil {
		c.t.Fatalf("close stream: %v", err)
	}
}

// Next is the next element.
func (c *Client) Next() *Element {
	c.t.Helper()
	if len(c.queue) > 0 {
		e := c.queue[0]
		c.queue = c.queue[1:]
		return e
	}
	e, err := c.read()
	if err != nil {
		c.t.Fatalf("%s: nothing comes: %v", c, err)
	}
	return e
}

func (c *Client) read() (e *Element, err error) {
	for e == nil && err == nil {
		e, err = c.pull()
	}
	return e, err
}

// pull reads one element; it is nil if it was one of stream management.
func (c *Client) pull() (*Element, error) {
	if c.end != nil {
		return nil, c.end
	}
	c.deadline()
	e, err := c.w.next()
	if err == nil {
		var own bool
		if own, err = c.handle(e); own {
			e = nil
		}
	}
	if err != nil {
		c.end = err
	}
	return e, err
}

// String is the address of the client, for messages.
func (c *Client) String() string {
	if c.JID.IsZero() {
		return "client"
	}
	return c.JID.String()
}

// Expect compares the next elements with XML; see Match.
func (c *Client) Expect(xml string) {
	c.t.Helper()
	c.ExpectVars(xml, Vars{})
}

// ExpectVars is Expect with values of {names}.
func (c *Client) ExpectVars(xml string, vars Vars) {
	c.t.Helper()
	want, err := Parse(xml)
	if err != nil {
		c.t.Fatalf("to expect: %v in\n%s", err, xml)
	}
	for _, w := range want {
		if got := c.Next(); !Match(w, got, vars) {
			c.t.Fatalf("%s got\n%s\nwant\n%s", c, got, w)
		}
	}
}

// Sync returns when the server has dealt with everything that the client has
// sent, and has read all that it had for the client by then.
func (c *Client) Sync() {
	c.t.Helper()
	if err := c.sync(); err != nil {
		c.t.Fatalf("%s: %v", c, err)
	}
}

func (c *Client) sync() error {
	if c.inactive && c.sm != nil {
		return c.askAck() // an IQ would end what the server holds back
	}
	c.barrier++
	id := "barrier-" + strconv.Itoa(c.barrier)
	if err := c.send("<iq type='get' id='" + id + "' to='" + c.domain + "'><barrier xmlns='urn:xmpp:test'/></iq>"); err != nil {
		return err
	}
	for {
		e, err := c.read()
		if err != nil {
			return fmt.Errorf("wait for the answer that proves that there is nothing else: %w", err)
		}
		if e.Name == "iq" && e.Attr("id") == id && e.Attr("type") == "error" {
			return nil
		}
		c.queue = append(c.queue, e)
	}
}

// ExpectNothing proves that nothing is there.
func (c *Client) ExpectNothing() {
	c.t.Helper()
	c.Sync()
	if len(c.queue) > 0 {
		c.t.Fatalf("%s got what it should not:\n%s", c, c.queue[0])
	}
}

// Close ends the stream, and returns when the server has forgotten the session.
func (c *Client) Close() {
	c.t.Helper()
	c.deadline()
	if err := c.w.end(); err != nil {
		c.t.Fatalf("close stream: %v", err)
	}
	c.finish()
	c.wait()
}

// Gone returns when the server has forgotten the session, which it does by
// itself.
func (c *Client) Gone() {
	c.t.Helper()
	c.wait()
}

// Drop loses the connection without a word.
func (c *Client) Drop() {
	c.t.Helper()
	c.w.conn().Close()
	c.end = io.EOF
	c.wait()
}

func (c *Client) wait() {
	c.t.Helper()
	c.await(c.gone, "keeps the session")
}

// await waits for something that the server does; a nil channel stands for a
// server that does not tell.
func (c *Client) await(done <-chan struct{}, otherwise string) {
	c.t.Helper()
	if done == nil {
		return
	}
	select {
	case <-done:
	case <-time.After(Patience):
		c.t.Fatalf("%s: the server %s", c, otherwise)
	}
}

// Waiting is the first element that Sync has read and nobody has asked for yet.
func (c *Client) Waiting() *Element {
	if len(c.queue) == 0 {
		return nil
	}
	return c.queue[0]
}

// Forget drops everything that Sync has read.
func (c *Client) Forget() { c.queue = nil }

// TrySync is Sync for a client whose stream may have ended.
func (c *Client) TrySync() error {
	c.t.Helper()
	if c.end != nil {
		return c.end
	}
	return c.sync()
}
