package stanza

import (
	"bytes"
)

// finish takes over the bytes of the element that was just indexed, brings it
// into canonical form and finds out what it is.
func (s *Stanza) finish(b []byte, l Limits) *StreamError {
	s.buf = b
	root := &s.nodes[0]
	if s.rewrite || root.def == spaceOuter {
		if err := s.rewriteWhole(l); err != nil {
			return err
		}
	} else if root.ns == spaceClient {
		s.dropDeclaration()
	}
	s.classify()
	return nil
}

// dropDeclaration removes xmlns='jabber:client' from the root: what stands
// before it moves to the right, so that the root begins later. White space
// fills the gap, so that the bytes still parse.
func (s *Stanza) dropDeclaration() {
	root := &s.nodes[0]
	k := root.attr0
	for ; k < root.attrN; k++ {
		if a := &s.attrs[k]; string(s.buf[a.beg:a.qend]) == "xmlns" {
			break
		}
	}
	if k == root.attrN {
		return
	}
	end := s.attrs[k].end + 1
	beg := root.qend
	if k > root.attr0 {
		beg = s.attrs[k-1].end + 1
	}
	by := end - beg
	copy(s.buf[by:end], s.buf[:beg])
	for i := range s.buf[:by] {
		s.buf[i] = ' '
	}
	root.beg += by
	root.local += by
	root.qend += by
	for j := k; j > root.attr0; j-- {
		a := s.attrs[j-1]
		s.attrs[j] = attr{a.beg + by, a.qend + by, a.local + by, a.val + by, a.end + by, a.ns, a.esc}
	}
	root.attr0++
	for j := range s.spaces {
		if sp := &s.spaces[j]; sp.beg != 0 && sp.beg < beg {
			sp.beg += by
			sp.end += by
		}
	}
}

// rewriteWhole writes the element in canonical form into fresh memory and
// indexes it again.
func (s *Stanza) rewriteWhole(l Limits) *StreamError {
	// Declarations that the stream header made once are repeated now; the limit
	// holds for the result too, or a long name could be multiplied.
	out, ok := s.appendCanonical(make([]byte, 0, len(s.buf)+128), 0, 0, spaceClient, l.Bytes)
	if !ok {
		return tooMuch("the element is too large")
	}
	l.Attrs = 2*l.Attrs + 1
	sc := scanner{lim: l}
	sc.start(s)
	if done, err := sc.run(out, s); err != nil || !done || s.rewrite {
		return notWellFormed("namespaces cannot be resolved")
	}
	s.buf = out
	return nil
}

// appendCanonical appends node i as part of the tree of node top, in a place
// where def is the default namespace and no prefix is declared outside of top.
// It gives up when dst gets longer than limit.
func (s *Stanza) appendCanonical(dst []byte, i, top int32, def uint32, limit int) ([]byte, bool) {
	if len(dst) > limit {
		return dst, false
	}
	n := &s.nodes[i]
	name := s.buf[n.beg+1 : n.qend]
	if n.local == n.beg+1 || i == top || s.outside(n.ns, top) || string(s.nsBytes(s.buf, n.ns)) == NSClient {
		name = s.buf[n.local:n.qend]
		dst = append(append(dst, '<'), name...)
		if !bytes.Equal(s.nsBytes(s.buf, n.ns), s.nsBytes(s.buf, def)) {
			dst = appendNS(dst, s.nsBytes(s.buf, n.ns))
			def = n.ns
		}
	} else {
		dst = append(append(dst, '<'), name...)
	}
	dst = s.appendAttrs(dst, n, top)
	if n.in == n.end {
		return append(dst, "/>"...), true
	}
	dst = append(dst, '>')
	at, ok := n.in, true
	for c := i + 1; c < n.after; c = s.nodes[c].after {
		dst = append(dst, s.buf[at:s.nodes[c].beg]...)
		if dst, ok = s.appendCanonical(dst, c, top, def, limit); !ok {
			return dst, false
		}
		at = s.nodes[c].end
	}
	dst = append(dst, s.buf[at:n.inEnd]...)
	dst = append(append(dst, "</"...), name...)
	return append(dst, '>'), len(dst) < limit
}

// appendAttrs appends the attributes of n, without the declaration of the
// default namespace, with declarations of prefixes from outside of top.
func (s *Stanza) appendAttrs(dst []byte, n *node, top int32) []byte {
	attrs := s.attrs[n.attr0:n.attrN]
	for k := range attrs {
		a := &attrs[k]
		if string(s.buf[a.beg:a.qend]) == "xmlns" {
			continue
		}
		dst = append(dst, ' ')
		dst = append(dst, s.buf[a.beg:a.end+1]...)
		if a.ns == spaceNone || a.ns == spaceXML || !s.outside(a.ns, top) {
			continue
		}
		prefix, first := s.buf[a.beg:a.local-1], true
		for j := range attrs[:k] {
			d := &attrs[j]
			first = first && !(d.local > d.beg && bytes.Equal(s.buf[d.beg:d.local-1], prefix))
		}
		if first {
			dst = append(append(dst, " xmlns:"...), prefix...)
			dst = append(AppendEscaped(append(dst, "='"...), string(s.nsBytes(s.buf, a.ns))), '\'')
		}
	}
	return dst
}

// outside reports whether namespace k was declared outside of node top.
func (s *Stanza) outside(k uint32, top int32) bool { return s.spaces[k].beg <= s.nodes[top].beg }

func appendNS(dst, ns []byte) []byte {
	dst = append(dst, " xmlns='"...)
	for _, c := range ns { // a URI needs little escaping
		switch c {
		case '&':
			dst = append(dst, "&amp;"...)
		case '\'':
			dst = append(dst, "&apos;"...)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '\'')
}

// appendPrefixes repeats the root's declarations of prefixes, so that the
// root's content can stand in another element.
func (s *Stanza) appendPrefixes(b *Builder) {
	root := &s.nodes[0]
	for _, a := range s.attrs[root.attr0:root.attrN] {
		if a.local > a.beg && string(s.buf[a.beg:a.local-1]) == "xmlns" {
			b.buf = append(append(b.buf, ' '), s.buf[a.beg:a.end+1]...)
		}
	}
}
