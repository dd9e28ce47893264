package offline

import "github.com/xmppd/xmppd/session"

// reads reports whether the client is expected to read the archive: what waits
// would come to it twice.
func (r *receiver) reads() bool {
	bind2 := r.session.Info().Bind2
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.queried || bind2
}

// holdBack keeps what is not behind a row back until the client has read nothing for
// a while.
func (r *receiver) holdBack(floor int64) {
	r.mu.Lock()
	r.due, r.floor = r.m.wheel.Now()+r.m.idle, floor
	r.mu.Unlock()
	r.watch()
}

// holdsBack reports whether something is kept back for now.
func (r *receiver) holdsBack() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.due != 0
}

// Queried notes that the client of a session reads its archive. The module
// archive calls it with each query.
func (m *Module) Queried(s *session.Session) {
	if r := m.slot.Load(s); r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.queried = true; r.due != 0 {
			r.due = m.wheel.Now() + m.idle
		}
	}
}

// watch has the wheel look at the session.
func (r *receiver) watch() {
	r.mu.Lock()
	add := !r.watched
	r.watched = true
	r.mu.Unlock()
	if add {
		r.m.wheel.Add(r, 1, false)
	}
}

// Tick implements session.Timed.
func (r *receiver) Tick(now int64) int {
	r.mu.Lock()
	r.watched = false
	r.mu.Unlock()
	if r.look(now) {
		r.watch()
	}
	return 0
}

// look does what is due for a session and reports whether to look again.
func (r *receiver) look(now int64) bool {
	if r.session.Outbox.Closed() {
		return false
	}
	deliver := r.more.Load() && r.session.Outbox.Queued() < highWater && r.session.Outbox.Stored() < window
	if !r.takes() {
		deliver = false
		r.more.Store(false) // somebody else gets it, or the session with its next presence
	}
	r.mu.Lock()
	if r.due != 0 && now >= r.due {
		r.due, r.floor, r.uptodate, deliver = 0, 0, false, true
	}
	waits := r.due != 0
	r.mu.Unlock()
	if deliver {
		r.m.going.Go(func() { r.m.deliver(r.account) })
		return true
	}
	return r.prove(now) || waits || r.more.Load()
}
