// Package offline delivers what an account has not got: XEP-0160, Best Practices
// for Handling Offline Messages, with the hints of XEP-0334, and XEP-0013, Flexible
// Offline Message Retrieval.
//
// What an account has not got are the rows of its log above the delivery cursor
// that nobody has confirmed, whether they are archived or not. A session confirms
// what it was sent by stream management (XEP-0198), or by the answer to a ping
// behind it. One session of an account gets what waits; whatever a session leaves
// behind unconfirmed goes to the next, or waits for it.
package offline

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/lasting"
	"github.com/xmppd/xmppd/modules/internal/visible"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/storage"
)

// Store is the log of messages.
type Store interface {
	// PendingMessages are rows behind a seq, and up to another one unless that is 0,
	// that the account has not got, in order.
	PendingMessages(ctx context.Context, owner jid.JID, after, upTo int64, limit int) ([]storage.Message, error)
	// ConfirmMessages notes what has reached clients. Unknown accounts are skipped.
	ConfirmMessages(ctx context.Context, list []storage.Confirmed) error
	// CountMessages counts the messages that nobody was there for.
	CountMessages(ctx context.Context, owner jid.JID) (int, error)
	// DeleteMessagesBefore gives up at most limit such messages that arrived before t
	// and returns how many.
	DeleteMessagesBefore(ctx context.Context, t time.Time, limit int) (int, error)
}

// Limits bound what waits for one account.
type Limits struct {
	Messages int // 0: nothing is kept, but what the archive keeps
	Bytes    int64
}

// Options are modules.offline.*.
type Options struct {
	Idle time.Duration `key:"idle" default:"10s" min:"1s" max:"10m" doc:"A client that reads its archive gets what its pages did not hold after so long without a query."`
}

const (
	// name is also the kind of the invalidation that tells other nodes of messages
	// for an account that has a session there; see Module.Invalidated.
	name = "offline"

	writeEvery = 2 * time.Second // confirmations
)

// Module is the feature; see New.
type Module struct {
	wheel  *session.Wheel
	store  Store
	blocks visible.Blocks
	limits func() Limits
	host   *modules.Host
	idle   int64 // seconds
	slot   *session.Slot[*receiver]

	hurried atomic.Bool    // a write is about to begin
	going   sync.WaitGroup // deliveries that nobody waits for
	writing sync.Mutex     // held for a write of confirmations

	freshly sync.Mutex  // behind every other lock
	fresh   []*receiver // have been sent rows that no acknowledgement counts
	proving func()      // proveFresh

	// Lock order: account.hold → receiver.proof → outbox → receiver.mu; mu → account.mu.
	mu       sync.Mutex
	accounts map[jid.JID]*account
	dirty    []*account // have confirmations that have to be written
}

// New makes the module; the wheel looks after the sessions. Messages of those whom an account has blocked since they
// were stored are dropped; with nil blocks nobody has. limits is asked for each
// message, because a reload of the configuration may change them.
func New(wheel *session.Wheel, store Store, blocks visible.Blocks, limits func() Limits) *Module {
	m := &Module{
		wheel: wheel, store: store, blocks: blocks, limits: limits,
		slot: session.NewSlot[*receiver](), accounts: make(map[jid.JID]*account),
	}
	m.proving = m.proveFresh
	return m
}

// Info implements modules.Module.
func (m *Module) Info() modules.Info {
	return modules.Info{
		Name: name,
		Doc:  "Delivers what came while an account was away, or was not confirmed.",
		XEPs: []modules.XEP{
			{Number: 13, Version: "1.3"}, {Number: 160, Version: "1.0.1"}, {Number: 203, Version: "2.0"}, {Number: 334, Version: "1.0.0"},
		},
		Features: []string{"msgoffline", NSFlexible},
		Options:  &Options{},
	}
}

// Init implements modules.Module.
func (m *Module) Init(h *modules.Host) error {
	var o Options
	if err := h.Config(&o); err != nil {
		return err
	}
	m.host, m.idle = h, int64(o.Idle/time.Second)
	h.Message(modules.Received, modules.Amend, m.cutForged)
	h.Message(modules.Received, modules.Archive, m.keepAbsent)
	h.Message(modules.Received, modules.Missed, m.keepMissed)
	h.Message(modules.Received, modules.Copy, m.proveReceived)
	h.Presence(modules.Sent, modules.Check, m.presenceChanges)
	h.OnSession(modules.Bound, m.bound)
	h.OnSession(modules.Available, m.available)
	h.OnSession(modules.Restored, m.restored)
	h.OnSession(modules.Resumed, m.resumed)
	h.OnSession(modules.Closed, m.closed)
	h.OnUserRemoved(m.removed)
	h.OnExport(m.export)
	h.Every("confirm", writeEvery, m.write)
	h.OnStop(m.stop)
	m.declareFlexible()
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
	case !lasting.Lasting(f.Stanza):
		f.Stored = true // no error: nobody is to learn that way who is online
		return nil
	}
	m.keep(f)
	return nil
}

// keepMissed is for a message that was to be delivered, if all who were to get
// it have vanished. What stands in the log need not be kept.
func (m *Module) keepMissed(f *modules.Flight) error {
	switch {
	case f.Delivered > 0:
		return nil // who got it confirms it, or leaves it to others
	case f.Rows[modules.Received] != nil:
		m.deliverStored(f)
		return nil
	case !lasting.Lasting(f.Stanza):
		return modules.Stop // as if it had been delivered
	}
	m.keep(f)
	return nil
}

// keep has a message stored, within the limits, and delivered as soon as there is
// somebody. What is worth keeping and is not stored gets an error from the router.
func (m *Module) keep(f *modules.Flight) {
	if limits := m.limits(); limits.Messages > 0 {
		if f.Owed {
			limits = Limits{} // the queue that it comes from was bounded
		}
		f.Row.Flags |= storage.Waiting
		f.Row.Limit, f.Row.LimitBytes = limits.Messages, limits.Bytes
	}
	m.deliverStored(f)
}

// deliverStored looks after the commit whether a session became able to take
// messages after the router had planned: it may have looked before the message was
// there.
func (m *Module) deliverStored(f *modules.Flight) {
	owner := f.Owner
	f.AfterCommit(func() { m.stored(owner) })
}

// stored delivers what waits for an account, on this node or on another.
func (m *Module) stored(owner jid.JID) {
	a := m.account(owner)
	if a != nil {
		m.deliver(a)
	}
	m.tellOthers(owner, a)
}

// tellOthers has the other nodes look, if the account has sessions there.
func (m *Module) tellOthers(owner jid.JID, a *account) {
	for _, e := range m.host.Sessions(nil, owner) {
		if e.Local != nil {
			continue
		}
		if a != nil && a.unwritten() { // they see only what has been written
			if err := m.write(context.Background()); err != nil {
				m.host.Log.Error("confirmed messages not noted", "account", owner.String(), "error", err)
			}
		}
		m.host.Invalidate(name, owner)
		return
	}
}

// Invalidated is called when another node has stored messages for an account, or
// could not deliver them.
func (m *Module) Invalidated(owner jid.JID) {
	if owner.Domain() != m.host.Domain.Domain() { // all domains of a node are told
		return
	}
	if a := m.account(owner); a != nil {
		m.deliver(a)
	}
}
