package presence

import (
	"fmt"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/visible"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// probe answers a presence probe for an account (RFC 6121 §4.3.2). Inside the
// server none is sent; it comes from a client, a component or elsewhere.
func (d *domain) probe(f *modules.Flight) error {
	allowed, err := d.maySee(f)
	if err != nil {
		return err
	}
	sessions := d.h.Sessions(nil, f.Owner)
	answered := false
	for _, e := range sessions {
		if f.To.IsFull() && e.JID != f.To {
			continue
		}
		switch {
		case allowed && e.Available && f.To.IsBare(): // rule 4
			d.answer(f, visible.AppendTo(nil, e.Presence, f.From))
		case allowed && e.Available, // a full JID: only the fact
			!allowed && f.To.IsFull() && e.Local != nil && e.Local.IsDirected(f.From): // §4.6.6
			d.answer(f, d.reply(f, e.JID, stanza.None, ""))
		default:
			continue
		}
		answered = true
	}
	switch {
	case answered:
	case allowed: // rule 3
		d.answer(f, d.reply(f, f.To, stanza.Unavailable, string(f.Stanza.ID())))
	default: // rule 1; the same whether there is such an account or not
		d.answer(f, d.reply(f, f.Owner, stanza.Unsubscribed, string(f.Stanza.ID())))
	}
	return modules.Stop
}

// maySee reports whether the sender may see the presence of the account.
func (d *domain) maySee(f *modules.Flight) (bool, error) {
	if f.From.Bare() == f.Owner {
		return true, nil
	}
	ok, err := d.h.Exists(f.Ctx, f.Owner)
	if err != nil || !ok {
		return false, err
	}
	if d.ours(f.From) {
		return true, nil
	}
	sub, err := d.roster.Subscription(f.Ctx, f.Owner, f.From.Bare())
	if err != nil {
		return false, fmt.Errorf("answer probe: %w", err)
	}
	return sub&storage.SubFrom != 0, nil
}

func (d *domain) reply(f *modules.Flight, from jid.JID, t stanza.Type, id string) []byte {
	to := f.From
	if t == stanza.Unsubscribed {
		to = to.Bare() // RFC 6121 §3: subscriptions are between accounts
	}
	b := stanza.Build("presence").Attr("from", from.String()).Attr("to", to.String())
	if t != stanza.None {
		b.Attr("type", t.String())
	}
	if id != "" {
		b.Attr("id", id)
	}
	return b.Bytes()
}

func (d *domain) answer(f *modules.Flight, xml []byte) {
	if err := d.h.Route(f.Ctx, xml); err != nil {
		d.h.Log.Error("answer to a probe lost", "account", f.Owner.String(), "error", err)
	}
}
