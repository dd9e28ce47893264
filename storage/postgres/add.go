package postgres

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/xmppd/xmppd/storage"
)

const (
	addMessages = `INSERT INTO message (owner, seq, tag, arrived, chat, key, text, ref, flags, peer, xml)
		SELECT owner, seq, tag, arrived, nullif(chat, 0), nullif(key, 0), nullif(text, 0), nullif(ref, 0), flags, peer, xml
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::bigint[], $6::bigint[], $7::bigint[],
			$8::bigint[], $9::smallint[], $10::text[], $11::bytea[])
			AS m (owner, seq, tag, arrived, chat, key, text, ref, flags, peer, xml)`

	addChats = `INSERT INTO chat (id, owner, bare, resource, archive, stored, last, shown, shown_id, unread, read) OVERRIDING SYSTEM VALUE
		SELECT id, owner, bare, resource, owner, stored, last, shown, shown_id, unread, read
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
			$8::bigint[], $9::text[], $10::text[]) AS c (id, stored, last, shown, shown_id, unread, read, owner, bare, resource)`

	writeChats = `UPDATE chat SET stored = c.stored, last = c.last, shown = c.shown, shown_id = c.shown_id, unread = c.unread, read = c.read
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
			AS c (id, stored, last, shown, shown_id, unread, read) WHERE chat.id = c.id`

	moveReads = `UPDATE chat SET read = r.seq, unread = CASE unread WHEN 0 THEN 0
			ELSE unread - (SELECT count(*) FROM message WHERE message.chat = chat.id AND seq > read AND seq <= r.seq AND flags & 16 <> 0) END
		FROM unnest($1::bigint[], $2::bigint[]) AS r (chat, seq) WHERE chat.id = r.chat AND r.seq > read`
)

// lookBack is how many messages with the same key are looked at, in the group as in
// the archive.
const lookBack = 16

// add numbers the messages and returns the statements that store all rows; none
// if all are refused or there is nothing to be stored.
func (g *group) add(runs []*storage.Run) *pgx.Batch {
	m := newMessageRows(g.messages)
	var s streamColumns
	for _, r := range runs {
		for i, w := range r.Writes {
			switch w := w.(type) {
			case *storage.Message:
				r.Errs[i] = g.addMessage(&m, w)
			case *storage.Mark:
				r.Errs[i] = g.mark(w)
			case *storage.Stream:
				r.Errs[i] = s.add(g.owners[w.Owner.Bare()], w)
			}
		}
	}
	b := &pgx.Batch{}
	if len(m.seqs) > 0 {
		b.Queue(addMessages, m.owners, m.seqs, m.tags, m.arrived, m.chats, m.keys, m.texts, m.refs, m.flags, m.peers, m.xml)
		queueTexts(b, m.entries)
		g.queueBooks(b)
	}
	g.addChanges(b, runs)
	if len(s.ids) > 0 {
		b.Queue(putStreams, s.ids, s.owners, s.hs, s.until)
	}
	return b
}

// addChanges takes what changes messages, which are there by now.
func (g *group) addChanges(b *pgx.Batch, runs []*storage.Run) {
	moved := make(map[int64]int64)
	for _, r := range g.reads {
		g.move(moved, r)
	}
	if len(moved) > 0 {
		chats := slices.Collect(maps.Keys(moved))
		to := make([]int64, len(chats))
		for i, c := range chats {
			to[i] = moved[c]
		}
		b.Queue(moveReads, chats, to)
	}
	for _, r := range runs {
		for _, w := range r.Writes {
			if w, ok := w.(*storage.Retraction); ok && !w.By.Refused() {
				g.retract(w)
			}
		}
	}
}

// move takes a marker of an owner into the read positions, by chat, if there is such
// a message.
func (g *group) move(to map[int64]int64, r *read) {
	c := g.chats[chatName{r.Owner.Bare(), r.Chat}]
	seq := r.seq
	if m := g.added[sent{c, r.ID, 0}]; m != nil {
		seq = m.Seq
	}
	if seq > 0 && !r.By.Refused() {
		to[c.ID] = max(to[c.ID], seq)
	}
}

// messageRows are the columns of message rows, and what follows from them.
type messageRows struct {
	owners, seqs, tags, chats, keys, texts, refs []int64
	flags                                        []int16
	arrived                                      []time.Time
	peers                                        []string
	xml                                          [][]byte

	entries []*storage.Text
}

// newMessageRows has room for n rows.
func newMessageRows(n int) messageRows {
	numbers := make([]int64, 7*n)
	column := func() (c []int64) {
		c, numbers = numbers[:0:n], numbers[n:]
		return c
	}
	return messageRows{
		owners: column(), seqs: column(), tags: column(), chats: column(), keys: column(), texts: column(), refs: column(),
		flags: make([]int16, 0, n), arrived: make([]time.Time, 0, n), peers: make([]string, 0, n), xml: make([][]byte, 0, n),
	}
}

// addMessage adds a message, or says why this one is refused.
func (g *group) addMessage(r *messageRows, m *storage.Message) error {
	if m.Seq = 0; m.After.Refused() {
		return storage.ErrTooMany
	}
	l := g.logs[m.Owner.Bare()]
	if l == nil {
		return storage.ErrNotFound
	}
	var c *chat
	var book *storage.Chat
	if m.Flags.Has(storage.Archived) {
		c = g.chats[chatName{m.Owner.Bare(), m.Chat}]
		if book = &c.Chat; g.exists(c, m) {
			return storage.ErrExists
		}
		m.Original = g.original(c, m)
	}
	if err := l.Add(m, book); err != nil {
		return err
	}
	r.owners, r.seqs, r.tags = append(r.owners, l.Owner), append(r.seqs, m.Seq), append(r.tags, m.Tag)
	r.flags, r.arrived = append(r.flags, int16(m.Kept())), append(r.arrived, m.Arrived)
	r.peers, r.xml = append(r.peers, m.Peer.String()), append(r.xml, m.XML)
	var chat, key, text, ref int64
	if c != nil {
		chat, key, ref = c.ID, storage.Key(m.ID, m.Flags), m.Ref()
		g.note(c, m)
		if m.Text != nil {
			text = g.addText(&r.entries, m.Text, l.Owner, m.Seq)
		}
		if ref != 0 {
			g.replace(l, c, m)
		}
	}
	r.chats, r.keys = append(r.chats, chat), append(r.keys, key)
	r.texts, r.refs = append(r.texts, text), append(r.refs, ref)
	return nil
}

// exists reports whether a message is not to be stored because its chat has it.
func (g *group) exists(c *chat, m *storage.Message) bool {
	if !m.Flags.Has(storage.Unique) || m.ID == "" {
		return false
	}
	if g.known[m] {
		return true
	}
	same := g.added[sent{c, m.ID, m.Flags & storage.FromOwner}]
	for range lookBack {
		if same == nil || m.Arrived.Sub(same.Arrived) > storage.UniqueFor {
			return false
		}
		if storage.Repeats(bytes.Clone(same.XML), m.XML, m.ID) {
			return true
		}
		same = g.before[same]
	}
	return false
}

// original are the flags of the row that a message says it corrects; 0: there is none.
func (g *group) original(c *chat, m *storage.Message) storage.Flags {
	if m.Replaces == "" {
		return 0
	}
	if of := g.added[sent{c, m.Replaces, m.Flags & storage.FromOwner}]; of != nil {
		return of.Kept()
	}
	return g.originals[m].flags
}

// note remembers a message for exists, original and move.
func (g *group) note(c *chat, m *storage.Message) {
	if c.rows == 1 && !c.isRead || m.ID == "" {
		return
	}
	if g.added == nil {
		g.added = make(map[sent]*storage.Message)
	}
	name := sent{c, m.ID, m.Flags & storage.FromOwner}
	if was := g.added[name]; was != nil {
		if g.before == nil {
			g.before = make(map[*storage.Message]*storage.Message)
		}
		g.before[m] = was
	}
	g.added[name] = m
}

// mark notes the end of a log.
func (g *group) mark(m *storage.Mark) error {
	l := g.logs[m.Owner.Bare()]
	if l == nil {
		return storage.ErrNotFound
	}
	m.Seq = l.Next - 1
	return nil
}

// queueBooks writes back the logs and chats that have changed.
func (g *group) queueBooks(b *pgx.Batch) {
	var logs logRows
	for _, l := range g.logs {
		if l != nil && l.Changed {
			logs.add(l)
		}
	}
	logs.queue(b)
	var old, fresh chatRows
	for _, c := range g.chats {
		switch {
		case !c.Changed:
		case c.isNew:
			fresh.add(c)
		default:
			old.add(c)
		}
	}
	if len(old.ids) > 0 {
		old.queue(b)
	}
	if len(fresh.ids) > 0 {
		b.Queue(addChats, fresh.ids, fresh.stored, fresh.last, fresh.shown, fresh.shownIDs, fresh.unread, fresh.read,
			fresh.owners, fresh.bares, fresh.resources)
	}
}

// chatRows are the columns of rows of chat.
type chatRows struct {
	ids, stored, last, shown, shownIDs, unread, read, owners []int64
	bares, resources                                         []string
}

func (r *chatRows) add(c *chat) {
	r.ids, r.owners = append(r.ids, c.ID), append(r.owners, c.owner)
	r.stored, r.last = append(r.stored, c.Stored), append(r.last, c.Last)
	r.shown, r.shownIDs = append(r.shown, c.Shown), append(r.shownIDs, c.ShownID)
	r.unread, r.read = append(r.unread, c.Unread), append(r.read, c.Read)
	r.bares, r.resources = append(r.bares, c.name.chat.Bare().String()), append(r.resources, c.name.chat.Resource())
}

func (r *chatRows) queue(b *pgx.Batch) {
	b.Queue(writeChats, r.ids, r.stored, r.last, r.shown, r.shownIDs, r.unread, r.read)
}
