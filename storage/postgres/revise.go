package postgres

import (
	"context"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/xmppd/xmppd/storage"
)

const (
	// The newest messages of a chat with a key, below a row, and what corrects them: the
	// key alone does not tell which one is meant. How far it looks is bounded, for those
	// who give all their messages one id, or correct one for ever: storage.RetractStep
	// corrections.
	readRevised = `SELECT r.n, m.seq, m.flags, coalesce(m.text, 0), m.xml, m.correction
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::boolean[]) WITH ORDINALITY
			AS r (chat, key, below, retracted, n)
		CROSS JOIN LATERAL (
			(SELECT seq, flags, text, xml, false AS correction FROM message
				WHERE chat = r.chat AND key = r.key AND seq < r.below ORDER BY seq DESC LIMIT 16)
			UNION ALL
			SELECT *, true FROM
				(SELECT seq, flags, text, xml FROM message WHERE chat = r.chat AND ref = r.key AND seq < r.below ORDER BY seq DESC LIMIT 100) k
				WHERE r.retracted OR text IS NOT NULL) m
		ORDER BY r.n, m.correction, m.seq DESC`
	// What Reads of the group have changed.
	readUnread = "SELECT id, unread, read FROM chat WHERE id = ANY ($1)"

	entomb = `UPDATE message SET flags = m.flags, xml = m.xml, text = NULL
		FROM unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::bytea[]) AS m (owner, seq, flags, xml)
		WHERE message.owner = m.owner AND message.seq = m.seq`
	unlinkTexts = `UPDATE message SET text = NULL FROM unnest($1::bigint[], $2::bigint[]) AS m (owner, seq)
		WHERE message.owner = m.owner AND message.seq = m.seq`
)

// revision is a message of a chat that others refer to.
type revision struct {
	log        *storage.Log
	chat       *chat
	id         string
	side       storage.Flags       // FromOwner or 0
	below      int64               // its seq is smaller
	retraction *storage.Retraction // nil: it is corrected
	seq        int64               // 0: not found

	// The corrections that have been looked at: how many, and the oldest of them.
	looked int
	oldest int64
}

// replace takes a correction for later, when all messages have been added.
func (g *group) replace(l *storage.Log, c *chat, m *storage.Message) {
	g.revisions = append(g.revisions, &revision{log: l, chat: c, id: m.Replaces, side: m.Flags & storage.FromOwner, below: m.Seq})
}

// retract takes a retraction for later, if there is such a chat.
func (g *group) retract(w *storage.Retraction) {
	owner := w.Owner.Bare()
	l, c := g.logs[owner], g.chats[chatName{owner, w.Chat}]
	if l == nil || !c.stored() || w.ID == "" {
		return
	}
	r := &revision{log: l, chat: c, id: w.ID, side: w.Side(), below: math.MaxInt64, retraction: w}
	if w.Of != 0 {
		r.seq, r.below = w.Of, w.Below
	}
	g.revisions = append(g.revisions, r)
	g.retractions++
}

// revise sends what has been queued and reads what is corrected or retracted. It
// returns the statements for that.
func (g *group) revise(ctx context.Context, conn *pgxpool.Conn, b *pgx.Batch) (*pgx.Batch, error) {
	t := tombstones{rows: make(map[row]bool)}
	if g.retractions > 0 {
		g.queueUnread(b)
	}
	g.queueRevisions(b, &t)
	if err := conn.SendBatch(ctx, b).Close(); err != nil {
		return nil, err
	}
	for _, r := range g.revisions {
		if r.retraction != nil && r.looked == storage.RetractStep && r.seq != 0 && r.oldest > r.seq {
			g.rest = append(g.rest, r.retraction.Rest(r.seq, r.oldest))
		}
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

// queueUnread asks what Reads of the group have changed. The books have been queued.
func (g *group) queueUnread(b *pgx.Batch) {
	for _, c := range g.chats {
		c.isNew = c.isNew && !c.Changed // it has been stored by now
		c.Changed = false
	}
	for _, l := range g.logs {
		if l != nil {
			l.Changed = false
		}
	}
	var chats []int64
	byID := make(map[int64]*chat)
	for _, r := range g.revisions {
		if r.retraction != nil && byID[r.chat.ID] == nil {
			chats = append(chats, r.chat.ID)
			byID[r.chat.ID] = r.chat
		}
	}
	b.Queue(readUnread, chats).Query(func(rows pgx.Rows) error {
		var id, unread, read int64
		_, err := pgx.ForEachRow(rows, []any{&id, &unread, &read}, func() error {
			byID[id].Unread, byID[id].Read = unread, read
			return nil
		})
		return err
	})
}

func (g *group) queueRevisions(b *pgx.Batch, t *tombstones) {
	n := len(g.revisions)
	chats, keys, below := make([]int64, n), make([]int64, n), make([]int64, n)
	retracted := make([]bool, n)
	for i, r := range g.revisions {
		chats[i], keys[i], below[i] = r.chat.ID, storage.Key(r.id, r.side), r.below
		retracted[i] = r.retraction != nil
	}
	b.Queue(readRevised, chats, keys, below, retracted).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var n, seq, text int64
			var flags storage.Flags
			var xml []byte
			var correction bool
			if err := rows.Scan(&n, &seq, &flags, &text, &xml, &correction); err != nil {
				return err
			}
			switch r := g.revisions[n-1]; {
			case !r.means(seq, flags, xml, correction):
			case r.retraction == nil:
				t.hidden.add(r.log.Owner, seq, text)
			case !flags.Has(storage.Tombstone):
				t.add(r, seq, text, flags, xml)
			}
		}
		return rows.Err()
	})
}

// means reports whether a row is the message or, behind it, a correction of it.
func (r *revision) means(seq int64, flags storage.Flags, xml []byte, correction bool) bool {
	switch {
	case correction:
		r.looked, r.oldest = r.looked+1, seq
		return r.seq != 0 && seq > r.seq && storage.Corrects(xml, r.id)
	// A tombstone has no origin-id any more.
	case r.seq == 0 && (flags.Has(storage.Tombstone) || storage.HasID(xml, r.id)):
		r.seq = seq
		return true
	}
	return false
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

func (t *tombstones) add(r *revision, seq, text int64, flags storage.Flags, xml []byte) {
	at := row{r.log, seq}
	stone := storage.TombstoneXML(xml, r.retraction.Element)
	if stone == nil || t.rows[at] {
		return
	}
	t.rows[at] = true
	flags = r.log.Retract(&r.chat.Chat, seq, flags, int64(len(xml)), int64(len(stone)))
	t.owners, t.seqs = append(t.owners, r.log.Owner), append(t.seqs, seq)
	t.flags, t.xml = append(t.flags, int16(flags)), append(t.xml, stone)
	t.hidden.add(r.log.Owner, seq, text)
}
