package stanza

// Builder writes XML into one byte slice. Its methods return the builder, so
// that calls chain. The zero value is ready, and Reset keeps the memory, so a
// Builder can be pooled; nothing is allocated but the growing slice.
type Builder struct {
	buf   []byte
	depth int      // open elements
	near  [12]mark // names of the outermost open elements
	far   []mark   // names of those below
	inTag bool     // the start tag of the innermost element is not closed yet
}

// mark is where in buf the name of an open element stands.
type mark struct{ beg, end uint32 }

// NewBuilder appends to buf; what it already holds stays.
func NewBuilder(buf []byte) *Builder { return &Builder{buf: buf} }

// Build begins a stanza: a root element in jabber:client.
func Build(name string) *Builder {
	return NewBuilder(make([]byte, 0, 256)).Open(name, "")
}

// Reset forgets everything and keeps the memory.
func (b *Builder) Reset() {
	b.buf, b.depth, b.far, b.inTag = b.buf[:0], 0, b.far[:0], false
}

// Len is the number of bytes written so far.
func (b *Builder) Len() int { return len(b.buf) }

// Open begins an element. It inherits its namespace when ns is empty.
func (b *Builder) Open(name, ns string) *Builder {
	b.endTag()
	b.buf = append(b.buf, '<')
	m := mark{beg: uint32(len(b.buf)), end: uint32(len(b.buf) + len(name))}
	if b.depth < len(b.near) {
		b.near[b.depth] = m
	} else {
		b.far = append(b.far[:b.depth-len(b.near)], m)
	}
	b.depth++
	b.buf = append(b.buf, name...)
	b.inTag = true
	if ns != "" {
		b.Attr("xmlns", ns)
	}
	return b
}

// Attr adds an attribute to the element that was just opened and escapes its
// value. It panics when content was written since.
func (b *Builder) Attr(name, value string) *Builder {
	if !b.inTag {
		panic("stanza: attribute " + name + " after the start tag")
	}
	b.buf = append(b.buf, ' ')
	b.buf = append(b.buf, name...)
	b.buf = append(b.buf, "='"...)
	b.buf = AppendEscaped(b.buf, value)
	b.buf = append(b.buf, '\'')
	return b
}

// Text writes a whole element that holds only character data.
func (b *Builder) Text(name, text string) *Builder {
	return b.Open(name, "").Chars(text).Close()
}

// Chars writes character data. What XML cannot hold becomes U+FFFD.
func (b *Builder) Chars(text string) *Builder {
	if text != "" {
		b.endTag()
		b.buf = appendText(b.buf, text)
	}
	return b
}

// Raw writes XML that is trusted to be well-formed.
func (b *Builder) Raw(xml []byte) *Builder {
	if len(xml) > 0 {
		b.endTag()
		b.buf = append(b.buf, xml...)
	}
	return b
}

// Empty writes <name xmlns='ns'/>.
func (b *Builder) Empty(name, ns string) *Builder {
	return b.Open(name, ns).Close()
}

// Close ends the innermost open element, if there is one.
func (b *Builder) Close() *Builder {
	if b.depth == 0 {
		return b
	}
	b.depth--
	if b.inTag {
		b.buf, b.inTag = append(b.buf, "/>"...), false
		return b
	}
	var m mark
	if b.depth < len(b.near) {
		m = b.near[b.depth]
	} else {
		m = b.far[b.depth-len(b.near)]
	}
	b.buf = append(b.buf, "</"...)
	b.buf = append(b.buf, b.buf[m.beg:m.end]...)
	b.buf = append(b.buf, '>')
	return b
}

// Bytes closes all that is open and returns the XML. The slice is the
// builder's: it changes with the next call.
func (b *Builder) Bytes() []byte {
	for b.depth > 0 {
		b.Close()
	}
	return b.buf
}

func (b *Builder) endTag() {
	if b.inTag {
		b.buf, b.inTag = append(b.buf, '>'), false
	}
}
