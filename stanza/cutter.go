package stanza

import (
	"bytes"
	"strings"
)

// Token is what Cutter.Next found.
type Token uint8

// The tokens.
const (
	NeedMore Token = iota // nothing whole yet: call again with more bytes
	Header                // the stream header
	Element               // a first-level element
	End                   // the end tag of the stream
	Space                 // white space between elements, or the XML declaration
)

// StreamHeader is the start tag of a stream (RFC 6120 §4.7). It owns its
// strings.
type StreamHeader struct {
	To, From, Version, Lang, ID string
	NS                          string // default namespace of the stream's content
	StreamNS                    string // namespace of the root
	Name                        string // local name of the root

	qname []byte
	scope scope
}

// Cutter cuts the bytes of a TCP stream into its header, first-level elements
// and end. The zero value expects a header under the default limits. One
// serves a connection; Reset begins a new stream.
type Cutter struct {
	lim    Limits
	sc     scanner
	header StreamHeader
	err    *StreamError

	phase  phase
	inside bool // sc has begun an element or the header
}

type phase uint8

const (
	atStart  phase = iota // an XML declaration may come
	inProlog              // a header must come
	inStream
	atEnd
)

// Reset begins a new stream: an XML declaration and a header are expected,
// everything that the last header declared is forgotten. Bytes that were not
// consumed stay with the caller.
func (c *Cutter) Reset(l Limits) { *c = Cutter{lim: l.withDefaults()} }

// SetLimits changes the limits from the next call on.
func (c *Cutter) SetLimits(l Limits) {
	c.lim = l.withDefaults()
	c.sc.lim = c.lim
}

// Header returns the stream header, empty before the token Header. It is valid
// until Reset. When Next refused the header itself, the fields that were read
// are there for the answer.
func (c *Cutter) Header() *StreamHeader { return &c.header }

// Next looks at buf, which begins with the first byte that no earlier call
// consumed, and reports what it found and how many bytes that takes. After
// NeedMore it continues where it stopped: pass the same stanza, and the same
// bytes, at any address, with more behind them.
//
// Only with Element is st of use to the caller. It then points into buf, whose
// consumed part may have been changed inside (see the package comment). The
// error is a *StreamError, and the same again from then on.
func (c *Cutter) Next(buf []byte, st *Stanza) (Token, int, error) {
	if c.err != nil {
		return NeedMore, 0, c.err
	}
	tok, n, err := c.next(buf, st)
	if err != nil {
		c.err = err
		st.Reset()
		return NeedMore, 0, err
	}
	return tok, n, nil
}

func (c *Cutter) next(buf []byte, st *Stanza) (Token, int, *StreamError) {
	if !c.inside {
		tok, n, err := c.between(buf)
		if !c.inside {
			return tok, n, err
		}
		if c.lim == (Limits{}) {
			c.lim = c.lim.withDefaults()
		}
		c.sc = scanner{lim: c.lim, header: c.phase != inStream}
		if c.phase == inStream {
			c.sc.scope = &c.header.scope
		}
		c.sc.start(st)
	}
	done, err := c.sc.run(buf, st)
	if err != nil || !done {
		return NeedMore, 0, err
	}
	c.inside = false
	n := c.sc.pos
	if c.phase == inStream {
		return Element, n, st.finish(buf[:n:n], c.lim)
	}
	err = c.readHeader(buf[:n], st)
	st.Reset()
	c.phase = inStream
	return Header, n, err
}

// between reads what stands between elements. It sets inside when an element
// or the header begins at buf[0].
func (c *Cutter) between(buf []byte) (Token, int, *StreamError) {
	// White space before an XML declaration is not XML, but it may well be what
	// ended the last element before a stream restart.
	if n := leadingSpace(buf); n > 0 {
		return Space, n, nil
	}
	if len(buf) == 0 {
		return NeedMore, 0, nil
	}
	if c.phase == atEnd {
		return NeedMore, 0, notWellFormed("data after the end of the stream")
	}
	if buf[0] >= 0x80 {
		if n, _ := character(buf, 0); n == incomplete {
			return NeedMore, 0, nil
		} else if n < 0 { // such as UTF-16
			return NeedMore, 0, charError(n)
		}
	}
	if buf[0] != '<' {
		if c.phase == inStream {
			// Well-formed, but nothing a stream may hold (RFC 6120 §4.9.3.1).
			return NeedMore, 0, &StreamError{Condition: StreamBadFormat, Text: "character data between stanzas"}
		}
		return NeedMore, 0, notWellFormed("no XML stream")
	}
	if len(buf) == 1 {
		return NeedMore, 0, nil
	}
	switch buf[1] {
	case '/':
		if c.phase == inStream {
			return c.end(buf)
		}
		return NeedMore, 0, topLevelError('/')
	case '?':
		if c.phase == atStart {
			return c.declaration(buf)
		}
		return NeedMore, 0, topLevelError('?')
	case '!':
		return NeedMore, 0, topLevelError('!')
	}
	c.inside = true
	return NeedMore, 0, nil
}

// end reads the end tag of the stream.
func (c *Cutter) end(buf []byte) (Token, int, *StreamError) {
	name, got := c.header.qname, buf[2:]
	n := min(len(name), len(got))
	if !bytes.Equal(got[:n], name[:n]) {
		return NeedMore, 0, notWellFormed("an end tag of another name")
	}
	const spare = 64 // of white space inside the tag
	for i := n; i < len(got) && n == len(name); i++ {
		if got[i] == '>' {
			c.phase = atEnd
			return End, 2 + i + 1, nil
		}
		if classes[got[i]]&white == 0 || i-n >= spare {
			return NeedMore, 0, notWellFormed("an end tag of another name")
		}
	}
	return NeedMore, 0, nil
}

// declaration reads <?xml version='1.0' encoding='UTF-8'?>.
func (c *Cutter) declaration(buf []byte) (Token, int, *StreamError) {
	const open, longest = "<?xml", 256
	n := match(buf, open)
	if n < len(open) && n < len(buf) || n == len(open) && len(buf) > n && classes[buf[n]]&white == 0 {
		return NeedMore, 0, topLevelError('?')
	}
	end := bytes.Index(buf[:min(len(buf), longest)], []byte("?>"))
	if end < 0 {
		if len(buf) >= longest {
			return NeedMore, 0, notWellFormed("an XML declaration without end")
		}
		return NeedMore, 0, nil
	}
	if err := checkDeclaration(string(buf[len(open):end])); err != nil {
		return NeedMore, 0, err
	}
	c.phase = inProlog
	return Space, end + 2, nil
}

// checkDeclaration reads the inside of an XML declaration (XML 1.0 §2.8).
func checkDeclaration(s string) *StreamError {
	const blank = " \t\r\n"
	order := []string{"version", "encoding", "standalone"}
	for first := true; ; first = false {
		trimmed := strings.TrimLeft(s, blank)
		if trimmed == "" && !first {
			return nil
		}
		name, rest, _ := strings.Cut(trimmed, "=")
		name, rest = strings.TrimRight(name, blank), strings.TrimLeft(rest, blank)
		if len(trimmed) == len(s) || len(rest) == 0 || rest[0] != '\'' && rest[0] != '"' {
			return notWellFormed("the XML declaration")
		}
		value, after, ok := strings.Cut(rest[1:], rest[:1])
		for len(order) > 0 && order[0] != name && !first {
			order = order[1:]
		}
		if !ok || len(order) == 0 || order[0] != name {
			return notWellFormed("the XML declaration")
		}
		order, s = order[1:], after
		switch name {
		case "version":
			if value != "1.0" { // RFC 6120 §11.8
				return notWellFormed("not XML 1.0")
			}
		case "encoding":
			if !strings.EqualFold(value, "UTF-8") { // RFC 6120 §11.6
				return &StreamError{Condition: StreamUnsupportedEncoding, Text: "only UTF-8 is supported"}
			}
		case "standalone": // RFC 6120 §11.5: ignored
			if value != "yes" && value != "no" {
				return notWellFormed("the XML declaration")
			}
		}
	}
}

// readHeader copies the header out of b and keeps what it declares.
func (c *Cutter) readHeader(b []byte, st *Stanza) *StreamError {
	st.buf = b
	root := st.Root()
	n := root.node()
	h := &c.header
	h.To, _ = root.Attr("to")
	h.From, _ = root.Attr("from")
	h.Version, _ = root.Attr("version")
	h.Lang, _ = root.Attr("xml:lang")
	h.ID, _ = root.Attr("id")
	h.Name, h.StreamNS = string(root.Name()), string(root.NS())
	h.NS = string(st.nsBytes(b, n.def))
	h.qname = bytes.Clone(b[n.beg+1 : n.qend])
	h.scope.def = []byte(h.NS)
	for _, d := range st.binds {
		h.scope.binds = append(h.scope.binds, outerBind{
			prefix: bytes.Clone(b[d.beg:d.end]),
			ns:     bytes.Clone(st.nsBytes(b, d.space)),
		})
	}
	switch {
	case h.StreamNS != NSStream: // RFC 6120 §4.8.1
		return &StreamError{Condition: StreamInvalidNamespace, Text: "not the namespace of streams"}
	case h.Name != "stream":
		return &StreamError{Condition: StreamBadFormat, Text: "no <stream/>"}
	case h.NS != NSClient && h.NS != NSStream && h.NS != "": // RFC 6120 §4.8.2
		return &StreamError{Condition: StreamInvalidNamespace, Text: "not the namespace of clients"}
	}
	return nil
}
