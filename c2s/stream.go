package c2s

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/router"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// Store is what is kept of streams beyond their connections.
type Store interface {
	storage.Group
	// Stream returns storage.ErrNotFound for an id that is not remembered.
	Stream(ctx context.Context, id string) (storage.Stream, error)
	// SaveSnapshots writes all of them in one transaction.
	SaveSnapshots(ctx context.Context, all []storage.Snapshot) error
	// TakeSnapshots hands out at most limit snapshots, each once.
	TakeSnapshots(ctx context.Context, limit int) ([]storage.Snapshot, error)
	// DeleteStreams forgets at most limit streams whose time is over.
	DeleteStreams(ctx context.Context, before time.Time, limit int) (int, error)
}

const (
	streamMemory = router.StreamMemory
	// streamAfterlife is how long a client is told how much of its stream was
	// handled when it comes too late to resume it.
	streamAfterlife = 24 * time.Hour
)

// stream is a session with stream management, with its connection or without.
// Lock order: taking → mu → session and outbox.
type stream struct {
	srv     *Server
	session *session.Session
	max     int64                       // seconds for which it waits for its client; 0: it does not
	noted   atomic.Pointer[storage.Run] // the last write of its row
	written int64                       // when its row was written, Unix seconds; the reader's
	inline  bool                        // enabled with Bind 2, and not once more since; the reader's
	due     atomic.Int64                // when the wheel looks at it, Unix seconds; 0: not

	taking sync.Mutex // held while a connection takes the session over

	mu       sync.Mutex
	conn     *conn // nil: detached
	deadline int64 // of a detached session, Unix seconds
	over     bool  // the session has ended
	kept     bool  // it has been saved for the next start: nothing ends it any more
}

func newStreamID() string {
	var b [18]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// streams finds sessions that can be resumed.
type streams struct {
	mu   sync.Mutex
	byID map[string]*stream
}

func (t *streams) add(r *stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byID == nil {
		t.byID = make(map[string]*stream)
	}
	t.byID[r.session.Stream.ID] = r
}

func (t *streams) get(id string) *stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byID[id]
}

func (t *streams) remove(r *stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byID, r.session.Stream.ID)
}

func (t *streams) all() []*stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]*stream, 0, len(t.byID))
	for _, r := range t.byID {
		list = append(list, r)
	}
	return list
}

// management connects the session's outbox with the stream.
func (r *stream) management() session.Management {
	by := r.session.JID.DomainJID()
	return session.Management{
		Limit:     int(r.srv.Config().Limits.UnackedBytes),
		Resumable: r.max > 0,
		Now:       r.srv.Wheel.Now,
		Asked:     func() { r.arm(seconds(r.srv.Config().Streams.AckTimeout)) },
		Ended:     func() { r.end(r.session.Outbox.Ended()) },
		Stamp:     func(xml []byte, at int64) []byte { return stamped(xml, by, at) },
	}
}

// stamped adds when a message arrived that is sent again, unless an earlier
// attempt has done so.
func stamped(xml []byte, by jid.JID, at int64) []byte {
	var st stanza.Stanza
	if st.Reparse(xml) != nil || st.Class.Has(stanza.Delay) {
		return xml
	}
	return stanza.WithDelay(xml, by, time.Unix(0, at))
}

// arm has the wheel look at the stream after so many seconds, or before.
func (r *stream) arm(after int64) {
	at := r.srv.Wheel.Now() + after
	for {
		due := r.due.Load()
		if due != 0 && due <= at {
			return
		}
		if r.due.CompareAndSwap(due, at) {
			r.srv.Wheel.Add(&watch{weak.Make(r), at}, int(after), false)
			return
		}
	}
}

// watch looks after one stream for the wheel. It does not keep it.
type watch struct {
	r  weak.Pointer[stream]
	at int64 // stale if the stream is due at another time
}

// Tick implements session.Timed: it ends a session whose client does not come
// back and notes that one does not answer.
func (w *watch) Tick(now int64) int {
	if r := w.r.Value(); r != nil && r.due.CompareAndSwap(w.at, 0) {
		if again := r.look(now); again > 0 {
			r.arm(again)
		}
	}
	return 0
}

// look returns after how many seconds the stream wants to be looked at again; 0:
// there is nothing to wait for.
func (r *stream) look(now int64) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.over || r.kept:
		return 0
	case r.conn == nil:
		if left := r.deadline - now; left > 0 {
			return left
		}
		go r.end(errTimeOver)
		return 0
	}
	asked := r.session.Outbox.Asked()
	if asked == 0 {
		return 0
	}
	if left := asked + seconds(r.srv.Config().Streams.AckTimeout) - now; left > 0 {
		return left
	}
	r.session.SetResponsive(false)
	return 0
}

// abandon ends a session whose reader has been stopped; what it leaves behind
// is kept as far as that goes.
func (r *stream) abandon() {
	r.mu.Lock()
	c, over := r.conn, r.over
	r.over = true
	r.mu.Unlock()
	if over {
		return
	}
	if c != nil {
		c.released.Store(true) // if it was not halted yet
		c.t.Finish(&stanza.StreamError{Condition: stanza.StreamSystemShutdown})
	}
	r.srv.close(r.session, r, errStopping)
}

// take makes a connection the one of the session, whatever became of the former
// one, and reports whether there still is a session.
func (r *stream) take(c *conn) bool {
	if !r.taking.TryLock() {
		c.aside(r.taking.Lock) // whoever holds it needs a place of the gate to go on
	}
	defer r.taking.Unlock()
	r.mu.Lock()
	old, over := r.conn, r.over || r.session.Outbox.Closed()
	if old != nil && !over {
		old.released.Store(true)
		r.session.Outbox.Detach()
	}
	r.mu.Unlock()
	if over {
		return false
	}
	if old != nil {
		// XEP-0198 §5: the former stream is closed with <conflict/>.
		old.t.Finish(&stanza.StreamError{Condition: stanza.StreamConflict, Text: "resumed by another connection"})
		c.aside(func() { <-old.gone }) // what it has read is counted
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return false
	}
	r.conn, r.deadline = c, 0
	return true
}

// detach lets the session wait for its client, after its connection has been
// lost. It reports false if the session has ended.
func (r *stream) detach(c *conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over || r.kept || r.max == 0 || r.conn != c {
		return false
	}
	r.session.Outbox.Detach()
	if r.session.Outbox.Closed() {
		return false
	}
	r.conn, r.deadline = nil, r.srv.Wheel.Now()+r.max
	r.remember(r.session.Stream.H, streamMemory) // from here on others may count, or save it
	r.arm(r.max)
	return true
}

// giveUp is detach for a connection that took the session over and did not
// resume it. A session that was told to end meanwhile, when it had a connection,
// does so now.
func (r *stream) giveUp(c *conn) {
	if r.detach(c) {
		return
	}
	r.mu.Lock()
	if r.conn == c {
		r.conn = nil
	}
	r.mu.Unlock()
	r.end(r.session.Outbox.Ended())
}

// forget takes the stream out of the books; its session goes on.
func (r *stream) forget() {
	if r.session.Stream.ID != "" {
		r.srv.streams.remove(r)
	}
	r.finish()
}

// ended returns when the session has ended, or has not for long.
func (r *stream) ended() {
	const patience = 10 * time.Second // more than a commit may take
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-r.session.Done():
	case <-t.C:
	}
}

// finish marks the session as over for the connection that it has; it reports
// false if it was over already.
func (r *stream) finish() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	over := r.over || r.kept
	r.over = r.over || !over
	return !over
}

// end ends a session that nobody reads from; cause is for the log.
func (r *stream) end(cause error) {
	r.mu.Lock()
	over := r.over || r.kept || r.conn != nil
	if !over {
		r.over = true
		r.srv.parting.Add(1)
	}
	r.mu.Unlock()
	if !over {
		defer r.srv.parting.Done()
		r.srv.close(r.session, r, cause)
	}
}

// renew writes the row of a live stream before it is forgotten. Only the reader
// may call it, when all that it has read is durable.
func (r *stream) renew() {
	if r.session.Stream.ID != "" && r.srv.Wheel.Now()-r.written > int64(streamMemory/3/time.Second) {
		r.remember(r.session.Stream.H, streamMemory)
	}
}

// remember writes how much of the stream has been handled, without waiting.
func (r *stream) remember(h uint32, memory time.Duration) *storage.Run {
	r.written = r.srv.Wheel.Now()
	run := &storage.Run{Writes: []storage.Write{&storage.Stream{
		ID: r.session.Stream.ID, Owner: r.session.JID.Bare(), H: h, Until: r.srv.Now().Add(memory),
	}}}
	r.srv.Store.Join(run)
	r.noted.Store(run)
	return run
}

// close is the end of a session: what it leaves behind finds its place, then it
// is gone for everybody. stream is nil without stream management.
func (s *Server) close(ended *session.Session, r *stream, cause error) {
	// Stanzas that arrive meanwhile queue up behind the others, in order; a flood
	// of them has to end somewhere.
	const rounds = 16
	for n := 1; ; n++ {
		if n == rounds {
			ended.Outbox.Abort(cause) // the senders keep for later what it does not take
		}
		left := ended.Outbox.Take()
		if left == nil {
			break
		}
		s.Router.Unacked(ended, left)
	}
	s.Registry.Remove(ended)
	s.Router.Fire(modules.Closed, ended)
	if r != nil && ended.Stream.ID != "" {
		run := r.remember(ended.Stream.H, streamAfterlife)
		run.Wait()
		s.streams.remove(r)
	}
	ended.End()
	s.Log.Info("session closed", "account", ended.JID.Bare().String(), "resource", ended.JID.Resource(), "session", ended.Ref.ID, "reason", reason(cause))
}

// sweeper deletes the rows of streams that are forgotten.
type sweeper struct{ s *Server }

const sweepInterval = 3600 // seconds

// Tick implements session.Timed.
func (w sweeper) Tick(int64) int {
	go w.s.sweep()
	return sweepInterval
}

// sweep deletes in steps, so that other writers get their turn.
func (s *Server) sweep() {
	const step = 500
	for {
		n, err := s.Store.DeleteStreams(context.Background(), s.Now(), step)
		if err != nil {
			s.Log.Error("old streams not deleted", "error", err)
		}
		if n < step {
			return
		}
	}
}
