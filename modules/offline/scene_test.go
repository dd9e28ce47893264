package offline_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/moduletest"
	"github.com/xmppd/xmppd/modules/offline"
	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/sqlite"
)

const (
	juliet = "juliet@capulet.lit"
	romeo  = "romeo@montague.lit/orchard"
)

// scene is a world with the module on a real store.
type scene struct {
	*moduletest.World
	t      *testing.T
	m      *offline.Module
	db     *sqlite.DB
	limits offline.Limits
	flags  storage.Flags // of what is stored
	read   func()        // called behind each read of the store
	// blocked is whom the account has blocked; unknown: that cannot be read.
	blocked jid.JID
	unknown error
}

// Blocked implements visible.Blocks.
func (s *scene) Blocked(_ context.Context, owner, other jid.JID) (bool, error) {
	return owner == jid.MustParse(juliet) && other == s.blocked, s.unknown
}

func newScene(t *testing.T) *scene {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "test.db"), Durability: "normal"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := db.CreateAccount(t.Context(), jid.MustParse(juliet), nil); err != nil {
		t.Fatal(err)
	}
	s := &scene{World: moduletest.New(t), t: t, db: db, limits: offline.Limits{Messages: 1000, Bytes: 16 << 20}}
	s.m = offline.New(s.Wheel, watched{db, s}, s, func() offline.Limits { return s.limits })
	s.Init(s.m)
	return s
}

// watched is the store with a hook, to make things happen in the worst moment.
type watched struct {
	*sqlite.DB
	s *scene
}

func (w watched) PendingMessages(ctx context.Context, owner jid.JID, after, upTo int64, limit int) ([]storage.Message, error) {
	rows, err := w.DB.PendingMessages(ctx, owner, after, upTo, limit)
	if fn := w.s.read; fn != nil {
		w.s.read = nil
		fn()
	}
	return rows, err
}

// plan takes a message through Amend and Archive as if nobody were there; what
// is returned commits it and runs what waits for that.
func (s *scene) plan(xml string) (f *modules.Flight, commit func() error, verdict error) {
	s.t.Helper()
	return s.planFrom(romeo, xml)
}

func (s *scene) planFrom(from, xml string) (f *modules.Flight, commit func() error, verdict error) {
	s.t.Helper()
	f, err := s.Pass(modules.Received, modules.Amend, from, xml, nil)
	if err == nil {
		f.Absent, f.Row = true, &storage.Message{Flags: s.flags}
		_, err = s.Tables.Pass(f.Stanza.Kind, modules.Received, modules.Archive, f)
	}
	return f, func() error { return s.commit(f) }, err
}

// commit does what the router does at the end of a run.
func (s *scene) commit(f *modules.Flight) error {
	row := f.Row
	row.Owner, row.Peer, row.Arrived, row.XML = f.Owner, f.From, f.Arrived, f.Stanza.Emit(nil, modules.Received)
	row.Chat = row.Peer.Bare()
	group := storage.Run{Writes: []storage.Write{row}}
	s.db.Join(&group)
	group.Wait()
	if err := errors.Join(group.Errs...); err != nil {
		return err
	}
	f.Rows[modules.Received] = row
	for _, fn := range f.Run.(*moduletest.Run).After {
		fn()
	}
	return nil
}

// pass lets time pass.
func (s *scene) pass(seconds int) {
	s.t.Helper()
	for range seconds {
		s.Advance(time.Second)
		for _, task := range s.Tables.Tasks() {
			if err := task.Run(s.t.Context()); err != nil {
				s.t.Errorf("%s: %v", task.Name, err)
			}
		}
		s.m.Wait()
	}
}

func (s *scene) store(xml string) {
	s.t.Helper()
	s.storeFrom(romeo, xml)
}

func (s *scene) storeFrom(from, xml string) {
	s.t.Helper()
	_, commit, verdict := s.planFrom(from, xml)
	if err := errors.Join(verdict, commit()); err != nil {
		s.t.Fatalf("store %s: %v", xml, err)
	}
}

// waiting counts what nobody has got, when all confirmations have been written.
func (s *scene) waiting() int {
	s.t.Helper()
	for _, task := range s.Tables.Tasks() {
		if err := task.Run(s.t.Context()); err != nil {
			s.t.Errorf("%s: %v", task.Name, err)
		}
	}
	n, err := s.db.CountMessages(s.t.Context(), jid.MustParse(juliet))
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func message(body string) string {
	return `<message from='` + romeo + `' to='` + juliet + `' type='chat'><body>` + body + `</body></message>`
}

// delivered is message as it arrives from the store.
func delivered(body string) string {
	return strings.Replace(message(body), `</message>`,
		`<delay xmlns='urn:xmpp:delay' from='capulet.lit' stamp='2026-07-14T23:08:25.000Z'/></message>`, 1)
}

const (
	available = `<presence/>`
	asked     = `<iq type='get'><ping xmlns='urn:xmpp:ping'/></iq>`
	pong      = `<iq type='result' id='1'/>`
	refused   = `<iq type='error' id='1'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`
)

func (s *scene) expect(c *moduletest.Client, want ...string) {
	s.t.Helper()
	if diff := cmp.Diff(strings.Join(want, ""), c.Received()); diff != "" {
		s.t.Errorf("%s received (-want +got):\n%s", c.JID, diff)
	}
}

func (s *scene) expectWaiting(want int) {
	s.t.Helper()
	if got := s.waiting(); got != want {
		s.t.Errorf("%d messages wait, want %d", got, want)
	}
}
