package archived

import (
	"errors"
	"slices"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/resultset"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// A result on the wire: a head that is the same in the whole page, the id, the time,
// and the stored message behind its name.
const (
	afterID    = "'><forwarded xmlns='" + nsForward + "'><delay xmlns='" + stanza.NSDelay + "' stamp='"
	afterStamp = "'/><message xmlns='jabber:client'"
	tail       = "</forwarded></result>"
	root       = "<message" // how a stored message begins
	idSize     = 22
	overhead   = idSize + len(afterID) + len(stampMillis) + len(afterStamp) + len(tail) + len("</message>")
)

var errFull = errors.New("page full")

// page is a page of results on its way to the client.
type page struct {
	r        *modules.Request
	own      bool // the asker's own archive: what is sent are rows of its log
	max      int
	limit    int  // bytes
	backward bool // rows are found from the newest on
	flip     bool // and sent so

	b     *stanza.Builder
	xml   []byte // scratch
	head  []byte
	hold  bool // rows are found before any is sent, or in another order
	held  []*storage.Message
	n     int
	bytes int
	ends  [2]position // of the rows found, in that order
	more  bool        // the set has more rows in that direction
	count int64       // of the set, -1: unknown
	size  int64       // of the archive, or all with one bare address, -1: unknown
}

func (a *Reader) page(r *modules.Request, s *selection) *page {
	p := &page{
		r: r, own: s.set.Owner == r.From.Bare(), max: s.page.Max, limit: a.PageBytes(r.Session),
		backward: s.page.Backward, flip: s.flip, hold: s.page.Backward != s.flip,
		b: stanza.NewBuilder(make([]byte, 0, 1<<10)), xml: make([]byte, 0, 1<<10), head: make([]byte, 0, 256), count: -1, size: -1,
	}
	if p.max < 0 {
		p.max = a.PageDefault
	}
	p.max = min(p.max, a.PageMax)
	p.head = append(p.head, "<message from='"...)
	p.head = stanza.AppendEscaped(p.head, s.set.Owner.String())
	p.head = append(p.head, "' to='"...)
	p.head = stanza.AppendEscaped(p.head, r.From.String())
	p.head = append(p.head, "'><result xmlns='"+NS...)
	if s.queryID != "" {
		p.head = append(p.head, "' queryid='"...)
		p.head = stanza.AppendEscaped(p.head, s.queryID)
	}
	p.head = append(p.head, "' id='"...)
	return p
}

// take puts a row into the page; errFull if there is no room.
func (p *page) take(m *storage.Message) error {
	size := len(p.head) + overhead + len(m.XML)
	if p.n == p.max || p.n > 0 && p.bytes+size > p.limit {
		p.more = true
		return errFull
	}
	p.ends[min(p.n, 1)] = position{m.Seq, m.Tag}
	if p.n == 0 {
		p.ends[1] = p.ends[0]
	}
	p.n++
	p.bytes += size
	if p.hold {
		p.held = append(p.held, m)
		return nil
	}
	return p.send(m)
}

// sendHeld sends what was held.
func (p *page) sendHeld() error {
	if p.backward != p.flip {
		slices.Reverse(p.held)
	}
	for _, m := range p.held {
		if err := p.send(m); err != nil {
			return err
		}
	}
	return nil
}

// send queues one result for the client.
func (p *page) send(m *storage.Message) error {
	p.xml = append(AppendResult(append(p.xml[:0], p.head...), m), "</message>"...)
	p.b.Reset()
	seq := int64(0)
	if p.own {
		seq = m.Seq
	}
	if !p.r.Before(p.b.Raw(p.xml), seq) {
		return stanza.ResourceConstraint("").Wait() // if it can still be told
	}
	return nil
}

// AppendResult appends the rest of an element <result/>, behind the opening quote of
// its id. The stored message is copied as it is: in canonical form only the namespace
// of its root is missing.
func AppendResult(dst []byte, m *storage.Message) []byte {
	dst = storage.AppendStanzaID(dst, m.Seq, m.Tag)
	dst = append(dst, afterID...)
	dst = m.Arrived.UTC().AppendFormat(dst, stampMillis)
	dst = append(dst, afterStamp...)
	dst = append(dst, m.XML[len(root):]...)
	return append(dst, tail...)
}

// fin writes what the client learns of the page (XEP-0313 §4.3.2). Rows become
// visible in their order, so what was sent is stable.
func (p *page) fin(b *stanza.Builder, count int64) {
	b.Open("fin", NS)
	if !p.more && (p.max > 0 || count == 0) {
		b.Attr("complete", "true")
	}
	b.Attr("stable", "true")
	set := resultset.Result{Count: count, Index: -1}
	if p.n > 0 {
		ends := p.ends
		if p.backward {
			slices.Reverse(ends[:])
		}
		set.First, set.Last = ends[0].id(), ends[1].id()
	}
	set.Write(b)
	b.Close()
}

func (p position) id() string { return string(storage.AppendStanzaID(nil, p.seq, p.tag)) }
