package node_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/internal/xmpptest"
)

const open = "<open xmlns='" + nsFraming + "' to='localhost' version='1.0'/>"

// RFC 7395 §3: every message stands alone, and nothing is declared that need not be.
func TestWebSocketFraming(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{})
	for _, path := range []string{"/ws", "/xmpp-websocket", "/websocket"} {
		s.Account(t, "romeo")
		c := s.Upgrade(t, path, nil)
		h := c.Open()
		if !strings.HasPrefix(h.Raw, "<open xmlns='"+nsFraming+"' ") || h.Attr("from") != "localhost" || h.Attr("version") != "1.0" || h.Attr("id") == "" || h.Attr("xml:lang") == "" {
			t.Errorf("open: %s", h.Raw)
		}
		if !strings.HasPrefix(c.Features.Raw, "<stream:features xmlns:stream='"+nsStream+"'>") || strings.Count(c.Features.Raw, nsStream) != 1 {
			t.Errorf("features: %s", c.Features.Raw)
		}
		if c.Features.Child(nsTLS, "starttls") != nil { // §3.9
			t.Error("STARTTLS offered")
		}
		c.Authenticate("romeo", xmpptest.Password)
		c.Bind("home")
		c.Send("<presence/>")
		if e := c.Next(); !strings.HasPrefix(e.Raw, "<presence xmlns='jabber:client' ") || strings.Count(e.Raw, "xmlns") != 1 {
			t.Errorf("stanza: %s", e.Raw)
		}
		c.Close() // §3.6
	}
}

// What a client can do wrong on a WebSocket (RFC 7395 §3.3, §3.4).
func TestWebSocketErrors(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{})
	for _, tt := range []struct{ name, first, then, condition string }{
		{"stream header of TCP", header("to='localhost' version='1.0'"), "", "not-well-formed"},
		{"stanza before open", "<presence xmlns='jabber:client'/>", "", "bad-format"},
		{"open in another namespace", "<open xmlns='jabber:client' to='localhost' version='1.0'/>", "", "invalid-namespace"},
		{"unknown domain", "<open xmlns='" + nsFraming + "' to='elsewhere.example' version='1.0'/>", "", "host-unknown"},
		{"no version", "<open xmlns='" + nsFraming + "' to='localhost'/>", "", "unsupported-version"},
		{"open twice", open, open, "not-well-formed"},
		{"STARTTLS", open, "<starttls xmlns='" + nsTLS + "'/>", "unsupported-stanza-type"},
		{"white space in front", open, " <presence xmlns='jabber:client'/>", "bad-format"},
		{"stanza before login", open, "<message xmlns='jabber:client'/>", "not-authorized"},
		{"two elements", open, "<message xmlns='jabber:client'/><message xmlns='jabber:client'/>", "not-well-formed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := s.Dial(t, xmpptest.WebSocket)
			c.Raw(tt.first)
			c.Greeting()
			if tt.then != "" {
				c.Next()
				c.Raw(tt.then)
			}
			c.ExpectEnd(tt.condition)
		})
	}
}

// A client may close before it opened anything, and in the middle of a login.
func TestWebSocketClose(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{})
	c := s.Dial(t, xmpptest.WebSocket)
	c.Open()
	c.Close()
	c = s.Dial(t, xmpptest.WebSocket)
	c.Open()
	c.Send("<auth xmlns='" + nsSASL + "' mechanism='PLAIN'/>")
	c.Next()
	c.Close()
}

// From elsewhere, without TLS, a client is sent to the secure address (RFC 7395
// §3.6.1); the loopback and what a trusted proxy calls secure may log in.
func TestWebSocketSeeOtherURI(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"websocket: {public_url: 'wss://xmpp.localhost/ws'}", "  public_url: 'https://xmpp.localhost/'"} {
		t.Run(url, func(t *testing.T) {
			t.Parallel()
			seeOther(t, xmpptest.Start(t, xmpptest.Options{Config: "http:\n  trusted_proxies: [127.0.0.1]\n" + url}))
		})
	}
}

func seeOther(t *testing.T, s *xmpptest.Server) {
	via := func(proto string) *xmpptest.Client {
		return s.Upgrade(t, "/ws", http.Header{"X-Forwarded-For": {"192.0.2.7"}, "X-Forwarded-Proto": {proto}})
	}
	c := via("http")
	c.Raw(open)
	c.Greeting()
	c.ExpectSeeOther("wss://xmpp.localhost/ws")

	c = via("https")
	c.Open()
	if c.Features.Child(nsSASL, "mechanisms") == nil {
		t.Errorf("no login behind a trusted proxy: %s", c.Features)
	}
}

// Without the sub-protocol, or without an upgrade, there is no WebSocket
// (RFC 7395 §3.1, RFC 6455 §4.2).
func TestWebSocketUpgradeRefused(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{})
	for name, tt := range map[string]struct {
		header http.Header
		status int
	}{
		"plain request":      {http.Header{}, http.StatusUpgradeRequired},
		"other sub-protocol": {http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Protocol": {"chat"}}, http.StatusBadRequest},
		"no sub-protocol":    {http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "Sec-Websocket-Version": {"13"}}, http.StatusBadRequest},
	} {
		r := get(t, s, "/ws", tt.header)
		if r.StatusCode/100 != 4 {
			t.Errorf("%s: %s, want %d", name, r.Status, tt.status)
		}
	}
}

// get makes one request of HTTP/1.1 on a connection of its own.
func get(t *testing.T, s *xmpptest.Server, path string, h http.Header) *http.Response {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr(t, "http"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(xmpptest.Patience))
	r, err := http.NewRequest("GET", "http://localhost"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = h
	if err := r.Write(c); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), r)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode == http.StatusSwitchingProtocols {
		return answer
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body = io.NopCloser(strings.NewReader(string(body)))
	return answer
}

// XEP-0156: host-meta lists only what can be reached, for scripts of any origin.
func TestHostMeta(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ config, xml, json string }{
		"nothing announced": {"", "", `{"links":[]}`},
		"websocket.public_url": {
			"websocket: {public_url: 'wss://example.org/ws'}",
			"<Link rel='urn:xmpp:alt-connections:websocket' href='wss://example.org/ws'/>",
			`{"links":[{"rel":"urn:xmpp:alt-connections:websocket","href":"wss://example.org/ws"}]}`,
		},
		"http.public_url": {
			"http: {public_url: 'https://example.org'}",
			"<Link rel='urn:xmpp:alt-connections:websocket' href='wss://example.org/ws'/>",
			`{"links":[{"rel":"urn:xmpp:alt-connections:websocket","href":"wss://example.org/ws"}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := xmpptest.Start(t, xmpptest.Options{Config: tt.config})
			for path, want := range map[string]struct{ typ, body string }{
				"/.well-known/host-meta":      {"application/xrd+xml", tt.xml},
				"/.well-known/host-meta.json": {"application/json", tt.json},
			} {
				r := get(t, s, path, http.Header{"Origin": {"https://client.example"}})
				body, _ := io.ReadAll(r.Body)
				if r.StatusCode != http.StatusOK || r.Header.Get("Access-Control-Allow-Origin") != "*" || !strings.HasPrefix(r.Header.Get("Content-Type"), want.typ) {
					t.Errorf("%s: %s %v", path, r.Status, r.Header)
				}
				if !strings.Contains(string(body), want.body) {
					t.Errorf("%s: %s", path, body)
				}
			}
		})
	}
}
