package stanza_test

import (
	"testing"

	"github.com/xmppd/xmppd/stanza"
)

const stdHeader = `<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xml:lang='en' ` +
	`xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`

// chat is what a usual client sends for one chat message.
const chat = `<message to='juliet@localhost/balcony' type='chat' id='8a6c1d7e-44f1-4a52-9a3a-0f3a5f7b9d21'>` +
	`<body>Wherefore art thou, and will you be here before the performance?</body>` +
	`<active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/>` +
	`<origin-id xmlns='urn:xmpp:sid:0' id='8a6c1d7e-44f1-4a52-9a3a-0f3a5f7b9d21'/></message>`

const chatCyrillic = `<message to='juliet@localhost/balcony' type='chat' id='8a6c1d7e-44f1-4a52-9a3a-0f3a5f7b9d21'>` +
	`<body>Как дела? Придёшь ли ты до начала представления, или нам не ждать?</body>` +
	`<active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/>` +
	`<origin-id xmlns='urn:xmpp:sid:0' id='8a6c1d7e-44f1-4a52-9a3a-0f3a5f7b9d21'/></message>`

func opened(tb testing.TB, header string) *stanza.Cutter {
	tb.Helper()
	c := new(stanza.Cutter)
	c.Reset(stanza.Limits{})
	buf := []byte(header)
	var st stanza.Stanza
	for {
		tok, n, err := c.Next(buf, &st)
		if err != nil || tok == stanza.NeedMore {
			tb.Fatalf("header: %v, %v", tok, err)
		}
		buf = buf[n:]
		if tok == stanza.Header {
			return c
		}
	}
}

func BenchmarkCut(b *testing.B) {
	for _, bm := range []struct{ name, xml string }{{"chat", chat}, {"cyrillic", chatCyrillic}} {
		b.Run(bm.name, func(b *testing.B) {
			c := opened(b, stdHeader)
			buf := []byte(bm.xml)
			var st stanza.Stanza
			b.ReportAllocs()
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				if tok, _, _ := c.Next(buf, &st); tok != stanza.Element {
					b.Fatal(tok)
				}
			}
		})
	}
}

func BenchmarkParseFrame(b *testing.B) {
	xml := "<message xmlns='jabber:client'" + chat[len("<message"):]
	buf := make([]byte, len(xml))
	var st stanza.Stanza
	b.ReportAllocs()
	for b.Loop() {
		copy(buf, xml)
		if err := st.Parse(buf, stanza.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEmit(b *testing.B) {
	var st stanza.Stanza
	if err := st.Parse([]byte(chat), stanza.Limits{}); err != nil {
		b.Fatal(err)
	}
	st.SetAttr(stanza.Sent, "from", "romeo@localhost/orchard")
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		dst = st.Emit(dst[:0], stanza.Received)
	}
}
