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
	// newest message of the chat with a key, of one side. How far it looks is bounded,
	// for those who give all their messages one id.
	readChats = `SELECT r.n, coalesce(c.id, nextval('chat_id_seq')), o.id, c.id IS NULL, coalesce(c.stored, 0), coalesce(c.last, 0),
			coalesce(c.shown, 0), coalesce(c.shown_id, 0), coalesce(c.unread, 0), coalesce(c.read, 0), m.arrived, m.xml
		FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::smallint[]) WITH ORDINALITY AS r (owner, bare, resource, key, side, n)
		JOIN owner o ON o.jid = r.owner
		LEFT JOIN chat c ON c.owner = o.id AND c.bare = r.bare AND c.resource = r.resource
		LEFT JOIN LATERAL (SELECT arrived, xml FROM
			(SELECT arrived, xml, flags FROM message WHERE chat = c.id AND key = r.key ORDER BY seq DESC LIMIT 100) m
			WHERE flags & 2 = r.side LIMIT 1) m ON r.key <> 0`

	// Not locked: the foreign key of a new row says if its owner goes meanwhile.
	readOwners = "SELECT jid, id FROM owner WHERE jid = ANY ($1)"

	takeTexts = "SELECT nextval('text_id_seq') FROM generate_series(1, $1)"
)

// questions are the arguments of readChats.
type questions struct {
	chats                    []*chat
	messages                 []*storage.Message // whose key is asked for; nil: none
	owners, bares, resources []string
	keys                     []int64
	sides                    []int16
}

func (q *questions) add(c *chat, m *storage.Message) {
	q.chats, q.messages = append(q.chats, c), append(q.messages, m)
	q.owners = append(q.owners, c.name.owner.String())
	q.bares, q.resources = append(q.bares, c.name.chat.Bare().String()), append(q.resources, c.name.chat.Resource())
	key, side := int64(0), int16(0)
	if m != nil {
		key, side = storage.Key(m.ID), int16(m.Flags&storage.FromOwner)
	}
	q.keys, q.sides = append(q.keys, key), append(q.sides, side)
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
				g.noteChat(w.Owner, w.Chat, nil)
			case *storage.Retraction:
				g.noteChat(w.Owner, w.Chat, nil)
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
	m.Seq = 0
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
	unique := m
	if !m.Flags.Has(storage.Unique) || m.ID == "" {
		unique = nil
	}
	g.noteChat(m.Owner, m.Chat, unique).rows++
}

// noteChat asks for a chat, and for an earlier message like m.
func (g *group) noteChat(owner, peer jid.JID, m *storage.Message) *chat {
	name := chatName{owner.Bare(), peer}
	g.logs[name.owner] = nil
	c := g.chats[name]
	if c != nil && m == nil {
		return c
	}
	if c == nil {
		c = &chat{name: name}
		if g.chats == nil {
			g.chats = make(map[chatName]*chat)
		}
		g.chats[name] = c
	}
	g.ask.add(c, m)
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
		b.Queue(readChats, q.owners, q.bares, q.resources, q.keys, q.sides).Query(g.scanChats)
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
	var arrived *time.Time
	var xml []byte
	_, err := pgx.ForEachRow(rows, []any{&n, &e.ID, &e.owner, &e.isNew, &e.Stored, &e.Last, &e.Shown, &e.ShownID, &e.Unread, &e.Read, &arrived, &xml}, func() error {
		c, m := g.ask.chats[n-1], g.ask.messages[n-1]
		if c.owner == 0 {
			c.Chat, c.owner, c.isNew = e.Chat, e.owner, e.isNew
		}
		if arrived != nil && m.Arrived.Sub(*arrived) <= uniqueFor && storage.HasID(xml, m.ID) {
			if g.known == nil {
				g.known = make(map[*storage.Message]bool)
			}
			g.known[m] = true
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
