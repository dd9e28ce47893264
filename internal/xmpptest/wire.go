package xmpptest

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// ErrEnd is returned for the end of a stream that the server has announced.
var ErrEnd = errors.New("the server closed the stream")

// wire is a connection that carries elements.
type wire interface {
	// open sends a stream header and returns the server's; from may be empty.
	open(to, from, lang string) (*Element, error)
	// next returns an element, or ErrEnd for </stream:stream> or <close/>.
	next() (*Element, error)
	// write sends one element as it stands, raw any bytes: of a frame or a stream.
	write(element string) error
	raw(bytes string) error
	// end closes the stream, not the connection.
	end() error
	conn() net.Conn
}

// tcp is RFC 6120.
type tcp struct {
	c   net.Conn
	in  *recorder
	dec *xml.Decoder
}

// recorder keeps what the decoder has read. The decoder takes byte by byte
// and never more than it needs, so that a new one can take over after a restart.
type recorder struct {
	*bufio.Reader
	buf []byte
}

func (r *recorder) ReadByte() (byte, error) {
	b, err := r.Reader.ReadByte()
	if err == nil {
		r.buf = append(r.buf, b)
	}
	return b, err
}

func newTCP(c net.Conn) *tcp {
	w := &tcp{c: c, in: &recorder{Reader: bufio.NewReader(c)}}
	w.restart()
	return w
}

func (w *tcp) restart() {
	w.in.buf = nil
	w.dec = xml.NewDecoder(w.in)
}

func (w *tcp) conn() net.Conn         { return w.c }
func (w *tcp) raw(bytes string) error { _, err := io.WriteString(w.c, bytes); return err }
func (w *tcp) write(xml string) error { return w.raw(xml) }
func (w *tcp) end() error             { return w.raw("</stream:stream>") }
func header(to, from, lang string) string {
	return fmt.Sprintf("<?xml version='1.0'?><stream:stream %s xmlns='%s' xmlns:stream='%s'>",
		addresses(to, from, lang), nsClient, nsStream)
}

// addresses are the attributes of a stream header of any transport.
func addresses(to, from, lang string) string {
	if from != "" {
		from = " from='" + escapeAttr.Replace(from) + "'"
	}
	return "to='" + to + "'" + from + " version='1.0' xml:lang='" + lang + "'"
}

func (w *tcp) open(to, from, lang string) (*Element, error) {
	if err := w.raw(header(to, from, lang)); err != nil {
		return nil, err
	}
	return w.greeting()
}

// greeting reads the XML declaration and the stream header.
func (w *tcp) greeting() (*Element, error) {
	w.restart()
	tok, err := w.dec.Token()
	if err != nil {
		return nil, err
	}
	if p, ok := tok.(xml.ProcInst); !ok || p.Target != "xml" {
		return nil, fmt.Errorf("the stream begins with %T, not with an XML declaration", tok)
	}
	for {
		tok, err := w.dec.Token()
		if err != nil {
			return nil, err
		}
		if start, ok := tok.(xml.StartElement); ok {
			if start.Name != (xml.Name{Space: nsStream, Local: "stream"}) {
				return nil, fmt.Errorf("the stream begins with %v", start.Name)
			}
			e := &Element{Space: nsStream, Name: "stream", Raw: string(w.in.buf)}
			for _, a := range start.Attr {
				if a.Name.Space != "xmlns" && (a.Name.Space != "" || a.Name.Local != "xmlns") {
					e.Attrs = append(e.Attrs, a)
				}
			}
			return e, nil
		}
	}
}

func (w *tcp) next() (*Element, error) {
	for {
		at := w.dec.InputOffset()
		tok, err := w.dec.Token()
		if err != nil {
			return nil, err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			e, err := readElement(w.dec, tok)
			if err != nil {
				return nil, err
			}
			e.Raw = string(w.in.buf[at:w.dec.InputOffset()])
			return e, nil
		case xml.EndElement:
			return nil, ErrEnd
		case xml.CharData:
			if strings.TrimSpace(string(tok)) != "" {
				return nil, fmt.Errorf("text in the stream: %q", tok)
			}
		default:
			return nil, fmt.Errorf("%T in the stream", tok)
		}
	}
}

// startTLS goes on with TLS. What the server sent in clear behind <proceed/>
// would be lost, and is a mistake.
func (w *tcp) startTLS(domain string) error {
	if n := w.in.Buffered(); n > 0 {
		return fmt.Errorf("%d bytes behind <proceed/>", n)
	}
	c := tls.Client(w.c, clientTLS(domain))
	if err := c.Handshake(); err != nil {
		return err
	}
	*w = *newTCP(c)
	return nil
}

// clientTLS trusts everybody: the servers of tests have made their certificate
// themselves.
func clientTLS(domain string, alpn ...string) *tls.Config {
	return &tls.Config{ServerName: domain, InsecureSkipVerify: true, NextProtos: alpn} //nolint:gosec // see above
}

// websocket is RFC 7395.
type websocket struct {
	c net.Conn
	r io.ReadWriter
}

func dialWebSocket(ctx context.Context, url string, h http.Header, dial func(context.Context, string, string) (net.Conn, error)) (*websocket, error) {
	d := ws.Dialer{
		Protocols: []string{"xmpp"}, TLSConfig: clientTLS(Domain, "http/1.1"), Header: ws.HandshakeHeaderHTTP(h), NetDial: dial,
	}
	c, br, hs, err := d.Dial(ctx, url)
	if err != nil {
		return nil, err
	}
	if hs.Protocol != "xmpp" {
		return nil, fmt.Errorf("sub-protocol %q", hs.Protocol)
	}
	w := &websocket{c: c, r: c}
	if br != nil {
		w.r = struct {
			io.Reader
			io.Writer
		}{br, c}
	}
	return w, nil
}

func (w *websocket) conn() net.Conn         { return w.c }
func (w *websocket) raw(bytes string) error { return wsutil.WriteClientText(w.c, []byte(bytes)) }
func (w *websocket) end() error             { return w.raw("<close xmlns='" + nsFraming + "'/>") }

// write adds the namespace of a stanza, which a stream header declares for all
// of them and a frame has to declare by itself (RFC 7395 §3.3.3).
func (w *websocket) write(element string) error {
	for _, name := range []string{"<message", "<presence", "<iq"} {
		tag, _, _ := strings.Cut(element, ">")
		if rest, ok := strings.CutPrefix(element, name); ok && !strings.Contains(tag, "xmlns=") {
			element = name + " xmlns='" + nsClient + "'" + rest
		}
	}
	return w.raw(element)
}

func (w *websocket) open(to, from, lang string) (*Element, error) {
	if err := w.raw("<open xmlns='" + nsFraming + "' " + addresses(to, from, lang) + "/>"); err != nil {
		return nil, err
	}
	return w.greeting()
}

func (w *websocket) greeting() (*Element, error) {
	e, err := w.next()
	if err == nil && (e.Space != nsFraming || e.Name != "open") {
		err = fmt.Errorf("the stream begins with %s", e.Raw)
	}
	return e, err
}

// next reads one message, which has to be a document by itself.
func (w *websocket) next() (*Element, error) {
	data, op, err := wsutil.ReadServerData(w.r)
	if err != nil {
		if closed, ok := errors.AsType[wsutil.ClosedError](err); ok {
			return nil, fmt.Errorf("the server closed the WebSocket without <close/> (%d): %w", closed.Code, io.EOF)
		}
		return nil, err
	}
	if op != ws.OpText {
		return nil, fmt.Errorf("a message of type %x", op)
	}
	if len(data) == 0 || data[0] != '<' {
		return nil, fmt.Errorf("a message that does not begin with <: %q", data)
	}
	d := xml.NewDecoder(strings.NewReader(string(data)))
	tok, err := d.Token()
	if err != nil {
		return nil, err
	}
	start, ok := tok.(xml.StartElement)
	if !ok {
		return nil, fmt.Errorf("a message that begins with %T", tok)
	}
	e, err := readElement(d, start)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", data, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("more than an element in a message: %q", data)
	}
	if e.Raw = string(data); e.Space == nsFraming && e.Name == "close" {
		return e, ErrEnd
	}
	return e, nil
}

// closed reads up to the end of the connection.
func closed(w wire) error {
	w.conn().SetReadDeadline(time.Now().Add(Patience))
	if s, ok := w.(*websocket); ok {
		_, _, err := wsutil.ReadServerData(s.r)
		if _, ok := errors.AsType[wsutil.ClosedError](err); ok || err == io.EOF {
			return nil
		}
		return fmt.Errorf("after <close/>: %w", err)
	}
	tok, err := w.(*tcp).dec.Token()
	if err == io.EOF {
		return nil
	}
	return fmt.Errorf("after </stream:stream>: %v %w", tok, err)
}
