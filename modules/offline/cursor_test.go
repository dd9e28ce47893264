package offline_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/xmppd/xmppd/internal/routertest"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/carbons"
	"github.com/xmppd/xmppd/modules/offline"
	"github.com/xmppd/xmppd/router"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/sqlite"
)

// archive keeps every message with a body, as an archive does.
type archive struct {
	planned func(*modules.Flight) // called when it is known who gets a message
	stamped func(*modules.Flight) // called when its row is durable, before it is delivered
}

func (*archive) Info() modules.Info { return modules.Info{Name: "archive"} }

func (a *archive) Init(h *modules.Host) error {
	for _, side := range []modules.Side{modules.Sent, modules.Received} {
		h.Message(side, modules.Archive, func(f *modules.Flight) error {
			if side == modules.Sent && f.To.Bare() == f.Owner || !f.Stanza.Class.Has(stanza.Body) || f.Owed {
				return nil
			}
			if a.planned != nil {
				a.planned(f)
			}
			f.Row.Flags |= storage.Archived
			f.Row.ID, f.Row.Chat = string(f.Stanza.ID()), f.From.Bare()
			if strings.HasPrefix(f.Row.ID, "unique") {
				f.Row.Flags |= storage.Unique
			}
			if side == modules.Sent {
				f.Row.Chat = f.To.Bare()
			}
			return nil
		})
		h.Message(side, modules.Stamp, func(f *modules.Flight) error {
			f.Stanza.Append(side, []byte(stanzaID(f.Owner.String(), f.Rows[side].StanzaID())))
			if a.stamped != nil {
				a.stamped(f)
			}
			return nil
		})
	}
	return nil
}

func stanzaID(by, id string) string {
	return `<stanza-id xmlns='urn:xmpp:sid:0' by='` + by + `' id='` + id + `'/>`
}

// house is a server with an archive, or two that share it.
type house struct {
	*routertest.World
	t       *testing.T
	all     map[*routertest.Node]*offline.Module
	archive *archive
	looks   func(upTo int64) // called before each read of what waits
}

func newHouse(t *testing.T, nodes int) *house {
	t.Helper()
	h := &house{t: t, all: make(map[*routertest.Node]*offline.Module), archive: new(archive)}
	var made []*offline.Module
	list := func(db *sqlite.DB, r *router.Router) []modules.Module {
		m := offline.New(r.Wheel, looking{db, h}, nil, func() offline.Limits { return offline.Limits{Messages: 1000, Bytes: 16 << 20} })
		made = append(made, m)
		r.OnInvalidate("offline", m.Invalidated)
		return []modules.Module{h.archive, m, carbons.New()}
	}
	if nodes == 1 {
		h.World = routertest.New(t, list, "capulet.lit")
	} else {
		h.World = routertest.Pair(t, list, "capulet.lit")
		h.all[h.Other] = made[1]
	}
	h.all[h.Node] = made[0]
	h.Account("romeo@capulet.lit", juliet)
	return h
}

// looking is the store with a hook, to make things happen in the worst moment.
type looking struct {
	*sqlite.DB
	h *house
}

func (l looking) PendingMessages(ctx context.Context, owner jid.JID, after, upTo int64, limit int) ([]storage.Message, error) {
	if l.h.looks != nil {
		l.h.looks(upTo)
	}
	return l.DB.PendingMessages(ctx, owner, after, upTo, limit)
}

// pass lets time pass.
func (h *house) pass(seconds int) {
	h.t.Helper()
	for range seconds {
		for n, m := range h.all {
			n.Router.Wheel.Advance(time.Unix(n.Router.Wheel.Now()+1, 0))
			for _, task := range n.Tables("capulet.lit").Tasks() {
				if err := task.Run(h.t.Context()); err != nil {
					h.t.Errorf("%s: %v", task.Name, err)
				}
			}
			m.Wait()
		}
	}
}

// guest is a client of juliet's.
type guest struct {
	*routertest.Client
	h     *house
	n     *routertest.Node
	mute  bool // it answers no pings
	acked uint32
}

func (h *house) login(n *routertest.Node, resource string) *guest {
	h.t.Helper()
	return &guest{Client: n.Login(juliet + "/" + resource), h: h, n: n}
}

func (g *guest) available() *guest {
	g.n.Router.Fire(modules.Available, g.Session)
	g.n.Registry.SetPresence(g.Session, []byte("<presence/>"), 0)
	return g
}

// manage switches stream management on.
func (g *guest) manage() *guest {
	g.Outbox.Manage(session.Management{Limit: 1 << 20, Resumable: true, Now: func() int64 { return 1 }, Asked: func() {}}, nil)
	return g
}

// ack confirms n stanzas more.
func (g *guest) ack(n uint32) {
	g.h.t.Helper()
	g.acked += n
	if err := g.Outbox.Ack(g.acked); err != nil {
		g.h.t.Fatal(err)
	}
}

var (
	ping  = regexp.MustCompile(`<iq [^>]*id='([^']+)'[^>]*><ping xmlns='urn:xmpp:ping'/></iq>`)
	body  = regexp.MustCompile(`<body>([^<]*)</body>`)
	delay = regexp.MustCompile(`<delay [^>]*stamp='[^']*'/>`)
	sid   = regexp.MustCompile(`<stanza-id [^>]*id='([^']+)'/>`)
)

// received are the bodies of what the client got, in order, with a + where it was
// delayed. It answers pings.
func (g *guest) received() string {
	text, _ := g.read()
	return text
}

// read returns the ids, too.
func (g *guest) read() (text string, ids []string) {
	g.h.t.Helper()
	g.h.all[g.n].Wait()
	g.Outbox.Flush()
	var words []string
	for line := range strings.Lines(g.Received()) {
		if m := ping.FindStringSubmatch(line); m != nil {
			if !g.mute {
				g.Send(`<iq type='result' to='capulet.lit' id='` + m[1] + `'/>`)
			}
			continue
		}
		m := body.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if delay.MatchString(line) {
			m[1] += "+"
		}
		words = append(words, m[1])
		if m := sid.FindStringSubmatch(line); m != nil {
			ids = append(ids, m[1])
		} else {
			ids = append(ids, "")
		}
	}
	return strings.Join(words, " "), ids
}

func (g *guest) expect(want string) {
	g.h.t.Helper()
	if diff := cmp.Diff(want, g.received()); diff != "" {
		g.h.t.Errorf("%s received (-want +got):\n%s", g.JID, diff)
	}
}

func text(to, body string) string {
	return `<message to='` + to + `' type='chat' id='` + body + `'><body>` + body + `</body></message>`
}

// left are the rows that nobody has got, as the store knows it.
func (h *house) left() (seqs []int64) {
	h.t.Helper()
	rows, err := h.DB.PendingMessages(h.t.Context(), jid.MustParse(juliet), 0, 0, 1000)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, row := range rows {
		seqs = append(seqs, row.Seq)
	}
	return seqs
}

func (h *house) expectLeft(want ...int64) {
	h.t.Helper()
	if got := h.left(); !slices.Equal(got, want) {
		h.t.Errorf("left: %v, want %v", got, want)
	}
}

// What came while the client was there comes once, with and without stream
// management, also when it logs in again before anything has been written.
func TestLiveIsNotRepeated(t *testing.T) {
	t.Parallel()
	for _, managed := range []bool{false, true} {
		h := newHouse(t, 1)
		romeo := h.Login("romeo@capulet.lit/orchard")
		c := h.login(h.Node, "balcony")
		if managed {
			c.manage()
		}
		c.available()
		romeo.Send(text(juliet, "one"))
		c.expect("one")
		if managed {
			c.ack(1)
		}
		h.expectLeft(1) // as far as has been written
		c.Close()
		c = h.login(h.Node, "balcony").available()
		c.expect("")
		c.Close()
		h.pass(2)
		h.expectLeft()
		h.login(h.Node, "balcony").available().expect("")
	}
}

// What was not confirmed comes again, with the same id.
func TestSameIDWhenItComesTwice(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	c := h.login(h.Node, "balcony").available()
	c.mute = true
	romeo.Send(text(juliet, "one"))
	_, first := c.read()
	c.Close()
	got, second := h.login(h.Node, "balcony").available().read()
	if got != "one+" || !slices.Equal(first, second) || len(first) != 1 || first[0] == "" {
		t.Errorf("%q with %v, after %v", got, second, first)
	}
}

// A message that nobody has got waits for the first, whatever became of those who
// were sent it.
func TestUnconfirmedGoesOn(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	phone := h.login(h.Node, "phone").manage().available()
	romeo.Send(text(juliet+"/phone", "one"))
	phone.expect("one")
	tablet := h.login(h.Node, "tablet").available()
	laptop := h.login(h.Node, "laptop").available()
	romeo.Send(text(juliet+"/phone", "two"), text(juliet, "three"))
	tablet.expect("three")
	laptop.expect("three")
	phone.Close()
	tablet.expect("one+ two+")
	laptop.expect("")
	h.pass(2)
	tablet.expect("")
	h.pass(2)
	h.expectLeft()
}

// Rows that a session holds are not sent to another one, nor those of a page that
// is on its way.
func TestHeldStays(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	phone := h.login(h.Node, "phone").manage() // not available
	romeo.Send(text(juliet+"/phone", "one"))
	phone.expect("one")
	tablet := h.login(h.Node, "tablet").available()
	tablet.expect("")
	phone.ack(1)
	phone.Close()
	tablet.expect("")
}

// Copies of messages count for who gets them.
func TestCarbonsConfirm(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	phone, tablet := h.login(h.Node, "phone").manage(), h.login(h.Node, "tablet").manage()
	h.Registry.SetCarbons(tablet.Session, true)
	romeo.Send(text(juliet+"/phone", "one"))
	phone.expect("one")
	tablet.expect("one")
	tablet.ack(1)
	phone.Close()
	h.login(h.Node, "laptop").available().expect("")
	h.pass(2)
	h.expectLeft()
}

// Who reads the archive, or is expected to, is sent later what his pages did not
// hold; who does not, at once.
func TestReader(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	romeo.Send(text(juliet, "one"), text(juliet, "two"), text(juliet, "three"))
	c := h.login(h.Node, "balcony").manage()
	m := h.all[h.Node]
	m.Queried(c.Session)
	c.available()
	c.expect("")
	romeo.Send(text(juliet, "four")) // comes at once
	c.expect("four")
	h.pass(9)
	m.Queried(c.Session)
	c.Outbox.AppendRow([]byte("<message><body>page</body></message>"), 2)
	h.pass(9)
	c.expect("page")
	h.pass(1)
	c.expect("one+ three+")
	c.ack(4)
	h.pass(2)
	h.expectLeft()
	h.pass(20)
	c.expect("")
}

// Bind 2 lets expect a reader, who has some seconds to begin.
func TestBind2(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	romeo.Send(text(juliet, "one"))
	c := h.login(h.Node, "balcony")
	c.Close()
	c.Session = session.New(h.Registry.NewRef(), c.JID, session.Info{Bind2: true}, session.NewOutbox(c.Client, session.NewChunks(0), 1<<20))
	h.Registry.Add(c.Session)
	h.Router.Fire(modules.Bound, c.Session)
	c.available()
	h.pass(9)
	c.expect("")
	h.pass(1)
	c.expect("one+")
}

// A reader and a client that never reads, in either order.
func TestBothKinds(t *testing.T) {
	t.Parallel()
	t.Run("reader first", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, 1)
		romeo := h.Login("romeo@capulet.lit/orchard")
		romeo.Send(text(juliet, "one"), text(juliet, "two"))
		reader := h.login(h.Node, "reader").manage()
		h.all[h.Node].Queried(reader.Session)
		reader.available()
		reader.Outbox.AppendRow([]byte("<message><body>page</body></message>"), 2)
		h.pass(10)
		reader.expect("page one+")
		plain := h.login(h.Node, "plain").available()
		plain.expect("")
		romeo.Send(text(juliet, "three"))
		reader.expect("three")
		plain.expect("three")
		reader.ack(1) // the page
		reader.Close()
		plain.expect("one+")
	})
	t.Run("while the reader reads", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, 1)
		romeo := h.Login("romeo@capulet.lit/orchard")
		romeo.Send(text(juliet, "one"), text(juliet, "two"))
		reader := h.login(h.Node, "reader").manage()
		h.all[h.Node].Queried(reader.Session)
		reader.available()
		reader.Outbox.AppendRow([]byte("<message><body>page</body></message>"), 2)
		reader.expect("page")
		plain := h.login(h.Node, "plain").available()
		plain.expect("one+")
		h.pass(20)
		reader.expect("")
		reader.ack(1)
		reader.Close()
		plain.expect("")
	})
	t.Run("plain first", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, 1)
		romeo := h.Login("romeo@capulet.lit/orchard")
		romeo.Send(text(juliet, "one"), text(juliet, "two"))
		plain := h.login(h.Node, "plain").available()
		plain.expect("one+ two+")
		reader := h.login(h.Node, "reader").manage()
		h.all[h.Node].Queried(reader.Session)
		reader.available()
		h.pass(20)
		reader.expect("")
		plain.expect("")
	})
	t.Run("the reader leaves early", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, 1)
		romeo := h.Login("romeo@capulet.lit/orchard")
		romeo.Send(text(juliet, "one"))
		reader := h.login(h.Node, "reader").manage()
		h.all[h.Node].Queried(reader.Session)
		reader.available()
		plain := h.login(h.Node, "plain").available()
		plain.mute = true // confirms nothing
		plain.expect("one+")
		plain.Close()
		reader.expect("")
		h.pass(20)
		reader.expect("one+")
	})
}

// Who takes what waits goes while another becomes available, and has been told so.
func TestLeftWhileOpening(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	first := h.login(h.Node, "first").manage().available()
	romeo.Send(text(juliet, "one"))
	second := h.login(h.Node, "second").manage()
	h.Node.Router.Fire(modules.Available, second.Session)
	first.Close()
	h.Node.Registry.SetPresence(second.Session, []byte("<presence/>"), 0)
	h.pass(5)
	second.expect("one+")
}

// Thousands wait, and somebody writes meanwhile: each comes once, in order.
func TestManyOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	var want []string
	for i := range 500 {
		romeo.Send(text(juliet, fmt.Sprint(i)))
		want = append(want, fmt.Sprint(i)+"+")
	}
	c := h.login(h.Node, "balcony").manage()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 100 {
			romeo.Send(text(juliet, fmt.Sprintf("live%d", i)))
		}
	}()
	c.available()
	<-done
	for i := range 100 {
		want = append(want, fmt.Sprintf("live%d", i))
	}
	got := strings.Fields(c.received())
	for i := range got {
		if strings.HasPrefix(got[i], "live") {
			got[i] = strings.TrimSuffix(got[i], "+")
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	c.ack(600)
	h.pass(2)
	h.expectLeft()
}

// Who confirms nothing gets no more than a window of what waits; the rest follows.
func TestWindow(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	const n = 50
	for i := range n {
		romeo.Send(`<message to='` + juliet + `' id='` + strings.Repeat("x", 30<<10) + `'><body>` + fmt.Sprint(i) + `</body></message>`)
	}
	c := h.login(h.Node, "balcony").manage().available()
	first := len(strings.Fields(c.received()))
	if first < 30 || first > 37 {
		t.Errorf("%d messages of 30 KiB before anything is confirmed", first)
	}
	h.pass(10)
	c.expect("")
	c.ack(uint32(first))
	rest := len(strings.Fields(c.received()))
	if rest != n-first {
		t.Errorf("%d messages, then %d", first, rest)
	}
	c.ack(uint32(rest))
	h.pass(2)
	h.expectLeft()
}

// A message that is sent again comes out of the log if it was stored, but not
// delivered, before the server ended; it comes to nobody who has it.
func TestSentAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	run := &storage.Run{Writes: []storage.Write{&storage.Message{
		Owner: jid.MustParse(juliet), Peer: romeo.JID, Chat: romeo.JID.Bare(), ID: "unique", Flags: storage.Archived | storage.Unique, Arrived: time.Now(),
		XML: []byte(`<message from='` + romeo.JID.String() + `' to='` + juliet + `' id='unique'><body>unique</body></message>`),
	}}}
	h.DB.Join(run)
	run.Wait()
	if run.Errs[0] != nil {
		t.Fatal(run.Errs[0])
	}
	c := h.login(h.Node, "balcony")
	h.Registry.SetPresence(c.Session, []byte("<presence/>"), 0) // had all, says the module
	c.expect("")
	for range 2 {
		romeo.Send(text(juliet, "unique"))
	}
	c.expect("unique+")
	romeo.Send(text(juliet, "unique"))
	c.expect("")
	h.pass(2)
	h.expectLeft()
}

// What cannot be written is kept, and counts meanwhile; a planned stop writes it.
func TestConfirmationsSurvive(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	c := h.login(h.Node, "balcony").manage().available()
	romeo.Send(text(juliet, "one"))
	c.expect("one")
	c.ack(1)
	c.Close()
	h.expectLeft(1)
	if err := h.Tables("capulet.lit").Stopping(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.expectLeft()
}

// What is on its way to somebody else is not what waits.
func TestOnItsWay(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	phone, tablet := h.login(h.Node, "phone"), h.login(h.Node, "tablet")
	done := make(chan struct{})
	h.archive.stamped = func(f *modules.Flight) {
		if f.Owner != jid.MustParse(juliet) {
			return
		}
		h.archive.stamped = nil
		go func() {
			defer close(done)
			tablet.available()
		}()
		select { // it waits for this message to be delivered, whoever is right
		case <-done:
			t.Error("it did not wait")
		case <-time.After(50 * time.Millisecond):
		}
	}
	romeo.Send(text(juliet+"/phone", "one"))
	<-done
	phone.expect("one")
	tablet.expect("")
}

// A row that is stored while what waits is being sent, and has not been delivered
// yet, is not what waits.
func TestOnItsWayMeanwhile(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	romeo.Send(text(juliet, "one"))
	phone, tablet := h.login(h.Node, "phone"), h.login(h.Node, "tablet")
	stored, deliver, sent := make(chan struct{}), make(chan struct{}), make(chan struct{})
	h.archive.stamped = func(f *modules.Flight) {
		if f.Owner == jid.MustParse(juliet) {
			close(stored)
			<-deliver
		}
	}
	h.looks = func(upTo int64) {
		if upTo != 0 {
			h.looks = nil
			go func() {
				defer close(sent)
				romeo.Send(text(juliet+"/phone", "two"))
			}()
			<-stored
		}
	}
	tablet.available()
	close(deliver)
	<-sent
	phone.expect("two")
	tablet.expect("one+")
}

// A message that nobody was there for when it came, and a reader when it was
// stored: it comes at once, what is older waits for the reader.
func TestReaderAndNewMessage(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	romeo.Send(text(juliet, "one"))
	c := h.login(h.Node, "balcony").manage()
	h.all[h.Node].Queried(c.Session)
	h.archive.planned = func(f *modules.Flight) {
		if f.Owner == jid.MustParse(juliet) {
			h.archive.planned = nil
			c.available()
		}
	}
	romeo.Send(text(juliet, "two"))
	c.expect("two+")
	h.pass(10)
	c.expect("one+")
}

// A ping is behind each message of a conversation, but in the long run there is one in
// two seconds.
func TestPingsAreRare(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	c := h.login(h.Node, "balcony").available()
	pings := func() (ids []string) {
		h.all[h.Node].Wait()
		c.Outbox.Flush()
		for _, m := range ping.FindAllStringSubmatch(c.Received(), -1) {
			ids = append(ids, m[1])
		}
		return ids
	}
	expect := func(want int, when string) {
		t.Helper()
		ids := pings()
		if len(ids) != want {
			t.Errorf("%d pings %s, want %d", len(ids), when, want)
		}
		for _, id := range ids {
			c.Send(`<iq type='error' to='capulet.lit' id='` + id + `'><error type='cancel'/></iq>`)
		}
	}
	h.pass(60)
	for range 28 {
		romeo.Send(text(juliet, "one"))
		expect(1, "behind a message")
	}
	romeo.Send(text(juliet, "two"))
	first := pings()
	romeo.Send(text(juliet, "three"))
	expect(0, "while another is on its way")
	c.Send(`<iq type='result' to='capulet.lit' id='` + first[0] + `'/>`)
	expect(1, "behind what has come meanwhile")
	for range 2 {
		romeo.Send(text(juliet, "four"))
		romeo.Send(text(juliet, "five"))
		expect(0, "when there have been many")
		h.pass(1)
		expect(0, "one second later")
		h.pass(1)
		expect(1, "two seconds later")
	}
	h.pass(1)
	h.expectLeft()
}

// A restart, here to another process: what a session's queue holds is not sent to it
// again, what it was not sent yet is.
func TestRestored(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	romeo := h.Login("romeo@capulet.lit/orchard")
	romeo.Send(text(juliet, "one"))
	c := h.login(h.Node, "phone").manage().available()
	c.expect("one+")
	c.Session.Stream = &session.Stream{ID: "a"}
	snap := c.Save()
	h.Registry.Remove(c.Session)
	romeo.Send(text(juliet, "two"))

	kept, err := snap.Session(h.Other.Registry.NewRef())
	if err != nil {
		t.Fatal(err)
	}
	kept.Outbox = session.Restore(session.NewChunks(0), 1<<20, session.Management{
		Limit: 1 << 20, Resumable: true, Now: func() int64 { return 1 }, Asked: func() {},
	}, snap.Sent, snap.Acked, snap.Queue)
	h.Other.Registry.Add(kept)
	h.Other.Router.Fire(modules.Restored, kept)
	kept.Outbox.Attach(c.Client, nil)
	h.Other.Router.Fire(modules.Resumed, kept)
	kept.Outbox.Flush()
	c.Session, c.n = kept, h.Other
	c.expect("one+ two+")
	c.ack(2)
	h.pass(2)
	h.expectLeft()
}

// A session on another node gets what one here left behind, and nothing that it
// confirmed.
func TestOtherNodeGoesOn(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	romeo := h.Login("romeo@capulet.lit/orchard")
	phone := h.login(h.Node, "phone").manage().available()
	tablet := h.login(h.Other, "tablet").manage().available()
	romeo.Send(text(juliet+"/phone", "one"), text(juliet+"/phone", "two"))
	phone.expect("one two")
	phone.ack(1)
	phone.Close()
	tablet.expect("two+")
}

// Rows that were sent before stream management began are proven by a ping, but only
// over the connection that it went over.
func TestBeforeManagement(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	phone := h.login(h.Node, "phone").available()
	phone.mute = true
	romeo.Send(text(juliet, "one"))
	phone.expect("one")
	phone.manage()
	phone.Outbox.Detach()
	phone.Outbox.Attach(phone.Client, nil)
	h.Router.Fire(modules.Resumed, phone.Session)
	phone.expect("one+")
	phone.Close()
	h.login(h.Node, "tablet").available().expect("one+")
}

// What has been retracted before it was delivered is nothing to be read.
func TestTombstone(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	romeo.Send(text(juliet, "one"), text(juliet, "two"))
	run := storage.Run{Writes: []storage.Write{&storage.Retraction{
		Owner: jid.MustParse(juliet), Chat: jid.MustParse("romeo@capulet.lit"), ID: "one", Element: []byte("<body>nothing</body>"),
	}}}
	h.DB.Join(&run)
	if run.Wait(); run.Errs[0] != nil {
		t.Fatal(run.Errs[0])
	}
	h.login(h.Node, "balcony").available().expect("two+")
	h.pass(2)
	h.expectLeft()
}
