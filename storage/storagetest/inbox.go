package storagetest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// history is what happens in the conversations of romeo, and what a naive reader
// makes of it.
type history struct {
	t     *testing.T
	s     Store
	r     *rand.Rand
	chats map[jid.JID]*naiveChat
	n     int // messages so far
}

type naiveChat struct {
	rows []naiveRow // in order
	read int64
}

type naiveRow struct {
	seq       int64
	id, ref   string
	own       bool
	says      storage.Flags // what it is by itself
	flags     storage.Flags // and beside the others
	tombstone bool
	marks     string // id of the message that is marked as read
}

var chatNames = []jid.JID{juliet, nurse, jid.MustParse("coven@chat.example.org/witch"), romeo}

func newHistory(t *testing.T, s Store, seed uint64) *history {
	h := &history{t: t, s: s, r: rand.New(rand.NewPCG(seed, 0)), chats: make(map[jid.JID]*naiveChat)}
	for _, name := range chatNames {
		h.chats[name] = new(naiveChat)
	}
	return h
}

// add stores a row, with what else belongs to the message. What only says that it
// corrects something is a message like others (XEP-0308 §4).
func (h *history) add(name jid.JID, r naiveRow, also ...storage.Write) {
	h.t.Helper()
	c := h.chats[name]
	xml := fmt.Sprintf("<message id='%s'><body>%d</body>", r.id, h.n)
	if r.ref != "" {
		xml += fmt.Sprintf("<replace xmlns='urn:xmpp:message-correct:0' id='%s'/>", r.ref)
	}
	m := &storage.Message{
		Owner: romeo, Peer: name, Chat: name, Flags: storage.Archived | r.says, ID: r.id, Replaces: r.ref,
		Arrived: noon, XML: []byte(xml + "</message>"),
	}
	if r.own {
		m.Flags |= storage.FromOwner
	}
	h.n++
	r.flags = r.says
	if of := c.newest(r.ref, r.own); r.ref == "" || of < 0 || r.says.Has(storage.Shown) && !c.rows[of].says.Has(storage.Shown) {
		r.ref = ""
	} else {
		r.flags &^= storage.Unread
	}
	must(h.t, errors.Join(write(h.s, append([]storage.Write{m}, also...)...)...))
	r.seq = m.Seq
	c.rows = append(c.rows, r)
	if r.flags.Has(storage.ReadsChat) {
		c.read = max(c.read, r.seq)
	}
}

// id is a new one, or one that was used before.
func (h *history) id() string {
	if h.r.IntN(10) == 0 {
		return fmt.Sprint("m", h.r.IntN(h.n+1))
	}
	return fmt.Sprint("m", h.n)
}

// known is mostly the id of a row of a chat; else one that may come later.
func (h *history) known(c *naiveChat) string {
	if len(c.rows) == 0 || h.r.IntN(10) == 0 {
		return fmt.Sprint("m", h.n+1+h.r.IntN(5))
	}
	return c.rows[h.r.IntN(len(c.rows))].id
}

// text is what a text is for the inbox.
func (h *history) text(own bool) storage.Flags {
	if own {
		return storage.Shown | storage.Flags(h.r.IntN(2))*storage.ReadsChat
	}
	return storage.Shown | storage.Unread
}

// step lets something happen. What is not in the log, such as deletions, only
// happens if all is set.
func (h *history) step(all bool) {
	name := chatNames[h.r.IntN(len(chatNames))]
	c := h.chats[name]
	what := h.r.IntN(20)
	switch own := name != romeo && h.r.IntN(2) == 0; {
	case what < 9:
		h.add(name, naiveRow{id: h.id(), own: own, says: h.text(own)})
	case what < 11: // of the last message only (XEP-0308 §1)
		if of := c.original(); of != nil {
			ref, own := of.id, of.own
			switch h.r.IntN(8) {
			case 0: // what the other side has sent
				own = name != romeo && !own
			case 1:
				ref = fmt.Sprint("m", h.n+1) // unknown
			}
			r := naiveRow{id: h.id(), ref: ref, own: own, says: h.text(own)}
			if h.r.IntN(8) == 0 {
				r.ref = r.id
			}
			h.add(name, r)
		}
	case what < 12: // a receipt
		h.add(name, naiveRow{id: h.id(), own: own})
	case what < 15:
		if name != romeo {
			id := h.known(c)
			h.add(name, naiveRow{id: h.id(), own: true, marks: id}, &storage.Read{Owner: romeo, Chat: name, ID: id})
			c.mark(id)
		}
	case what < 17:
		id := h.known(c)
		h.add(name, naiveRow{id: fmt.Sprint("m", h.n), own: own},
			&storage.Retraction{Owner: romeo, Chat: name, FromOwner: own, ID: id, Element: []byte("<retracted/>")})
		c.retract(id, own)
	case !all:
	case what < 18:
		h.remove(jid.JID{}, 1+h.r.IntN(5))
	case what < 19:
		h.remove(name, 1+h.r.IntN(5))
	}
}

func (h *history) remove(with jid.JID, n int) {
	h.t.Helper()
	var rows []int64
	for name, c := range h.chats {
		if with.IsZero() || name == with {
			for _, r := range c.rows {
				rows = append(rows, r.seq)
			}
		}
	}
	slices.Sort(rows)
	rows = rows[:min(n, len(rows))]
	for _, c := range h.chats {
		c.rows = slices.DeleteFunc(c.rows, func(r naiveRow) bool { return slices.Contains(rows, r.seq) })
	}
	if got, err := h.s.RemoveArchive(h.t.Context(), romeo, with, n); got != len(rows) || err != nil {
		h.t.Fatalf("removed %d, %v; want %d", got, err, len(rows))
	}
}

// newest is the newest row with an id.
func (c *naiveChat) newest(id string, own bool) int {
	for i, r := range slices.Backward(c.rows) {
		if r.id == id && r.own == own {
			return i
		}
	}
	return -1
}

func (c *naiveChat) mark(id string) {
	if i := c.newest(id, false); i >= 0 {
		c.read = max(c.read, c.rows[i].seq)
	}
}

func (c *naiveChat) retract(id string, own bool) {
	i := c.newest(id, own)
	if i < 0 {
		return
	}
	c.rows[i].tombstone = true
	for j := range c.rows[i+1:] {
		if r := &c.rows[i+1+j]; r.ref == id && r.own == own {
			r.tombstone = true
		}
	}
}

// original is the last message that corrects no other.
func (c *naiveChat) original() *naiveRow {
	for i, r := range slices.Backward(c.rows) {
		if r.flags.Has(storage.Shown) && r.ref == "" {
			return &c.rows[i]
		}
	}
	return nil
}

// shown is the message that stands in the inbox; nil: none.
func (c *naiveChat) shown() *naiveRow {
	of := c.original()
	for i, r := range slices.Backward(c.rows) {
		switch {
		case !r.flags.Has(storage.Shown):
		case of == nil, r.seq == of.seq, r.ref == of.id && r.own == of.own:
			return &c.rows[i]
		}
	}
	return nil
}

func (c *naiveChat) unread() (n int64) {
	for _, r := range c.rows {
		if r.flags.Has(storage.Unread) && !r.tombstone && r.seq > c.read {
			n++
		}
	}
	return n
}

// want is the inbox as the naive reader sees it.
func (h *history) want() (lines []string, total storage.InboxTotals) {
	place := make(map[jid.JID]int64)
	for name, c := range h.chats {
		if n := len(c.rows); n > 0 {
			place[name] = c.rows[n-1].seq
			if r := c.shown(); r != nil {
				place[name] = r.seq
			}
		}
	}
	names := slices.SortedFunc(maps.Keys(place), func(a, b jid.JID) int { return cmp.Compare(place[b], place[a]) })
	for _, name := range names {
		c, shown := h.chats[name], int64(0)
		if r := c.shown(); r != nil {
			shown = r.seq
		}
		unread := c.unread()
		lines = append(lines, fmt.Sprintf("%s: %d unread, last %d, shown %d", name, unread, c.rows[len(c.rows)-1].seq, shown))
		total.Chats++
		total.Unread += unread
		total.UnreadChats += min(unread, 1)
	}
	return lines, total
}

func inboxOf(t *testing.T, s Store, q storage.InboxQuery) (lines []string, places []int64) {
	t.Helper()
	q.Owner = romeo
	must(t, s.Inbox(t.Context(), q, func(e *storage.InboxEntry) error {
		shown := int64(0)
		if m := e.Message; m != nil {
			shown = m.Seq
			if e.At != (storage.RowID{Seq: m.Seq, Tag: m.Tag}) || m.Chat != e.Chat || m.Owner != romeo {
				t.Errorf("%s stands at %+v and its message is %+v", e.Chat, e.At, m)
			}
		}
		lines = append(lines, fmt.Sprintf("%s: %d unread, last %d, shown %d", e.Chat, e.Unread, e.Last.Seq, shown))
		places = append(places, e.At.Seq)
		rows, err := s.ArchiveRows(t.Context(), romeo, []int64{e.Last.Seq})
		if err != nil || len(rows) != 1 || rows[0].Tag != e.Last.Tag {
			t.Errorf("the archive has no row %+v: %v", e.Last, err)
		}
		return nil
	}))
	return lines, places
}

func (h *history) check(when string) {
	h.t.Helper()
	want, totals := h.want()
	got, _ := inboxOf(h.t, h.s, storage.InboxQuery{Messages: true, Limit: 100})
	if diff := gocmp.Diff(want, got); diff != "" {
		h.t.Fatalf("%s (-want +got):\n%s", when, diff)
	}
	if t, err := h.s.InboxTotals(h.t.Context(), romeo); t != totals || err != nil {
		h.t.Fatalf("%s: totals %+v, %v; want %+v", when, t, err, totals)
	}
}

// rebuild makes the inbox anew by what the naive reader knows of the rows.
func (h *history) rebuild() {
	h.t.Helper()
	judged := make(map[int64]storage.Judgement)
	for name, c := range h.chats {
		for _, r := range c.rows {
			judged[r.seq] = storage.Judgement{Flags: r.says, Chat: name, Read: r.marks}
		}
	}
	total, err := rebuildInbox(h.t, h.s, romeo, func(m *storage.Message) storage.Judgement { return judged[m.Seq] })
	must(h.t, err)
	if total.Rows != int64(len(judged)) || total.Of != total.Rows {
		h.t.Fatalf("judged %d of %d rows, want %d", total.Rows, total.Of, len(judged))
	}
}

func rebuildInbox(t *testing.T, s Store, owner jid.JID, judge func(*storage.Message) storage.Judgement) (at storage.InboxRebuild, err error) {
	for range 1000 {
		if at, err = s.RebuildInbox(t.Context(), owner, at, 7, judge); at.Done || err != nil {
			return at, err
		}
	}
	return at, errors.New("a rebuild does not come to an end")
}

// inboxHistories: whatever happens, the inbox is what one would count, and to make it
// anew changes nothing.
func inboxHistories(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo, juliet)
	h := newHistory(t, s, 1)
	for i := range 600 {
		h.step(true)
		h.check(fmt.Sprint("step ", i))
		switch {
		case i%50 == 20:
			h.rebuild()
			h.check(fmt.Sprint("rebuilt in step ", i))
		case i%50 == 45:
			d.Exec(t, "UPDATE chat SET stored = 7, last = 7, shown = 7, shown_id = 0, unread = 7")
			h.rebuild()
			h.check(fmt.Sprint("repaired in step ", i))
		}
	}
	h.s = open(t, d, Options{})
	h.check("reopened")
}

// inboxFromArchive: an inbox can be made out of an archive that never had one.
func inboxFromArchive(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo, juliet)
	h := newHistory(t, s, 2)
	for i := range 300 {
		h.step(false)
		if i%100 != 99 {
			continue
		}
		h.check(fmt.Sprint("step ", i))
		d.Exec(t, "DELETE FROM chat")
		if i > 100 {
			d.Exec(t, "UPDATE message SET flags = flags - (flags & 56) WHERE flags & 128 = 0") // Shown, Unread, ReadsChat
		}
		h.rebuild()
		h.check(fmt.Sprint("rebuilt in step ", i))
	}
	if at, err := rebuildInbox(t, s, nurse, nil); at.Rows != 0 || err != nil {
		t.Errorf("an account that does not exist: %+v, %v", at, err)
	}
}

// inboxPages: pages cover the inbox without gaps in both directions.
func inboxPages(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo, juliet)
	for i := range 25 {
		name := jid.MustParse(fmt.Sprintf("c%02d@example.com", i))
		m := message(romeo, fmt.Sprint(i))
		m.Peer, m.Chat, m.Flags = name, name, storage.Archived|storage.Shown
		if i%3 == 0 {
			m.Flags |= storage.Unread
		}
		must(t, store(s, m))
	}
	for _, unread := range []bool{false, true} {
		all, _ := inboxOf(t, s, storage.InboxQuery{Unread: unread, Messages: true, Limit: 100})
		want := 25
		if unread {
			want = 9
		}
		if len(all) != want || !strings.HasPrefix(all[0], "c24") {
			t.Fatalf("the inbox is %v", all)
		}
		for limit := range 12 {
			q := storage.InboxQuery{Unread: unread, Messages: true, Limit: limit + 1}
			var down, up []string
			for {
				page, places := inboxOf(t, s, q)
				if down = append(down, page...); len(page) <= limit {
					break
				}
				q.Below = places[limit]
			}
			q.Below, q.Backward = 0, true
			for {
				page, places := inboxOf(t, s, q)
				if up = append(up, page...); len(page) <= limit {
					break
				}
				q.Above = places[limit]
			}
			slices.Reverse(up)
			if diff := gocmp.Diff(all, down); diff != "" {
				t.Errorf("pages of %d (-want +got):\n%s", limit+1, diff)
			}
			if diff := gocmp.Diff(all, up); diff != "" {
				t.Errorf("pages of %d from the end (-want +got):\n%s", limit+1, diff)
			}
		}
	}
	without, _ := inboxOf(t, s, storage.InboxQuery{Limit: 2})
	if want := []string{"c24@example.com: 1 unread, last 25, shown 0", "c23@example.com: 0 unread, last 24, shown 0"}; !slices.Equal(without, want) {
		t.Errorf("without messages: %v", without)
	}

	stop, n := errors.New("stop"), 0
	err := s.Inbox(t.Context(), storage.InboxQuery{Owner: romeo, Messages: true, Limit: 100}, func(*storage.InboxEntry) error {
		n++
		return stop
	})
	if err != stop || n != 1 {
		t.Errorf("went on for %d entries: %v", n, err)
	}
	for _, other := range []jid.JID{juliet, nurse} {
		got, err := s.InboxTotals(t.Context(), other)
		if got != (storage.InboxTotals{}) || err != nil {
			t.Errorf("totals of %s: %+v, %v", other, got, err)
		}
		must(t, s.Inbox(t.Context(), storage.InboxQuery{Owner: other, Limit: 1}, func(*storage.InboxEntry) error { return stop }))
	}
}

// inboxCorrections: if nothing but corrections is left, that stays which stood there.
func inboxCorrections(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo, juliet)
	h := newHistory(t, s, 3)
	const unread = storage.Shown | storage.Unread
	h.add(juliet, naiveRow{id: "a", says: unread})
	h.add(juliet, naiveRow{id: "b", says: unread})
	h.add(juliet, naiveRow{id: "c", ref: "b", says: unread})
	h.add(juliet, naiveRow{id: "d", ref: "a", says: unread})
	want := func(when, line string) {
		t.Helper()
		if got, _ := inboxOf(t, s, storage.InboxQuery{Messages: true, Limit: 100}); len(got) != 1 || got[0] != line {
			t.Errorf("%s: %v, want %s", when, got, line)
		}
	}
	want("corrected", "juliet@example.org: 2 unread, last 4, shown 3")
	h.remove(juliet, 2)
	want("without the originals", "juliet@example.org: 0 unread, last 4, shown 3")
	h.rebuild()
	want("rebuilt", "juliet@example.org: 0 unread, last 4, shown 3")
	h.remove(juliet, 1)
	want("without the correction", "juliet@example.org: 0 unread, last 4, shown 4")
	h.rebuild()
	want("rebuilt again", "juliet@example.org: 0 unread, last 4, shown 4")
	h.remove(juliet, 1)
	if got, _ := inboxOf(t, s, storage.InboxQuery{Messages: true, Limit: 100}); len(got) != 0 {
		t.Errorf("an empty archive: %v", got)
	}
}
