package archived

import (
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/resultset"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/storage"
)

// sink is the router's end of a request: it counts what is sent.
type sink struct {
	modules.Runner
	sent, bytes int
	rows        int64 // sum of their seqs
	full        bool
}

func (s *sink) SendRow(_ session.Ref, xml []byte, seq int64) bool {
	s.sent, s.bytes, s.rows = s.sent+1, s.bytes+len(xml), s.rows+seq
	return !s.full
}

func request(s *sink) *modules.Request {
	romeo := jid.MustParse("romeo@montague.lit/orchard")
	out := session.New(session.Ref{}, romeo, session.Info{}, session.NewOutbox(nil, session.NewChunks(0), 1))
	return &modules.Request{Flight: &modules.Flight{From: romeo, Owner: romeo.Bare(), Session: out, Run: s}}
}

func reader(bytes int) *Reader {
	return &Reader{PageDefault: 50, PageMax: 250, PageBytes: func(*session.Session) int { return bytes }}
}

func chosen(p resultset.Page) *selection {
	s := &selection{page: p}
	s.set.Owner = jid.MustParse("romeo@montague.lit")
	return s
}

func messages(n, size int) []storage.Message {
	list := make([]storage.Message, n)
	for i := range list {
		xml := "<message from='juliet@capulet.lit'><body>" + strings.Repeat("x", size) + "</body></message>"
		list[i] = storage.Message{Seq: int64(i + 1), Tag: 7, Arrived: time.Unix(0, 0), XML: []byte(xml)}
	}
	return list
}

// The cost of a page does not depend on how many results it has.
func TestAllocations(t *testing.T) {
	list, s := messages(50, 300), chosen(resultset.Page{Max: 50})
	out := new(sink)
	r, a := request(out), reader(1<<20)
	n := testing.AllocsPerRun(20, func() {
		p := a.page(r, s)
		for i := range list {
			if err := p.take(&list[i]); err != nil {
				t.Fatal(err)
			}
		}
	})
	if out.sent != 21*50 || n > 10 {
		t.Errorf("%d sent, %v allocations", out.sent, n)
	}
}

// A page ends at its number of rows or of bytes; the first row is always in it. What
// was counted is at least what is sent.
func TestBounds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ max, bytes, size, want int }{
		{-1, 1 << 20, 10, 50}, {10, 1 << 20, 10, 10}, {1000, 1 << 20, 10, 250}, {50, 64 << 10, 10_000, 6}, {50, 1000, 10_000, 1}, {50, 0, 1, 1},
	} {
		for _, backward := range []bool{false, true} {
			out := new(sink)
			p := reader(tt.bytes).page(request(out), chosen(resultset.Page{Max: tt.max, Backward: backward}))
			list := messages(300, tt.size)
			for i := range list {
				if p.take(&list[i]) != nil {
					break
				}
			}
			if err := p.sendHeld(); err != nil {
				t.Fatal(err)
			}
			if out.sent != tt.want || !p.more || out.bytes > p.bytes || out.rows != int64(tt.want*(tt.want+1)/2) {
				t.Errorf("%+v: %d sent of %d bytes, counted %d", tt, out.sent, out.bytes, p.bytes)
			}
		}
	}
}

// Whoever does not take the results gets no more of them, and rows that are not the
// asker's own are not confirmed by him.
func TestOthers(t *testing.T) {
	t.Parallel()
	out := &sink{full: true}
	p := reader(1<<20).page(request(out), chosen(resultset.Page{Max: 10}))
	list := messages(3, 10)
	if err := p.take(&list[0]); err == nil {
		t.Error("goes on")
	}
	room := chosen(resultset.Page{Max: 10})
	room.set.Owner = jid.MustParse("coven@chat.shakespeare.lit")
	out = new(sink)
	p = reader(1<<20).page(request(out), room)
	if err := p.take(&list[2]); err != nil || out.rows != 0 {
		t.Errorf("seq %d, %v", out.rows, err)
	}
}
