package xmpptest

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/xmppd/xmppd/jid"
)

// Way is how a client reaches the server.
type Way string

// The ways.
const (
	TCP             Way = "tcp"        // with STARTTLS
	DirectTLS       Way = "tls"        // XEP-0368
	WebSocket       Way = "websocket"  // RFC 7395 without TLS, from the loopback
	SecureWebSocket Way = "websockets" // RFC 7395 over TLS
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
}

// Dial connects and does nothing more.
func (s *Server) Dial(t testing.TB, way Way) *Client {
	t.Helper()
	addr := map[Way]string{TCP: "c2s", DirectTLS: "c2s_tls", WebSocket: "http", SecureWebSocket: "https"}[way]
	return dial(t, way, s.Addr(t, addr), Domain)
}

func dial(t testing.TB, way Way, addr, domain string) *Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	c := &Client{t: t, way: way, domain: domain, lang: "en"}
	var err error
	switch way {
	case WebSocket:
		c.w, err = dialWebSocket(ctx, "ws://"+addr+"/ws", nil)
	case SecureWebSocket:
		c.w, err = dialWebSocket(ctx, "wss://"+addr+"/ws", nil)
	default:
		var conn net.Conn
		if conn, err = new(net.Dialer).DialContext(ctx, "tcp", addr); err == nil {
			c.w = newTCP(conn)
		}
		if err == nil && way == DirectTLS {
			err = c.directTLS()
		}
	}
	if err != nil {
		t.Fatalf("connect by %s: %v", way, err)
	}
	t.Cleanup(func() { c.w.conn().Close() })
	c.deadline()
	return c
}

func (c *Client) directTLS() error {
	conn := tls.Client(c.w.conn(), clientTLS(c.domain, "xmpp-client"))
	c.deadline()
	if err := conn.Handshake(); err != nil {
		return err
	}
	if p := conn.ConnectionState().NegotiatedProtocol; p != "xmpp-client" {
		return fmt.Errorf("ALPN %q", p)
	}
	c.w = newTCP(conn)
	return nil
}

func (c *Client) deadline() { c.w.conn().SetDeadline(time.Now().Add(Patience)) }

// Upgrade opens a WebSocket at a path of listen.http, with further headers.
func (s *Server) Upgrade(t testing.TB, path string, h http.Header) *Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	w, err := dialWebSocket(ctx, "ws://"+s.Addr(t, "http")+path, h)
	if err != nil {
		t.Fatalf("open WebSocket at %s: %v", path, err)
	}
	t.Cleanup(func() { w.c.Close() })
	return &Client{t: t, way: WebSocket, domain: Domain, lang: "en", w: w}
}

// Open begins a stream and returns the server's header; Features are set.
func (c *Client) Open() *Element {
	c.t.Helper()
	c.deadline()
	h, err := c.w.open(c.domain, c.lang)
	if err != nil {
		c.t.Fatalf("open stream: %v", err)
	}
	c.Features = c.Next()
	if c.Features.Space != nsStream || c.Features.Name != "features" {
		c.t.Fatalf("no stream features but:\n%s", c.Features)
	}
	return h
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
	c.deadline()
	if c.way == TCP || c.way == DirectTLS {
		c.Raw(xml)
		return
	}
	elements, err := Parse(xml)
	if err != nil {
		c.t.Fatalf("to send: %v in\n%s", err, xml)
	}
	for _, e := range elements {
		if err := c.w.write(e.Raw); err != nil {
			c.t.Fatalf("send: %v", err)
		}
	}
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

func (c *Client) read() (*Element, error) {
	if c.end != nil {
		return nil, c.end
	}
	c.deadline()
	e, err := c.w.next()
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
	c.barrier++
	id := "barrier-" + strconv.Itoa(c.barrier)
	c.Send("<iq type='get' id='" + id + "' to='" + c.domain + "'><barrier xmlns='urn:xmpp:test'/></iq>")
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
	if c.gone == nil {
		return
	}
	select {
	case <-c.gone:
	case <-time.After(Patience):
		c.t.Fatalf("%s: the server keeps the session", c)
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
