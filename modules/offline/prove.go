package offline

import (
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const (
	pingEvery = 2               // seconds, in the long run
	pingBurst = 30              // at once: in a conversation each message is proven
	patience  = 2 * time.Minute // for the answer
)

// Rows that no acknowledgement counts are proven by a ping behind them: a stream
// keeps the order (RFC 6120 §10.1), so who answers it has got them.

// uncounted is told that there is such a row; the outbox is locked.
func (r *receiver) uncounted() {
	r.watch()
	m := r.m
	m.freshly.Lock()
	if !r.fresh {
		r.fresh = true
		m.fresh = append(m.fresh, r)
	}
	m.freshly.Unlock()
}

// proveFresh asks those who have just been sent something, behind the delivery of a
// message; others are asked by the wheel.
func (m *Module) proveFresh() {
	m.freshly.Lock()
	list := m.fresh
	m.fresh = nil
	for _, r := range list {
		r.fresh = false
	}
	m.freshly.Unlock()
	now := m.wheel.Now()
	for _, r := range list {
		r.prove(now)
	}
}

// proveReceived has them asked when the message has been delivered.
func (m *Module) proveReceived(f *modules.Flight) error {
	if f.Rows[modules.Received] != nil {
		f.AfterCommit(m.proving)
	}
	return nil
}

// prove asks if it is time to, and reports whether there is something left to be
// proven. Who is sending asks at the end.
func (r *receiver) prove(now int64) bool {
	r.proof.Lock()
	r.collect()
	open := len(r.next) > 0
	waits := open || len(r.sent) > 0
	r.proof.Unlock()
	r.mu.Lock()
	ask := open && r.running == nil && !r.asking && r.paid <= now
	r.asking = r.asking || ask
	r.mu.Unlock()
	if ask {
		r.ask()
	}
	return waits
}

// proveNow asks behind what has just been sent, unless a ping is on its way.
func (r *receiver) proveNow() {
	r.mu.Lock()
	ask := !r.asking
	r.asking = true
	r.mu.Unlock()
	if ask {
		r.ask()
	}
}

// collect takes what has been queued since; proof is held.
func (r *receiver) collect() {
	for _, seq := range r.session.Outbox.TakeUncounted(nil) {
		r.unproven(storage.Range{First: seq, Last: seq})
	}
}

// unproven notes rows that the next ping is to prove; proof is held. Of a client that
// answers none, those beyond a bound are forgotten, and may come a second time.
func (r *receiver) unproven(n storage.Range) {
	r.next = r.next.Add(n)
	r.next = r.next[:min(len(r.next), storage.MaxRanges)]
}

// ask pings the client behind the rows; asking is set.
func (r *receiver) ask() {
	r.proof.Lock()
	r.collect()
	r.sent, r.next = r.next, nil
	round, some := r.round, len(r.sent) > 0
	r.proof.Unlock()
	r.mu.Lock()
	if r.asking = some; some {
		r.asked = r.m.wheel.Now()
		r.paid = min(max(r.paid, r.asked-(pingBurst-1)*pingEvery), r.asked) + pingEvery
	}
	r.mu.Unlock()
	if !some {
		return
	}
	iq := stanza.Build("iq").Attr("type", "get").Empty("ping", "urn:xmpp:ping")
	r.m.host.Ask(r.session.Ref, iq, patience, func(answer *stanza.Stanza) { r.answered(round, answer != nil) })
}

// answered takes an answer to the ping, of whatever type, or that none came: then
// the rows are asked about again, at once if it took long.
func (r *receiver) answered(round int, ok bool) {
	r.proof.Lock()
	if ok && round == r.round {
		r.m.confirmedRanges(r.account, r.sent) // while it still counts as sent
	} else {
		for _, n := range r.sent {
			r.unproven(n)
		}
	}
	r.sent = nil
	r.proof.Unlock()
	now, over := r.m.wheel.Now(), r.session.Outbox.Closed()
	r.mu.Lock()
	r.asking = !ok && now-r.asked > pingEvery && !over
	again := r.asking
	r.mu.Unlock()
	switch {
	case again:
		r.m.going.Go(r.ask)
	case ok && r.more.Load():
		r.send(false)
	case ok:
		r.prove(now)
	}
}

// disprove forgets what was sent without being counted, when its connection has
// been lost, and reports whether there was something.
func (r *receiver) disprove() bool {
	r.proof.Lock()
	defer r.proof.Unlock()
	r.collect()
	lost := len(r.sent)+len(r.next) > 0
	r.round++
	r.sent, r.next = nil, nil
	return lost
}

// held are rows that a session has been sent and has not confirmed.
type held struct {
	seqs   []int64 // sorted
	ranges []storage.Ranges
}

func (h *held) add(r *receiver) {
	r.proof.Lock()
	defer r.proof.Unlock()
	h.seqs = r.session.Outbox.Rows(h.seqs)
	for _, n := range []storage.Ranges{r.sent, r.next} {
		if len(n) > 0 {
			h.ranges = append(h.ranges, append(storage.Ranges(nil), n...))
		}
	}
}
