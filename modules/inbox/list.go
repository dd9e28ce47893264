package inbox

import (
	"errors"
	"slices"
	"strconv"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/archived"
	"github.com/xmppd/xmppd/modules/internal/resultset"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// list answers with a page of conversations, those with the newest messages first,
// and the totals (XEP-0430, Querying).
func (m *Module) list(r *modules.Request) error {
	q := storage.InboxQuery{Owner: r.Owner}
	var err error
	if q.Unread, err = flag(r.Payload, "unread-only", false); err != nil {
		return err
	}
	if q.Messages, err = flag(r.Payload, "messages", true); err != nil {
		return err
	}
	set, err := resultset.Parse(r.Payload)
	if err != nil {
		return err
	}
	if q.Below, err = position(set.After); err != nil {
		return err
	}
	if q.Above, err = position(set.Before); err != nil {
		return err
	}
	if set.Max < 0 {
		set.Max = m.opts.Page
	}
	q.Limit, q.Backward = min(set.Max, m.opts.PageMax), set.Backward

	free := int(m.limits().OutboxBytes)
	if r.Session != nil {
		free -= r.Session.Outbox.Queued()
	}
	p := newPage(r, min(int(m.opts.PageBytes), free/2))
	if q.Limit > 0 {
		if err := m.store.Inbox(r.Ctx, q, p.take); err != nil && !errors.Is(err, errFull) {
			return err
		}
	}
	if err := p.send(q.Backward); err != nil {
		return err
	}
	totals, err := m.store.InboxTotals(r.Ctx, r.Owner)
	if err != nil {
		return err
	}
	p.fin(r.Reply, q, totals)
	return nil
}

// flag reads an attribute that is true or false.
func flag(e stanza.Elem, name string, absent bool) (bool, error) {
	value, ok := e.Attr(name)
	switch {
	case !ok:
		return absent, nil
	case value == "true" || value == "1":
		return true, nil
	case value == "false" || value == "0":
		return false, nil
	}
	return false, stanza.BadRequest(name + " is true or false")
}

// position is where a chat stands, or stood: its id says so even if it has gone
// (XEP-0059 §2.4).
func position(id string) (int64, error) {
	if id == "" {
		return 0, nil
	}
	seq, _, ok := storage.ParseStanzaID(id)
	if !ok {
		return 0, stanza.ItemNotFound("the inbox has no such id")
	}
	return seq, nil
}

var (
	errFull = errors.New("page full")
	errGone = stanza.ResourceConstraint("").Wait() // of a client that takes nothing more
)

// page is conversations on their way to the client.
type page struct {
	r     *modules.Request
	head  []byte // how each result begins
	limit int    // bytes
	bytes int
	held  [][]byte // results in the order of the store
	ends  [2]storage.RowID
}

func newPage(r *modules.Request, limit int) *page {
	p := &page{r: r, limit: limit}
	p.head = append(p.head, "<message from='"...)
	p.head = stanza.AppendEscaped(p.head, r.Owner.String())
	p.head = append(p.head, "' to='"...)
	p.head = stanza.AppendEscaped(p.head, r.From.String())
	p.head = append(p.head, "'><entry xmlns='"+ns+"'"...)
	return p
}

// take puts a chat into the page; errFull if there is no room.
func (p *page) take(e *storage.InboxEntry) error {
	b := appendEntry(slices.Clone(p.head), e)
	if e.Message != nil {
		b = append(b, "<result xmlns='"+archived.NS+"' queryid='"...)
		b = stanza.AppendEscaped(b, string(p.r.Stanza.ID()))
		b = append(b, "' id='"...)
		b = archived.AppendResult(b, e.Message)
	}
	b = append(b, "</message>"...)
	if len(p.held) > 0 && p.bytes+len(b) > p.limit {
		return errFull
	}
	if len(p.held) == 0 {
		p.ends[0] = e.At
	}
	p.ends[1] = e.At
	p.bytes += len(b)
	p.held = append(p.held, b)
	return nil
}

// send queues the results for the client. They are no deliveries: who has seen the
// last message of a conversation has not got it, nor those before it.
func (p *page) send(backward bool) error {
	if backward {
		slices.Reverse(p.held)
		slices.Reverse(p.ends[:])
	}
	b := new(stanza.Builder)
	for _, xml := range p.held {
		b.Reset()
		if !p.r.Before(b.Raw(xml), 0) {
			return errGone
		}
	}
	return nil
}

// fin writes what the client learns of the inbox and of the page.
func (p *page) fin(b *stanza.Builder, q storage.InboxQuery, t storage.InboxTotals) {
	b.Open("fin", ns)
	b.Attr("total", strconv.FormatInt(t.Chats, 10))
	b.Attr("unread", strconv.FormatInt(t.UnreadChats, 10))
	b.Attr("all-unread", strconv.FormatInt(t.Unread, 10))
	set := resultset.Result{Count: t.Chats, Index: -1}
	if q.Unread {
		set.Count = t.UnreadChats
	}
	if len(p.held) > 0 {
		set.First, set.Last = p.ends[0].StanzaID(), p.ends[1].StanzaID()
	}
	set.Write(b)
	b.Close()
}
