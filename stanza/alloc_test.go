package stanza_test

import (
	"testing"

	"github.com/xmppd/xmppd/internal/streamcase"
	"github.com/xmppd/xmppd/stanza"
)

// TestAllocs: a chat message costs no allocation from its bytes to its bytes.
func TestAllocs(t *testing.T) {
	c := opened(t, streamcase.Header)
	buf := []byte(chat)
	frame := []byte("<message xmlns='jabber:client'" + chat[len("<message"):])
	in := make([]byte, len(frame))
	dst := make([]byte, 0, 1024)
	added := []byte("<stanza-id xmlns='urn:xmpp:sid:0' by='juliet@localhost' id='1'/>")
	b := stanza.NewBuilder(make([]byte, 0, 512))
	var st stanza.Stanza
	for _, tc := range []struct {
		name string
		run  func()
	}{
		{"cut, stamp, emit", func() {
			if tok, _, _ := c.Next(buf, &st); tok != stanza.Element || len(st.To()) == 0 || !st.Class.Has(stanza.Body) {
				t.Error("not cut")
			}
			st.SetAttr(stanza.Sent, "from", "romeo@localhost/orchard")
			st.Append(stanza.Received, added)
			st.Cut(stanza.Received, st.Root().Child("urn:xmpp:sid:0", "origin-id"))
			dst = st.Emit(dst[:0], stanza.Sent)
			dst = st.Emit(dst[:0], stanza.Received)
		}},
		{"in two pieces", func() {
			_, _, _ = c.Next(buf[:100], &st)
			if tok, _, _ := c.Next(buf, &st); tok != stanza.Element {
				t.Error("not cut")
			}
		}},
		{"a frame", func() {
			copy(in, frame)
			if st.Parse(in, stanza.Limits{}) != nil {
				t.Error("not parsed")
			}
			dst = st.EmitForwarded(dst[:0], stanza.Received)
		}},
		{"build", func() {
			b.Reset()
			b.Open("iq", "").Attr("type", "result").Open("query", "jabber:iq:roster").Text("a", "<b>").Bytes()
		}},
	} {
		tc.run()
		if got := testing.AllocsPerRun(100, tc.run); got != 0 {
			t.Errorf("%s: %v allocations", tc.name, got)
		}
	}
}
