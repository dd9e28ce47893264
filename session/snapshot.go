package session

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/xmppd/xmppd/jid"
)

// Snapshot is a session with stream management as it is kept over a planned
// restart, or handed to another node.
type Snapshot struct {
	Version   int       `json:"version"`
	JID       string    `json:"jid"` // full
	Agent     string    `json:"agent,omitempty"`
	Addr      string    `json:"addr"`
	Transport string    `json:"transport"`
	Since     time.Time `json:"since"`
	Bind2     bool      `json:"bind2,omitempty"`
	Active    int64     `json:"active"` // Unix seconds

	Presence   string   `json:"presence,omitempty"`
	Priority   int8     `json:"priority,omitempty"`
	Takes      int64    `json:"takes,omitempty"`
	Interested bool     `json:"interested,omitempty"`
	Carbons    bool     `json:"carbons,omitempty"`
	Copies     int64    `json:"copies,omitempty"`
	Directed   []string `json:"directed,omitempty"`

	StreamID string    `json:"stream_id"`
	H        uint32    `json:"h"`     // stanzas from the client
	Sent     uint32    `json:"sent"`  // stanzas to the client
	Acked    uint32    `json:"acked"` // of these confirmed
	Max      int64     `json:"max"`   // seconds it may wait for its client
	Left     int64     `json:"left"`  // of these, when it was detached already
	Queue    []Pending `json:"queue,omitempty"`
}

const snapshotVersion = 1

// Save takes the snapshot of a session that nobody reads from; its outbox takes
// nothing more. Max and Left are the caller's.
func (s *Session) Save() *Snapshot {
	sent, acked, list := s.Outbox.Save()
	s.mu.Lock()
	defer s.mu.Unlock()
	e := &s.entry
	snap := &Snapshot{
		Version: snapshotVersion, JID: s.JID.String(), Agent: s.info.Agent,
		Addr: s.info.Addr.String(), Transport: s.info.Transport, Since: s.info.Since, Bind2: s.info.Bind2, Active: s.active.Load(),
		Presence: string(e.Presence), Priority: e.Priority, Takes: e.Takes,
		Interested: e.Interested, Carbons: e.Carbons, Copies: e.Copies,
		StreamID: s.Stream.ID, H: s.Stream.H, Sent: sent, Acked: acked, Queue: list,
	}
	for to := range s.directed {
		snap.Directed = append(snap.Directed, to.String())
	}
	return snap
}

// Encode is the snapshot as it is stored.
func (snap *Snapshot) Encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // XML would grow
	if err := e.Encode(snap); err != nil {
		return nil, fmt.Errorf("encode session: %w", err)
	}
	return b.Bytes(), nil
}

// DecodeSnapshot reads what Encode wrote.
func DecodeSnapshot(data []byte) (*Snapshot, error) {
	snap := new(Snapshot)
	if err := json.Unmarshal(data, snap); err != nil {
		return nil, fmt.Errorf("decode session: %w", err)
	}
	if snap.Version != snapshotVersion {
		return nil, fmt.Errorf("decode session: version %d is not known", snap.Version)
	}
	return snap, nil
}

// Session makes the session of the snapshot; it is not in a registry yet. The
// caller sets its Outbox.
func (snap *Snapshot) Session(ref Ref) (*Session, error) {
	full, err := jid.Parse(snap.JID)
	if err != nil || !full.IsFull() {
		return nil, fmt.Errorf("restore session of %q: %w", snap.JID, jid.ErrMalformed)
	}
	addr, _ := netip.ParseAddrPort(snap.Addr) // the zero value is as good
	s := New(ref, full, Info{
		Addr: addr, Transport: snap.Transport, Since: snap.Since, Agent: snap.Agent, Bind2: snap.Bind2,
	}, nil)
	s.Stream = &Stream{ID: snap.StreamID, H: snap.H}
	s.active.Store(snap.Active)
	e := &s.entry
	e.Available, e.Priority, e.Takes = snap.Presence != "", snap.Priority, snap.Takes
	if e.Available {
		e.Presence = []byte(snap.Presence)
	}
	e.Interested, e.Carbons, e.Copies = snap.Interested, snap.Carbons, snap.Copies
	for _, text := range snap.Directed {
		if to, err := jid.Parse(text); err == nil {
			s.Directed(to, true, len(snap.Directed))
		}
	}
	return s, nil
}
