package transport

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/xmppd/xmppd/stanza"
)

const nsFraming = "urn:ietf:params:xml:ns:xmpp-framing"

// controlSlack is how much may be pending for a pong to be written at once.
// Beyond it only the newest one is remembered (RFC 6455 §5.5.3).
const controlSlack = 16 << 10

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
		if h.Length+int64(w.size) > int64(w.maxMessage()) {
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

// control answers a control frame (RFC 6455 §5.5).
func (w *WebSocket) control(op ws.OpCode, payload []byte) error {
	switch op {
	case ws.OpPing:
		w.out.Lock()
		defer w.out.Unlock()
		w.pong = append(w.pong[:0:0], payload...)
		if w.Pending() > controlSlack {
			return nil
		}
		if w.pong == nil {
			w.pong = []byte{}
		}
		return w.flushPong()
	case ws.OpClose:
		code, reason := ws.ParseCloseFrameDataUnsafe(payload)
		if len(payload) > 0 {
			if err := ws.CheckCloseFrameData(code, reason); err != nil || len(payload) == 1 {
				code = ws.StatusProtocolError
			}
			w.code = code
		}
		w.ended = io.EOF
		w.out.Lock()
		defer w.out.Unlock()
		w.sendClose()
		return io.EOF
	}
	return nil
}

// flushPong writes the pong that is due, if no frame is open. w.out is held.
func (w *WebSocket) flushPong() error {
	if w.pong == nil || w.closed || !w.frames.boundary() {
		return nil
	}
	var b [ws.MaxHeaderSize + ws.MaxControlFramePayloadSize]byte
	p := append(appendFrameHeader(b[:0], ws.OpPong, len(w.pong)), w.pong...)
	w.pong = nil
	return w.link.Write(p)
}

// sendClose writes the close frame, once. w.out is held. Inside of an unfinished
// frame nothing can be said any more.
func (w *WebSocket) sendClose() {
	if w.closed || !w.frames.boundary() {
		return
	}
	w.closed = true
	p := appendFrameHeader(make([]byte, 0, 4), ws.OpClose, 2)
	_ = w.link.Write(append(p, byte(w.code>>8), byte(w.code)))
}

// Write sends framed bytes; p may end inside of a frame.
func (w *WebSocket) Write(p []byte) error {
	w.out.Lock()
	defer w.out.Unlock()
	if w.closed {
		return net.ErrClosed
	}
	w.frames.advance(p)
	if err := w.link.Write(p); err != nil {
		return err
	}
	return w.flushPong()
}

// Finish closes the stream, the WebSocket and the connection.
func (w *WebSocket) Finish(err *stanza.StreamError) {
	var p []byte
	var cause error
	switch {
	case err == nil:
		p = w.AppendClose(nil, "")
	case err.Condition == stanza.StreamSeeOtherHost && bytes.Contains([]byte(err.See), []byte("://")):
		p, cause = w.AppendClose(nil, err.See), err // RFC 7395 §3.6.1
	default:
		p, cause = w.AppendClose(w.AppendElement(nil, err.AppendTo(nil)), ""), err
	}
	if w.Write(p) == nil {
		w.out.Lock()
		w.sendClose()
		w.out.Unlock()
	}
	w.finish(cause)
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
func (w *WebSocket) StartTLS(*tls.Config) error { return ErrNoTLS }

// Framed is true.
func (w *WebSocket) Framed() bool { return true }

// AppendOpen appends <open/> in a frame.
func (w *WebSocket) AppendOpen(dst []byte, h OpenHeader) []byte {
	b := stanza.NewBuilder(nil).Open("open", nsFraming)
	return appendText(dst, h.attributes(b).Bytes())
}

// AppendClose appends <close/> in a frame.
func (w *WebSocket) AppendClose(dst []byte, seeOther string) []byte {
	b := stanza.NewBuilder(nil).Open("close", nsFraming)
	if seeOther != "" {
		b.Attr("see-other-uri", seeOther)
	}
	return appendText(dst, b.Bytes())
}

func appendText(dst, xml []byte) []byte {
	return append(appendFrameHeader(dst, ws.OpText, len(xml)), xml...)
}

const (
	declareClient = " xmlns='" + stanza.NSClient + "'"
	declareStream = " xmlns:stream='" + stanza.NSStream + "'"
)

// AppendElement frames an element and declares what the TCP stream's header
// would (RFC 7395 §3.3.3).
func (w *WebSocket) AppendElement(dst, xml []byte) []byte {
	name := rootName(xml)
	declare := ""
	switch string(name) {
	case "message", "presence", "iq":
		declare = declareClient
	case "stream:features", "stream:error":
		if tag, _, _ := bytes.Cut(xml, []byte(">")); !bytes.Contains(tag, []byte(" xmlns:stream=")) {
			declare = declareStream
		}
	}
	dst = appendFrameHeader(dst, ws.OpText, len(xml)+len(declare))
	at := 1 + len(name)
	dst = append(append(dst, xml[:at]...), declare...)
	return append(dst, xml[at:]...)
}

// rootName is the qualified name behind the first '<'.
func rootName(xml []byte) []byte {
	for i := 1; i < len(xml); i++ {
		switch xml[i] {
		case ' ', '\t', '\n', '\r', '/', '>':
			return xml[1:i]
		}
	}
	return xml[min(1, len(xml)):]
}

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

var errNotUpgraded = errors.New("upgrade: not a websocket request for the sub-protocol xmpp")
