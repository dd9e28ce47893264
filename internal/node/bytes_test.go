package node_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/internal/xmpptest"
)

// wireCases are what a TCP client writes, and the bytes that others get of it.
// Only the sender's address, which the server puts in front, is left out. The
// stream header of the sender declares the prefixes x and c, and no xml:lang.
var wireCases = []struct{ name, send, want string }{
	{"nothing special",
		`<message to='juliet@localhost' type="chat" id='1'><body>hi</body></message>`,
		`<message to='juliet@localhost' type="chat" id='1'><body>hi</body></message>`},
	{"declared again",
		`<message xmlns='jabber:client' to='juliet@localhost' type='chat'><body>hi</body></message>`,
		`<message to='juliet@localhost' type='chat'><body>hi</body></message>`},
	{"prefixed root",
		`<c:message to='juliet@localhost' type='chat'><c:body>hi</c:body></c:message>`,
		`<message to='juliet@localhost' type='chat'><body>hi</body></message>`},
	{"prefix of its own",
		`<y:message xmlns:y='jabber:client' to='juliet@localhost'><y:body>hi</y:body></y:message>`,
		`<message xmlns:y='jabber:client' to='juliet@localhost'><body>hi</body></message>`},
	{"prefix of the header inside",
		`<message to='juliet@localhost' type='chat'><body>hi</body><x:foo x:bar='1'><x:baz/></x:foo></message>`,
		`<message to='juliet@localhost' type='chat'><body>hi</body><foo xmlns='urn:x' x:bar='1' xmlns:x='urn:x'><baz/></foo></message>`},
	{"prefix declared inside",
		`<message to='juliet@localhost'><body>hi</body><z:foo xmlns:z='urn:z'><z:bar/></z:foo></message>`,
		`<message to='juliet@localhost'><body>hi</body><z:foo xmlns:z='urn:z'><z:bar/></z:foo></message>`},
	{"escapes, CDATA and quotes stay",
		`<message to='juliet@localhost'><body a='"' b="'">&lt;&#x41;&amp;&quot;&apos;<![CDATA[<&>]]> "'</body></message>`,
		`<message to='juliet@localhost'><body a='"' b="'">&lt;&#x41;&amp;&quot;&apos;<![CDATA[<&>]]> "'</body></message>`},
	{"forged address of the sender replaced",
		`<message from='romeo@localhost' to='juliet@localhost'><body>hi</body></message>`,
		`<message to='juliet@localhost'><body>hi</body></message>`},
}

// Bytes from TCP to TCP, to WebSocket, and to storage and back: rewritten once,
// at the edge, so that they stand alone (RFC 6120 §4.8.5, RFC 7395 §3.3.3).
func TestBytesOnTheWire(t *testing.T) {
	t.Parallel()
	const stamp = `<stanza-id xmlns='urn:xmpp:sid:0' by='juliet@localhost' id='[A-Za-z0-9_-]{22}'/>`
	for _, store := range xmpptest.Stores() {
		t.Run(string(store), func(t *testing.T) {
			t.Parallel()
			s := xmpptest.Start(t, xmpptest.Options{Store: store})
			s.Account(t, "romeo")
			romeo := s.Dial(t, xmpptest.DirectTLS)
			open := header("to='localhost' version='1.0' xmlns:x='urn:x' xmlns:c='jabber:client'")
			romeo.Raw(open + plain("romeo") + open + bind)
			for range 2 {
				romeo.Greeting()
				romeo.Next()
				romeo.Next()
			}
			s.Account(t, "juliet")
			for _, tt := range wireCases {
				romeo.Raw(tt.send) // stored
			}
			romeo.Sync()
			tcp := s.Login(t, xmpptest.TCP, "juliet@localhost/tcp")
			tcp.AnswerPings(false)
			tcp.Send("<presence/>")
			check(t, tcp, "stored, to TCP", "", stamp+`<delay xmlns='urn:xmpp:delay' from='localhost' stamp='[0-9TZ:.-]*'/>`)
			tcp.Drop() // not confirmed

			ws := s.Login(t, xmpptest.WebSocket, "juliet@localhost/ws")
			ws.Send("<presence/>")
			check(t, ws, "stored, to WebSocket", " xmlns='jabber:client'", stamp+`<delay xmlns='urn:xmpp:delay' from='localhost' stamp='[0-9TZ:.-]*'/>`)
			ws.Forget()

			tcp = s.Login(t, xmpptest.TCP, "juliet@localhost/tcp")
			tcp.Send("<presence/>")
			tcp.Sync()
			tcp.Forget()
			for _, tt := range wireCases {
				romeo.Raw(tt.send)
			}
			romeo.Sync()
			check(t, tcp, "to TCP", "", stamp)
			check(t, ws, "to WebSocket", " xmlns='jabber:client'", stamp)
		})
	}
}

// check reads messages; the namespace follows the name, stamps come last.
func check(t *testing.T, c *xmpptest.Client, where, namespace, stamps string) {
	t.Helper()
	c.Sync()
	for _, tt := range wireCases {
		e := c.Next()
		for e.Name != "message" {
			e = c.Next()
		}
		want := regexp.QuoteMeta(tt.want)
		want = "<message" + namespace + " from='romeo@localhost/home'" + strings.TrimPrefix(want, "<message")
		want = strings.TrimSuffix(want, "</message>") + stamps + "</message>"
		if !regexp.MustCompile("^" + want + "$").MatchString(e.Raw) {
			t.Errorf("%s, %s:\n got %s\nwant %s", tt.name, where, e.Raw, want)
		}
	}
	c.Forget()
}
