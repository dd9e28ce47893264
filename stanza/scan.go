package stanza

import "bytes"

// Limits bound what one peer may cost. Zero means the default.
type Limits struct {
	Bytes    int // of one first-level element or stream header; 256 KiB
	Depth    int // of nested elements, the stanza itself included; 64
	Attrs    int // of one element, namespace declarations included; 64
	Elements int // of one first-level element, itself included; 8192
}

// maxBytes keeps every offset within 32 bits.
const maxBytes = 1 << 30

func (l Limits) withDefaults() Limits {
	set := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	set(&l.Bytes, 256<<10)
	set(&l.Depth, 64)
	set(&l.Attrs, 64)
	set(&l.Elements, 8192)
	l.Bytes = min(l.Bytes, maxBytes)
	return l
}

const (
	cdataOpen  = "<![CDATA["
	cdataClose = "]]>"
)

// state is where in the grammar the scanner stands.
type state uint8

const (
	inContent    state = iota // between tags
	inName                    // in the name of a start tag
	inTag                     // between attributes
	inAttrName                // in the name of an attribute
	beforeEquals              // behind that name
	beforeValue               // behind the equals sign
	inValue                   // between the quotes
	inEmptyTag                // behind the slash of <a/>
	inEndName                 // in the name of an end tag
	inEndTag                  // behind that name
	inCDATA                   // in a CDATA section
)

// scanner reads one element byte by byte and writes its index into a Stanza.
// It stops anywhere and continues there: whatever it has looked at is not
// looked at again, except for the few bytes of a lookahead. So the result does
// not depend on how the bytes were cut into pieces.
type scanner struct {
	lim   Limits
	scope *scope // what is declared outside the element

	pos    int   // next byte to look at
	endPos int   // first byte of the innermost end tag's name
	cur    int32 // innermost open element; -1: none
	depth  int
	state  state
	quote  byte // around the current attribute value
	header bool // stop after the first start tag
	done   bool
}

// start prepares for a new element.
func (sc *scanner) start(s *Stanza) {
	s.Reset()
	s.spaces = append(s.spaces, space0, spaceClientLit, spaceXMLLit, space{lit: sc.outerDefault()})
	*sc = scanner{lim: sc.lim, scope: sc.scope, cur: -1, header: sc.header}
}

// run reads on in b, which begins with the element. It returns true when the
// element, or the header's start tag, ends at sc.pos.
func (sc *scanner) run(b []byte, s *Stanza) (bool, *StreamError) {
	full := len(b) > sc.lim.Bytes
	if full {
		b = b[:sc.lim.Bytes]
	}
	i := sc.pos
	for !sc.done {
		var more bool // nothing can be said without more bytes
		var err *StreamError
		switch sc.state {
		case inContent:
			i, more, err = sc.content(b, i, s)
		case inEndName, inEndTag:
			i, more, err = sc.endTag(b, i, s)
		case inCDATA:
			i, more, err = sc.cdata(b, i)
		default:
			i, more, err = sc.startTag(b, i, s)
		}
		if err != nil {
			return false, err
		}
		if more {
			if full {
				return false, tooMuch("the element is too large")
			}
			break
		}
	}
	sc.pos = i
	return sc.done, nil
}

// content reads character data up to the next tag.
func (sc *scanner) content(b []byte, i int, s *Stanza) (int, bool, *StreamError) {
	for {
		i = plain(b, i, ']')
		if i == len(b) {
			return i, true, nil
		}
		switch c := b[i]; {
		case c == '<':
			return sc.markup(b, i, s)
		case c == '&':
			n, _, err := reference(b, i)
			if n == 0 {
				return i, true, err
			}
			i += n
		case c == ']':
			switch n := match(b[i:], cdataClose); {
			case n == len(cdataClose): // XML 1.0 §2.4
				return i, false, notWellFormed("]]> in character data")
			case n == len(b)-i:
				return i, true, nil
			}
			i++
		case c >= 0x80:
			var n int
			if i, n = characters(b, i); n < 0 {
				return i, false, charError(n)
			} else if n > 0 {
				return i, true, nil
			}
		case classes[c]&white != 0:
			i++
		default:
			return i, false, charError(badChar)
		}
	}
}

// markup decides what begins at b[i] == '<'.
func (sc *scanner) markup(b []byte, i int, s *Stanza) (int, bool, *StreamError) {
	if i+1 == len(b) {
		return i, true, nil
	}
	switch b[i+1] {
	case '/':
		sc.state, sc.endPos = inEndName, i+2
		return i + 2, false, nil
	case '?':
		return i, false, restricted("a processing instruction")
	case '!':
		n := match(b[i:], cdataOpen)
		switch {
		case n == len(cdataOpen):
			sc.state = inCDATA
			return i + n, false, nil
		case n == len(b)-i:
			return i, true, nil
		}
		return i, false, restricted("a comment or DTD")
	}
	if len(s.nodes) >= sc.lim.Elements {
		return i, false, tooMuch("too many elements")
	}
	if sc.depth >= sc.lim.Depth {
		return i, false, tooMuch("elements are nested too deeply")
	}
	s.nodes = append(s.nodes, node{
		beg: uint32(i), local: uint32(i + 1), parent: sc.cur, attr0: uint32(len(s.attrs)),
	})
	sc.cur = int32(len(s.nodes) - 1)
	sc.depth++
	sc.state = inName
	return i + 1, false, nil
}

// startTag reads a start tag from its name on.
func (sc *scanner) startTag(b []byte, i int, s *Stanza) (int, bool, *StreamError) {
	for i < len(b) {
		var more bool
		var err *StreamError
		c := b[i]
		switch sc.state {
		case inName:
			n := &s.nodes[sc.cur]
			if i, more, err = name(b, i, int(n.beg)+1, &n.local); more || err != nil {
				return i, more, err
			}
			n.qend = uint32(i)
			sc.state = inTag
		case inTag:
			switch {
			case classes[c]&white != 0:
				i++
			case c == '>':
				sc.state = inContent
				return i + 1, false, sc.opened(b, i+1, s)
			case c == '/':
				sc.state = inEmptyTag
				i++
			case classes[b[i-1]]&white == 0:
				return i, false, notWellFormed("no white space before an attribute")
			default:
				if len(s.attrs)-int(s.nodes[sc.cur].attr0) >= sc.lim.Attrs {
					return i, false, tooMuch("too many attributes")
				}
				s.attrs = append(s.attrs, attr{beg: uint32(i), local: uint32(i)})
				sc.state = inAttrName
			}
		case inAttrName:
			a := &s.attrs[len(s.attrs)-1]
			if i, more, err = name(b, i, int(a.beg), &a.local); more || err != nil {
				return i, more, err
			}
			a.qend = uint32(i)
			sc.state = beforeEquals
		case beforeEquals:
			switch {
			case c == '=':
				sc.state = beforeValue
			case classes[c]&white == 0:
				return i, false, notWellFormed("an attribute without value")
			}
			i++
		case beforeValue:
			switch {
			case c == '\'' || c == '"':
				sc.quote, sc.state = c, inValue
				s.attrs[len(s.attrs)-1].val = uint32(i + 1)
			case classes[c]&white == 0:
				return i, false, notWellFormed("an attribute value without quotes")
			}
			i++
		case inValue:
			if i, more, err = sc.value(b, i, s); more || err != nil {
				return i, more, err
			}
		case inEmptyTag:
			if c != '>' {
				return i, false, notWellFormed("a slash inside a tag")
			}
			sc.state = inContent
			i++
			if err = sc.opened(b, i, s); err == nil {
				if sc.header {
					err = &StreamError{Condition: StreamBadFormat, Text: "an empty stream"}
				} else {
					sc.closed(i, i, s)
				}
			}
			return i, false, err
		}
	}
	return i, true, nil
}

// value reads an attribute value and its closing quote.
func (sc *scanner) value(b []byte, i int, s *Stanza) (int, bool, *StreamError) {
	a := &s.attrs[len(s.attrs)-1]
	for {
		i = plain(b, i, sc.quote)
		if i == len(b) {
			return i, true, nil
		}
		switch c := b[i]; {
		case c == sc.quote:
			a.end = uint32(i)
			sc.state = inTag
			return i + 1, false, nil
		case c == '&':
			n, _, err := reference(b, i)
			if n == 0 {
				return i, true, err
			}
			a.esc = true
			i += n
		case c >= 0x80:
			var n int
			if i, n = characters(b, i); n < 0 {
				return i, false, charError(n)
			} else if n > 0 {
				return i, true, nil
			}
		case c == '<':
			return i, false, notWellFormed("< in an attribute value")
		case classes[c]&white != 0:
			a.esc = true
			i++
		default:
			return i, false, charError(badChar)
		}
	}
}

// endTag reads an end tag from its name on.
func (sc *scanner) endTag(b []byte, i int, s *Stanza) (int, bool, *StreamError) {
	n := &s.nodes[sc.cur]
	if sc.state == inEndName {
		want := b[int(n.beg)+1+i-sc.endPos : n.qend]
		got := b[i:min(len(b), i+len(want))]
		if !bytes.Equal(got, want[:len(got)]) {
			return i, false, notWellFormed("an end tag of another name")
		}
		i += len(got)
		if len(got) < len(want) {
			return i, true, nil
		}
		sc.state = inEndTag
	}
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case c == '>':
			sc.state = inContent
			sc.closed(sc.endPos-2, i+1, s)
			return i + 1, false, nil
		case classes[c]&white == 0:
			return i, false, notWellFormed("an end tag of another name")
		}
	}
	return i, true, nil
}

// cdata reads a CDATA section up to and with its end.
func (sc *scanner) cdata(b []byte, i int) (int, bool, *StreamError) {
	for {
		i = plain(b, i, ']')
		if i == len(b) {
			return i, true, nil
		}
		switch c := b[i]; {
		case c == ']':
			switch n := match(b[i:], cdataClose); {
			case n == len(cdataClose):
				sc.state = inContent
				return i + n, false, nil
			case n == len(b)-i:
				return i, true, nil
			}
			i++
		case c >= 0x80:
			var n int
			if i, n = characters(b, i); n < 0 {
				return i, false, charError(n)
			} else if n > 0 {
				return i, true, nil
			}
		case c >= ' ' || classes[c]&white != 0:
			i++
		default:
			return i, false, charError(badChar)
		}
	}
}

// name reads on in a qualified name that begins at beg, up to the byte behind
// it; local is set behind the colon if there is one.
func name(b []byte, i, beg int, local *uint32) (int, bool, *StreamError) {
	for i < len(b) {
		c := b[i]
		switch {
		case classes[c]&nameStart != 0:
			i++
		case i == int(*local) && c < 0x80: // nothing else begins a name or its local part
			return i, false, notWellFormed("an illegal name")
		case classes[c]&nameChar != 0:
			i++
		case c == ':':
			if int(*local) != beg { // Namespaces in XML 1.0 §4: one colon at most
				return i, false, notWellFormed("an illegal name")
			}
			i++
			*local = uint32(i)
		case c >= 0x80:
			n, r := character(b, i)
			switch {
			case n == incomplete:
				return i, true, nil
			case n < 0:
				return i, false, charError(n)
			case !isNameRune(r):
				return i, false, notWellFormed("an illegal name")
			}
			i += n
		case classes[c]&white != 0 || c == '>' || c == '/' || c == '=':
			return i, false, nil
		default:
			return i, false, notWellFormed("an illegal name")
		}
	}
	return i, true, nil
}

// match returns how many bytes of b agree with the beginning of s.
func match(b []byte, s string) int {
	n := 0
	for n < len(b) && n < len(s) && b[n] == s[n] {
		n++
	}
	return n
}
