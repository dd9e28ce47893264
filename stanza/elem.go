package stanza

import (
	"bytes"
	"iter"
)

// Elem is an element of a Stanza: a small handle that is valid as long as the
// stanza is neither reset nor parsed again. All byte slices it returns point
// into the stanza unless said otherwise and must not be changed. The zero
// value is no element; its methods return nothing.
type Elem struct {
	s *Stanza
	i int32
}

// OK reports whether there is an element.
func (e Elem) OK() bool { return e.s != nil }

func (e Elem) node() *node { return &e.s.nodes[e.i] }

// Name returns the local name, without prefix.
func (e Elem) Name() []byte {
	if e.s == nil {
		return nil
	}
	n := e.node()
	return e.s.buf[n.local:n.qend:n.qend]
}

// NS returns the namespace, empty for none.
func (e Elem) NS() []byte {
	if e.s == nil {
		return nil
	}
	return e.s.nsBytes(e.s.buf, e.node().ns)
}

// Is reports whether the element has this namespace and name.
func (e Elem) Is(ns, name string) bool {
	return e.s != nil && string(e.Name()) == name && string(e.NS()) == ns
}

// attr finds an attribute by its name as written, with prefix.
func (e Elem) attr(name string) *attr {
	if e.s == nil {
		return nil
	}
	n := e.node()
	attrs := e.s.attrs[n.attr0:n.attrN]
	for k := range attrs {
		if a := &attrs[k]; string(e.s.buf[a.beg:a.qend]) == name {
			return a
		}
	}
	return nil
}

// AttrBytes returns the value of an attribute, unescaped. The name is the one
// written, so "xml:lang" finds the language. It allocates only for a value
// with references.
func (e Elem) AttrBytes(name string) ([]byte, bool) {
	a := e.attr(name)
	if a == nil {
		return nil, false
	}
	return e.s.value(a), true
}

func (s *Stanza) value(a *attr) []byte {
	v := s.buf[a.val:a.end:a.end]
	if a.esc {
		v = appendValue(make([]byte, 0, len(v)), v)
	}
	return v
}

// Attr returns a copy of the value of an attribute, see AttrBytes.
func (e Elem) Attr(name string) (string, bool) {
	v, ok := e.AttrBytes(name)
	return string(v), ok
}

// Parent returns the element around this one.
func (e Elem) Parent() Elem {
	if e.s == nil || e.node().parent < 0 {
		return Elem{}
	}
	return Elem{e.s, e.node().parent}
}

// First returns the first child element.
func (e Elem) First() Elem {
	if e.s == nil || e.node().after == e.i+1 {
		return Elem{}
	}
	return Elem{e.s, e.i + 1}
}

// Next returns the next sibling.
func (e Elem) Next() Elem {
	if e.s == nil {
		return Elem{}
	}
	n := e.node()
	if n.parent < 0 || n.after == e.s.nodes[n.parent].after {
		return Elem{}
	}
	return Elem{e.s, n.after}
}

// Child returns the first child with this namespace and name.
func (e Elem) Child(ns, name string) Elem {
	for c := e.First(); c.OK(); c = c.Next() {
		if c.Is(ns, name) {
			return c
		}
	}
	return Elem{}
}

// Children goes through the child elements in order.
func (e Elem) Children() iter.Seq[Elem] {
	return func(yield func(Elem) bool) {
		for c := e.First(); c.OK() && yield(c); c = c.Next() {
		}
	}
}

// Text returns a copy of the character data directly inside the element, with
// references and CDATA sections resolved.
func (e Elem) Text() string {
	if e.s == nil {
		return ""
	}
	n := e.node()
	if inner := e.Inner(); n.after == e.i+1 && !bytes.ContainsAny(inner, "&<\r") {
		return string(inner)
	}
	var out []byte
	at := n.in
	for c := e.First(); c.OK(); c = c.Next() {
		out = appendData(out, e.s.buf[at:c.node().beg])
		at = c.node().end
	}
	return string(appendData(out, e.s.buf[at:n.inEnd]))
}

// Raw returns the bytes of the element. Below the root they may depend on
// namespaces that are declared further out; AppendTo makes them independent.
func (e Elem) Raw() []byte {
	if e.s == nil {
		return nil
	}
	n := e.node()
	return e.s.buf[n.beg:n.end:n.end]
}

// Inner returns the bytes between the tags.
func (e Elem) Inner() []byte {
	if e.s == nil {
		return nil
	}
	n := e.node()
	return e.s.buf[n.in:n.inEnd:n.inEnd]
}

// AppendTo appends the element so that it means the same anywhere in a stream
// of clients: namespaces that it inherits are declared on it, except
// jabber:client.
func (e Elem) AppendTo(dst []byte) []byte {
	if e.s == nil {
		return dst
	}
	n := e.node()
	if e.s.prefixed {
		dst, _ = e.s.appendCanonical(dst, e.i, e.i, spaceClient, maxBytes)
		return dst
	}
	raw := e.Raw()
	if n.parent < 0 || e.s.nodes[n.parent].def == spaceClient || e.attr("xmlns") != nil {
		return append(dst, raw...)
	}
	name := n.qend - n.beg
	dst = append(dst, raw[:name]...)
	dst = appendNS(dst, e.s.nsBytes(e.s.buf, n.ns))
	return append(dst, raw[name:]...)
}

// Attrs goes through the attributes in order, declarations of namespaces
// included: names as written, values unescaped.
func (e Elem) Attrs() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		if e.s == nil {
			return
		}
		n := e.node()
		for k := n.attr0; k < n.attrN; k++ {
			a := &e.s.attrs[k]
			if !yield(string(e.s.buf[a.beg:a.qend]), e.s.value(a)) {
				return
			}
		}
	}
}
