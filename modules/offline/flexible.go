package offline

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/dataform"
	"github.com/xmppd/xmppd/modules/internal/entity"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// NSFlexible is the namespace of XEP-0013 and the node of an account that stands for
// what it has not got.
const NSFlexible = "http://jabber.org/protocol/offline"

const (
	// listBytes bounds a list of headers. Who has removed what he saw gets the next.
	listBytes = 256 << 10
	// viewBytes bounds what one request sends to a client with stream management: it
	// cannot acknowledge anything before the answer.
	viewBytes = 256 << 10
)

func (m *Module) declareFlexible() {
	m.host.IQ(stanza.Get, modules.Self, NSFlexible, "offline", m.view)
	m.host.IQ(stanza.Set, modules.Self, NSFlexible, "offline", m.remove)
	forbid := func(*modules.Request) error { return stanza.Forbidden("") } // XEP-0013 §2.4
	m.host.IQ(stanza.Get, modules.Account, NSFlexible, "offline", forbid)
	m.host.IQ(stanza.Set, modules.Account, NSFlexible, "offline", forbid)
}

// flexible leaves what waits to a client that fetches it by itself: neither it nor
// its account's other sessions are sent it of the server's own accord (XEP-0013
// §2.2). It is nil for who has no session.
func (m *Module) flexible(r *modules.Request) (*receiver, error) {
	if r.Session == nil {
		return nil, stanza.NotAllowed("")
	}
	rec := m.slot.Load(r.Session)
	if rec == nil {
		return nil, stanza.NotAllowed("")
	}
	a := rec.account
	a.hold.Lock()
	fetches := rec.fetches
	a.hold.Unlock()
	if fetches {
		return rec, nil
	}
	upTo, err := m.host.Settled(a.owner)
	if err != nil {
		return nil, err
	}
	a.hold.Lock()
	defer a.hold.Unlock()
	if !rec.fetches {
		rec.fetches, a.floor = true, upTo
		a.flexible++
	}
	return rec, nil
}

// DescribeWaiting writes what disco#info says of the node (XEP-0013 §2.2).
func (m *Module) DescribeWaiting(r *modules.Request) error {
	rec, err := m.flexible(r)
	if err != nil {
		return err
	}
	n := 0
	if err := m.each(r.Ctx, rec.account, func(*storage.Message) error { n++; return nil }); err != nil {
		return err
	}
	entity.Info{
		Identities: []entity.Identity{{Category: "automation", Type: "message-list"}},
		Features:   []string{NSFlexible},
		Forms: []dataform.Form{{Type: NSFlexible, Fields: []dataform.Field{
			{Var: "number_of_messages", Values: []string{strconv.Itoa(n)}},
		}}},
	}.Write(r.Reply)
	return nil
}

// ListWaiting writes what disco#items says of the node: a header of each message
// (XEP-0013 §2.3).
func (m *Module) ListWaiting(r *modules.Request) error {
	rec, err := m.flexible(r)
	if err != nil {
		return err
	}
	start := r.Reply.Len()
	return m.each(r.Ctx, rec.account, func(row *storage.Message) error {
		if r.Reply.Len()-start > listBytes {
			return errEnough
		}
		r.Reply.Open("item", "").Attr("jid", r.Owner.String()).Attr("node", node(row.Seq)).Attr("name", row.Peer.String()).Close()
		return nil
	})
}

// node names a message, so that the order of names is that of the messages.
func node(seq int64) string { return fmt.Sprintf("%016x", seq) }

func seqOf(node string) int64 {
	seq, err := strconv.ParseInt(node, 16, 64)
	if err != nil || len(node) != 16 {
		return 0
	}
	return seq
}

// errEnough ends each.
var errEnough = modules.Stop

// each goes through what the account has not got, in order.
func (m *Module) each(ctx context.Context, a *account, fn func(*storage.Message) error) error {
	for after := int64(0); ; {
		rows, next, err := m.pending(ctx, a, after, 0)
		if err != nil {
			return err
		}
		for i := range rows {
			if err := fn(&rows[i]); err == errEnough {
				return nil
			} else if err != nil {
				return err
			}
		}
		if next == 0 {
			return nil
		}
		after = next
	}
}

// wanted are the messages that a request names; nil: all.
func (m *Module) wanted(r *modules.Request, a *account, all, action string) (map[int64]bool, error) {
	named := make(map[int64]bool)
	for e := range r.Payload.Children() {
		switch {
		case e.Is(NSFlexible, all):
			return nil, nil
		case !e.Is(NSFlexible, "item"):
			continue
		}
		if a, _ := e.Attr("action"); a != action {
			return nil, stanza.BadRequest("action has to be " + action)
		}
		id, _ := e.Attr("node")
		named[seqOf(id)] = true
	}
	if len(named) == 0 {
		return nil, stanza.BadRequest("nothing is asked for")
	}
	left := len(named)
	err := m.each(r.Ctx, a, func(row *storage.Message) error {
		if named[row.Seq] {
			left--
		}
		if left == 0 {
			return errEnough
		}
		return nil
	})
	if err == nil && left > 0 {
		err = stanza.ItemNotFound("")
	}
	return named, err
}

// view sends messages that the client asks for; they stay (XEP-0013 §2.4, §2.6).
func (m *Module) view(r *modules.Request) error {
	rec, err := m.flexible(r)
	if err != nil {
		return err
	}
	named, err := m.wanted(r, rec.account, "fetch", "view")
	if err != nil {
		return err
	}
	sent, managed := 0, rec.session.Outbox.Managed()
	return m.each(r.Ctx, rec.account, func(row *storage.Message) error {
		if named != nil && !named[row.Seq] {
			return nil
		}
		id := stanza.NewBuilder(nil).Open("offline", NSFlexible).Open("item", "").Attr("node", node(row.Seq)).Close()
		xml := m.stamped(*row, id.Bytes())
		if sent += len(xml); managed && sent > viewBytes && sent > len(xml) {
			return stanza.ResourceConstraint("ask for fewer messages")
		}
		// At the pace of the client: this is the goroutine that reads from it.
		if !rec.room(true, highWater) || !rec.session.Outbox.Append(xml) {
			return stanza.ResourceConstraint("")
		}
		return nil
	})
}

// remove takes away what the client names, or everything (XEP-0013 §2.5, §2.7). What
// is archived stays in the archive.
func (m *Module) remove(r *modules.Request) error {
	rec, err := m.flexible(r)
	if err != nil {
		return err
	}
	named, err := m.wanted(r, rec.account, "purge", "remove")
	if err != nil {
		return err
	}
	seqs := slices.Sorted(maps.Keys(named))
	if named == nil {
		if err := m.each(r.Ctx, rec.account, func(row *storage.Message) error { seqs = append(seqs, row.Seq); return nil }); err != nil {
			return err
		}
	}
	return m.confirmNow(r.Ctx, rec.account, seqs)
}

// confirmNow writes that the account has got rows before anything is answered.
func (m *Module) confirmNow(ctx context.Context, a *account, seqs []int64) error {
	for some := range slices.Chunk(seqs, manyRanges) {
		m.confirmed(a, some)
		if err := m.write(ctx); err != nil {
			return err
		}
	}
	return nil
}
