package transport

import (
	"bytes"
	"crypto/tls"
	"net"
	"sync"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/xmppd/xmppd/stanza"
)

const nsFraming = "urn:ietf:params:xml:ns:xmpp-framing"

// WebSocket is a client connection by RFC 7395: one text message is one element.
type WebSocket struct {
	link
	header  *stanza.StreamHeader
	opened  bool
	message *buffer // the fragments of a message so far
	size    int     // bytes in message
	partial bool    // between the first and the last fragment
	code    ws.StatusCode

	out    sync.Mutex
	frames outFrames
	pong   []byte // waits for the end of the current frame
	closed bool   // a close frame has been written
}

// NewWebSocket takes over a connection after the upgrade, with what the peer has
// sent behind it already. Where it comes from a listener of NewListener, or is a
// plain *net.TCPConn, waiting costs no buffer; any other net.Conn works too.
func NewWebSocket(c net.Conn, leftover []byte, o *Options) *WebSocket {
	w := &WebSocket{code: ws.StatusNormalClosure, header: &stanza.StreamHeader{}}
	t, _ := c.(*tls.Conn)
	var s *sock
	if t != nil {
		s, _ = t.NetConn().(*sock)
	} else {
		s, _ = c.(*sock)
	}
	if s == nil {
		s, t = newSock(c, o), nil
	}
	s.o = o
	w.init(s, o)
	if t != nil {
		releaseRecord(t, o.Buffers)
		w.tls.Store(t)
	}
	if len(leftover) > 0 {
		w.in.buf = o.Buffers.get(len(leftover))
		w.in.w = copy(w.in.buf.b, leftover)
	}
	w.unblock()
	return w
}

// Next returns the next element, or <open/> and <close/> as header and end.
func (w *WebSocket) Next(st *stanza.Stanza) (stanza.Token, error) {
	for {
		msg, err := w.nextMessage()
		if err != nil {
			return stanza.NeedMore, err
		}
		if msg != nil {
			return w.parse(st, msg)
		}
		if err := w.fill(); err != nil {
			return stanza.NeedMore, err
		}
	}
}

// parse looks at one message.
func (w *WebSocket) parse(st *stanza.Stanza, msg []byte) (stanza.Token, error) {
	// RFC 7395 §3.3.3, §3.8: no white space in front.
	if len(msg) == 0 || msg[0] != '<' {
		return stanza.NeedMore, w.fail(ws.StatusNormalClosure, stanza.StreamBadFormat, "a message must begin with <")
	}
	if bytes.HasPrefix(msg, []byte("<?xml ")) { // RFC 7395 §3.3.3: not recommended, so possible
		_, msg, _ = bytes.Cut(msg, []byte("?>"))
	}
	if err := st.Parse(msg, w.limits); err != nil {
		if !utf8.Valid(msg) {
			w.code = ws.StatusInvalidFramePayloadData // RFC 6455 §8.1
		}
		return stanza.NeedMore, err
	}
	root := st.Root()
	switch {
	case root.Is(nsFraming, "open"):
		w.header, w.opened = headerOf(root), true
		return stanza.Header, nil
	case root.Is(nsFraming, "close"):
		return stanza.End, nil
	case w.opened:
		return stanza.Element, nil
	}
	// RFC 7395 §3.4
	err := &stanza.StreamError{Condition: stanza.StreamBadFormat, Text: "the first message must be <open/>"}
	if string(root.Name()) == "open" {
		err.Condition = stanza.StreamInvalidNamespace
		w.header = headerOf(root)
	}
	return stanza.NeedMore, err
}

// nextMessage consumes frames until a message is complete; nil: more must be read.
func (w *WebSocket) nextMessage() ([]byte, error) {
	for {
		h, size, err := parseFrameHeader(w.in.rest())
		if err == nil && size > 0 {
			err = ws.CheckHeader(h, w.state())
		}
		if err != nil {
			return nil, w.fail(ws.StatusProtocolError, stanza.StreamPolicyViolation, err.Error())
		}
		if size == 0 {
			return nil, nil
		}
		if h.OpCode == ws.OpBinary {
			return nil, w.fail(ws.StatusUnsupportedData, stanza.StreamPolicyViolation, "binary message") // RFC 7395 §3.2
		}
		if h.Length > int64(w.maxMessage()-w.size) { // not added: a length may be close to the largest number
			return nil, w.fail(ws.StatusMessageTooBig, stanza.StreamPolicyViolation, "message too large")
		}
		end := size + int(h.Length)
		if len(w.in.rest()) < end {
			return nil, nil
		}
		payload := w.in.rest()[size:end:end]
		w.in.r += end
		ws.Cipher(payload, h.Mask, 0)
		switch {
		case h.OpCode.IsControl():
			if err := w.control(h.OpCode, payload); err != nil {
				return nil, err
			}
		case h.Fin && !w.partial:
			return payload, nil
		default:
			if msg := w.join(payload, h.Fin); msg != nil {
				return msg, nil
			}
		}
	}
}

// maxMessage is the limit of an element, which is that of a message.
func (w *WebSocket) maxMessage() int {
	if w.limits.Bytes > 0 {
		return w.limits.Bytes
	}
	return 256 << 10 // as in stanza.Limits
}

func (w *WebSocket) state() ws.State {
	state := ws.StateServerSide
	if w.partial {
		state = state.Set(ws.StateFragmented)
	}
	return state
}

// join collects the fragments of a message (RFC 6455 §5.4) and returns it when
// it is complete; its buffer then belongs to the burst.
func (w *WebSocket) join(payload []byte, fin bool) []byte {
	w.partial = !fin
	if need := w.size + len(payload); w.message == nil || need > len(w.message.b) {
		larger := w.o.Buffers.get(max(2*w.size, need))
		if w.message != nil {
			copy(larger.b, w.message.b[:w.size])
			w.o.Buffers.put(w.message)
		}
		w.message = larger
	}
	w.size += copy(w.message.b[w.size:], payload)
	if !fin {
		return nil
	}
	msg := w.message.b[:w.size:w.size]
	w.in.retired = append(w.in.retired, w.message)
	w.message, w.size = nil, 0
	return msg
}

// fail is a breach of the rules: the stream error for the element layer, the
// status for the close frame.
func (w *WebSocket) fail(code ws.StatusCode, cond stanza.StreamCondition, text string) error {
	w.code = code
	return &stanza.StreamError{Condition: cond, Text: text}
}

// Release ends the burst. What is unfinished is a frame, of which no stanza
// knows anything yet.
func (w *WebSocket) Release() bool {
	w.release()
	return false
}

// Header is the peer's <open/>.
func (w *WebSocket) Header() *stanza.StreamHeader { return w.header }

// SetLimits changes what the following elements may cost.
func (w *WebSocket) SetLimits(l stanza.Limits) { w.limits = l }

// Restart expects a new <open/> (RFC 7395 §3.7).
func (w *WebSocket) Restart() { w.header, w.opened = &stanza.StreamHeader{}, false }

// StartTLS is refused: TLS lies below the WebSocket (RFC 7395 §3.9).
func (w *WebSocket) StartTLS(*tls.Config, Turn) error { return ErrNoTLS }

// headerOf reads <open/>, whose attributes are those of a stream header.
func headerOf(root stanza.Elem) *stanza.StreamHeader {
	attr := func(name string) string {
		v, _ := root.Attr(name)
		return v
	}
	return &stanza.StreamHeader{
		To: attr("to"), From: attr("from"), Version: attr("version"), Lang: attr("xml:lang"), ID: attr("id"),
		NS: stanza.NSClient, StreamNS: string(root.NS()), Name: "open",
	}
}
