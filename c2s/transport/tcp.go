package transport

import (
	"net"

	"github.com/xmppd/xmppd/stanza"
)

// TCP is a client connection by RFC 6120: an XML stream, with or without TLS.
type TCP struct {
	link
	cut stanza.Cutter
}

// NewTCP takes over a connection. Waiting on a *net.TCPConn costs no buffer; any
// other net.Conn works too. For direct TLS (XEP-0368) call StartTLS first.
func NewTCP(c net.Conn, o *Options) *TCP {
	t := &TCP{}
	t.init(newSock(c, o), o)
	t.cut.Reset(t.limits)
	return t
}

// Next returns the next token of the stream.
func (t *TCP) Next(st *stanza.Stanza) (stanza.Token, error) {
	for {
		if rest := t.in.rest(); len(rest) > 0 {
			tok, n, err := t.cut.Next(rest, st)
			t.in.r += n
			if err != nil || tok != stanza.NeedMore {
				return tok, err
			}
		}
		if err := t.fill(); err != nil {
			return stanza.NeedMore, err
		}
	}
}

// Release ends the burst.
func (t *TCP) Release() bool {
	t.link.release()
	return len(t.in.rest()) > 0
}

// Header is the peer's stream header.
func (t *TCP) Header() *stanza.StreamHeader { return t.cut.Header() }

// SetLimits changes what the following elements may cost.
func (t *TCP) SetLimits(l stanza.Limits) {
	t.limits = l
	t.cut.SetLimits(l)
}

// Restart expects a new stream header.
func (t *TCP) Restart() { t.cut.Reset(t.limits) }

// Framed is false.
func (t *TCP) Framed() bool { return false }

// AppendOpen appends the XML declaration and the stream header.
func (t *TCP) AppendOpen(dst []byte, h OpenHeader) []byte {
	dst = append(dst, "<?xml version='1.0'?><stream:stream xmlns='"+stanza.NSClient+"' xmlns:stream='"+stanza.NSStream+"'"...)
	h.each(func(name, value string) {
		dst = append(dst, ' ')
		dst = append(append(dst, name...), '=', '\'')
		dst = append(stanza.AppendEscaped(dst, value), '\'')
	})
	return append(dst, '>')
}

// AppendElement copies.
func (t *TCP) AppendElement(dst, xml []byte) []byte { return append(dst, xml...) }

// AppendClose appends the closing tag. There is no see-other-uri on TCP; the
// stream error see-other-host says it.
func (t *TCP) AppendClose(dst []byte, _ string) []byte { return append(dst, "</stream:stream>"...) }

// Finish closes the stream and the connection.
func (t *TCP) Finish(err *stanza.StreamError) {
	var p []byte
	var cause error
	if err != nil {
		p, cause = err.AppendTo(nil), err
	}
	_ = t.Write(t.AppendClose(p, ""))
	t.finish(cause)
}

// each calls fn for the attributes of the header that are set.
func (h OpenHeader) each(fn func(name, value string)) {
	for _, a := range [...]struct{ name, value string }{
		{"id", h.ID}, {"from", h.From}, {"to", h.To}, {"version", "1.0"}, {"xml:lang", h.Lang},
	} {
		if a.value != "" {
			fn(a.name, a.value)
		}
	}
}

func (h OpenHeader) attributes(b *stanza.Builder) *stanza.Builder {
	h.each(func(name, value string) { b.Attr(name, value) })
	return b
}
