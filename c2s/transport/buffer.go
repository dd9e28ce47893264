package transport

import "sync"

// classes are the sizes of pooled buffers: the smallest keeps the beginning of
// an element of a slow sender, a burst starts with startClass, the largest one
// holds a stanza of the default limit.
var classes = [...]int{512, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 512 << 10}

const startClass = 1

// recordBuffer holds one TLS record, its header and what crypto/tls wants free
// behind it (bytes.MinRead), so that it never has to grow.
const recordBuffer = 18 << 10

// Buffers is a pool of read buffers, shared by the connections of a server. The
// zero value is ready.
type Buffers struct {
	pools   [len(classes)]sync.Pool
	records sync.Pool
}

type buffer struct {
	b     []byte
	class int // index in classes; len(classes): too large to be pooled
}

// class is the smallest one that holds size bytes.
func class(size int) int {
	for i, n := range classes {
		if size <= n {
			return i
		}
	}
	return len(classes)
}

// get returns a buffer of at least size bytes.
func (p *Buffers) get(size int) *buffer {
	i := class(size)
	if i == len(classes) {
		return &buffer{b: make([]byte, size), class: i}
	}
	if b, ok := p.pools[i].Get().(*buffer); ok {
		return b
	}
	return &buffer{b: make([]byte, classes[i]), class: i}
}

func (p *Buffers) put(b *buffer) {
	if b != nil && b.class < len(classes) {
		p.pools[b.class].Put(b)
	}
}

func (p *Buffers) getRecord() []byte {
	if b, ok := p.records.Get().(*[recordBuffer]byte); ok {
		return b[:]
	}
	return make([]byte, recordBuffer)
}

// putRecord takes any slice and keeps those that getRecord made.
func (p *Buffers) putRecord(b []byte) {
	if cap(b) == recordBuffer {
		p.records.Put((*[recordBuffer]byte)(b[:recordBuffer]))
	}
}

// burst is the read buffer: what was handed out lies before r, what waits to be
// cut between r and w. Bytes that were handed out are never moved before release.
type burst struct {
	buf     *buffer
	r, w    int
	taken   int // bytes read in this burst
	retired []*buffer
}

// rest are the bytes that nobody has consumed.
func (in *burst) rest() []byte {
	if in.buf == nil {
		return nil
	}
	return in.buf.b[in.r:in.w]
}

// space returns room to read into. A full buffer is replaced by a larger one,
// into which only the unconsumed rest moves.
func (in *burst) space(p *Buffers) []byte {
	if in.buf == nil {
		in.buf = p.get(classes[startClass])
		in.r, in.w = 0, 0
	}
	if in.w == len(in.buf.b) {
		size := 2 * (in.w - in.r)
		if in.taken > 0 {
			size = max(size, classes[startClass+1]) // a fast sender
		}
		in.move(p, p.get(max(size, classes[startClass])))
	}
	return in.buf.b[in.w:]
}

// move continues in another buffer; the old one is kept for the stanzas that
// point into it.
func (in *burst) move(p *Buffers, to *buffer) {
	old := in.buf
	n := copy(to.b, in.rest())
	if in.r > 0 {
		in.retired = append(in.retired, old)
	} else {
		p.put(old)
	}
	in.buf, in.r, in.w = to, 0, n
}

// release gives back everything but an unfinished element, which moves to the
// smallest buffer that holds it.
func (in *burst) release(p *Buffers) {
	in.taken = 0
	switch rest := in.rest(); {
	case in.buf == nil:
	case len(rest) == 0:
		p.put(in.buf)
		in.buf, in.r, in.w = nil, 0, 0
	case class(len(rest)+1) < in.buf.class:
		small := p.get(len(rest) + 1)
		copy(small.b, rest)
		p.put(in.buf)
		in.buf, in.r, in.w = small, 0, len(rest)
	case in.r > 0:
		in.r, in.w = 0, copy(in.buf.b, rest)
	}
	for i, b := range in.retired {
		p.put(b)
		in.retired[i] = nil
	}
	in.retired = in.retired[:0]
	if cap(in.retired) > 4 {
		in.retired = nil
	}
}
