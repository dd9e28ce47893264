package offline

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/storage"
)

const (
	never = math.MaxInt64 // no row is behind it
	retry = 10            // seconds after a failure
)

// receiver is a session of this node.
type receiver struct {
	m       *Module
	session *session.Session
	account *account

	fetches  bool        // its client has used XEP-0013; guarded by account.hold
	restored bool        // by a start, and not resumed since; the reader's
	more     atomic.Bool // its outbox was full, there is more to send

	mu       sync.Mutex
	running  chan struct{} // somebody is sending; closed at the end
	paced    bool          // at the pace of the client
	again    bool          // and has to look once more
	uptodate bool          // all that waited has been sent
	opening  bool          // the session takes messages as soon as stage Available is over
	queried  bool          // its client reads the archive
	due      int64         // when to deliver again, Unix seconds; 0: not
	floor    int64         // until then, what is not behind this row waits
	asking   bool          // a ping is on its way
	asked    int64         // when the last one was sent, Unix seconds
	paid     int64         // no other is sent before, Unix seconds
	fresh    bool          // in Module.fresh
	watched  bool          // by the wheel

	proof sync.Mutex
	round int            // grows when a ping that is on its way proves nothing any more
	sent  storage.Ranges // rows that no acknowledgement counts, ahead of the ping on its way
	next  storage.Ranges // the same, behind it
}

// bound makes the session known.
func (m *Module) bound(f *modules.Flight) { m.enter(f) }

func (m *Module) enter(f *modules.Flight) *receiver {
	r := &receiver{m: m, session: f.Session}
	m.mu.Lock()
	r.account = m.accounts[f.Owner]
	if r.account == nil {
		r.account = &account{owner: f.Owner}
		m.accounts[f.Owner] = r.account
	}
	r.account.sessions++
	m.mu.Unlock()
	r.account.hold.Lock()
	r.account.receivers = append(r.account.receivers, r)
	r.account.hold.Unlock()
	m.slot.Store(f.Session, r)
	f.Session.Outbox.OnConfirmed(r.acknowledged)
	f.Session.Outbox.OnUncounted(r.uncounted)
	return r
}

// acknowledged is told what the client has confirmed (XEP-0198).
func (r *receiver) acknowledged(seqs []int64) {
	r.m.confirmed(r.account, seqs)
	if r.more.Load() {
		r.send(false)
	}
}

// takes reports whether the session may get messages now.
func (r *receiver) takes() bool {
	if r.session.Outbox.Closed() {
		return false
	}
	r.mu.Lock()
	opening := r.opening
	r.mu.Unlock()
	return opening || r.session.Entry().TakesBareMessages()
}

// presenceChanges ends what available began: what the session takes now is for
// its new presence to say.
func (m *Module) presenceChanges(f *modules.Flight) error {
	if f.Session == nil || !f.To.IsZero() {
		return nil
	}
	if r := m.slot.Load(f.Session); r != nil {
		r.mu.Lock()
		r.opening = false
		r.mu.Unlock()
	}
	return nil
}

// available delivers what waits before the first new message can reach the
// session. Until it returns, new messages are stored, and come in their turn. A
// client that reads the archive gets later what it has not read.
func (m *Module) available(f *modules.Flight) {
	r := m.slot.Load(f.Session)
	if r == nil {
		return
	}
	reads := r.reads()
	r.mu.Lock()
	r.opening, r.uptodate, r.due, r.floor = true, reads, 0, 0
	r.mu.Unlock()
	if reads {
		r.holdBack(never)
	}
	if !m.first(r) {
		return // XEP-0160 §2: another one gets them, or has got them
	}
	if !reads {
		r.send(true)
		return
	}
	upTo, err := m.host.Settled(f.Owner)
	if err != nil {
		m.host.Log.Error("new messages held back", "account", f.Owner.String(), "error", err)
		return
	}
	r.mu.Lock()
	r.floor = upTo // what comes from now on comes at once
	r.mu.Unlock()
}

// first makes r the one who gets what waits, unless another session takes
// messages. Who reads the archive, and has not been sent the rest yet, is in nobody's
// way who does not.
func (m *Module) first(r *receiver) bool {
	a := r.account
	for _, e := range m.host.Sessions(nil, a.owner) {
		if e.Local == nil && e.TakesBareMessages() {
			return false
		}
	}
	a.hold.Lock()
	defer a.hold.Unlock()
	reads := r.reads()
	inWay := func(other *receiver) bool { return other != r && (reads || !other.holdsBack()) }
	if h := a.holder; h != nil && inWay(h) && h.takes() {
		return false
	}
	for _, other := range a.receivers {
		if inWay(other) && !other.session.Outbox.Closed() && other.session.Entry().TakesBareMessages() {
			return false
		}
	}
	a.holder = r
	return true
}

// taker is the session that gets what waits for an account: who has got it so far,
// or one that does not read the archive, or any. nil: there is none.
func (a *account) taker() *receiver {
	a.hold.Lock()
	defer a.hold.Unlock()
	if a.holder != nil && a.holder.takes() {
		return a.holder
	}
	a.holder = nil
	for _, r := range a.receivers {
		if !r.takes() || a.holder != nil && r.reads() {
			continue
		}
		if a.holder = r; !r.reads() {
			break
		}
	}
	return a.holder
}

// deliver has what waits for an account delivered if a session on this node can
// take it.
func (m *Module) deliver(a *account) {
	for r := a.taker(); r != nil; r = a.taker() {
		r.send(false)
		if !r.session.Outbox.Closed() {
			return
		}
	}
}

// closed passes on what the session did not confirm.
func (m *Module) closed(f *modules.Flight) {
	r := m.slot.Load(f.Session)
	if r == nil {
		return
	}
	a := r.account
	a.leave(r)
	m.mu.Lock()
	a.sessions--
	m.drop(a)
	m.mu.Unlock()
	// Somebody else may be about to become available, and has been told that this one
	// gets what waits.
	if a.taker() == nil && !slices.ContainsFunc(m.host.Sessions(nil, a.owner), session.Entry.TakesBareMessages) {
		m.changed(a, false, a.unwritten()) // the next login may be at once, after a crash
		return
	}
	rows, next, err := m.pending(context.Background(), a, 0, 0)
	if err != nil {
		m.host.Log.Error("messages left behind not delivered", "account", a.owner.String(), "error", err)
	} else if len(rows) > 0 || next != 0 {
		m.stored(a.owner)
	}
}

// leave ends the part of a session.
func (a *account) leave(r *receiver) {
	a.hold.Lock()
	defer a.hold.Unlock()
	a.receivers = slices.DeleteFunc(a.receivers, func(e *receiver) bool { return e == r })
	if a.holder == r {
		a.holder = nil
	}
	if r.fetches {
		a.flexible--
	}
}

// restored makes a session known that was kept over a restart: what its queue
// holds counts as sent to it.
func (m *Module) restored(f *modules.Flight) { m.enter(f).restored = true }

// resumed looks for what was left when the process was restarted. What went over
// the former connection and is not counted may be lost with it.
func (m *Module) resumed(f *modules.Flight) {
	r := m.slot.Load(f.Session)
	if r == nil {
		return
	}
	lost := r.disprove()
	if r.restored && r.reads() {
		r.holdBack(never)
	}
	if r.restored || lost {
		r.restored = false
		m.deliver(r.account)
	}
}
