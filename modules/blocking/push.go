package blocking

import (
	"context"
	"hash/maphash"
	"strconv"
	"sync"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
)

// edit is what a client asked for; it is pushed even if nothing changed by it.
type edit struct {
	block, unblock []jid.JID
	all            bool // unblock all
}

// apply is the list after the edit.
func (e edit) apply(l *list) *list {
	if e.all {
		l = empty
	}
	return l.without(e.unblock).with(e.block)
}

// change has store make a change, which returns the list as it was before, and
// lets everybody know: the owner's sessions, other nodes, those who see the
// owner's presence.
//
// The owner's line is held over the transaction and what is sent, so that
// pushes and presence leave in the order of the changes. Other nodes are told
// behind it: they take a line of their own and may be telling this one.
func (d *domain) change(ctx context.Context, owner jid.JID, e edit, store func() ([]jid.JID, error)) error {
	if err := d.changeInLine(ctx, owner, e, store); err != nil {
		return err
	}
	d.h.Invalidate(name, owner)
	d.withdraw(ctx, owner)
	return nil
}

func (d *domain) changeInLine(ctx context.Context, owner jid.JID, e edit, store func() ([]jid.JID, error)) error {
	line := d.line(owner)
	line.Lock()
	defer line.Unlock()
	items, err := store()
	if err != nil {
		return err
	}
	d.cache.Drop(owner)
	before := newList(items)
	after := e.apply(before)
	d.tell(owner, after, e)
	if err := d.shift(ctx, owner, before, after); err != nil {
		// The list has changed; that is what the client asked for.
		d.h.Log.Error("presence not adapted to the blocklist", "account", owner.String(), "error", err)
	}
	return nil
}

// line is what changes of one blocklist, and of others with the same hash, wait
// in.
func (m *Module) line(owner jid.JID) *sync.Mutex {
	return &m.lines[maphash.String(m.seed, owner.String())%uint64(len(m.lines))]
}

// tell pushes the edit, and what else a session does not know of the list, to
// the owner's sessions on this node that have asked for it. It runs in the
// owner's line.
func (m *Module) tell(owner jid.JID, now *list, e edit) {
	for _, s := range m.services.Sessions(nil, owner) {
		if s.Local == nil {
			continue
		}
		if known := m.told.Load(s.Local); known != nil {
			m.catchUp(s.Local, known, now, e)
		}
	}
}

// catchUp brings a session from the list that it knows to the present one.
func (m *Module) catchUp(s *session.Session, known, now *list, e edit) {
	gone := e.apply(known).minus(now)
	gone = append(gone, e.unblock...)
	// Of a change on another node only the outcome is known. That all are gone is
	// said in one word, as XEP-0191 §3.5 has it.
	if e.all || len(gone) > 1 && len(now.items) == 0 && len(e.unblock) == 0 {
		m.push(s, "unblock", nil)
	} else if len(gone) > 0 {
		m.push(s, "unblock", gone)
	}
	added := now.minus(e.apply(known))
	if added = append(added, e.block...); len(added) > 0 {
		m.push(s, "block", added)
	}
	m.told.Store(s, now)
}

func (m *Module) push(s *session.Session, what string, items []jid.JID) {
	id := "block" + strconv.FormatUint(m.ids.Add(1), 36)
	b := stanza.Build("iq").Attr("type", "set").Attr("to", s.JID.String()).Attr("id", id)
	b.Open(what, ns)
	appendItems(b, items)
	m.services.Send(s.Ref, b.Bytes())
}

// follow has a session that was sent the list told of what changed since, and of
// what will.
func (m *Module) follow(ctx context.Context, owner jid.JID, s *session.Session, sent *list) {
	line := m.line(owner)
	line.Lock()
	defer line.Unlock()
	m.told.Store(s, sent)
	now, err := m.list(ctx, owner)
	if err != nil {
		return // the next change brings what is missing
	}
	m.catchUp(s, sent, now, edit{})
}

// restored takes the client of a session that outlived the process for one that
// has asked: nothing says that it has not, and most do.
func (d *domain) restored(f *modules.Flight) {
	if l, err := d.list(f.Ctx, f.Owner); err == nil {
		d.told.Store(f.Session, l)
	}
}

// Invalidated is called when another node has changed a blocklist.
func (m *Module) Invalidated(owner jid.JID) {
	m.cache.Drop(owner)
	ctx := context.Background()
	if err := m.catchUpAll(ctx, owner); err != nil {
		m.log.Error("change of a blocklist not passed on", "account", owner.String(), "error", err)
	}
	m.withdraw(ctx, owner)
}

func (m *Module) catchUpAll(ctx context.Context, owner jid.JID) error {
	line := m.line(owner)
	line.Lock()
	defer line.Unlock()
	for _, s := range m.services.Sessions(nil, owner) {
		if s.Local == nil || m.told.Load(s.Local) == nil {
			continue
		}
		now, err := m.list(ctx, owner)
		if err != nil {
			return err
		}
		m.tell(owner, now, edit{})
		break
	}
	return nil
}
