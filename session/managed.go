package session

import (
	"net"
	"strconv"

	"github.com/xmppd/xmppd/stanza"
)

const nsSM = "urn:xmpp:sm:3"

// Management is what an outbox needs for stream management (XEP-0198).
type Management struct {
	// Limit is how many bytes the queue may hold, confirmed or not written yet.
	Limit int
	// Resumable: the client may come back to the session over another link.
	Resumable bool
	// Now is a coarse clock in Unix seconds.
	Now func() int64
	// Asked is called when the client has been asked to acknowledge and owed no
	// answer before. The outbox is locked: it must not use it, nor wait.
	Asked func()
	// Ended is called, on a goroutine of its own, when the outbox takes nothing
	// more while it is detached: nobody reads who would notice.
	Ended func()
	// Stamp returns a message that is sent once more with the time at which it
	// arrived, in Unix nanoseconds.
	Stamp func(xml []byte, at int64) []byte
}

// managed is the state of stream management.
type managed struct {
	Management
	out       uint32  // stanzas given to the link, modulo 2³²
	acked     uint32  // of these confirmed
	stored    int     // bytes of messages that stand in the log of the account, which bounds them
	full      bool    // the queue has reached its limit: the session ends
	unasked   int     // bytes of stanzas that have been queued since the last <r/>
	due       bool    // a message has been queued since the last <r/>
	asked     int64   // Unix seconds of the <r/> that is not answered; 0: none
	confirmed []int64 // seqs; memory of Ack
	telling   []int64 // of these, what OnConfirmed's fn is being told
}

// room is how many bytes the queue may hold; more while it is being emptied.
func (m *managed) room() int {
	if m.full {
		return 2 * m.Limit
	}
	return m.Limit
}

// owed is how many bytes of the queue count against its limit; mu is held.
func (o *Outbox) owed() int { return o.waiting + o.kept - o.managed.stored + o.held() }

// Pending is a stanza that a session leaves behind.
type Pending struct {
	XML string `json:"xml"`          // canonical
	At  int64  `json:"at,omitempty"` // of a message: when it arrived, Unix nanoseconds
	// Seq is the row of a message in the log of the account; 0: none.
	Seq int64 `json:"seq,omitempty"`
}

// Manage switches stream management on: what is appended from now on counts and
// stays until the client has confirmed it (XEP-0198 §4). answer, if there is one,
// is queued as the last thing that does not.
func (o *Outbox) Manage(m Management, answer []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.managed != nil { // the client counts anew
		o.managed = nil
		o.requeue(nil, func(xml []byte, it item, sent bool) {
			it.trait &^= counted
			if sent {
				o.uncounted(it)
				return
			}
			o.put(xml, it)
		})
	}
	if answer != nil {
		o.put(answer, item{})
	}
	o.managed = &managed{Management: m}
}

// Managed reports whether the client confirms what it gets.
func (o *Outbox) Managed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.managed != nil
}

// OnConfirmed has fn told of the rows that the client has confirmed, in the order
// in which they were sent to it. There is one fn; it is called by whoever reads
// from the client, and seqs is valid until it returns. Without stream management
// it never is.
func (o *Outbox) OnConfirmed(fn func(seqs []int64)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.told = fn
}

// askBytes is after how many bytes without a message the client is asked too: the
// queue must not fill up with what nobody asked about.
func (m *managed) askBytes() int { return min(64<<10, m.Limit/8) }

// request asks for an acknowledgement behind what is queued (XEP-0198 §4), once
// in a burst that holds messages; mu is held.
func (o *Outbox) request() {
	m := o.managed
	if m == nil || !m.due || o.closed {
		return
	}
	m.due, m.unasked = false, 0
	o.put([]byte("<r xmlns='"+nsSM+"'/>"), item{})
	if m.asked == 0 {
		m.asked = m.Now()
		m.Asked()
	}
}

// Asked is since when the client has owed an acknowledgement, in Unix seconds;
// 0: it does not.
func (o *Outbox) Asked() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.managed == nil {
		return 0
	}
	return o.managed.asked
}

// Ack takes the client's word for the first h stanzas since stream management
// was enabled. The error is for a client that confirms what it was not sent, or
// takes a confirmation back (XEP-0198 §6).
func (o *Outbox) Ack(h uint32) *stanza.StreamError {
	o.mu.Lock()
	m := o.managed
	n := h - m.acked
	if n > m.out-m.acked {
		e := wrongCount(h, m.acked, m.out)
		o.mu.Unlock()
		return e
	}
	m.acked = h
	m.asked = 0
	if m.out != h && o.link != nil {
		m.asked = m.Now()
	}
	seqs := o.confirm(n, m.confirmed[:0])
	if m.confirmed = seqs[:0]; cap(seqs) > mostItems {
		m.confirmed = nil
	}
	fn := o.told
	if len(seqs) == 0 || fn == nil {
		o.mu.Unlock()
		return nil
	}
	m.telling = seqs
	o.mu.Unlock()
	fn(seqs)
	o.mu.Lock()
	m.telling = nil
	o.mu.Unlock()
	return nil
}

// confirm drops the first n counted stanzas and appends the rows among them to
// seqs; mu is held.
func (o *Outbox) confirm(n uint32, seqs []int64) []int64 {
	for n > 0 && len(o.queue) > 0 {
		c := o.queue[0]
		for n > 0 && c.first < c.sent {
			it := c.items[c.first]
			if it.has(counted) {
				n--
				if it.seq != 0 {
					seqs = append(seqs, it.seq)
				}
			}
			o.drop(c)
		}
		if n > 0 {
			o.next(c)
		}
	}
	o.release()
	return seqs
}

// next takes the first chunk off the queue, which holds nothing any more.
func (o *Outbox) next(c *chunk) {
	if c != o.writing {
		o.pool.put(c)
	}
	copy(o.queue, o.queue[1:])
	o.queue[len(o.queue)-1] = nil
	o.queue = o.queue[:len(o.queue)-1]
}

// wrongCount is for a count that is higher than what was sent, or lower than what
// has been confirmed.
func wrongCount(h, acked, sent uint32) *stanza.StreamError {
	b := stanza.NewBuilder(nil).Open("handled-count-too-high", nsSM).Attr("h", utoa(h)).Attr("send-count", utoa(sent))
	text := "You acknowledged " + utoa(h) + " stanzas, but I only sent you " + utoa(sent) + " so far."
	if int32(h-acked) < 0 {
		text = "You acknowledged " + utoa(h) + " stanzas, but had acknowledged " + utoa(acked) + " before."
	}
	return &stanza.StreamError{Condition: stanza.StreamUndefinedCondition, App: b.Bytes(), Text: text}
}

// Detach takes the link away. The outbox goes on taking stanzas for a client
// that may come back (XEP-0198 §5).
func (o *Outbox) Detach() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.leave()
}

// leave forgets the link; mu is held. The chunk that is being written stays
// marked: somebody still reads it.
func (o *Outbox) leave() {
	if o.link == nil {
		return
	}
	o.link = nil
	o.epoch++
	o.flushing, o.stalled, o.finish = false, false, false
	if o.managed != nil {
		o.managed.asked = 0
	}
}

// Attached reports whether there is a connection below.
func (o *Outbox) Attached() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.link != nil
}

// Attach continues a detached outbox over a link. head, framed, goes first, then
// every stanza that the client has not confirmed, messages with the time of
// their arrival. Flush sends them, and the end of the stream if the session was
// told to end meanwhile.
func (o *Outbox) Attach(link Link, head []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	m := o.managed
	o.link, o.epoch, o.finish = link, o.epoch+1, o.closed || m.full
	m.out, m.due, m.stored, m.unasked = m.acked, false, 0, 0
	o.requeue(head, func(xml []byte, it item, _ bool) {
		switch {
		case !it.has(counted):
			return // an <r/> or an <a/> of the old connection
		case it.has(message) && it.at != 0 && m.Stamp != nil:
			xml = m.Stamp(xml, it.at)
		}
		o.put(xml, it)
	})
	o.writing, o.replay = nil, o.waiting
}

// requeue empties the queue, begins it anew with head, framed, and has put called
// for everything that was in it; mu is held. The chunk that is being written is
// left to whoever writes it.
func (o *Outbox) requeue(head []byte, put func(xml []byte, it item, sent bool)) {
	old := o.queue
	o.queue = make([]*chunk, 0, len(old)+1)
	o.pool.total.Add(int64(-o.waiting - o.kept))
	o.waiting, o.kept = 0, 0
	if len(head) > 0 {
		o.put(head, item{trait: framed})
	}
	for _, c := range old {
		rest := c.buf[c.skip:]
		for i := c.first; i < len(c.items); i++ {
			it := c.items[i]
			put(rest[:it.size], it, i < c.sent)
			rest = rest[it.size:]
		}
		if c != o.writing {
			o.pool.put(c)
		}
	}
}

// put queues bytes whatever the limits say.
func (o *Outbox) put(xml []byte, it item) {
	c := o.tail(len(xml))
	before := len(c.buf)
	c.buf = append(c.buf, xml...)
	o.added(c, before, it)
}

// Surrender gives the link away: it returns what has not been written to it,
// framed, and takes nothing more.
func (o *Outbox) Surrender() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	var rest []byte
	for _, c := range o.queue {
		bytes := c.buf[c.done:]
		for _, it := range c.items[c.sent:] {
			if xml := bytes[:it.size]; it.has(framed) {
				rest = append(rest, xml...)
			} else {
				rest = o.link.AppendElement(rest, xml)
			}
			bytes = bytes[it.size:]
		}
	}
	o.leave()
	o.stop(net.ErrClosed)
	o.clear()
	return rest
}

// Take hands over the stanzas that the client has not confirmed, or without
// stream management those that were not written, and forgets them. When there
// are none the outbox takes nothing more: what is appended meanwhile keeps its
// order if the caller repeats Take until then.
func (o *Outbox) Take() []Pending {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := o.pending()
	switch {
	case o.finish: // the client may still read it, with the end of its stream
		o.left = true
		if o.managed == nil {
			return nil // it was sent in good order
		}
		o.managed = nil
		o.release()
		return list
	case list == nil:
		if o.managed != nil {
			o.managed.Ended = nil
		}
		o.stop(net.ErrClosed)
	}
	o.clear()
	return list
}

// pending lists what Take hands over; mu is held.
func (o *Outbox) pending() (list []Pending) {
	for _, c := range o.queue {
		rest := c.buf[c.skip:]
		for i := c.first; i < len(c.items); i++ {
			it := c.items[i]
			xml := rest[:it.size]
			rest = rest[it.size:]
			if it.has(counted) || it.has(stanzas) && i >= c.sent {
				list = append(list, Pending{XML: string(xml), At: it.at, Seq: it.seq})
			}
		}
	}
	return list
}

// Save hands over what Take does, what was held back, and how many stanzas were
// sent and how many of them the client has confirmed; the outbox takes nothing
// more. Nothing more is written either: the client would have more than it says.
func (o *Outbox) Save() (sent, acked uint32, list []Pending) {
	o.mu.Lock()
	defer o.mu.Unlock()
	list = o.pending()
	if o.quiet != nil {
		for _, h := range o.quiet.list {
			list = append(list, Pending{XML: string(h.xml), At: h.at, Seq: h.seq})
		}
	}
	o.managed.Ended = nil
	o.stop(net.ErrClosed)
	o.leave()
	return o.managed.out, o.managed.acked, list
}

// Restore makes a detached outbox out of what Save returned.
func Restore(pool *Chunks, limit int, m Management, sent, acked uint32, list []Pending) *Outbox {
	if n := uint32(len(list)); sent-acked > n { // what was sent and is not there cannot be sent again
		sent = acked + n
	}
	o := &Outbox{pool: pool, managed: &managed{Management: m, out: sent, acked: acked}}
	o.limit.Store(int64(limit))
	for i, p := range list {
		xml := []byte(p.XML)
		it := item{at: p.At, seq: p.Seq, trait: traitOf(xml)}
		if it.seq != 0 {
			it.trait |= paced // it may have been, and is bounded as it is
		}
		o.put(xml, it)
		if uint32(i) < sent-acked {
			c := o.queue[len(o.queue)-1]
			o.waiting -= len(c.buf) - c.done
			o.kept += len(c.buf) - c.done
			c.done, c.sent = len(c.buf), len(c.items)
		}
	}
	return o
}

// Stored is how many bytes of AppendStored's wait for the client's confirmation.
func (o *Outbox) Stored() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.managed == nil {
		return 0
	}
	return o.managed.stored
}

// Rows appends the seqs of all rows that are queued or wait for the client's
// confirmation, and of those that TakeUncounted would return.
func (o *Outbox) Rows(dst []int64) []int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	dst = append(dst, o.rows...)
	if o.managed != nil {
		dst = append(dst, o.managed.telling...)
	}
	for _, c := range o.queue {
		for _, it := range c.items[c.first:] {
			if it.seq != 0 {
				dst = append(dst, it.seq)
			}
		}
	}
	if o.quiet != nil {
		for _, h := range o.quiet.list {
			if h.seq != 0 {
				dst = append(dst, h.seq)
			}
		}
	}
	return dst
}

func utoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
