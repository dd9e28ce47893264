package stanza

import "bytes"

// Namespaces that streams are made of.
const (
	NSClient = "jabber:client"                    // RFC 6120 §4.8.3
	NSStream = "http://etherx.jabber.org/streams" // RFC 6120 §4.8.1
	nsXML    = "http://www.w3.org/XML/1998/namespace"
	nsXMLNS  = "http://www.w3.org/2000/xmlns/"
)

// Every use of a prefix looks through those in scope, and a name that was
// declared once may be repeated in the canonical form: both are bounded.
const (
	maxPrefixes = 64   // in scope at once
	maxName     = 1024 // bytes of a namespace name
)

// space is a namespace name: a range of the element's bytes, or lit when the
// name is not written there as it is.
type space struct {
	beg, end uint32 // where it is declared; 0: outside of the element
	lit      []byte
}

// The first entries of every list of namespaces.
const (
	spaceNone   uint32 = iota // no namespace
	spaceClient               // the default within the server
	spaceXML                  // the prefix xml
	spaceOuter                // the default outside of the element
)

var (
	space0         = space{lit: []byte{}}
	spaceClientLit = space{lit: []byte(NSClient)}
	spaceXMLLit    = space{lit: []byte(nsXML)}
)

// bind is a prefix in scope, declared by an open element.
type bind struct {
	beg, end uint32 // the prefix
	space    uint32
	node     int32
}

// scope is what a stream header declares for the elements inside.
type scope struct {
	def   []byte // default namespace
	binds []outerBind
}

type outerBind struct{ prefix, ns []byte }

// outerDefault is the default namespace outside of the element. Where there is
// no header, in a frame or a stored row, it is jabber:client.
func (sc *scanner) outerDefault() []byte {
	switch {
	case sc.header:
		return space0.lit
	case sc.scope == nil:
		return spaceClientLit.lit
	}
	return sc.scope.def
}

// opened resolves the namespaces of the element whose start tag ends at end,
// and checks its attributes.
func (sc *scanner) opened(b []byte, end int, s *Stanza) *StreamError {
	n := &s.nodes[sc.cur]
	n.in, n.attrN = uint32(end), uint32(len(s.attrs))
	if n.parent >= 0 {
		n.def = s.nodes[n.parent].def
	} else if n.def = spaceOuter; string(s.spaces[spaceOuter].lit) == NSClient {
		n.def = spaceClient
	}
	attrs := s.attrs[n.attr0:n.attrN]
	prefixed := false
	for k := range attrs {
		a := &attrs[k]
		qname := b[a.beg:a.qend]
		for j := range attrs[:k] {
			if d := &attrs[j]; d.qend-d.beg == uint32(len(qname)) && bytes.Equal(b[d.beg:d.qend], qname) {
				return notWellFormed("an attribute twice")
			}
		}
		if a.local == a.beg {
			if string(qname) == "xmlns" {
				sp, err := sc.declare(b, a, nil, s)
				if err != nil {
					return err
				}
				n.def = sp
			}
		} else if prefix := b[a.beg : a.local-1]; string(prefix) == "xmlns" {
			sp, err := sc.declare(b, a, b[a.local:a.qend], s)
			if err != nil {
				return err
			}
			if len(s.binds) >= maxPrefixes {
				return tooMuch("too many prefixes")
			}
			s.binds = append(s.binds, bind{a.local, a.qend, sp, sc.cur})
		} else {
			prefixed = true
		}
	}
	n.ns = n.def
	if n.local != n.beg+1 {
		var err *StreamError
		if n.ns, err = sc.resolve(b, b[n.beg+1:n.local-1], s); err != nil {
			return err
		}
		if n.ns == spaceXML { // Namespaces in XML 1.0 §3 reserves it
			return notWellFormed("a reserved prefix")
		}
		// RFC 6120 §4.8.5: no prefix in the content namespace.
		if n.parent < 0 || string(s.nsBytes(b, n.ns)) == NSClient {
			s.rewrite = true
		}
	}
	if prefixed {
		if err := sc.resolveAttrs(b, attrs, s); err != nil {
			return err
		}
	}
	sc.done = sc.header
	return nil
}

// resolveAttrs finds the namespaces of prefixed attributes; two of one
// expanded name are an error (Namespaces in XML 1.0 §6.3).
func (sc *scanner) resolveAttrs(b []byte, attrs []attr, s *Stanza) *StreamError {
	for k := range attrs {
		a := &attrs[k]
		if a.local == a.beg || string(b[a.beg:a.local-1]) == "xmlns" {
			continue
		}
		var err *StreamError
		if a.ns, err = sc.resolve(b, b[a.beg:a.local-1], s); err != nil {
			return err
		}
		for j := range attrs[:k] {
			d := &attrs[j]
			if d.ns != spaceNone && bytes.Equal(b[a.local:a.qend], b[d.local:d.qend]) &&
				bytes.Equal(s.nsBytes(b, a.ns), s.nsBytes(b, d.ns)) {
				return notWellFormed("an attribute twice")
			}
		}
	}
	return nil
}

// declare reads the declaration a of prefix, or of the default namespace when
// prefix is nil (Namespaces in XML 1.0 §2.2, §3).
func (sc *scanner) declare(b []byte, a *attr, prefix []byte, s *Stanza) (uint32, *StreamError) {
	sp := space{beg: a.val, end: a.end}
	uri := b[a.val:a.end]
	if a.esc {
		sp.lit = appendValue(nil, uri)
		uri = sp.lit
	}
	isDefault := prefix == nil
	switch string(uri) {
	case "":
		if isDefault {
			return spaceNone, nil
		}
		return 0, notWellFormed("a prefix without namespace")
	case NSClient:
		if isDefault {
			return spaceClient, nil
		}
	case nsXML:
		if string(prefix) == "xml" {
			return spaceXML, nil
		}
		return 0, notWellFormed("a reserved namespace")
	case nsXMLNS:
		return 0, notWellFormed("a reserved namespace")
	}
	if p := string(prefix); p == "xml" || p == "xmlns" {
		return 0, notWellFormed("a reserved prefix")
	}
	if len(uri) > maxName {
		return 0, tooMuch("a namespace name is too long")
	}
	// A namespace name is a URI reference. Parsers that join it to the local
	// name with a character outside of URIs stop at such a character, and would
	// end the stream of whoever receives it.
	for _, c := range uri {
		if classes[c]&uriChar == 0 {
			return 0, notWellFormed("a namespace name that is no URI")
		}
	}
	s.spaces = append(s.spaces, sp)
	return uint32(len(s.spaces) - 1), nil
}

// resolve finds the namespace of a prefix.
func (sc *scanner) resolve(b, prefix []byte, s *Stanza) (uint32, *StreamError) {
	if string(prefix) == "xml" {
		return spaceXML, nil
	}
	s.prefixed = true
	for k := len(s.binds) - 1; k >= 0; k-- {
		if d := &s.binds[k]; bytes.Equal(b[d.beg:d.end], prefix) {
			return d.space, nil
		}
	}
	if sc.scope != nil {
		for k := range sc.scope.binds {
			if d := &sc.scope.binds[k]; bytes.Equal(d.prefix, prefix) {
				s.rewrite = true
				s.spaces = append(s.spaces, space{lit: d.ns})
				return uint32(len(s.spaces) - 1), nil
			}
		}
	}
	if sc.header { // RFC 6120 §4.9.3.2
		return 0, &StreamError{Condition: StreamBadNamespacePrefix, Text: "an undeclared prefix"}
	}
	return 0, notWellFormed("an undeclared prefix")
}

// closed ends the innermost element.
func (sc *scanner) closed(inEnd, end int, s *Stanza) {
	n := &s.nodes[sc.cur]
	n.inEnd, n.end, n.after = uint32(inEnd), uint32(end), int32(len(s.nodes))
	for k := len(s.binds) - 1; k >= 0 && s.binds[k].node == sc.cur; k-- {
		s.binds = s.binds[:k]
	}
	sc.cur = n.parent
	sc.depth--
	sc.done = sc.cur < 0
}
