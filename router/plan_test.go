package router

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// sink is a connection that keeps what it gets.
type sink struct{ got []byte }

func (s *sink) AppendElement(dst, xml []byte) []byte { return append(dst, xml...) }
func (s *sink) Framed() bool                         { return false }
func (s *sink) Write(p []byte) error                 { s.got = append(s.got, p...); return nil }
func (s *sink) Pending() int                         { return 0 }
func (s *sink) OnDrained(func())                     {}
func (s *sink) Finish(*stanza.StreamError)           {}
func (s *sink) Abort(error)                          {}

type accounts map[string]bool

func (a accounts) AccountExists(_ context.Context, j jid.JID) (bool, error) {
	return a[j.String()], nil
}

// nowhere is a store that must not be asked.
type nowhere struct{ t testing.TB }

func (n nowhere) Join(*storage.Run) { n.t.Error("a row was stored") }

type fixture struct {
	r      *Router
	tables *modules.Tables
	pool   *session.Chunks
}

func newFixture(t testing.TB) *fixture {
	now := time.Unix(1, 0)
	f := &fixture{tables: modules.NewTables(), pool: session.NewChunks(0)}
	f.r = New(Options{
		Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
		Accounts: accounts{"juliet@localhost": true, "romeo@localhost": true}, Group: nowhere{t},
		Registry: session.NewRegistry(1, nil), Wheel: session.NewWheel(now), MaxAsks: 10,
	})
	f.r.AddDomain(jid.MustParse("localhost"), f.tables)
	return f
}

// bind adds a session; with a priority it is available.
func (f *fixture) bind(full string, priority ...int8) (*session.Session, *sink) {
	link := new(sink)
	s := session.New(f.r.Registry.NewRef(), jid.MustParse(full), session.Info{}, session.NewOutbox(link, f.pool, 1<<20))
	f.r.Registry.Add(s)
	if len(priority) > 0 {
		f.r.Registry.SetPresence(s, []byte("<presence/>"), priority[0])
	}
	return s, link
}

// send takes stanzas of a session through the router, in one burst.
func (f *fixture) send(t testing.TB, s *session.Session, xml ...string) {
	b := f.r.Burst()
	defer b.End()
	for _, x := range xml {
		st := b.Next()
		if err := st.Parse([]byte(x), stanza.Limits{}); err != nil {
			t.Error(err)
			return
		}
		st.SetAttr(modules.Sent, "from", s.JID.String())
		b.Stanza(context.Background(), s)
	}
}

// TestMessageFates is Table 1 of RFC 6121 §8.5.4: rows are the conditions and
// addresses, columns the types; letters as there, with this server's choice
// where the RFC leaves one: O offline, E error, S silence, D to the resource,
// A to all non-negative resources.
func TestMessageFates(t *testing.T) {
	t.Parallel()
	letters := map[fate]string{silence: "S", refusal: "E", exact: "D", open: "A", absent: "O"}
	types := []stanza.Type{stanza.None, stanza.Chat, stanza.Groupchat, stanza.Headline, stanza.ErrorType}
	for _, row := range []struct {
		name     string
		priority []int8 // of the account's resources r0, r1, …; nil: no account
		account  bool
		to       string
		want     string // normal, chat, groupchat, headline, error
	}{
		{"no account, bare", nil, false, "nobody@localhost", "EEESS"},
		{"no account, full", nil, false, "nobody@localhost/r0", "EEESS"},
		{"no resource, bare", nil, true, "juliet@localhost", "OOESS"},
		{"no resource, full", nil, true, "juliet@localhost/r0", "EOESS"},
		{"negative, bare", []int8{-1}, true, "juliet@localhost", "OOESS"},
		{"negative, full match", []int8{-1}, true, "juliet@localhost/r0", "DDDDD"},
		{"negative, full no match", []int8{-1}, true, "juliet@localhost/rx", "EOESS"},
		{"one, bare", []int8{0}, true, "juliet@localhost", "AAEAS"},
		{"one, full match", []int8{0}, true, "juliet@localhost/r0", "DDDDD"},
		{"one, full no match", []int8{0}, true, "juliet@localhost/rx", "EAESS"},
		{"more, bare", []int8{0, 5, -1}, true, "juliet@localhost", "AAEAS"},
		{"more, full match", []int8{0, 5, -1}, true, "juliet@localhost/r1", "DDDDD"},
		{"more, full no match", []int8{0, 5, -1}, true, "juliet@localhost/rx", "EAESS"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			sender, _ := f.bind("romeo@localhost/a", 0)
			for i, p := range row.priority {
				f.bind("juliet@localhost/r"+string(rune('0'+i)), p)
			}
			got := ""
			for _, typ := range types {
				b := f.r.Burst()
				st := b.Next()
				xml := stanza.Build("message")
				if typ != stanza.None {
					xml.Attr("type", typ.String())
				}
				if err := st.Parse(xml.Bytes(), stanza.Limits{}); err != nil {
					t.Fatal(err)
				}
				l := b.current
				l.Stanza, l.Session, l.From, l.To = st, sender, sender.JID, jid.MustParse(row.to)
				l.Owner = l.To.Bare()
				letter := letters[b.plan(l)]
				got += letter
				want := map[string]int{"D": 1, "A": nonNegative(row.priority)}[letter]
				if len(l.Planned) != want || l.Absent != (letter == "O") {
					t.Errorf("%v: %d planned, absent %v", typ, len(l.Planned), l.Absent)
				}
				b.End()
			}
			if got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}

func nonNegative(all []int8) (n int) {
	for _, p := range all {
		if p >= 0 {
			n++
		}
	}
	return n
}

func TestRoutingDoesNotAllocate(t *testing.T) {
	f := newFixture(t)
	sender, _ := f.bind("romeo@localhost/a", 0)
	_, link := f.bind("juliet@localhost/b", 0)
	raw := []byte("<message to='juliet@localhost/b' type='chat' id='ab12'><body>Wherefore art thou, Romeo?</body></message>")
	buf := make([]byte, len(raw))
	ctx := context.Background()
	n := testing.AllocsPerRun(200, func() {
		copy(buf, raw)
		b := f.r.Burst()
		for range 4 {
			st := b.Next()
			if err := st.Parse(buf, stanza.Limits{}); err != nil {
				t.Fatal(err)
			}
			st.SetAttr(modules.Sent, "from", sender.JID.String())
			b.Stanza(ctx, sender)
		}
		b.End()
		link.got = link.got[:0]
	})
	// Per burst of four messages: the budget is two for each message. The race
	// detector has sync.Pool forget at random.
	if n > 8 && !raceEnabled {
		t.Errorf("%v allocations for four messages", n)
	}
	t.Logf("%v allocations for four messages", n)
}

func TestErrorsAreNotAnsweredWithErrors(t *testing.T) {
	t.Parallel()
	for _, xml := range []string{
		"<message type='error' to='nobody@localhost'/>", "<message type='error' to='x@example.org'/>",
		"<presence type='error' to='x@example.org'/>", "<iq type='error' id='1' to='nobody@localhost/x'/>",
		"<iq type='result' id='1' to='example.org'/>", "<message type='error' to='@'/>", "<iq type='result' id='1' to='a b'/>",
	} {
		f := newFixture(t)
		s, link := f.bind("romeo@localhost/a", 0)
		f.send(t, s, xml)
		if len(link.got) > 0 {
			t.Errorf("%s was answered with %s", xml, link.got)
		}
	}
}

func TestEveryIQHasOneAnswer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := modules.NewHost(jid.MustParse("localhost"), f.tables, f.r, modules.Info{Name: "test"}, nil, nil, slog.New(slog.DiscardHandler), time.Now)
	h.IQ(stanza.Get, modules.Server|modules.Self|modules.Account, "urn:a", "good", func(r *modules.Request) error {
		r.Reply.Empty("ok", "urn:a")
		return nil
	})
	h.IQ(stanza.Get, modules.Server, "urn:a", "refused", func(r *modules.Request) error {
		r.Reply.Empty("half", "urn:a")
		return stanza.Forbidden("")
	})
	h.IQ(stanza.Get, modules.Server, "urn:a", "broken", func(*modules.Request) error { return context.Canceled })
	h.IQ(stanza.Get, modules.Server, "urn:a", "panics", func(*modules.Request) error { panic("oops") })
	for _, c := range []struct{ xml, want string }{
		{"<iq type='get' id='1' to='localhost'><good xmlns='urn:a'/></iq>", "<iq type='result' id='1' from='localhost' to='romeo@localhost/a'><ok xmlns='urn:a'/></iq>"},
		{"<iq type='get' id='1'><good xmlns='urn:a'/></iq>", "<iq type='result' id='1' to='romeo@localhost/a'><ok xmlns='urn:a'/></iq>"},
		{"<iq type='get' id='1' to='juliet@localhost'><good xmlns='urn:a'/></iq>", "<iq type='result' id='1' from='juliet@localhost' to='romeo@localhost/a'><ok xmlns='urn:a'/></iq>"},
		{"<iq type='get' id='1' to='localhost'><refused xmlns='urn:a'/></iq>", "forbidden"},
		{"<iq type='get' id='1' to='localhost'><broken xmlns='urn:a'/></iq>", "internal-server-error"},
		{"<iq type='get' id='1' to='localhost'><panics xmlns='urn:a'/></iq>", "internal-server-error"},
		{"<iq type='get' id='1' to='localhost'><unknown xmlns='urn:a'/></iq>", "service-unavailable"},
		{"<iq type='set' id='1' to='localhost'><good xmlns='urn:a'/></iq>", "service-unavailable"},
		{"<iq type='get' id='1' to='localhost/x'><good xmlns='urn:a'/></iq>", "service-unavailable"},
		{"<iq type='get' id='1' to='juliet@localhost/x'><good xmlns='urn:a'/></iq>", "service-unavailable"},
		{"<iq type='get' id='1' to='example.org'><good xmlns='urn:a'/></iq>", "remote-server-not-found"},
		{"<iq type='get' id='1' to='@'><good xmlns='urn:a'/></iq>", "jid-malformed"},
		{"<iq type='get' id='1'/>", "bad-request"},
		{"<iq type='get' id='1'><a xmlns='b'/><a xmlns='b'/></iq>", "bad-request"},
		{"<iq type='get'><good xmlns='urn:a'/></iq>", "bad-request"},
		{"<iq id='1'><good xmlns='urn:a'/></iq>", "bad-request"},
		{"<iq type='fetch' id='1'><good xmlns='urn:a'/></iq>", "bad-request"},
	} {
		s, link := f.bind("romeo@localhost/a", 0)
		f.send(t, s, c.xml)
		var st stanza.Stanza
		if err := st.Parse(link.got, stanza.Limits{}); err != nil {
			t.Errorf("%s: not exactly one answer: %q", c.xml, link.got)
			continue
		}
		if c.want[0] == '<' {
			if string(link.got) != c.want {
				t.Errorf("%s:\ngot  %s\nwant %s", c.xml, link.got, c.want)
			}
		} else if st.Type != stanza.ErrorType || !st.Root().Child(stanza.NSClient, "error").Child("urn:ietf:params:xml:ns:xmpp-stanzas", c.want).OK() {
			t.Errorf("%s: got %s, want %s", c.xml, link.got, c.want)
		}
	}
}
