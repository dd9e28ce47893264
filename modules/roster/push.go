package roster

import (
	"context"
	"fmt"
	"hash/maphash"
	"strconv"
	"sync"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// edit is a change of one item and what its owner's sessions see of it.
type edit struct {
	owner, contact jid.JID
	limit          int // of items that take the same kind of place; 0: none
	fn             func(*storage.RosterItem) error
	// deliver, if set, is called before the pushes: a subscription stanza has to
	// arrive before the push it causes (RFC 6121 §3.1.6, §3.2.3, §3.3.3).
	deliver func(sessions []session.Entry)
	// echo: push even if nothing changed. A client that set an item waits for it.
	echo bool
}

// change runs the edit and sends the roster pushes (RFC 6121 §2.1.6).
//
// The owner's line is held over transaction and pushes, because pushes have to
// leave in the order of the modifications (§2.6.3). Nothing that runs inside
// takes another line or enters a handler. What is sent leaves at once and not
// with the burst: a stanza that this one causes (Services.Route) must not
// overtake it on the way to another node.
func (d *domain) change(ctx context.Context, e edit) (storage.RosterChange, error) {
	line := d.line(e.owner)
	line.Lock()
	defer line.Unlock()
	c, err := d.store.UpdateRoster(ctx, e.owner, e.contact, e.limit, e.fn)
	if err != nil {
		return c, err
	}
	if c.Changed {
		d.cache.Drop(e.owner)
		d.h.Invalidate(Invalidates, e.owner)
	}
	visible := c.New.Version != c.Old.Version && (c.Old.Listed || c.New.Listed)
	if !visible && !e.echo && e.deliver == nil {
		return c, nil
	}
	sessions := d.h.Sessions(nil, e.owner)
	if e.deliver != nil {
		e.deliver(sessions)
	}
	if visible || e.echo {
		for _, s := range sessions {
			if s.Interested {
				d.h.Send(s.Ref, d.push(s.JID, c.Version, &c.New))
			}
		}
	}
	return c, nil
}

// forget deletes what is stored of a contact. storage.ErrNotFound: it is not in
// the roster; all counts what the owner does not see as well.
func (d *domain) forget(ctx context.Context, owner, contact jid.JID, all bool) (storage.RosterChange, error) {
	return d.change(ctx, edit{owner: owner, contact: contact, fn: func(i *storage.RosterItem) error {
		if !i.Listed && !all {
			return storage.ErrNotFound
		}
		*i = storage.NoRosterItem(i.Contact)
		return nil
	}})
}

// line is what changes of one roster, and of others with the same hash, wait in.
func (m *Module) line(owner jid.JID) *sync.Mutex {
	return &m.lines[maphash.String(m.seed, owner.String())%uint64(len(m.lines))]
}

// id makes the id of a stanza of the server.
func (m *Module) id() string { return "roster" + strconv.FormatUint(m.ids.Add(1), 36) }

// push builds a roster push to one resource; an item that is not Listed was
// removed.
func (d *domain) push(to jid.JID, version uint64, i *storage.RosterItem) []byte {
	b := stanza.Build("iq").Attr("type", "set").Attr("to", to.String()).
		Attr("id", d.id())
	b.Open("query", ns).Attr("ver", strconv.FormatUint(version, 10))
	if i.Listed {
		appendItem(b, i)
	} else {
		b.Open("item", "").Attr("jid", i.Contact.String()).Attr("subscription", "remove").Close()
	}
	return b.Bytes()
}

func appendItem(b *stanza.Builder, i *storage.RosterItem) {
	b.Open("item", "").Attr("jid", i.Contact.String())
	if i.Name != "" {
		b.Attr("name", i.Name)
	}
	b.Attr("subscription", i.Sub.String())
	if i.Ask {
		b.Attr("ask", "subscribe")
	}
	if i.Approved {
		b.Attr("approved", "true")
	}
	for _, g := range i.Groups {
		b.Text("group", g)
	}
	b.Close()
}

// follow makes the session interested and sends what has changed since the
// version that it knows or is about to know (RFC 6121 §2.6.3). It runs in the
// owner's line, so that nothing is missed and nothing overtakes.
func (d *domain) follow(ctx context.Context, s *session.Session, since uint64) error {
	owner := s.JID.Bare()
	line := d.line(owner)
	line.Lock()
	defer line.Unlock()
	d.h.SetInterested(s)
	changed, removed, _, known, err := d.store.RosterSince(ctx, owner, since)
	if err != nil {
		return err
	}
	if !known {
		return fmt.Errorf("roster version %d is not known any more", since)
	}
	for len(changed) > 0 || len(removed) > 0 { // both are in the order of versions
		if len(removed) == 0 || len(changed) > 0 && changed[0].Version < removed[0].Version {
			d.h.Send(s.Ref, d.push(s.JID, changed[0].Version, &changed[0]))
			changed = changed[1:]
			continue
		}
		gone := storage.NoRosterItem(removed[0].Contact)
		d.h.Send(s.Ref, d.push(s.JID, removed[0].Version, &gone))
		removed = removed[1:]
	}
	return nil
}
