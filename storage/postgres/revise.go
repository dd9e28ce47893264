package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/xmppd/xmppd/storage"
)

const (
	// The newest message t of a chat with a key, of one side, below a row. How far it
	// looks is bounded, for those who give all their messages one id.
	newest = ` CROSS JOIN LATERAL (SELECT * FROM
			(SELECT seq, flags, text, xml FROM message WHERE chat = r.chat AND key = r.key AND seq < r.below ORDER BY seq DESC LIMIT 100) m
			WHERE flags & 2 = r.side LIMIT 1) t`
	// That message, and what corrects it below the row: the newest of many.
	andCorrections = newest + ` CROSS JOIN LATERAL (
			SELECT t.seq, t.flags, t.text, t.xml, false AS correction
			UNION ALL
			(SELECT seq, flags, text, xml, true FROM message
				WHERE chat = r.chat AND ref = r.key AND seq > t.seq AND seq < r.below AND flags & 2 = r.side ORDER BY seq DESC LIMIT 100)) m`

	readReplaced = `SELECT r.owner, m.seq, m.text
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::smallint[], $5::bigint[]) AS r (owner, chat, key, side, below)` +
		andCorrections + " WHERE m.text IS NOT NULL"

	readRetracted = `SELECT r.n, m.seq, m.flags, coalesce(m.text, 0), m.xml, m.correction
		FROM (SELECT *, 9223372036854775807 AS below
			FROM unnest($1::bigint[], $2::bigint[], $3::smallint[]) WITH ORDINALITY AS r (chat, key, side, n)) r` +
		andCorrections + " WHERE m.flags & 128 = 0 ORDER BY r.n, m.correction"
	// What Reads of the group have changed.
	readUnread = "SELECT id, unread, read FROM chat WHERE id = ANY ($1)"

	entomb = `UPDATE message SET flags = m.flags, xml = m.xml, text = NULL
		FROM unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::bytea[]) AS m (owner, seq, flags, xml)
		WHERE message.owner = m.owner AND message.seq = m.seq`
	unlinkTexts = `UPDATE message SET text = NULL FROM unnest($1::bigint[], $2::bigint[]) AS m (owner, seq)
		WHERE message.owner = m.owner AND message.seq = m.seq`
)

// replacedRows are the arguments of readReplaced.
type replacedRows struct {
	owners, chats, keys, below []int64
	sides                      []int16
}

func (r *replacedRows) add(owner, chat, key int64, m *storage.Message) {
	r.owners, r.chats, r.keys = append(r.owners, owner), append(r.chats, chat), append(r.keys, key)
	r.sides, r.below = append(r.sides, int16(m.Flags&storage.FromOwner)), append(r.below, m.Seq)
}

// retraction is a storage.Retraction from a chat that there is.
type retraction struct {
	*storage.Retraction
	log   *storage.Log
	chat  *chat
	found bool // the message that is meant
}

// retract takes a retraction for later, when all messages have been added.
func (g *group) retract(w *storage.Retraction) {
	owner := w.Owner.Bare()
	if l, c := g.logs[owner], g.chats[chatName{owner, w.Chat}]; l != nil && c.stored() && w.ID != "" {
		g.retractions = append(g.retractions, &retraction{Retraction: w, log: l, chat: c})
	}
}

// revises reports whether messages of the group change what is there.
func (g *group) revises() bool { return len(g.replaced.chats) > 0 || len(g.retractions) > 0 }

// revise sends what has been queued and reads what is corrected or retracted. It
// returns the statements for that.
func (g *group) revise(ctx context.Context, conn *pgxpool.Conn, b *pgx.Batch) (*pgx.Batch, error) {
	t := tombstones{rows: make(map[row]bool)}
	if r := &g.replaced; len(r.chats) > 0 {
		b.Queue(readReplaced, r.owners, r.chats, r.keys, r.sides, r.below).Query(func(rows pgx.Rows) error {
			var owner, seq, text int64
			_, err := pgx.ForEachRow(rows, []any{&owner, &seq, &text}, func() error {
				t.hidden.add(owner, seq, text)
				return nil
			})
			return err
		})
	}
	if len(g.retractions) > 0 {
		g.queueRetractions(b, &t)
	}
	if err := conn.SendBatch(ctx, b).Close(); err != nil {
		return nil, err
	}
	b = &pgx.Batch{}
	if len(t.hidden.texts) > 0 {
		b.Queue(unlinkTexts, t.hidden.owners, t.hidden.seqs)
	}
	if len(t.seqs) > 0 {
		b.Queue(entomb, t.owners, t.seqs, t.flags, t.xml)
		g.queueBooks(b)
	}
	t.hidden.queue(b)
	return b, nil
}

func (g *group) queueRetractions(b *pgx.Batch, t *tombstones) {
	var chats, keys []int64
	var sides []int16
	byID := make(map[int64]*chat)
	for _, c := range g.chats {
		c.isNew = c.isNew && !c.Changed // it has been stored by now
		c.Changed = false
	}
	for _, l := range g.logs {
		if l != nil {
			l.Changed = false
		}
	}
	for _, r := range g.retractions {
		chats, keys = append(chats, r.chat.ID), append(keys, storage.Key(r.ID))
		side := storage.Flags(0)
		if r.FromOwner {
			side = storage.FromOwner
		}
		sides = append(sides, int16(side))
		byID[r.chat.ID] = r.chat
	}
	b.Queue(readUnread, chats).Query(func(rows pgx.Rows) error {
		var id, unread, read int64
		_, err := pgx.ForEachRow(rows, []any{&id, &unread, &read}, func() error {
			byID[id].Unread, byID[id].Read = unread, read
			return nil
		})
		return err
	})
	b.Queue(readRetracted, chats, keys, sides).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var n, seq, text int64
			var flags storage.Flags
			var xml []byte
			var correction bool
			if err := rows.Scan(&n, &seq, &flags, &text, &xml, &correction); err != nil {
				return err
			}
			if r := g.retractions[n-1]; r.means(xml, correction) {
				t.add(r, seq, text, flags, xml)
			}
		}
		return rows.Err()
	})
}

// means reports whether a row is the message or, behind it, a correction of it: the
// key alone does not tell.
func (r *retraction) means(xml []byte, correction bool) bool {
	if correction {
		return r.found && storage.Corrects(xml, r.ID)
	}
	r.found = storage.HasID(xml, r.ID)
	return r.found
}

// row names a row of message.
type row struct {
	log *storage.Log
	seq int64
}

// tombstones are the arguments of entomb, and what the search is not to find.
type tombstones struct {
	owners, seqs []int64
	flags        []int16
	xml          [][]byte
	rows         map[row]bool
	hidden       hiddenRows
}

func (t *tombstones) add(r *retraction, seq, text int64, flags storage.Flags, xml []byte) {
	at := row{r.log, seq}
	stone := storage.TombstoneXML(xml, r.Element)
	if stone == nil || t.rows[at] {
		return
	}
	t.rows[at] = true
	flags = r.log.Retract(&r.chat.Chat, seq, flags, int64(len(xml)), int64(len(stone)))
	t.owners, t.seqs = append(t.owners, r.log.Owner), append(t.seqs, seq)
	t.flags, t.xml = append(t.flags, int16(flags)), append(t.xml, stone)
	t.hidden.add(r.log.Owner, seq, text)
}
