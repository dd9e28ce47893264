package xmpptest

import (
	"io"
)

// Feed sends bytes of any kind, or one text message over a WebSocket, then no
// more, and reads until the server has closed. Errors do not count: the server
// may close at any byte.
func (c *Client) Feed(data []byte) {
	c.t.Helper()
	c.deadline()
	conn := c.w.conn()
	if c.way == WebSocket || c.way == SecureWebSocket {
		_ = c.w.raw(string(data))
	} else {
		_, _ = conn.Write(data)
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, conn)
	conn.Close()
	c.end = io.EOF
	c.wait()
}
