package session

import (
	"sync"
	"sync/atomic"
)

// chunk sizes: most bursts fit the small one; a TLS record holds the large one.
const (
	smallChunk = 2 << 10
	largeChunk = 16 << 10
	mostItems  = 256 // a list of more is not worth keeping
)

// item is one element in a chunk.
type item struct {
	at   int64 // when a message arrived, Unix nanoseconds
	seq  int64 // its row in the log of the account; 0: none
	size uint32
	trait
}

// trait is a set of facts about an item.
type trait uint32

const (
	framed  trait = 1 << iota // the bytes are as they go to the link
	stanzas                   // a message, presence or IQ
	message                   // a message
	counted                   // the client has to acknowledge it
	paced                     // it came out of the log of the account: see Outbox.AppendStored
)

func (t trait) has(m trait) bool { return t&m != 0 }

// traitOf looks at the name of the root.
func traitOf(xml []byte) trait {
	if len(xml) < 4 || xml[0] != '<' {
		return 0
	}
	switch xml[1] {
	case 'm':
		if named(xml, "message") {
			return stanzas | message
		}
	case 'p':
		if named(xml, "presence") {
			return stanzas
		}
	case 'i':
		if named(xml, "iq") {
			return stanzas
		}
	}
	return 0
}

func named(xml []byte, name string) bool {
	if len(xml) < len(name)+3 || string(xml[1:1+len(name)]) != name {
		return false
	}
	switch xml[1+len(name)] {
	case ' ', '>', '/', '\n', '\t', '\r':
		return true
	}
	return false
}

// chunk holds elements in a row. Those in front have been dropped, those behind
// are unwritten.
type chunk struct {
	buf   []byte
	items []item
	first int // items that have been dropped
	skip  int // their bytes
	sent  int // items that have been given to the link
	done  int // their bytes
}

// empty reports whether nothing in the chunk is needed any more.
func (c *chunk) empty() bool { return c.first == len(c.items) && c.done == len(c.buf) }

// add notes what has been appended to buf since it had that length.
func (c *chunk) add(before int, it item) int {
	n := len(c.buf) - before
	it.size = uint32(n)
	c.items = append(c.items, it)
	return n
}

// Chunks is a pool of outbox buffers, shared by the sessions of a server.
type Chunks struct {
	small, large sync.Pool
	total        atomic.Int64 // bytes queued in all outboxes that use the pool
	limit        atomic.Int64
}

// NewChunks makes a pool whose outboxes may hold limit bytes together; 0: no limit.
func NewChunks(limit int64) *Chunks {
	p := new(Chunks)
	p.SetLimit(limit)
	return p
}

// SetLimit changes the limit in bytes.
func (p *Chunks) SetLimit(bytes int64) { p.limit.Store(bytes) }

// room reports whether size more bytes fit.
func (p *Chunks) room(size int) bool {
	limit := p.limit.Load()
	return limit == 0 || p.total.Load()+int64(size) <= limit
}

// Total is the number of bytes that are queued in all outboxes.
func (p *Chunks) Total() int64 { return p.total.Load() }

func (p *Chunks) get(first bool, size int) *chunk {
	pool, n := &p.large, largeChunk
	if first && size <= smallChunk {
		pool, n = &p.small, smallChunk
	}
	if size <= n {
		if c, ok := pool.Get().(*chunk); ok {
			return c
		}
	}
	return &chunk{buf: make([]byte, 0, max(n, size))}
}

func (p *Chunks) put(c *chunk) {
	items := c.items[:0]
	if cap(items) > mostItems {
		items = nil
	}
	*c = chunk{buf: c.buf[:0], items: items}
	switch cap(c.buf) {
	case smallChunk:
		p.small.Put(c)
	case largeChunk:
		p.large.Put(c)
	}
}
