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
	// OnDrained calls fn once, on another goroutine, when Pending has fallen to 0 or
	// Write fails.
	OnDrained(fn func())
	// Finish sends the stream error (nil: none) and the end of the stream in the
	// form of the transport and closes the connection.
	Finish(err *stanza.StreamError)
	// Abort closes the connection without a word; cause is for the log.
	Abort(cause error)
}

// Why an outbox takes nothing more.
var (
	// ErrSlowConsumer: the client did not read.
	ErrSlowConsumer = errors.New("slow consumer: outbox full")
	// ErrUnacked: the client did not confirm, or did not come back in time.
	ErrUnacked = errors.New("queue of unacknowledged stanzas full")
)

// shutPatience is how long a client may take to read what was queued when its
// stream was closed. It keeps its address until then.
const shutPatience = 5 * time.Second

// Outbox queues elements for one session, limited in bytes. Any goroutine may
// append; one at a time flushes and the others leave their bytes to it. No
// sender ever waits for a reader.
//
// Without stream management what has been written is forgotten. With it
// (Manage) the queue is acked · written · unwritten: stanzas stay until the
// client has confirmed them, across connections (Detach, Attach).
type Outbox struct {
	pool  *Chunks
	limit atomic.Int64 // of unwritten bytes while there is a link

	mu       sync.Mutex
	link     Link // nil: detached
	epoch    int  // counts the links
	queue    []*chunk
	waiting  int    // unwritten bytes
	replay   int    // of these, queued again by Attach: the limit is for the others
	kept     int    // bytes that were written and are not confirmed
	writing  *chunk // some goroutine gives it to the link
	flushing bool
	stalled  bool  // of flushing: the peer has to read first
	closed   bool  // nothing more is taken
	cause    error // of that
	shut     *stanza.StreamError
	finish   bool               // the link is to be finished once the queue is written
	left     bool               // of finish: nobody will clean up behind it
	managed  *managed           // nil without stream management
	told     func(seqs []int64) // see OnConfirmed
	loose    func()             // see OnUncounted
	rows     []int64            // for TakeUncounted
	quiet    *quiet             // nil unless the client is inactive
}

// NewOutbox makes an outbox of at most limit bytes above link.
func NewOutbox(link Link, pool *Chunks, limit int) *Outbox {
	o := &Outbox{link: link, pool: pool}
	o.limit.Store(int64(limit))
	return o
}

// SetLimit changes the limit in bytes.
func (o *Outbox) SetLimit(bytes int) { o.limit.Store(int64(bytes)) }

// Queued is the number of bytes that have not been written yet.
func (o *Outbox) Queued() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.waiting
}

// Append queues one top-level element in canonical form; the bytes are copied.
// It reports false when the session takes nothing more. Flush sends it.
func (o *Outbox) Append(xml []byte) bool { return o.AppendRow(xml, 0) }

// AppendRow is Append for a message that stands in the log of the account, at
// seq: the client's word for it is worth knowing, and if it does not come the
// message comes from there again.
func (o *Outbox) AppendRow(xml []byte, seq int64) bool {
	return o.append(xml, item{seq: seq, trait: traitOf(xml)})
}

// AppendStored is AppendRow for a message that comes out of the log, by somebody
// who looks at Queued: it does not count against the limit of what is unconfirmed.
func (o *Outbox) AppendStored(xml []byte, seq int64) bool {
	return o.append(xml, item{seq: seq, trait: traitOf(xml) | paced})
}

func (o *Outbox) append(xml []byte, it item) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if it.has(message) && o.managed != nil {
		it.at = time.Now().UnixNano()
	}
	if o.closed {
		return false
	}
	if o.quiet != nil && it.has(stanzas) && o.hold(xml, it) {
		return true
	}
	return o.push(xml, it)
}

// push queues an element that is not held back; mu is held.
func (o *Outbox) push(xml []byte, it item) bool {
	if !o.room(len(xml), it.has(paced)) {
		return false
	}
	o.put(xml, it)
	return true
}

// AppendStanza queues the stanza with its edits as the given side sees it; at is
// when it arrived, in Unix nanoseconds, and seq as in AppendRow.
func (o *Outbox) AppendStanza(st *stanza.Stanza, side stanza.Side, at, seq int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false
	}
	it := item{at: at, seq: seq, trait: stanzas}
	if st.Kind == stanza.Message {
		it.trait |= message
	}
	size := st.Size()
	if o.quiet != nil {
		xml := st.Emit(make([]byte, 0, size), side) // as edited
		return o.hold(xml, it) || o.push(xml, it)
	}
	if !o.room(size, false) {
		return false
	}
	c := o.tail(size)
	before := len(c.buf)
	c.buf = st.Emit(c.buf, side)
	o.added(c, before, it)
	return true
}

// AppendRaw queues bytes that are framed already, such as a stream header.
func (o *Outbox) AppendRaw(bytes []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.push(bytes, item{trait: framed})
}

// added takes what was appended to the last chunk into the books.
func (o *Outbox) added(c *chunk, before int, it item) {
	if m := o.managed; m != nil && it.has(stanzas) {
		it.trait |= counted
		m.unasked += len(c.buf) - before
		m.due = m.due || it.has(message) || m.unasked > m.askBytes()
	}
	if !it.has(counted) {
		o.uncounted(it)
	}
	n := c.add(before, it)
	if it.has(paced) && it.has(counted) {
		o.managed.stored += n
	}
	o.waiting += n
	o.pool.total.Add(int64(n))
}

// uncounted notes a row that no acknowledgement counts; mu is held.
func (o *Outbox) uncounted(it item) {
	if it.seq == 0 || o.loose == nil {
		return
	}
	if o.rows = append(o.rows, it.seq); len(o.rows) == 1 {
		o.loose()
	}
}

// OnUncounted has fn told of the first row after each TakeUncounted that is queued
// and that no acknowledgement will count (XEP-0198). The outbox is locked: fn must
// not use it, nor wait.
func (o *Outbox) OnUncounted(fn func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.loose = fn
}

// TakeUncounted appends those rows to dst, in the order in which they were queued.
// What is queued from now on comes behind them.
func (o *Outbox) TakeUncounted(dst []int64) []int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	dst = append(dst, o.rows...)
	if o.rows = o.rows[:0]; cap(o.rows) > mostItems {
		o.rows = nil
	}
	return dst
}

// room reports whether size more bytes may be queued. A client that reads
// nothing is closed here; the reader of the connection notices and cleans up.
// It may release mu for a while. What is stored has limits of its own.
func (o *Outbox) room(size int, stored bool) bool {
	if o.closed {
		return false
	}
	if o.fits(size, stored) {
		return true
	}
	if !o.flushing && o.link != nil {
		// No fault of the client: one burst has more for it than it may queue.
		o.flushing = true
		o.drain()
		o.mu.Lock()
		if o.closed || o.fits(size, stored) {
			return !o.closed
		}
	}
	return o.overflow(size)
}

// fits reports whether size more bytes are within the limits. When all outboxes
// together are full only those suffer whose clients do not read.
func (o *Outbox) fits(size int, stored bool) bool {
	if m := o.managed; m != nil && !stored && o.owed()+size > m.room() {
		return false
	}
	if o.link == nil {
		return o.pool.room(size)
	}
	if m := o.managed; m != nil && m.full {
		return true
	}
	return int64(o.waiting-o.replay+size) <= o.limit.Load() &&
		(!o.stalled && o.flushing || o.waiting+o.kept == 0 || o.pool.room(size))
}

// overflow ends a session that has too much in its queue. It reports whether
// size more bytes are taken all the same: what stands in a queue that will be
// handed on must not be overtaken.
func (o *Outbox) overflow(size int) bool {
	cause := ErrSlowConsumer
	if o.managed != nil && !o.stalled {
		cause = ErrUnacked
	}
	link := o.link
	if link != nil {
		go link.Abort(cause)
	}
	m := o.managed
	if m == nil || m.full {
		o.stop(cause)
		return false
	}
	if link != nil && m.Resumable && o.owed()+size <= m.Limit {
		o.leave() // the connection is dead or too slow; its client may find a better one
		return true
	}
	m.full, o.cause = true, cause
	if link == nil && m.Ended != nil {
		go m.Ended()
	}
	return o.owed()+size <= m.room()
}

// tail is the last chunk, with room for size bytes.
func (o *Outbox) tail(size int) *chunk {
	if n := len(o.queue); n > 0 && cap(o.queue[n-1].buf)-len(o.queue[n-1].buf) >= size {
		return o.queue[n-1]
	}
	c := o.pool.get(len(o.queue) == 0, size)
	o.queue = append(o.queue, c)
	return c
}

// Flush gives what is queued to the link. If another goroutine is flushing, or
// the connection is stalled, the bytes are left to it.
func (o *Outbox) Flush() {
	o.mu.Lock()
	if o.flushing || o.link == nil {
		o.mu.Unlock()
		return
	}
	o.flushing = true
	o.drain()
}

// drain is called with mu held and flushing set; it returns with mu released.
func (o *Outbox) drain() {
	link, epoch := o.link, o.epoch
	for {
		o.request()
		c := o.unwritten()
		if c == nil {
			o.flushing = false
			finish, cause := o.finish, o.shut
			o.finish = false
			o.mu.Unlock()
			if finish {
				link.Finish(cause)
			}
			return
		}
		bytes, items := c.buf[c.done:], c.items[c.sent:]
		o.hand(c)
		o.mu.Unlock()

		err := write(link, o.pool, bytes, items)

		o.mu.Lock()
		if o.epoch != epoch {
			o.mu.Unlock() // the session has another connection by now, or none
			return
		}
		o.writing = nil
		o.release()
		if err != nil {
			o.broken(link, err)
			return
		}
		if link.Pending() > 0 {
			o.stalled = true
			o.mu.Unlock() // flushing stays set: the drained callback goes on
			link.OnDrained(func() {
				o.mu.Lock()
				if o.epoch != epoch {
					o.mu.Unlock()
					return
				}
				o.stalled = false
				o.drain()
			})
			return
		}
	}
}

// unwritten is the first chunk with something for the link.
func (o *Outbox) unwritten() *chunk {
	if o.waiting == 0 {
		return nil
	}
	// All chunks before the last ones have been written.
	i := len(o.queue) - 1
	for i > 0 && o.queue[i-1].done < len(o.queue[i-1].buf) {
		i--
	}
	return o.queue[i]
}

// hand marks everything in the chunk as given to the link.
func (o *Outbox) hand(c *chunk) {
	n := len(c.buf) - c.done
	if m := o.managed; m != nil {
		for _, it := range c.items[c.sent:] {
			if it.has(counted) {
				m.out++
			}
		}
	}
	o.waiting -= n
	o.replay = max(o.replay-n, 0)
	o.kept += n
	c.done, c.sent = len(c.buf), len(c.items)
	o.writing = c
}

// write frames the elements where that is needed and gives them to the link.
func write(link Link, pool *Chunks, bytes []byte, items []item) error {
	if !link.Framed() {
		return link.Write(bytes)
	}
	c := pool.get(false, len(bytes)+len(bytes)/4)
	defer pool.put(c)
	for _, it := range items {
		xml := bytes[:it.size]
		bytes = bytes[it.size:]
		if it.has(framed) {
			c.buf = append(c.buf, xml...)
		} else {
			c.buf = link.AppendElement(c.buf, xml)
		}
	}
	return link.Write(c.buf)
}

// release drops written items from the front that nobody has to confirm, and
// the chunks that hold nothing else.
func (o *Outbox) release() {
	for len(o.queue) > 0 {
		c := o.queue[0]
		for c.first < c.sent && (o.managed == nil || !c.items[c.first].has(counted)) {
			o.drop(c)
		}
		if !c.empty() || c == o.writing {
			return
		}
		o.next(c)
	}
}

// drop forgets the first item of a chunk, which was written.
func (o *Outbox) drop(c *chunk) {
	it := c.items[c.first]
	n := int(it.size)
	if m := o.managed; m != nil && it.has(paced) && it.has(counted) {
		m.stored -= n
	}
	c.first++
	c.skip += n
	o.kept -= n
	o.pool.total.Add(int64(-n))
}

// broken is called with mu held when the link does not take bytes any more; it
// returns with mu released.
func (o *Outbox) broken(link Link, err error) {
	if o.managed != nil && !o.closed {
		o.leave()
	} else {
		o.stop(err)
		o.flushing = false
		if o.left {
			o.clear()
		}
	}
	o.mu.Unlock()
	link.Abort(err)
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
	if o.shut = err; err != nil {
		o.cause = err
	}
	o.stop(o.cause)
	o.finish = o.link != nil
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

// stop takes nothing more from now on, because of the first cause; mu is held.
func (o *Outbox) stop(cause error) {
	if o.closed {
		return
	}
	o.closed = true
	if o.cause == nil {
		o.cause = cause
	}
	if m := o.managed; m != nil && o.link == nil && m.Ended != nil {
		go m.Ended()
	}
}

// Discard drops what is queued and takes nothing more; for a session that has
// ended.
func (o *Outbox) Discard() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stop(net.ErrClosed)
	o.clear()
}

// clear empties the queue; mu is held.
func (o *Outbox) clear() {
	for i, c := range o.queue {
		if c != o.writing { // else whoever writes it still reads it
			o.pool.put(c)
		}
		o.queue[i] = nil
	}
	o.queue = o.queue[:0]
	o.pool.total.Add(int64(-o.waiting - o.kept))
	o.waiting, o.replay, o.kept = 0, 0, 0
	if o.managed != nil {
		o.managed.stored = 0
	}
	o.dropHeld()
	if o.writing != nil {
		o.epoch++ // the writer finds nothing of its own any more
		o.writing, o.flushing = nil, false
	}
}

// Cut closes the connection without a word, as if it had been lost: with stream
// management the client may resume the session.
func (o *Outbox) Cut(cause error) {
	o.mu.Lock()
	link := o.link
	o.mu.Unlock()
	if link != nil {
		link.Abort(cause)
	}
}

// Abort takes nothing more and closes the connection without a word. What is
// queued stays for whoever cleans up, see Take.
func (o *Outbox) Abort(cause error) {
	o.mu.Lock()
	o.stop(cause)
	o.finish = false
	if o.left {
		o.clear()
	}
	link := o.link
	o.mu.Unlock()
	if link != nil {
		link.Abort(cause)
	}
}

// Ended returns why the outbox takes nothing more, nil if it does or the stream
// was closed without an error.
func (o *Outbox) Ended() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.cause
}

// Closed reports whether the session is over: the outbox takes nothing more, or
// only until Take has handed on what is there.
func (o *Outbox) Closed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closed || o.managed != nil && o.managed.full
}
