package router

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// keeper stores what is absent, as module offline does.
func keeper(f *fixture) {
	h := modules.NewHost(jid.MustParse("localhost"), f.tables, f.r, modules.Info{Name: "keeper"}, nil, nil, slog.New(slog.DiscardHandler), f.r.Now)
	h.Message(modules.Received, modules.Archive, func(f *modules.Flight) error {
		if f.Absent {
			f.Row.Flags |= storage.Waiting
		}
		return nil
	})
	h.Message(modules.Received, modules.Copy, func(f *modules.Flight) error {
		f.Send(f.Planned[0].Ref, stanza.Build("copy")) // panics: nobody was planned
		return nil
	})
}

// rack is a store that keeps rows.
type rack struct{ rows []storage.Message }

func (r *rack) Join(run *storage.Run) {
	run.Begin()
	for _, w := range run.Writes {
		m := *w.(*storage.Message)
		m.XML = bytes.Clone(m.XML)
		r.rows = append(r.rows, m)
	}
	run.End()
}

// TestLeftovers is the table of what becomes of stanzas that a session leaves
// behind: F forgotten, E error to the requester, S to the other session, O kept
// for later.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	const (
		nobody = "no other session"
		fresh  = "another session, available since"
		stale  = "another session, available before"
		copied = "another session, with carbons before"
	)
	const (
		to   = " to='juliet@localhost/phone' from='romeo@localhost/a' id='1'"
		bare = " to='juliet@localhost' from='romeo@localhost/a' id='1'"
	)
	type row map[string]string
	for name, c := range map[string]struct {
		xml string
		seq int64
		row row
	}{
		"iq get":             {xml: "<iq type='get'" + to + "><q xmlns='x'/></iq>", row: row{nobody: "E", fresh: "E"}},
		"iq set":             {xml: "<iq type='set'" + to + "><q xmlns='x'/></iq>", row: row{nobody: "E", fresh: "E"}},
		"iq of the server":   {xml: "<iq type='get' to='juliet@localhost/phone' from='localhost' id='1'><q xmlns='x'/></iq>", row: row{nobody: "F", fresh: "F"}},
		"iq result":          {xml: "<iq type='result'" + to + "/>", row: row{nobody: "F", fresh: "F"}},
		"iq error":           {xml: "<iq type='error'" + to + "/>", row: row{nobody: "F", fresh: "F"}},
		"presence":           {xml: "<presence" + to + "/>", row: row{nobody: "F", fresh: "F"}},
		"subscription":       {xml: "<presence type='subscribe'" + bare + "/>", row: row{nobody: "F", fresh: "F"}},
		"chat to the bare":   {xml: "<message type='chat'" + bare + "><body>x</body></message>", row: row{nobody: "O", fresh: "S", stale: "F", copied: "F"}},
		"chat to the full":   {xml: "<message type='chat'" + to + "><body>x</body></message>", row: row{nobody: "O", fresh: "S", stale: "S", copied: "F"}},
		"longer than usual":  {xml: "<message type='chat'" + bare + "><body>" + strings.Repeat("x", 300<<10) + "</body></message>", row: row{nobody: "O", fresh: "S"}},
		"private chat":       {xml: "<message type='chat'" + to + "><body>x</body><private xmlns='urn:xmpp:carbons:2'/></message>", row: row{nobody: "O", stale: "S", copied: "O"}},
		"normal to the bare": {xml: "<message" + bare + "><body>x</body></message>", row: row{nobody: "O", fresh: "S", stale: "F", copied: "F"}},
		"normal to the full": {xml: "<message" + to + "><body>x</body></message>", row: row{nobody: "O", fresh: "S", stale: "S", copied: "F"}},
		"in the log already": {xml: "<message type='chat'" + bare + "><body>x</body></message>", seq: 7, row: row{nobody: "F", fresh: "F"}},
		"groupchat":          {xml: "<message type='groupchat'" + to + "><body>x</body></message>", row: row{nobody: "F", fresh: "F"}},
		"headline":           {xml: "<message type='headline'" + bare + "><body>x</body></message>", row: row{nobody: "F", fresh: "F"}},
		"error":              {xml: "<message type='error'" + to + "/>", row: row{nobody: "F", fresh: "F"}},
		"event":              {xml: "<message" + to + "><event xmlns='http://jabber.org/protocol/pubsub#event'/></message>", row: row{nobody: "F", fresh: "F"}},
		"carbon":             {xml: "<message type='chat' to='juliet@localhost/phone' from='juliet@localhost'><received xmlns='urn:xmpp:carbons:2'/></message>", row: row{nobody: "F", fresh: "F"}},
	} {
		for others, want := range c.row {
			t.Run(name+", "+others, func(t *testing.T) {
				t.Parallel()
				f, store := newFixture(t), new(rack)
				f.r.Group = store
				keeper(f)
				_, sender := f.bind("romeo@localhost/a", 0)
				leaving, _ := f.bind("juliet@localhost/phone", 0)
				arrived := time.Now().Add(-time.Hour)
				other := new(sink)
				if others != nobody {
					var s *session.Session
					if others == stale || others == copied {
						arrived = time.Now().Add(time.Hour)
					}
					s, other = f.bind("juliet@localhost/home", 0)
					if others == copied {
						f.r.Registry.SetPresence(s, nil, 0)
						f.r.Registry.SetCarbons(s, true)
					}
				}
				f.r.Unacked(leaving, []session.Pending{{XML: c.xml, At: arrived.UnixNano(), Seq: c.seq}})
				got := ""
				if strings.Contains(string(sender.got), "service-unavailable") {
					got += "E"
				}
				if len(other.got) > 0 {
					got += "S"
					if stamp := arrived.UTC().Format("2006-01-02T15:04:05"); !strings.Contains(string(other.got), stamp) {
						t.Errorf("no stamp of %s in %s", stamp, other.got)
					}
				}
				for _, m := range store.rows {
					got += "O"
					if !m.Arrived.Equal(time.Unix(0, arrived.UnixNano())) || m.Owner.String() != "juliet@localhost" || m.Peer.String() != "romeo@localhost/a" {
						t.Errorf("kept %+v", m)
					}
				}
				if got == "" {
					got = "F"
				}
				if got != want {
					t.Errorf("%s: got %s, want %s", c.xml, got, want)
				}
				if len(sender.got) > 0 && got != "E" {
					t.Errorf("the sender got %s", sender.got)
				}
			})
		}
	}
}

// What was held back once and sent again says so once.
func TestLeftoversKeepTheirFirstStamp(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	leaving, _ := f.bind("juliet@localhost/phone", 0)
	_, other := f.bind("juliet@localhost/home", 0)
	const xml = "<message to='juliet@localhost/phone' from='romeo@localhost/a'><body>x</body><delay xmlns='urn:xmpp:delay' from='localhost' stamp='2002-09-10T23:08:25.000Z'/>" +
		"<delay xmlns='urn:xmpp:delay' from='elsewhere' stamp='2001-09-10T23:08:25.000Z'/></message>"
	f.r.Unacked(leaving, []session.Pending{{XML: xml, At: time.Unix(1e9, 0).UnixNano()}})
	got := string(other.got)
	if strings.Contains(got, "2002-") || !strings.Contains(got, "stamp='2001-09-10T23:08:25.000Z'") || !strings.Contains(got, "stamp='2001-09-09T01:46:40.000Z'") {
		t.Errorf("got %s", got)
	}
}

// TestHandledIsWrittenWithTheRun: a client is told after a crash what is durable,
// neither more nor less.
func TestHandledIsWrittenWithTheRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var writes []storage.Write
	f.r.Group = joined(func(r *storage.Run) { writes = append(writes, r.Writes...) })
	keeper(f)
	s, _ := f.bind("romeo@localhost/a", 0)
	s.Stream = &session.Stream{ID: "sm"}
	b := f.r.Burst()
	for _, xml := range []string{
		"<presence to='juliet@localhost'/>",
		"<message to='juliet@localhost'><body>2</body></message>",
		"<message to='juliet@localhost'><body>3</body></message>",
		"<iq type='get' id='4' to='juliet@localhost/x'><q xmlns='x'/></iq>",
		"<message to='juliet@localhost'><body>5</body></message>",
	} {
		if err := b.Next().Parse([]byte(xml), stanza.Limits{}); err != nil {
			t.Fatal(err)
		}
		b.Stanza(context.Background(), s)
	}
	b.End()
	var got []uint32
	for _, w := range writes {
		if st, ok := w.(*storage.Stream); ok {
			got = append(got, st.H)
		}
	}
	if len(got) != 2 || got[0] != 3 || got[1] != 5 || len(writes) != 5 {
		t.Errorf("handled %v in %d writes", got, len(writes))
	}
}

// joined is a group that hands over each run.
type joined func(*storage.Run)

func (fn joined) Join(r *storage.Run) {
	r.Begin()
	fn(r)
	r.End()
}
