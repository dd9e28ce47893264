package router

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// ledger is a store that numbers the rows of each owner and refuses some.
type ledger struct {
	rows   []string
	logs   map[jid.JID]int64
	refuse func(*storage.Message) error
}

func (s *ledger) attempt(_ context.Context, runs []*storage.Run, _ func()) error {
	for _, r := range runs {
		for i, w := range r.Writes {
			switch w := w.(type) {
			case *storage.Mark:
				w.Seq = s.logs[w.Owner]
			case *storage.Message:
				if s.refuse != nil {
					r.Errs[i] = s.refuse(w)
				}
				if r.Errs[i] != nil {
					continue
				}
				s.logs[w.Owner]++
				w.Seq, w.Tag = s.logs[w.Owner], 1
				s.rows = append(s.rows, fmt.Sprintf("%s %d %d %s %s", w.Owner, w.Seq, w.Flags, w.Peer, w.XML))
			}
		}
	}
	return nil
}

// archiving makes a fixture with a module that archives everything, and marks
// each stanza with the seq of its row.
func archiving(t *testing.T, s *ledger) (*fixture, *modules.Host) {
	f := newFixture(t)
	s.logs = make(map[jid.JID]int64)
	q := storage.NewQueue(5*time.Second, s.attempt)
	t.Cleanup(q.Close)
	f.r.Group = q
	h := modules.NewHost(jid.MustParse("localhost"), f.tables, f.r, modules.Info{Name: "keeper"}, nil, nil, slog.New(slog.DiscardHandler), f.r.Now)
	for _, side := range []modules.Side{modules.Sent, modules.Received} {
		h.Message(side, modules.Archive, func(f *modules.Flight) error {
			if side == modules.Received || f.From.Bare() != f.To.Bare() {
				f.Row.Flags |= storage.Archived
			}
			return nil
		})
		h.Message(side, modules.Stamp, func(f *modules.Flight) error {
			f.Stanza.Append(side, fmt.Appendf(nil, "<seq by='%s'>%d</seq>", f.Owner, f.Rows[side].Seq))
			return nil
		})
		h.Message(side, modules.Copy, func(f *modules.Flight) error {
			for _, e := range f.Run.(*leg).b.r.Registry.Sessions(f.Owner) {
				if strings.HasPrefix(e.JID.Resource(), "copy") {
					f.SendCopy(side, e.Ref, stanza.NewBuilder(nil).Raw(f.Stanza.Emit(nil, side)))
				}
			}
			return nil
		})
	}
	return f, h
}

// Each side has its row, which is stamped before the delivery; copies have the
// stamp of their side; who writes to himself has one row.
func TestRows(t *testing.T) {
	t.Parallel()
	s := &ledger{}
	f, _ := archiving(t, s)
	romeo, home := f.bind("romeo@localhost/home", 0)
	_, sent := f.bind("romeo@localhost/copy", -1)
	_, balcony := f.bind("juliet@localhost/balcony", 0)
	f.send(t, romeo, "<message to='juliet@localhost' id='1'/>", "<message id='2'/>")
	const from = " from='romeo@localhost/home'"
	want := []string{
		"juliet@localhost 1 1 romeo@localhost/home <message" + from + " to='juliet@localhost' id='1'/>",
		"romeo@localhost 1 3 juliet@localhost <message" + from + " to='juliet@localhost' id='1'/>",
		"romeo@localhost 2 1 romeo@localhost/home <message" + from + " to='romeo@localhost' id='2'/>",
	}
	if diff := cmp.Diff(want, s.rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	for name, c := range map[string]struct{ got, want string }{
		"recipient": {string(balcony.got), "<message" + from + " to='juliet@localhost' id='1'><seq by='juliet@localhost'>1</seq></message>"},
		"copies": {string(sent.got), "<message" + from + " to='juliet@localhost' id='1'><seq by='romeo@localhost'>1</seq></message>" +
			"<message" + from + " id='2'><seq by='romeo@localhost'>2</seq></message>" +
			"<message" + from + " to='romeo@localhost' id='2'><seq by='romeo@localhost'>2</seq></message>"},
		"sender": {string(home.got), "<message" + from + " to='romeo@localhost' id='2'><seq by='romeo@localhost'>2</seq></message>"},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if seq, err := f.r.Settled(romeo.JID); seq != 2 || err != nil {
		t.Errorf("settled %d, %v", seq, err)
	}
}

// A message that the sender's archive has already is delivered all the same if
// the recipient's has not: it may have been refused then. If both have it nobody
// hears of it again, and the sender gets no error.
func TestRowsKnown(t *testing.T) {
	t.Parallel()
	for known, want := range map[string]string{
		"romeo":          "<message from='romeo@localhost/home' to='juliet@localhost' id='1'><seq by='juliet@localhost'>1</seq></message>",
		"juliet":         "",
		"romeo & juliet": "",
	} {
		s := &ledger{refuse: func(m *storage.Message) error {
			if strings.Contains(known, m.Owner.Local()) {
				return storage.ErrExists
			}
			return nil
		}}
		f, _ := archiving(t, s)
		romeo, home := f.bind("romeo@localhost/home", 0)
		_, balcony := f.bind("juliet@localhost/balcony", 0)
		f.send(t, romeo, "<message to='juliet@localhost' id='1'/>")
		if diff := cmp.Diff(want, string(balcony.got)); diff != "" {
			t.Errorf("known to %s (-want +got):\n%s", known, diff)
		}
		if len(home.got) > 0 {
			t.Errorf("known to %s: the sender got %s", known, home.got)
		}
	}
}

// What was stored because nobody was there comes ahead of a later message of the same
// burst, for which somebody is.
func TestComesMeanwhile(t *testing.T) {
	t.Parallel()
	f, h := archiving(t, &ledger{})
	romeo, _ := f.bind("romeo@localhost/home", 0)
	var juliet *session.Session
	var balcony *sink
	h.Message(modules.Received, modules.Archive, func(f2 *modules.Flight) error {
		if f2.Absent {
			f2.AfterCommit(func() { juliet.Outbox.Append([]byte("stored")) })
		}
		if juliet == nil {
			juliet, balcony = f.bind("juliet@localhost/balcony", 0)
		}
		return nil
	})
	f.send(t, romeo, "<message to='juliet@localhost' id='1'><body/></message>", "<message to='juliet@localhost' id='2'><body/></message>")
	if got := string(balcony.got); !strings.HasPrefix(got, "stored<message") || strings.Contains(got, "id='1'") {
		t.Errorf("got %s", got)
	}
}

// What is delivered to one account comes in the order of its log, however long
// the runs of others take behind their commit; nobody else waits for that.
func TestTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, h := archiving(t, &ledger{})
		var mu sync.Mutex
		var seen []string
		note := func(what string) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, what)
		}
		h.Message(modules.Received, modules.Stamp, func(f *modules.Flight) error {
			if string(f.Stanza.ID()) == "slow" {
				time.Sleep(time.Second)
			}
			return nil
		})
		h.Message(modules.Received, modules.Copy, func(f *modules.Flight) error {
			note(string(f.Stanza.ID()))
			return nil
		})
		senders := make(map[string]*session.Session)
		for _, name := range []string{"romeo", "nurse", "paris", "juliet", "tybalt"} {
			senders[name], _ = f.bind(name+"@localhost/home", 0)
		}
		var all sync.WaitGroup
		begin := func(fn func()) {
			all.Go(fn)
			synctest.Wait()
		}
		begin(func() { f.send(t, senders["romeo"], "<message to='juliet@localhost' id='slow'/>") })
		begin(func() {
			if seq, err := f.r.Settled(jid.MustParse("juliet@localhost")); seq != 1 || err != nil {
				t.Errorf("settled %d, %v", seq, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if !slices.Contains(seen, "slow") {
				t.Error("settled before what came earlier")
			}
		})
		begin(func() { f.send(t, senders["nurse"], "<message to='juliet@localhost' id='fast'/>") })
		begin(func() { f.send(t, senders["paris"], "<message to='tybalt@localhost' id='other'/>") })
		all.Wait()
		if diff := cmp.Diff([]string{"other", "slow", "fast"}, seen); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
		f.r.Group.(*storage.Queue).Close()
	})
}
