// Package offline keeps messages for accounts that are away and delivers them
// when a session of the account can take them: XEP-0160, Best Practices for
// Handling Offline Messages, with the hints of XEP-0334.
//
// A stored message is removed only when its client has confirmed it (XEP-0198) or
// has answered a ping that was sent behind it. One session of an account gets the
// messages; if it vanishes before it answered, they go to the next.
package offline

import (
	"context"
	"sync"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/visible"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/storage"
)

// Store is the log of messages that wait.
type Store interface {
	// PendingMessages are messages behind a seq, in order.
	PendingMessages(ctx context.Context, owner jid.JID, after int64, limit int) ([]storage.Message, error)
	// ConfirmMessages removes the messages up to a seq, that one included.
	ConfirmMessages(ctx context.Context, owner jid.JID, upTo int64) error
	CountMessages(ctx context.Context, owner jid.JID) (int, error)
	// DeleteMessagesBefore removes at most limit messages that arrived before t
	// and returns how many.
	DeleteMessagesBefore(ctx context.Context, t time.Time, limit int) (int, error)
}

// Limits bound what waits for one account.
type Limits struct {
	Messages int // 0: nothing is kept
	Bytes    int64
}

// name is also the kind of the invalidation that tells other nodes of messages
// for an account that has a session there; see Module.Invalidated.
const name = "offline"

// Module is the feature; see New.
type Module struct {
	store  Store
	blocks visible.Blocks
	limits func() Limits
	host   *modules.Host
	slot   *session.Slot[*receiver]

	mu      sync.Mutex
	holders map[jid.JID]*receiver // by account: who gets its messages
}

// New makes the module. Messages of those whom an account has blocked since they
// were stored are dropped; with nil blocks nobody has. limits is asked for each
// message, because a reload of the configuration may change them.
func New(store Store, blocks visible.Blocks, limits func() Limits) *Module {
	return &Module{
		store: store, blocks: blocks, limits: limits,
		slot: session.NewSlot[*receiver](), holders: make(map[jid.JID]*receiver),
	}
}

// Info implements modules.Module.
func (m *Module) Info() modules.Info {
	return modules.Info{
		Name: name,
		Doc:  "Keeps messages for accounts that are away.",
		XEPs: []modules.XEP{
			{Number: 160, Version: "1.0.1"}, {Number: 203, Version: "2.0"}, {Number: 334, Version: "1.0.0"},
		},
		Features: []string{"msgoffline"},
	}
}

// Init implements modules.Module.
func (m *Module) Init(h *modules.Host) error {
	m.host = h
	h.Message(modules.Received, modules.Amend, m.cutForged)
	h.Message(modules.Received, modules.Archive, m.keepAbsent)
	h.Message(modules.Received, modules.Missed, m.keepMissed)
	h.Presence(modules.Sent, modules.Check, m.presenceChanges)
	h.OnSession(modules.Available, m.available)
	h.OnSession(modules.Restored, m.restored)
	h.OnSession(modules.Resumed, m.resumed)
	h.OnSession(modules.Closed, m.closed)
	m.declareCommands()
	return nil
}

// cutForged removes what claims that this server held the message back
// (XEP-0203 §5).
func (m *Module) cutForged(f *modules.Flight) error {
	f.Stanza.CutDelay(m.host.Domain)
	return nil
}

// keepAbsent keeps a message that nobody gets now.
func (m *Module) keepAbsent(f *modules.Flight) error {
	switch {
	case !f.Absent:
		return nil
	case !worthKeeping(f.Stanza):
		f.Stored = true // no error: nobody is to learn that way who is online
		return nil
	}
	return m.keep(f)
}

// keepMissed keeps a message that was to be delivered, if all who were to get
// it have vanished.
func (m *Module) keepMissed(f *modules.Flight) error {
	if f.Delivered > 0 {
		return nil
	}
	return m.keep(f)
}

// keep stores a message. What is not worth keeping is dropped without a word,
// so that nobody can find out by such messages whether the account is online.
// What is worth it and is not stored gets an error from the router.
func (m *Module) keep(f *modules.Flight) error {
	if !worthKeeping(f.Stanza) {
		return modules.Stop
	}
	limits := m.limits()
	if limits.Messages == 0 {
		return nil
	}
	if f.Stanza.To() == nil { // a row stands alone
		f.Stanza.SetAttr(modules.Received, "to", f.To.String())
	}
	if f.Owed {
		limits = Limits{} // the queue that it comes from was bounded
	}
	f.Store(&storage.Message{
		Owner: f.Owner, Peer: f.From, Arrived: f.Arrived,
		XML:   f.Stanza.Emit(nil, modules.Received),
		Limit: limits.Messages, LimitBytes: limits.Bytes,
	})
	owner := f.Owner
	f.AfterCommit(func() { m.stored(owner) })
	return nil
}

// stored is called when a message has been stored. If a session became able to
// take messages after the router had planned, that session may have looked
// before the message was there.
func (m *Module) stored(owner jid.JID) {
	m.deliver(owner)
	for _, e := range m.host.Sessions(nil, owner) {
		if e.Local == nil {
			m.host.Invalidate(name, owner)
			return
		}
	}
}
