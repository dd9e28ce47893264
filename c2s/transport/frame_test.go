package transport

import (
	"errors"
	"io"
	"testing"

	"github.com/gobwas/ws"

	"github.com/xmppd/xmppd/stanza"
)

// Whatever a client sends, reading ends with an error that the element layer
// knows, and no message is larger than the limit.
func FuzzFrames(f *testing.F) {
	f.Add(join(text(wsOpen), frame(ws.OpPing, true, "x"), text("<presence/>")))
	f.Add(join(frame(ws.OpText, false, wsOpen[:9]), frame(ws.OpContinuation, true, wsOpen[9:]), frame(ws.OpClose, true, "\x03\xe8bye")))
	f.Add(frame(ws.OpBinary, false, "x"))
	f.Add([]byte{0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		server, client := pipePair(t)
		go io.Copy(io.Discard, client)
		o := testOptions()
		o.Limits.Bytes = 1000
		c := NewWebSocket(server, data, o)
		defer c.Abort(nil)
		for {
			var st stanza.Stanza
			tok, err := c.Next(&st)
			var se *stanza.StreamError
			switch {
			case err == nil && tok == stanza.Element && len(st.Raw()) > o.Limits.Bytes:
				t.Fatalf("an element of %d bytes", len(st.Raw()))
			case err == nil:
			case err == ErrAgain || err == io.EOF || errors.As(err, &se):
				return
			default:
				t.Fatal(err)
			}
		}
	})
}
