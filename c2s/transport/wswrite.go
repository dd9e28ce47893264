package transport

import (
	"bytes"
	"io"
	"net"
	"strings"

	"github.com/gobwas/ws"

	"github.com/xmppd/xmppd/stanza"
)

// controlSlack is how much may be pending for a pong to be written at once.
// Beyond it only the newest one is remembered (RFC 6455 §5.5.3).
const controlSlack = 16 << 10

// control answers a control frame (RFC 6455 §5.5).
func (w *WebSocket) control(op ws.OpCode, payload []byte) error {
	switch op {
	case ws.OpPing:
		w.out.Lock()
		defer w.out.Unlock()
		w.pong = append([]byte{}, payload...)
		if w.Pending() > controlSlack {
			return nil
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
	case err.Condition == stanza.StreamSeeOtherHost && strings.Contains(err.See, "://"):
		p, cause = w.AppendClose(nil, err.See), err // RFC 7395 §3.6.1
	default:
		p, cause = w.AppendClose(w.AppendElement(nil, err.AppendTo(nil)), ""), err
	}
	w.out.Lock()
	if !w.closed && w.frames.boundary() {
		_ = w.link.Write(p)
		w.sendClose()
	}
	w.out.Unlock()
	w.finish(cause)
}

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
