package session

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

// Link is the connection below an outbox. Write and Pending are called by one
// goroutine at a time.
type Link interface {
	// AppendElement frames one top-level element in canonical form.
	AppendElement(dst, xml []byte) []byte
	// Framed reports whether AppendElement does more than copy.
	Framed() bool
	// Write takes framed bytes; it never waits. What the socket does not take is
	// kept and counted by Pending.
	Write(p []byte) error
	// Pending is the number of bytes that were accepted and not yet sent.
	Pending() int
	// OnDrained calls fn once, on another goroutine, when Pending has fallen to 0.
	OnDrained(fn func())
	// Finish sends the stream error (nil: none) and the end of the stream in the
	// form of the transport and closes the connection.
	Finish(err *stanza.StreamError)
	// Abort closes the connection without a word; cause is for the log.
	Abort(cause error)
}

// ErrSlowConsumer is why a connection was closed whose client did not read.
var ErrSlowConsumer = errors.New("slow consumer: outbox full")

// shutPatience is how long a client may take to read what was queued when its
// stream was closed. It keeps its address until then.
const shutPatience = 5 * time.Second

// chunk sizes: most bursts fit the small one; a TLS record holds the large one.
const (
	smallChunk = 2 << 10
	largeChunk = 16 << 10
)

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

func (p *Chunks) get(first bool, size int) []byte {
	pool, n := &p.large, largeChunk
	if first && size <= smallChunk {
		pool, n = &p.small, smallChunk
	}
	if size <= n {
		if b, ok := pool.Get().(*[]byte); ok {
			return (*b)[:0]
		}
	}
	return make([]byte, 0, max(n, size))
}

func (p *Chunks) put(b []byte) {
	b = b[:0]
	switch cap(b) {
	case smallChunk:
		p.small.Put(&b)
	case largeChunk:
		p.large.Put(&b)
	}
}

// Outbox queues bytes for one connection, limited in bytes. Any goroutine may
// append; one at a time flushes and the others leave their bytes to it. No
// sender ever waits for a reader.
type Outbox struct {
	link  Link
	pool  *Chunks
	limit atomic.Int64

	mu       sync.Mutex
	queue    [][]byte // chunks not yet given to the link, oldest first
	bytes    int      // in queue
	flushing bool
	stalled  bool  // of flushing: the peer has to read first
	closed   bool  // nothing more is taken
	cause    error // of that
	shut     *stanza.StreamError
	finish   bool // the link is to be finished once the queue is empty
}

// NewOutbox makes an outbox of at most limit bytes above link.
func NewOutbox(link Link, pool *Chunks, limit int) *Outbox {
	o := &Outbox{link: link, pool: pool}
	o.limit.Store(int64(limit))
	return o
}

// SetLimit changes the limit in bytes.
func (o *Outbox) SetLimit(bytes int) { o.limit.Store(int64(bytes)) }

// Queued is the number of bytes that wait for the client.
func (o *Outbox) Queued() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes
}

// Append queues one top-level element in canonical form; the bytes are copied.
// It reports false when the connection takes nothing more. Flush sends it.
func (o *Outbox) Append(xml []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.room(len(xml) + 64) {
		return false
	}
	tail := o.tail(len(xml) + 64)
	before := len(*tail)
	*tail = o.link.AppendElement(*tail, xml)
	o.count(len(*tail) - before)
	return true
}

// AppendStanza queues the stanza with its edits as the given side sees it, and
// with another addressee when to is not empty.
func (o *Outbox) AppendStanza(st *stanza.Stanza, side stanza.Side) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	size := st.Size()
	if !o.room(size + 64) {
		return false
	}
	tail := o.tail(size + 64)
	before := len(*tail)
	if o.link.Framed() {
		scratch := st.Emit(o.pool.get(false, size), side)
		*tail = o.link.AppendElement(*tail, scratch)
		o.pool.put(scratch)
	} else {
		*tail = st.Emit(*tail, side)
	}
	o.count(len(*tail) - before)
	return true
}

// AppendRaw queues bytes that are framed already, such as a stream header.
func (o *Outbox) AppendRaw(framed []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.room(len(framed)) {
		return false
	}
	tail := o.tail(len(framed))
	*tail = append(*tail, framed...)
	o.count(len(framed))
	return true
}

// room reports whether size more bytes may be queued. A client that reads
// nothing is closed here; the reader of the connection notices and cleans up.
// It may release mu for a while.
func (o *Outbox) room(size int) bool {
	if o.closed {
		return false
	}
	if o.fits(size) {
		return true
	}
	if !o.flushing {
		// No fault of the client: one burst has more for it than it may queue.
		o.flushing = true
		o.drain()
		o.mu.Lock()
		if o.closed || o.fits(size) {
			return !o.closed
		}
	}
	o.close(ErrSlowConsumer)
	go o.link.Abort(ErrSlowConsumer)
	return false
}

// fits reports whether size more bytes are within the limits. When all outboxes
// together are full only those suffer whose clients do not read.
func (o *Outbox) fits(size int) bool {
	return int64(o.bytes+size) <= o.limit.Load() && (!o.stalled && o.flushing || o.bytes == 0 || o.pool.room(size))
}

// tail is the last chunk, with room for size bytes.
func (o *Outbox) tail(size int) *[]byte {
	if n := len(o.queue); n > 0 && cap(o.queue[n-1])-len(o.queue[n-1]) >= size {
		return &o.queue[n-1]
	}
	o.queue = append(o.queue, o.pool.get(len(o.queue) == 0, size))
	return &o.queue[len(o.queue)-1]
}

func (o *Outbox) count(n int) {
	o.bytes += n
	o.pool.total.Add(int64(n))
}

// Flush gives what is queued to the link. If another goroutine is flushing, or
// the connection is stalled, the bytes are left to it.
func (o *Outbox) Flush() {
	o.mu.Lock()
	if o.flushing {
		o.mu.Unlock()
		return
	}
	o.flushing = true
	o.drain()
}

// drain is called with mu held and flushing set; it returns with mu released.
func (o *Outbox) drain() {
	for {
		if len(o.queue) == 0 {
			o.flushing = false
			finish, cause := o.finish, o.shut
			o.finish = false
			o.mu.Unlock()
			if finish {
				o.link.Finish(cause)
			}
			return
		}
		chunk := o.queue[0]
		copy(o.queue, o.queue[1:])
		o.queue[len(o.queue)-1] = nil
		o.queue = o.queue[:len(o.queue)-1]
		o.count(-len(chunk))
		o.mu.Unlock()

		err := o.link.Write(chunk)
		o.pool.put(chunk)

		o.mu.Lock()
		if err != nil {
			o.close(err)
			o.flushing = false
			o.mu.Unlock()
			o.link.Abort(err)
			return
		}
		if o.link.Pending() > 0 {
			o.stalled = true
			o.mu.Unlock() // flushing stays set: the drained callback goes on
			o.link.OnDrained(func() {
				o.mu.Lock()
				o.stalled = false
				o.drain()
			})
			return
		}
	}
}

// Shut queues the end of the stream behind what is queued already, takes
// nothing more and flushes. Only the first call counts. A nil error closes the
// stream without one. A client that does not read all of it soon is cut off.
func (o *Outbox) Shut(err *stanza.StreamError) {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return
	}
	o.closed, o.finish, o.shut = true, true, err
	if err != nil {
		o.cause = err
	}
	o.mu.Unlock()
	o.Flush()
	o.mu.Lock()
	late := o.finish
	o.mu.Unlock()
	if late {
		time.AfterFunc(shutPatience, func() {
			o.mu.Lock()
			late := o.finish
			o.mu.Unlock()
			if late {
				o.Abort(ErrSlowConsumer)
			}
		})
	}
}

// Discard drops what is queued and takes nothing more; for a connection that
// is gone.
func (o *Outbox) Discard() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.close(net.ErrClosed)
}

func (o *Outbox) close(cause error) {
	if !o.closed {
		o.closed, o.cause = true, cause
	}
	for i, c := range o.queue {
		o.pool.put(c)
		o.queue[i] = nil
	}
	o.queue = o.queue[:0]
	o.count(-o.bytes)
}

// Abort drops what is queued and closes the connection without a word.
func (o *Outbox) Abort(cause error) {
	o.mu.Lock()
	o.close(cause)
	o.mu.Unlock()
	o.link.Abort(cause)
}

// Ended returns why the outbox takes nothing more, nil if it does or the stream
// was closed without an error.
func (o *Outbox) Ended() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.cause
}

// Closed reports whether the outbox takes nothing more.
func (o *Outbox) Closed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closed
}

// Verdict is what to do with a stanza for a client that is inactive. The zero
// value sends it now, behind everything that is held.
type Verdict struct {
	Hold bool
	Key  string // a newer stanza with the same key replaces the held one; empty: none does
}

// Quiet holds back stanzas for a client that is inactive (XEP-0352): verdict,
// which must not wait nor keep the stanza, says which. More than limit bytes are
// not held: then all of them are sent.
func (o *Outbox) Quiet(verdict func(*stanza.Stanza) Verdict, limit int) {}

// Wake ends Quiet and sends what was held, in order.
func (o *Outbox) Wake() {}
