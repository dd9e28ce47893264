package offline_test

import (
	"context"
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

// reader logs in a client that has read the archive before its presence.
func (h *house) reader() *guest {
	h.t.Helper()
	g := h.login(h.Node, "reader").manage()
	h.all[h.Node].Queried(g.Session)
	return g.available()
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
