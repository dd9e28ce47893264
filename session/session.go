// Package session holds what the server knows of a bound resource: its address,
// presence and outbox, the registry that finds it, and the timer wheel that
// looks after it.
package session

import (
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/stanza"
)

// Ref names a session on any node. The zero Ref names none.
type Ref struct {
	Node uint64 // random for each start of a process; 0: no node
	ID   uint64 // never used twice by a process
}

// IsZero reports whether the Ref names no session.
func (r Ref) IsZero() bool { return r == Ref{} }

// Entry is what every node knows of a session; it is a value, safe to keep.
type Entry struct {
	Ref        Ref
	JID        jid.JID // full
	Available  bool    // initial presence has been sent and not withdrawn (RFC 6121 §4.2)
	Carbons    bool    // gets copies of the account's other conversations (XEP-0280)
	Interested bool    // has asked for the roster (RFC 6121 §2.1.6)
	Priority   int8    // of the last available presence
	// Presence is the last available presence as it stands on the wire, with
	// from and without to; nil when not available. It must not be changed.
	Presence []byte
	// Takes is since when messages to the bare JID have reached the session, and
	// Copies since when carbons have, as Unix nanoseconds; 0: they do not. Messages
	// that arrived later have been handed to it.
	Takes, Copies int64
	// Agent is the client's installation (XEP-0388 §2.3), empty if it did not say.
	Agent string
	// Local is the session when it is on this node, else nil.
	Local *Session
}

// TakesBareMessages reports whether messages to the bare JID reach this session
// (RFC 6121 §8.5.2.1.1).
func (e Entry) TakesBareMessages() bool { return e.Available && e.Priority >= 0 }

// HasCopy reports whether the session got a carbon of a message to the account
// that arrived at that time, in Unix nanoseconds.
func (e Entry) HasCopy(st *stanza.Stanza, at int64) bool {
	if e.Copies == 0 || e.Copies >= at || st.Class.Has(stanza.Private|stanza.NoCopy|stanza.MUCUser) ||
		st.Type == stanza.Groupchat || st.Type == stanza.ErrorType {
		return false
	}
	return st.Type == stanza.Chat || st.Class.Has(stanza.Conversational) || st.Type == stanza.None && st.Class.Has(stanza.Body)
}

// Info says where a session comes from, for administrators.
type Info struct {
	Addr      netip.AddrPort // of the client, behind a trusted proxy the client's own
	Transport string         // "c2s", "c2s_tls", "websocket": ejabberd's names of a connection
	Since     time.Time
	Agent     string // the id of the user agent (XEP-0388 §2.3), empty if the client did not say
	Bind2     bool   // the resource was bound with the login (XEP-0386)
}

// Session is one bound resource on this node.
type Session struct {
	Ref    Ref
	JID    jid.JID // full
	Outbox *Outbox // where stanzas to the client go
	// Stream counts for stream management; nil without it. It belongs to the
	// goroutine that reads from the client.
	Stream *Stream

	active atomic.Int64 // Unix seconds of the last stanza from the client
	mute   atomic.Bool  // it does not acknowledge what it was sent
	done   chan struct{}

	mu       sync.Mutex
	info     Info
	entry    Entry // what the registry publishes
	listed   bool  // in the registry
	directed map[jid.JID]struct{}
	slots    []slot // few, so a list is smaller than a map and as fast
}

// New makes a session that is not yet in a registry.
func New(ref Ref, full jid.JID, info Info, out *Outbox) *Session {
	s := &Session{Ref: ref, JID: full, info: info, Outbox: out, done: make(chan struct{})}
	s.entry = Entry{Ref: ref, JID: full, Agent: info.Agent, Local: s}
	s.active.Store(info.Since.Unix())
	return s
}

// Entry is the present state of the session.
func (s *Session) Entry() Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entry
}

// Info is where the client is.
func (s *Session) Info() Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.info
}

// Moved notes that the client has resumed the session from elsewhere.
func (s *Session) Moved(addr netip.AddrPort, transport string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.info.Addr, s.info.Transport = addr, transport
}

// Active is when the client last sent a stanza, to the second.
func (s *Session) Active() time.Time { return time.Unix(s.active.Load(), 0) }

// Touch notes that the client has sent a stanza; now is in Unix seconds.
func (s *Session) Touch(now int64) { s.active.Store(now) }

// Responsive reports whether the client confirms what it is sent in time, as far
// as it was asked to (XEP-0198).
func (s *Session) Responsive() bool { return !s.mute.Load() }

// SetResponsive notes whether it does.
func (s *Session) SetResponsive(on bool) { s.mute.Store(!on) }

// Directed notes that the client has sent available presence to an entity that
// has no subscription, or has withdrawn it (RFC 6121 §4.6.3). It reports false,
// and notes nothing, when more than limit entities would be noted.
func (s *Session) Directed(to jid.JID, available bool, limit int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !available {
		delete(s.directed, to)
		return true
	}
	if _, ok := s.directed[to]; !ok && len(s.directed) >= limit {
		return false
	}
	if s.directed == nil {
		s.directed = make(map[jid.JID]struct{})
	}
	s.directed[to] = struct{}{}
	return true
}

// IsDirected reports whether the client has sent directed presence to the
// address or to its bare form.
func (s *Session) IsDirected(to jid.JID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.directed[to]; ok {
		return true
	}
	_, ok := s.directed[to.Bare()]
	return ok
}

// TakeDirected forgets and returns all entities noted by Directed.
func (s *Session) TakeDirected() []jid.JID {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]jid.JID, 0, len(s.directed))
	for to := range maps.Keys(s.directed) {
		all = append(all, to)
	}
	s.directed = nil
	return all
}

// Kick ends the session: the client gets the stream error and the stream is
// closed. It does not wait; Done tells when everything that follows from the
// end (unavailable presence among it) has been done.
func (s *Session) Kick(cond stanza.StreamCondition, text string) {
	s.Outbox.Shut(&stanza.StreamError{Condition: cond, Text: text})
}

// Done is closed when the session has ended and has been taken out of the registry.
func (s *Session) Done() <-chan struct{} { return s.done }

// End marks the session as ended; called once by its connection.
func (s *Session) End() { close(s.done) }

// Stream is the client's side of stream management (XEP-0198).
type Stream struct {
	ID string // SM-ID; empty if the stream cannot be resumed
	H  uint32 // stanzas from the client that were taken, modulo 2³²
}

// Slot is a place for one module's own value of each session. Make one in
// Init; the zero value of T stands for "not set".
type Slot[T any] struct{ _ byte }

// NewSlot makes a place that no other module can reach.
func NewSlot[T any]() *Slot[T] { return new(Slot[T]) }

// slot is one value and whose it is.
type slot struct{ key, value any }

// Load returns the session's value.
func (k *Slot[T]) Load(s *Session) (v T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.slots {
		if s.slots[i].key == any(k) {
			v, _ = s.slots[i].value.(T)
			break
		}
	}
	return v
}

// Store sets the session's value.
func (k *Slot[T]) Store(s *Session, v T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.slots {
		if s.slots[i].key == any(k) {
			s.slots[i].value = v
			return
		}
	}
	s.slots = append(s.slots, slot{k, v})
}
