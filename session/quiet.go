package session

import (
	"bytes"
	"slices"

	"github.com/xmppd/xmppd/stanza"
)

// Verdict is what to do with a stanza for a client that is inactive. The zero
// value sends it now, behind everything that is held.
type Verdict struct {
	Hold bool
	Key  string // a newer stanza with the same key replaces the held one; empty: none does
}

// quiet is what is held back for a client that is inactive.
type quiet struct {
	verdict func(*stanza.Stanza) Verdict
	limit   int
	bytes   int
	list    []held
	st      stanza.Stanza // to look at what comes as bytes
}

type held struct {
	item
	key string
	xml []byte
}

// Quiet holds back stanzas for a client that is inactive (XEP-0352): verdict,
// which must not wait, nor keep the stanza, nor use the outbox, says which. More
// than limit bytes are not held: then all of them are sent.
func (o *Outbox) Quiet(verdict func(*stanza.Stanza) Verdict, limit int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.quiet == nil && !o.closed {
		o.quiet = &quiet{verdict: verdict, limit: limit}
	}
}

// Wake ends Quiet and queues what was held, in order; Flush sends it.
func (o *Outbox) Wake() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.quiet != nil {
		o.unhold()
		o.quiet = nil
	}
}

// held is how many bytes are held back.
func (o *Outbox) held() int {
	if o.quiet == nil {
		return 0
	}
	return o.quiet.bytes
}

// hold decides about a stanza and reports whether a copy was held back.
func (o *Outbox) hold(xml []byte, it item) bool {
	q := o.quiet
	if q.st.Reparse(xml) != nil {
		o.unhold()
		return false
	}
	defer q.st.Reset()
	v := q.verdict(&q.st)
	if !v.Hold {
		o.unhold()
		return false
	}
	xml = bytes.Clone(xml)
	if i := slices.IndexFunc(q.list, func(h held) bool { return v.Key != "" && h.key == v.Key }); i >= 0 {
		o.count(-len(q.list[i].xml))
		q.list = slices.Delete(q.list, i, i+1)
	}
	q.list = append(q.list, held{it, v.Key, xml})
	o.count(len(xml))
	if q.bytes > q.limit {
		o.unhold()
	}
	return true
}

// count keeps the books of what is held.
func (o *Outbox) count(n int) {
	o.quiet.bytes += n
	o.pool.total.Add(int64(n))
}

// unhold queues everything that is held. It is within a limit of its own already,
// and nothing may come in between.
func (o *Outbox) unhold() {
	list := o.quiet.list
	o.dropHeld()
	for _, h := range list {
		o.put(h.xml, h.item)
	}
}

// dropHeld forgets everything that is held.
func (o *Outbox) dropHeld() {
	if o.quiet != nil {
		o.quiet.list = nil
		o.count(-o.quiet.bytes)
	}
}
