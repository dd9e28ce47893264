// Package stanza cuts XMPP streams into their first-level elements and indexes
// these without copying: a Stanza is the bytes as they came plus a flat list
// of where its elements and attributes stand. It also builds XML and knows the
// errors of RFC 6120.
//
// # Canonical form
//
// Inside the server the root of a stanza has no prefix and no declaration of
// jabber:client, and uses nothing that was declared outside of it: it can be
// written into any stream of clients as it is. Cutter.Next and Stanza.Parse
// bring every element into this form. Mostly there is nothing to do; a
// declaration of jabber:client, as in each WebSocket frame, is removed inside
// the buffer; only what needs a prefix of the stream header or has a prefixed
// root is written anew.
//
// # Edits
//
// Bytes are never edited. SetAttr, RemoveAttr, Cut and Append record an edit,
// Emit writes the pieces.
package stanza

// Stanza is one first-level element: its bytes, their index, and the edits to
// be made when it is written. It points into the bytes it was read from, until
// Clone. It is not safe for concurrent use while it is read or edited; any
// number of goroutines may call its other methods.
//
// The zero value is ready for Cutter.Next and Parse. Using it again saves the
// memory of the index.
type Stanza struct {
	Kind  Kind
	Type  Type
	Class Class

	buf    []byte // offsets count from here; the root may begin later
	nodes  []node // in document order; the root is nodes[0]
	attrs  []attr // of all nodes, in document order
	spaces []space
	binds  []bind

	prefixed bool // a prefix other than xml is used
	rewrite  bool // not in canonical form

	sets  []setAttr
	cuts  []cut
	tails []tail
}

// node is one element.
type node struct {
	beg, end     uint32 // with its tags
	in, inEnd    uint32 // between its tags; both are end for <a/>
	local, qend  uint32 // its name: beg+1 to qend, without prefix from local on
	attr0, attrN uint32 // its attributes
	ns, def      uint32 // its namespace; the default for its children
	parent       int32  // -1: none
	after        int32  // the next node that is not inside this one
}

// attr is one attribute, or a namespace declaration.
type attr struct {
	beg, qend uint32 // name
	local     uint32 // the name without prefix
	val, end  uint32 // value, between the quotes
	ns        uint32 // spaceNone without prefix
	esc       bool   // val has references or white space to normalise
}

// keep is how many entries of an index Reset keeps memory for. One large
// stanza must not make a pooled one large for ever.
const keep = 512

// Reset drops everything and keeps the memory of the index for reuse.
func (s *Stanza) Reset() {
	if cap(s.nodes) > keep {
		s.nodes = nil
	}
	if cap(s.attrs) > keep {
		s.attrs = nil
	}
	if cap(s.spaces) > keep {
		s.spaces = nil
	}
	clear(s.sets)
	clear(s.tails)
	*s = Stanza{
		nodes: s.nodes[:0], attrs: s.attrs[:0], spaces: s.spaces[:0], binds: s.binds[:0],
		sets: s.sets[:0], cuts: s.cuts[:0], tails: s.tails[:0],
	}
}

// Parse indexes raw, which holds one whole element and nothing else but white
// space around it: a WebSocket frame, XML of the server itself.
// Its default namespace is jabber:client unless it declares another. The error
// is a *StreamError.
//
// The stanza points into raw, and Parse may move bytes inside raw to bring it
// into canonical form (raw still parses to the same stanza afterwards).
func (s *Stanza) Parse(raw []byte, l Limits) error {
	if err := s.parse(raw, l.withDefaults()); err != nil {
		s.Reset()
		return err
	}
	return nil
}

// Reparse is Parse for what has passed the limits of a stream before: a stored row,
// an element of a queue. The limits may be lower by now, nothing is to be lost by that.
func (s *Stanza) Reparse(raw []byte) error {
	return s.Parse(raw, Limits{Bytes: maxBytes, Depth: maxBytes / 4, Attrs: maxBytes / 4, Elements: maxBytes / 4})
}

func (s *Stanza) parse(raw []byte, l Limits) *StreamError {
	raw = raw[leadingSpace(raw):]
	if len(raw) > 1 && raw[0] == '<' && (raw[1] == '/' || raw[1] == '!') {
		return topLevelError(raw[1])
	}
	if len(raw) == 0 || raw[0] != '<' {
		return notWellFormed("no element")
	}
	sc := scanner{lim: l}
	sc.start(s)
	switch ok, err := sc.run(raw, s); {
	case err != nil:
		return err
	case !ok:
		return notWellFormed("an incomplete element")
	case leadingSpace(raw[sc.pos:]) != len(raw)-sc.pos:
		return notWellFormed("more than one element")
	}
	return s.finish(raw[:sc.pos:sc.pos], l)
}

func leadingSpace(b []byte) int {
	n := 0
	for n < len(b) && classes[b[n]]&white != 0 {
		n++
	}
	return n
}

// topLevelError is the error for markup other than a start tag in the place of
// a first-level element; c follows the '<'.
func topLevelError(c byte) *StreamError {
	switch c {
	case '!':
		return restricted("a comment or DTD")
	case '?':
		return restricted("a processing instruction")
	}
	return notWellFormed("an end tag without start tag")
}

// Raw returns the element in canonical form, without edits.
func (s *Stanza) Raw() []byte { return s.Root().Raw() }

// Root returns the element itself; none before the first Parse or Next.
func (s *Stanza) Root() Elem {
	if len(s.nodes) == 0 {
		return Elem{}
	}
	return Elem{s, 0}
}

// Attr returns an attribute of the root, unescaped, as it came: edits do not
// show here. It allocates only for a value with references.
func (s *Stanza) Attr(name string) (value []byte, ok bool) { return s.Root().AttrBytes(name) }

// ID returns the id attribute; nil when absent.
func (s *Stanza) ID() []byte {
	v, _ := s.Attr("id")
	return v
}

// To returns the to attribute as it came; nil when absent.
func (s *Stanza) To() []byte {
	v, _ := s.Attr("to")
	return v
}

// From returns the from attribute as it came; nil when absent.
func (s *Stanza) From() []byte {
	v, _ := s.Attr("from")
	return v
}

// nsBytes returns a namespace name; b holds the ranges.
func (s *Stanza) nsBytes(b []byte, k uint32) []byte {
	if sp := &s.spaces[k]; sp.lit == nil {
		return b[sp.beg:sp.end:sp.end]
	}
	return s.spaces[k].lit
}
