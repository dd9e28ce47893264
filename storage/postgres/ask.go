package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

const (
	// Chats that do not exist yet get their numbers. Each row may also ask for the
	// newest messages of the chat with a key: more than one is a matter of intent. How far
	// it looks is bounded, for those who give all their messages one id.
	readChats = `SELECT r.n, coalesce(c.id, nextval('chat_id_seq')), o.id, c.id IS NULL, coalesce(c.stored, 0), coalesce(c.last, 0),
			coalesce(c.shown, 0), coalesce(c.shown_id, 0), coalesce(c.unread, 0), coalesce(c.read, 0), m.seq, m.flags, m.arrived, m.xml
		FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) WITH ORDINALITY AS r (owner, bare, resource, key, n)
		JOIN owner o ON o.jid = r.owner
		LEFT JOIN chat c ON c.owner = o.id AND c.bare = r.bare AND c.resource = r.resource
		LEFT JOIN LATERAL (SELECT seq, flags, arrived, xml FROM message WHERE chat = c.id AND key = r.key
			ORDER BY seq DESC LIMIT 16) m ON r.key <> 0`

	// Not locked: the foreign key of a new row says if its owner goes meanwhile.
	readOwners = "SELECT jid, id FROM owner WHERE jid = ANY ($1)"

	takeTexts = "SELECT nextval('text_id_seq') FROM generate_series(1, $1)"
)

// question asks for a chat and, unless all are nil, for an earlier message.
type question struct {
	chat       *chat
	message    *storage.Message // like this one
	correction *storage.Message // that this one corrects
	read       *read            // that it marks
}

// original is an earlier row that a message corrects.
type original struct {
	seq   int64
	flags storage.Flags
}

// read is a storage.Read.
type read struct {
	*storage.Read
	seq int64 // of the message that is meant, if that was there before the group
}

// questions are those of readChats, and its arguments.
type questions struct {
	asked                    []question
	owners, bares, resources []string
	keys                     []int64
}

func (q *questions) add(n question) {
	q.asked = append(q.asked, n)
	name := n.chat.name
	q.owners = append(q.owners, name.owner.String())
	q.bares, q.resources = append(q.bares, name.chat.Bare().String()), append(q.resources, name.chat.Resource())
	key := int64(0)
	switch {
	case n.message != nil:
		key = storage.Key(n.message.ID, n.message.Flags)
	case n.correction != nil:
		key = storage.Key(n.correction.Replaces, n.correction.Flags)
	case n.read != nil:
		key = storage.Key(n.read.ID, 0)
	}
	q.keys = append(q.keys, key)
}

// newGroup notes whose rows runs have, and forgets what an earlier attempt noted.
func newGroup(runs []*storage.Run) *group {
	g := &group{logs: make(map[jid.JID]*storage.Log)}
	for _, r := range runs {
		for _, w := range r.Writes {
			switch w := w.(type) {
			case *storage.Message:
				g.noteMessage(w)
			case *storage.Mark:
				g.logs[w.Owner.Bare()] = nil
			case *storage.Read:
				r := &read{Read: w}
				g.reads = append(g.reads, r)
				g.noteChat(w.Owner, w.Chat, question{read: r}).isRead = true
			case *storage.Retraction:
				g.noteChat(w.Owner, w.Chat, question{})
			case *storage.Stream:
				if g.owners == nil {
					g.owners = make(map[jid.JID]int64)
				}
				g.owners[w.Owner.Bare()] = 0
			}
		}
	}
	return g
}

func (g *group) noteMessage(m *storage.Message) {
	m.Seq, m.Original = 0, 0
	g.messages++
	if m.Text != nil {
		*m.Text = storage.Text{}
	}
	if !m.Flags.Has(storage.Archived) {
		g.logs[m.Owner.Bare()] = nil
		return
	}
	if m.Text != nil && m.Text != g.text {
		g.text = m.Text
		g.texts++
	}
	var q question
	if m.Flags.Has(storage.Unique) && m.ID != "" {
		q.message = m
	}
	g.noteChat(m.Owner, m.Chat, q).rows++
	if m.Replaces != "" {
		g.noteChat(m.Owner, m.Chat, question{correction: m})
	}
}

// noteChat asks for a chat, and what else the question says.
func (g *group) noteChat(owner, peer jid.JID, q question) *chat {
	name := chatName{owner.Bare(), peer}
	g.logs[name.owner] = nil
	c := g.chats[name]
	if c != nil && q == (question{}) {
		return c
	}
	if c == nil {
		c = &chat{name: name}
		if g.chats == nil {
			g.chats = make(map[chatName]*chat)
		}
		g.chats[name] = c
	}
	q.chat = c
	g.ask.add(q)
	return c
}

// begin locks the owners and reads what the rows depend on, and the number of the
// transaction.
func (g *group) begin(ctx context.Context, conn *pgxpool.Conn) error {
	b := &pgx.Batch{}
	b.Queue("BEGIN")
	names, byName := named(g.logs)
	b.Queue(lockLogs, names).Query(func(rows pgx.Rows) error {
		return eachLog(rows, func(owner string, l *storage.Log) { g.logs[byName[owner]] = l })
	})
	if len(g.chats) > 0 {
		q := &g.ask
		b.Queue(readChats, q.owners, q.bares, q.resources, q.keys).Query(g.scanChats)
	}
	if g.texts > 0 {
		// Behind the locks, so that they rise along the log of each owner.
		b.Queue(takeTexts, g.texts).Query(func(rows pgx.Rows) (err error) {
			g.free, err = pgx.CollectRows(rows, pgx.RowTo[int64])
			return err
		})
	}
	if len(g.owners) > 0 {
		names, byName := named(g.owners)
		b.Queue(readOwners, names).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				var name string
				var id int64
				if err := rows.Scan(&name, &id); err != nil {
					return err
				}
				g.owners[byName[name]] = id
			}
			return rows.Err()
		})
	}
	b.Queue("SELECT pg_current_xact_id()::text").QueryRow(func(row pgx.Row) error { return row.Scan(&g.xid) })
	return conn.SendBatch(ctx, b).Close()
}

// scanChats takes the answers to g.ask.
func (g *group) scanChats(rows pgx.Rows) error {
	var n int64
	var e chat
	var seq *int64
	var flags *storage.Flags
	var arrived *time.Time
	var xml []byte
	_, err := pgx.ForEachRow(rows, []any{&n, &e.ID, &e.owner, &e.isNew, &e.Stored, &e.Last, &e.Shown, &e.ShownID, &e.Unread, &e.Read,
		&seq, &flags, &arrived, &xml}, func() error {
		q := g.ask.asked[n-1]
		if c := q.chat; c.owner == 0 {
			c.Chat, c.owner, c.isNew = e.Chat, e.owner, e.isNew
		}
		switch {
		case seq == nil:
		// A tombstone has no origin-id any more.
		case q.read != nil:
			if flags.Has(storage.Tombstone) || storage.HasID(xml, q.read.ID) {
				q.read.seq = max(q.read.seq, *seq)
			}
		case q.correction != nil:
			if *seq > g.originals[q.correction].seq && (flags.Has(storage.Tombstone) || storage.HasID(xml, q.correction.Replaces)) {
				if g.originals == nil {
					g.originals = make(map[*storage.Message]original)
				}
				g.originals[q.correction] = original{*seq, *flags}
			}
		// Nor a text.
		case q.message.Arrived.Sub(*arrived) <= storage.UniqueFor && (flags.Has(storage.Tombstone) || storage.Repeats(xml, q.message.XML, q.message.ID)):
			if g.known == nil {
				g.known = make(map[*storage.Message]bool)
			}
			g.known[q.message] = true
		}
		return nil
	})
	return err
}

// named returns the keys of m as the database knows them, and the way back.
func named[V any](m map[jid.JID]V) (names []string, byName map[string]jid.JID) {
	names, byName = make([]string, 0, len(m)), make(map[string]jid.JID, len(m))
	for j := range m {
		name := j.String()
		names = append(names, name)
		byName[name] = j
	}
	return names, byName
}
