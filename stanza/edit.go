package stanza

import "slices"

// setAttr replaces, adds or removes an attribute of the root.
type setAttr struct {
	name, value string
	attr        int32 // index of the attribute as it came; -1: none
	side        Side
	remove      bool
}

// cut leaves out a range of bytes.
type cut struct {
	beg, end uint32
	side     Side
}

// tail is XML to stand before the root's end tag.
type tail struct {
	xml  []byte
	side Side
}

// SetAttr replaces or adds an attribute of the root; value is escaped when
// written. Set for Sent, it holds for Received too unless that side has its
// own value.
func (s *Stanza) SetAttr(side Side, name, value string) {
	s.edit(setAttr{name: name, value: value, side: side})
}

// RemoveAttr removes an attribute of the root, for the same sides as SetAttr.
func (s *Stanza) RemoveAttr(side Side, name string) {
	s.edit(setAttr{name: name, side: side, remove: true})
}

func (s *Stanza) edit(e setAttr) {
	if len(s.nodes) == 0 {
		return
	}
	for k := range s.sets {
		if old := &s.sets[k]; old.side == e.side && old.name == e.name {
			e.attr = old.attr
			*old = e
			return
		}
	}
	e.attr = -1
	root := &s.nodes[0]
	for k := root.attr0; k < root.attrN; k++ {
		if a := &s.attrs[k]; string(s.buf[a.beg:a.qend]) == e.name {
			e.attr = int32(k)
		}
	}
	s.sets = append(s.sets, e)
}

// Cut leaves out an element below the root; for Sent, also on the Received
// side.
func (s *Stanza) Cut(side Side, e Elem) {
	if e.s != s || e.i == 0 {
		return
	}
	n := e.node()
	c := cut{n.beg, n.end, side}
	k := len(s.cuts)
	for k > 0 && s.cuts[k-1].beg > c.beg {
		k--
	}
	s.cuts = slices.Insert(s.cuts, k, c)
}

// Append adds XML as the last child of the root, for this side only. xml is
// trusted and kept, not copied.
func (s *Stanza) Append(side Side, xml []byte) {
	s.tails = append(s.tails, tail{xml, side})
}

// Emit appends the stanza as side sees it: Sent with the edits for Sent;
// Received with the attributes and cuts of both and what was appended for
// Received.
func (s *Stanza) Emit(dst []byte, side Side) []byte { return s.emit(dst, side, false) }

// EmitForwarded is Emit with a declaration of jabber:client on the root, as
// needed where another default namespace holds: inside <forwarded/> (XEP-0297)
// and in a WebSocket frame (RFC 7395).
func (s *Stanza) EmitForwarded(dst []byte, side Side) []byte { return s.emit(dst, side, true) }

// Size is an upper bound, in bytes, of what Emit and EmitForwarded write for
// either side.
func (s *Stanza) Size() int {
	if len(s.nodes) == 0 {
		return 0
	}
	root := &s.nodes[0]
	n := int(root.end-root.beg) + len(" xmlns='jabber:client'") + len("></>") + int(root.qend-root.local)
	for i := range s.sets {
		// A quote is the longest thing that escaping makes: six bytes.
		n += len(s.sets[i].name) + len(" =''") + 6*len(s.sets[i].value)
	}
	for i := range s.tails {
		n += len(s.tails[i].xml)
	}
	return n
}

func (s *Stanza) emit(dst []byte, side Side, qualify bool) []byte {
	if len(s.nodes) == 0 {
		return dst
	}
	root := &s.nodes[0]
	at := root.beg
	if qualify && root.ns == spaceClient {
		dst = append(dst, s.buf[at:root.qend]...)
		dst = append(dst, " xmlns='jabber:client'"...)
		at = root.qend
	}
	if len(s.sets) > 0 {
		dst, at = s.emitAttrs(dst, at, side)
	}
	for _, c := range s.cuts {
		if c.side <= side && c.beg >= at {
			dst = append(dst, s.buf[at:c.beg]...)
			at = c.end
		}
	}
	opened := false
	for _, t := range s.tails {
		if t.side != side || len(t.xml) == 0 {
			continue
		}
		if !opened {
			opened = true
			if root.in == root.end { // <a/> becomes <a>…</a>
				dst = append(dst, s.buf[at:root.end-2]...)
				dst = append(dst, '>')
			} else {
				dst = append(dst, s.buf[at:root.inEnd]...)
			}
			at = root.inEnd
		}
		dst = append(dst, t.xml...)
	}
	if opened && root.in == root.end {
		dst = append(dst, "</"...)
		dst = append(dst, s.buf[root.local:root.qend]...)
		return append(dst, '>')
	}
	return append(dst, s.buf[at:root.end]...)
}

// emitAttrs writes the root's start tag up to the last edited attribute and
// returns where the rest begins.
func (s *Stanza) emitAttrs(dst []byte, at uint32, side Side) ([]byte, uint32) {
	root := &s.nodes[0]
	known := false
	for k := range s.sets {
		e := &s.sets[k]
		if !s.counts(e, side) {
			continue
		}
		if e.attr >= 0 {
			known = true
			continue
		}
		if e.remove {
			continue
		}
		if at < root.qend {
			dst = append(dst, s.buf[at:root.qend]...)
			at = root.qend
		}
		dst = append(dst, ' ')
		dst = append(dst, e.name...)
		dst = append(dst, "='"...)
		dst = append(AppendEscaped(dst, e.value), '\'')
	}
	if !known {
		return dst, at
	}
	for k := root.attr0; k < root.attrN; k++ {
		e := s.setFor(int32(k), side)
		if e == nil {
			continue
		}
		a := &s.attrs[k]
		if e.remove {
			gap := root.qend // white space before the attribute goes with it
			if k > root.attr0 {
				gap = s.attrs[k-1].end + 1
			}
			dst = append(dst, s.buf[at:gap]...)
			at = a.end + 1
			continue
		}
		dst = append(dst, s.buf[at:a.val]...)
		dst = AppendEscaped(dst, e.value)
		at = a.end
	}
	return dst, at
}

// counts reports whether e is what side sees of its attribute.
func (s *Stanza) counts(e *setAttr, side Side) bool {
	if e.side == side {
		return true
	}
	if e.side > side {
		return false
	}
	for k := range s.sets {
		if o := &s.sets[k]; o.side == side && o.name == e.name {
			return false
		}
	}
	return true
}

// setFor returns the edit of attribute k that side sees.
func (s *Stanza) setFor(k int32, side Side) *setAttr {
	for j := range s.sets {
		if e := &s.sets[j]; e.attr == k && s.counts(e, side) {
			return e
		}
	}
	return nil
}

// Clone returns a copy with its own bytes, index and edits.
func (s *Stanza) Clone() *Stanza {
	c := *s
	size := len(s.buf)
	for _, t := range s.tails {
		size += len(t.xml)
	}
	mem := append(make([]byte, 0, size), s.buf...)
	c.buf = mem[:len(mem):len(mem)]
	c.nodes = slices.Clone(s.nodes)
	c.attrs = slices.Clone(s.attrs)
	c.spaces = slices.Clone(s.spaces)
	c.binds = nil
	c.sets = slices.Clone(s.sets)
	c.cuts = slices.Clone(s.cuts)
	c.tails = slices.Clone(s.tails)
	for k, t := range c.tails {
		n := len(mem)
		mem = append(mem, t.xml...)
		c.tails[k].xml = mem[n:len(mem):len(mem)]
	}
	return &c
}
