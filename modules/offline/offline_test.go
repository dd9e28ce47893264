package offline_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/moduletest"
	"github.com/xmppd/xmppd/modules/offline"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
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

func TestDeliveredOnce(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{pong, refused} {
		s := newScene(t)
		s.store(message("one"))
		s.store(message("two"))
		c := s.Login(juliet + "/balcony")
		s.expect(c)
		c.Presence(available, 0)
		s.expect(c, delivered("one"), delivered("two"), asked)
		s.expectWaiting(2)
		s.Answer(answer)
		s.expectWaiting(0)
		s.expect(c)
		c.Close()
		c = s.Login(juliet + "/balcony")
		c.Presence(available, 0)
		s.expect(c)
	}
}

func TestNegativePriority(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	c := s.Login(juliet + "/balcony")
	c.Presence(available, -1)
	s.store(message("one"))
	s.expect(c)
	c.Presence(available, 0)
	s.expect(c, delivered("one"), asked)
}

func TestDeadConnectionLosesNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.store(message("one"))
	c := s.Login(juliet + "/balcony")
	c.Presence(available, 0)
	s.expect(c, delivered("one"), asked)
	c.Close()
	s.Answer("")
	s.expectWaiting(1)
	s.store(message("two"))
	c = s.Login(juliet + "/balcony")
	c.Presence(available, 0)
	s.expect(c, delivered("one"), delivered("two"), asked)
}

func TestFirstSessionGetsThem(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.store(message("one"))
	first, second := s.Login(juliet+"/balcony"), s.Login(juliet+"/chamber")
	first.Presence(available, 0)
	second.Presence(available, 0)
	s.expect(first, delivered("one"), asked)
	s.expect(second)

	first.Close() // without an answer
	s.expect(second, delivered("one"), asked)
	s.Answer("") // to the first
	s.expectWaiting(1)
	s.Answer(pong)
	s.expectWaiting(0)
}

// Two sessions become available at the same time.
func TestBothAtOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.store(message("one"))
	first, second := s.Login(juliet+"/balcony"), s.Login(juliet+"/chamber")
	s.read = func() {
		second.Presence(available, 0)
		s.expect(second)
	}
	first.Presence(available, 0)
	s.expect(first, delivered("one"), asked)
	s.expect(second)
}

func TestNothingTwiceInOneSession(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.store(message("one"))
	c := s.Login(juliet + "/balcony")
	c.Presence(available, 0)
	s.expect(c, delivered("one"), asked)
	c.Presence(`<presence type='unavailable'/>`, 0)
	s.store(message("two"))
	s.expect(c) // an unavailable resource gets nothing (RFC 6121 §8.5.2.2)
	c.Presence(available, 0)
	s.expect(c, delivered("two"))
	s.Answer(pong) // was sent behind the first only
	s.expectWaiting(1)
	s.expect(c, asked)
	s.Answer(pong)
	s.expectWaiting(0)
}

func TestPlannedBeforeCommittedAfter(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	_, commit, _ := s.plan(message("one"))
	c := s.Login(juliet + "/balcony")
	c.Presence(available, 0)
	s.expect(c)
	if err := commit(); err != nil {
		t.Fatal(err)
	}
	s.expect(c, delivered("one"), asked)
}

// The message is committed when the session has looked, and is not available yet.
func TestCommittedBehindTheLook(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.store(message("one"))
	_, commit, _ := s.plan(message("two"))
	s.read = func() {
		if err := commit(); err != nil {
			t.Error(err)
		}
	}
	c := s.Login(juliet + "/balcony")
	c.Presence(available, 0)
	s.expect(c, delivered("one"), delivered("two"), asked)
}

func TestManyInOrder(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var want []string
	for i := range 123 {
		s.store(message(fmt.Sprint(i)))
		want = append(want, delivered(fmt.Sprint(i)))
	}
	c := s.Login(juliet + "/balcony")
	c.Presence(available, 0)
	s.expect(c, append(want, asked)...)
	s.Answer(pong)
	s.expectWaiting(0)
}

// More waits than the outbox may hold: it comes as fast as the client reads,
// and all of it before the session is available.
func TestPaceOfTheClient(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	long := strings.Repeat("x", 30<<10)
	const n = 60 // 1.8 MB, the outbox takes 1 MiB
	for range n {
		s.store(message(long))
	}
	c := s.Login(juliet + "/balcony")
	c.Stall(true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Presence(available, 0)
	}()
	got := ""
	for open := true; open; {
		select {
		case <-done:
			open = false
		default:
			c.Stall(false)
			got += c.Received()
			c.Stall(true)
		}
	}
	c.Stall(false)
	c.Outbox.Flush()
	for !strings.HasSuffix(got, asked) {
		got += c.Received()
	}
	if want := strings.Repeat(delivered(long), n) + asked; got != want {
		t.Errorf("received %d bytes, want %d", len(got), len(want))
	}
}

// A sender never waits for a reader: what does not fit follows later.
func TestSenderDoesNotWait(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	c := s.Login(juliet + "/balcony")
	c.Presence(available, 0)
	c.Stall(true)
	long := strings.Repeat("x", 30<<10)
	var commits []func() error
	for range 5 {
		_, commit, _ := s.plan(message(long))
		commits = append(commits, commit)
	}
	for _, commit := range commits {
		if err := commit(); err != nil {
			t.Fatal(err)
		}
	}
	c.Stall(false)
	got := c.Received()
	for s.Answer(pong) {
		s.pass(2)
		got += c.Received()
	}
	if n := strings.Count(got, delivered(long)); n != 5 {
		t.Errorf("%d messages", n)
	}
	s.expectWaiting(0)
}

func TestLimits(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.limits = offline.Limits{Messages: 2, Bytes: 1 << 20}
	s.store(message("one"))
	s.store(message("two"))
	if _, commit, verdict := s.plan(message("three")); verdict != nil || !errors.Is(commit(), storage.ErrTooMany) {
		t.Errorf("the third of two: %v", verdict)
	}
	s.limits = offline.Limits{}
	if f, _, verdict := s.plan(message("four")); verdict != nil || f.Stored {
		t.Errorf("nothing is to be kept: %v, stored %v", verdict, f.Stored)
	}
	s.expectWaiting(2)
}

func TestForgedDelay(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	const foreign = `<delay xmlns='urn:xmpp:delay' from='rooms.montague.lit' stamp='2001-01-01T00:00:00Z'/>`
	head := `<message from='` + romeo + `' to='` + juliet + `'><body>hi</body>`
	s.store(head + `<delay xmlns='urn:xmpp:delay' from='Capulet.LIT' stamp='2001-01-01T00:00:00Z'/>` + foreign + `</message>`)
	c := s.Login(juliet + "/balcony")
	c.Presence(available, 0)
	s.expect(c, head+foreign+`<delay xmlns='urn:xmpp:delay' from='capulet.lit' stamp='2026-07-14T23:08:25.000Z'/></message>`, asked)
}

func TestOtherNodes(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.store(message("one"))
	if len(s.Invalidated) != 0 {
		t.Errorf("nobody is there, and told: %v", s.Invalidated)
	}
	s.Elsewhere(juliet+"/abroad", true)
	s.store(message("two"))
	if diff := cmp.Diff([]string{"offline juliet@capulet.lit"}, s.Invalidated); diff != "" {
		t.Error(diff)
	}
	c := s.Login(juliet + "/balcony")
	c.Presence(available, 0)
	s.expect(c) // the other has them
	s.m.Invalidated(jid.MustParse("juliet@montague.lit"))
	s.expect(c)
	s.m.Invalidated(jid.MustParse(juliet))
	s.expect(c, delivered("one"), delivered("two"), asked)
}

func TestMissed(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	miss := func(delivered int, stored *storage.Message) (kept bool) {
		f, err := s.Pass(modules.Received, modules.Missed, romeo, message("m"), func(f *modules.Flight) {
			f.Delivered, f.Row = delivered, new(storage.Message)
			f.Rows[modules.Received] = stored
		})
		if err != nil {
			t.Fatal(err)
		}
		return f.Row.Flags.Has(storage.Waiting)
	}
	if miss(1, nil) {
		t.Error("kept, and another session got it")
	}
	if !miss(0, nil) {
		t.Error("not kept, and nobody got it")
	}
	if miss(0, &storage.Message{Seq: 1}) {
		t.Error("kept, and it stands in the log")
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.store(message("one"))
	s.Advance(48 * time.Hour)
	s.store(message("two"))
	expect := func(want string, words ...string) {
		t.Helper()
		got, err := s.Call(words...)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", words, diff)
		}
	}
	line := func(time, body string) string {
		return time + "\t" + romeo + "\t" + juliet + "\t" + message(body)
	}
	expect("2", "get_offline_count", "juliet", "capulet.lit")
	expect("0", "get_offline_count", "romeo", "capulet.lit")
	expect(line("2026-07-14T23:08:25Z", "one")+"\n"+line("2026-07-16T23:08:25Z", "two"), "get_offline_messages", "juliet", "capulet.lit")
	expect("", "delete_old_messages", "9223372036854775807")
	expect("2", "get_offline_count", "juliet", "capulet.lit")
	expect("", "delete_old_messages", "1")
	expect(line("2026-07-16T23:08:25Z", "two"), "get_offline_messages", "juliet", "capulet.lit")
	for _, name := range []string{"get_offline_count", "get_offline_messages"} {
		if _, err := s.Call(name, "juliet", "capullet.lit"); err == nil || err.Error() != "unknown_host: Unknown virtual host" {
			t.Errorf("%s of a domain that is not served: %v", name, err)
		}
	}
	if _, err := s.Call("delete_old_messages", "-1"); err == nil {
		t.Error("a negative number of days")
	}
}

// What was stored while the session became available does not arrive behind what
// comes to it directly, however much waits for the client.
func TestStoredBeforeDirect(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	_, commit, _ := s.plan(message("stored"))
	c := s.Login(juliet + "/balcony")
	c.Presence(available, 0)
	c.Stall(true)
	c.Outbox.Append([]byte("<message/>"))
	c.Outbox.Flush()
	c.Outbox.Append([]byte("<message><body>" + strings.Repeat("x", 100<<10) + "</body></message>"))
	if err := commit(); err != nil {
		t.Fatal(err)
	}
	c.Outbox.Append([]byte(message("direct")))
	c.Stall(false)
	got := c.Received()
	for s.Answer(pong) {
		got += c.Received()
	}
	stored, direct := strings.Index(got, delivered("stored")), strings.Index(got, message("direct"))
	if stored < 0 || direct < stored {
		t.Errorf("stored at %d, direct at %d", stored, direct)
	}
}

// A session whose connection has ended, and which is not gone yet, does not keep
// messages from the others.
func TestEndedSessionTakesNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	first, second := s.Login(juliet+"/balcony"), s.Login(juliet+"/chamber")
	first.Presence(available, 0)
	second.Presence(available, 0)
	first.Kick(stanza.StreamConflict, "")
	s.store(message("one"))
	s.expect(second, delivered("one"), asked)
}

// What somebody wrote who has been blocked since is not delivered, and goes with
// what is.
func TestBlockedSince(t *testing.T) {
	t.Parallel()
	nurse := strings.ReplaceAll(message("hers"), romeo, "nurse@capulet.lit")
	for name, stored := range map[string][]string{
		"between others": {"one", nurse, "two"},
		"behind others":  {"one", nurse},
		"alone":          {nurse},
	} {
		for _, managed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, managed: %v", name, managed), func(t *testing.T) {
				t.Parallel()
				s := newScene(t)
				s.blocked = jid.MustParse("nurse@capulet.lit")
				var want []string
				for _, text := range stored {
					if text == nurse {
						s.storeFrom("nurse@capulet.lit", nurse)
						continue
					}
					s.store(message(text))
					want = append(want, delivered(text))
				}
				c := s.Login(juliet + "/balcony")
				if managed {
					c.Outbox.Manage(session.Management{Limit: 1 << 20, Now: func() int64 { return 1 }, Asked: func() {}}, nil)
				}
				c.Presence(available, 0)
				n := len(want)
				switch {
				case n == 0:
				case managed:
					want = append(want, `<r xmlns='urn:xmpp:sm:3'/>`)
				default:
					want = append(want, asked)
				}
				s.expect(c, want...)
				if managed {
					c.Outbox.Ack(uint32(n))
				} else if n > 0 {
					s.Answer(pong)
				}
				s.expectWaiting(0)
				s.blocked = jid.JID{}
				c.Presence(available, 0)
				s.expect(c)
			})
		}
	}
}

// As long as it cannot be known who is blocked, nothing is delivered or lost.
func TestBlockedUnknown(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.store(message("one"))
	s.unknown = errors.New("gone")
	c := s.Login(juliet + "/balcony")
	c.Presence(available, 0)
	s.expect(c)
	s.expectWaiting(1)
	s.unknown = nil
	s.store(message("two"))
	s.expect(c, delivered("one"), delivered("two"), asked)
	s.Answer(pong)
	c.Close()

	s.store(message("three"))
	s.unknown = errors.New("gone")
	c = s.Login(juliet + "/balcony")
	c.Presence(available, 0)
	s.pass(9)
	s.unknown = nil
	s.expect(c)
	s.pass(1) // it tries again by itself
	s.expect(c, delivered("three"), asked)
}
