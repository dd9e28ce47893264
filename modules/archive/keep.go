package archive

import (
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/archived"
	"github.com/xmppd/xmppd/modules/internal/chat"
	"github.com/xmppd/xmppd/modules/internal/lasting"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// cutForged removes ids that only this server may give for an account, in any
// spelling of its address, whether it gives one or not (XEP-0359 §4).
func cutForged(s modules.Side) modules.Handler {
	return func(f *modules.Flight) error {
		if !f.Stanza.Class.Has(stanza.StanzaID) {
			return nil
		}
		for e := f.Stanza.Root().First(); e.OK(); e = e.Next() {
			if e.Is(nsSID, "stanza-id") && isBy(e, f.Owner) {
				f.Stanza.Cut(s, e)
			}
		}
		return nil
	}
}

func isBy(e stanza.Elem, owner jid.JID) bool {
	by, _ := e.AttrBytes("by")
	if owner.EqualBytes(by) {
		return true
	}
	j, err := jid.Parse(string(by))
	return err == nil && j == owner
}

// keepSent archives a message for its sender. What somebody sends to himself is
// archived once, when he receives it.
func (m *Module) keepSent(f *modules.Flight) error {
	if f.To.Bare() == f.Owner {
		return nil
	}
	return m.keep(f, f.To)
}

// keepReceived archives a message for its recipient.
func (m *Module) keepReceived(f *modules.Flight) error { return m.keep(f, f.From) }

func (m *Module) keep(f *modules.Flight, peer jid.JID) error {
	if f.Owed || !belongs(f.Stanza) {
		return nil
	}
	if !f.Stanza.Class.Has(stanza.Retraction) {
		if wanted, err := m.wanted(f.Ctx, f.Owner, peer); err != nil || !wanted {
			return err
		}
	}
	row := f.Row
	row.Flags |= storage.Archived
	row.Chat = chat.Of(f.Stanza, peer)
	if sent := f.Rows[modules.Sent]; sent != nil && sent.Flags.Has(storage.Archived) {
		row.ID, row.Replaces = sent.ID, sent.Replaces
		row.Flags |= sent.Flags & storage.Unique
		return nil
	}
	identify(row, f.Stanza)
	return nil
}

// belongs reports whether archives hold such messages (XEP-0313 §6.1.1, XEP-0334 §4).
// Events of nodes are kept there. Retractions belong there whatever a hint says: the
// tombstones that they leave refer to them (XEP-0424, Business Rules).
func belongs(st *stanza.Stanza) bool {
	c := st.Class
	if c.Has(stanza.Retraction) {
		return st.Type == stanza.None || st.Type == stanza.Chat
	}
	return !c.Has(stanza.NoPermanentStore) && (!c.Has(stanza.PEPEvent) || c.Has(stanza.Body)) && lasting.Lasting(st)
}

// identify notes by which id others will refer to the message, and to which it
// refers. Who gives an origin-id promises that it is unique, so with it the message
// is recognised if it is sent once more.
func identify(row *storage.Message, st *stanza.Stanza) {
	row.ID = string(st.ID())
	if !st.Class.Has(stanza.OriginID | stanza.Correction) {
		return
	}
	for e := st.Root().First(); e.OK(); e = e.Next() {
		switch {
		case e.Is(nsSID, "origin-id"):
			id, _ := e.AttrBytes("id")
			if row.ID == "" {
				row.ID = string(id)
			}
			if row.ID != "" && row.ID == string(id) {
				row.Flags |= storage.Unique
			}
		case e.Is("urn:xmpp:message-correct:0", "replace"):
			row.Replaces, _ = e.Attr("id")
		}
	}
}

// stamp tells those who may read an archive under which id the message stands there
// (XEP-0313 §3.6).
func stamp(s modules.Side) modules.Handler {
	return func(f *modules.Flight) error {
		if row := f.Rows[s]; row.Flags.Has(storage.Archived) {
			f.Stanza.Append(s, archived.Stamp(row))
		}
		return nil
	}
}
