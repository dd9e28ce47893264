package router

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/cluster"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// shelf is a store that keeps the owners of rows.
type shelf struct{ rows []string }

func (s *shelf) Join(r *storage.Run) {
	r.Begin()
	for _, w := range r.Writes {
		s.rows = append(s.rows, w.(*storage.Message).Owner.String())
	}
	r.End()
}

// witness is a module that sees sessions vanish between plan and delivery, and
// notes stage Missed.
type witness struct {
	vanish []*session.Session // when stage Archive is reached
	keep   bool               // whether Missed stores the message
	seen   []string
}

func (w *witness) attach(f *fixture) {
	h := modules.NewHost(jid.MustParse("localhost"), f.tables, f.r, modules.Info{Name: "witness"}, nil, nil, slog.New(slog.DiscardHandler), f.r.Now)
	h.Message(modules.Received, modules.Archive, func(*modules.Flight) error {
		for _, s := range w.vanish {
			s.Outbox.Discard()
			f.r.Registry.Remove(s)
		}
		return nil
	})
	h.Message(modules.Received, modules.Missed, func(f *modules.Flight) error {
		line := fmt.Sprintf("%s delivered %d missed", f.Owner, f.Delivered)
		for _, e := range f.Planned {
			line += " " + e.JID.Resource()
		}
		w.seen = append(w.seen, line)
		if w.keep {
			f.Row.Flags |= storage.Waiting
		}
		return nil
	})
}

// A session that was planned may vanish before it gets the message: then the
// message goes through stage Missed, once, and is kept or comes back.
func TestPlannedSessionVanishes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name            string
		sessions, gone  int
		keep            bool
		seen            string
		stored, bounced bool
	}{
		{"nobody vanishes", 2, 0, true, "", false, false},
		{"one of two", 2, 1, false, "juliet@localhost delivered 1 missed r0", false, false},
		{"the only one, kept", 1, 1, true, "juliet@localhost delivered 0 missed r0", true, false},
		{"both, kept", 2, 2, true, "juliet@localhost delivered 0 missed r0 r1", true, false},
		{"both, not kept", 2, 2, false, "juliet@localhost delivered 0 missed r0 r1", false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, store := newFixture(t), new(shelf)
			f.r.Group = store
			w := &witness{keep: tt.keep}
			w.attach(f)
			romeo, back := f.bind("romeo@localhost/a")
			var links []*sink
			for i := range tt.sessions {
				s, link := f.bind(fmt.Sprintf("juliet@localhost/r%d", i), 0)
				links = append(links, link)
				if i < tt.gone {
					w.vanish = append(w.vanish, s)
				}
			}
			f.send(t, romeo, "<message to='juliet@localhost' type='chat' id='1'><body>x</body></message>")
			if got := strings.Join(w.seen, "\n"); got != tt.seen {
				t.Errorf("stage Missed saw %q, want %q", got, tt.seen)
			}
			if stored := len(store.rows) > 0; stored != tt.stored {
				t.Errorf("stored: %v", store.rows)
			}
			if bounced := strings.Contains(string(back.got), "<service-unavailable "); bounced != tt.bounced {
				t.Errorf("the sender got %q", back.got)
			}
			for i, link := range links {
				if n := strings.Count(string(link.got), "<body>"); n != 1 && i >= tt.gone || n != 0 && i < tt.gone {
					t.Errorf("session %d got %q", i, link.got)
				}
			}
		})
	}
}

// The same on another node, which answers that the session is gone: the node of
// the sender runs stage Missed, once for the message, and tells the sender if it
// could not be kept.
func TestPlannedSessionVanishesElsewhere(t *testing.T) {
	t.Parallel()
	for i := range 6 {
		gone, keep := i/2, i%2 == 0
		t.Run(fmt.Sprint(gone, keep), func(t *testing.T) {
			t.Parallel()
			here, there, hub, store := newFixture(t), newFixture(t), cluster.NewLocal(), new(shelf)
			here.r.Group = store
			there.r.Registry = session.NewRegistry(2, nil)
			here.r.Join(hub.Join(1, here.r))
			node := hub.Join(2, there.r)
			there.r.Join(node)
			w := &witness{keep: keep}
			w.attach(here)
			romeo, back := here.bind("romeo@localhost/a")
			for i := range 2 {
				s, _ := there.bind(fmt.Sprintf("juliet@localhost/r%d", i), 0)
				node.Publish(s.Entry(), false)
				if i < gone {
					s.Outbox.Discard() // and the news is not here yet
				}
			}
			here.send(t, romeo, "<message to='juliet@localhost' type='chat' id='1'><body>x</body></message>")
			if want := gone / 2; len(w.seen) != want || len(store.rows) > 0 != (want > 0 && keep) {
				t.Errorf("stage Missed saw %q, stored were %q", w.seen, store.rows)
			}
			if bounced := strings.Contains(string(back.got), "<service-unavailable "); bounced != (gone == 2 && !keep) {
				t.Errorf("the sender got %q", back.got)
			}
		})
	}
}

// A question that nobody answers ends, and the table of questions is bounded.
func TestAsk(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s, link := f.bind("romeo@localhost/a")
	answers := 0
	ask := func() {
		f.r.Ask(s.Ref, stanza.Build("iq").Attr("type", "get").Empty("ping", "urn:xmpp:ping"), 10*time.Second, func(st *stanza.Stanza) {
			if st != nil {
				t.Error("an answer")
			}
			answers++
		})
	}
	for range 10 {
		ask()
	}
	if answers != 0 || strings.Count(string(link.got), "<ping ") != 10 {
		t.Fatalf("%d answers to %s", answers, link.got)
	}
	ask() // one too many
	if answers != 1 {
		t.Errorf("%d answers", answers)
	}
	for i := range 10 {
		f.r.Wheel.Advance(time.Unix(int64(2+i), 0))
	}
	if answers != 11 {
		t.Errorf("after ten seconds %d answers", answers)
	}
	ask()
	if answers != 11 {
		t.Error("the table is not free again")
	}
	f.r.Registry.Remove(s)
	ask()
	if answers != 12 {
		t.Error("a session that is gone was asked")
	}
}
