package postgres

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

const (
	// Some owners, and whether they have rows to be trimmed.
	ownersToTrim = `SELECT id, stored > 0 AND ($2 = '' OR split_part(jid, '@', 2) = $2) AND (stored_bytes > $3
			OR (SELECT arrived FROM message WHERE message.owner = o.id AND flags & 1 <> 0 ORDER BY seq LIMIT 1) < $4)
		FROM (SELECT id, jid, stored, stored_bytes FROM owner WHERE id >= $1 ORDER BY id LIMIT $5) o ORDER BY id`

	rowsToTrim = `SELECT ` + cutColumns + ` FROM unnest($1::bigint[], $2::bigint[]) AS o (id, bytes)
		CROSS JOIN LATERAL (SELECT *, o.bytes - sum(octet_length(xml)) OVER (ORDER BY seq) + octet_length(xml) AS left_over
			FROM (SELECT * FROM message WHERE owner = o.id AND flags & 1 <> 0 ORDER BY seq LIMIT $5) m) m
		WHERE m.left_over > $3 OR m.arrived < $4 ORDER BY m.owner, m.seq LIMIT $5`

	cutColumns = "m.owner, m.seq, m.flags, coalesce(m.chat, 0), coalesce(m.text, 0), octet_length(m.xml)"

	dropRows = "DELETE FROM message USING unnest($1::bigint[], $2::bigint[]) AS g (owner, seq) WHERE message.owner = g.owner AND message.seq = g.seq"
	// Of an archived row, this leaves what delivery needs.
	keepRows = `UPDATE message SET flags = m.flags, chat = NULL, key = NULL, ref = NULL, text = NULL
		FROM unnest($1::bigint[], $2::bigint[], $3::smallint[]) AS m (owner, seq, flags) WHERE message.owner = m.owner AND message.seq = m.seq`

	chatsByID = "SELECT id, stored, last, shown, shown_id, unread, read FROM chat WHERE id = ANY ($1)"
	// The latest row of chats, and what stands in the inbox for them: the newest
	// message or its newest correction; without any message, the newest correction.
	findLast  = "UPDATE chat SET last = coalesce((SELECT seq FROM message WHERE chat = chat.id ORDER BY seq DESC LIMIT 1), 0) WHERE id = ANY ($1)"
	findShown = `UPDATE chat SET shown = coalesce(r.seq, m.seq, 0), shown_id = coalesce(m.id, 0)
		FROM unnest($1::bigint[]) AS g (chat)
		LEFT JOIN LATERAL (
			(SELECT 1 AS rank, seq, coalesce(key, 0) AS id FROM message WHERE chat = g.chat AND flags & 8 <> 0 AND ref IS NULL ORDER BY seq DESC LIMIT 1)
			UNION ALL
			(SELECT 2, seq, coalesce(ref, 0) FROM message WHERE chat = g.chat AND flags & 8 <> 0 ORDER BY seq DESC LIMIT 1)
			ORDER BY rank LIMIT 1) m ON true
		LEFT JOIN LATERAL (SELECT seq FROM message
			WHERE chat = g.chat AND ref = m.id AND flags & 8 <> 0 AND seq > m.seq ORDER BY seq DESC LIMIT 1) r ON true
		WHERE chat.id = g.chat`

	// trimOwners is how many owners TrimArchives looks at in a step, and trimLocks how
	// many of them it locks.
	trimOwners = 500
	trimLocks  = 16
)

// TrimArchives takes one step of a sweep over the archives: it trims some, beginning
// with the owner whose number is from, by at most limit rows in one transaction. It
// returns how many these were and where to go on; next is 0 when the sweep is
// complete. Begin with 0.
func (db *DB) TrimArchives(ctx context.Context, trim storage.Trim, from int64, limit int) (trimmed int, next int64, err error) {
	bytes := trim.Bytes
	if bytes <= 0 {
		bytes = math.MaxInt64
	}
	var due []int64
	seen, last := 0, from
	_, err = list(ctx, db, ownersToTrim, []any{from, trim.Domain, bytes, trim.Before, trimOwners}, func(row pgx.Row) (_ struct{}, err error) {
		var isDue *bool
		was := last
		if err = row.Scan(&last, &isDue); err != nil {
			return
		}
		if last <= was { // the first row, maybe of the second attempt
			seen, due = 0, nil
		}
		if seen++; isDue != nil && *isDue {
			due = append(due, last)
		}
		return
	})
	if err != nil {
		return 0, 0, fmt.Errorf("trim archives: %w", err)
	}
	if seen == trimOwners {
		next = last + 1
	}
	if len(due) == 0 {
		return 0, next, nil
	}
	if len(due) > trimLocks {
		next, due = due[trimLocks], due[:trimLocks]
	}
	trimmed, full, err := db.trim(ctx, due, bytes, trim.Before, limit)
	if err != nil {
		return 0, 0, fmt.Errorf("trim archives: %w", err)
	}
	if trimmed == limit {
		next = full
	}
	return trimmed, next, nil
}

// trim trims the archives of some owners. last is the one at which it stopped.
func (db *DB) trim(ctx context.Context, owners []int64, bytes int64, before time.Time, limit int) (n int, last int64, err error) {
	err = db.write(ctx, func(ctx context.Context, t pgx.Tx) error {
		// Those who are being written to have to be trimmed another time, so that nobody
		// waits for another one's commit.
		logs, err := lockOwners(ctx, t, lockFreeLogs, owners)
		if err != nil {
			return err
		}
		var ids, sizes []int64
		for _, l := range logs {
			ids, sizes = append(ids, l.Owner), append(sizes, l.Bytes)
		}
		n, last, err = cut(ctx, t, logs, rowsToTrim, ids, sizes, bytes, before, limit)
		return err
	})
	return n, last, err
}

// RemoveArchive takes rows out of an account's archive, the oldest first, at most
// limit of them, and returns how many: those with an address, as in
// storage.ArchiveQuery, or all with none. Callers repeat it until that is less than
// limit, so that other writers get their turn. Rows that the account has not got yet
// wait for delivery.
func (db *DB) RemoveArchive(ctx context.Context, owner, with jid.JID, limit int) (removed int, err error) {
	p := selection{owner: owner.Bare(), with: with, high: math.MaxInt64}
	query, args := p.query(cutColumns, limit, false)
	err = db.write(ctx, func(ctx context.Context, t pgx.Tx) error {
		rows, err := t.Query(ctx, lockLogs, []string{p.owner.String()})
		if err != nil {
			return err
		}
		logs := make(map[int64]*storage.Log, 1)
		if err := eachLog(rows, func(_ string, l *storage.Log) { logs[l.Owner] = l }); err != nil {
			return err
		}
		removed, _, err = cut(ctx, t, logs, query, args...)
		return err
	})
	return removed, wrap(err, "remove archive of", owner)
}

// cut takes the rows that a query finds out of the archives of owners, which are
// locked. It returns how many these were, and the owner of the last one.
func cut(ctx context.Context, t pgx.Tx, logs map[int64]*storage.Log, query string, args ...any) (n int, last int64, err error) {
	rows, err := t.Query(ctx, query, args...)
	if err != nil {
		return 0, 0, err
	}
	found, err := collect(rows, func(row pgx.Row) (r cutRow, err error) {
		return r, row.Scan(&r.owner, &r.seq, &r.flags, &r.chat, &r.text, &r.size)
	})
	if err != nil || len(found) == 0 {
		return 0, 0, err
	}
	c := cutting{logs: logs, chats: make(map[int64]*chat)}
	for _, r := range found {
		c.chats[r.chat] = new(chat)
	}
	if err := c.readChats(ctx, t); err != nil {
		return 0, 0, err
	}
	for _, r := range found {
		c.add(r)
	}
	b := &pgx.Batch{}
	c.queue(b)
	return len(found), found[len(found)-1].owner, t.SendBatch(ctx, b).Close()
}

// cutRow is a row that leaves an archive, in cutColumns.
type cutRow struct {
	owner, seq, chat, text, size int64
	flags                        storage.Flags
}

// cutting is what becomes of such rows: they go, or they wait for delivery.
type cutting struct {
	logs  map[int64]*storage.Log
	chats map[int64]*chat

	owners, seqs         []int64
	keptOwners, keptSeqs []int64
	keptFlags            []int16
	hidden               hiddenRows
	noLast, noneShown    []int64 // chats
}

func (c *cutting) readChats(ctx context.Context, t pgx.Tx) error {
	rows, err := t.Query(ctx, chatsByID, slices.Collect(maps.Keys(c.chats)))
	if err != nil {
		return err
	}
	var e storage.Chat
	_, err = pgx.ForEachRow(rows, []any{&e.ID, &e.Stored, &e.Last, &e.Shown, &e.ShownID, &e.Unread, &e.Read}, func() error {
		c.chats[e.ID] = &chat{Chat: e}
		return nil
	})
	return err
}

func (c *cutting) add(r cutRow) {
	l, e := c.logs[r.owner], c.chats[r.chat]
	shown := e.Shown
	if keeps := l.Remove(&e.Chat, r.seq, r.flags, r.size); keeps == 0 {
		c.owners, c.seqs = append(c.owners, r.owner), append(c.seqs, r.seq)
	} else {
		c.keptOwners, c.keptSeqs = append(c.keptOwners, r.owner), append(c.keptSeqs, r.seq)
		c.keptFlags = append(c.keptFlags, int16(keeps))
	}
	c.hidden.add(r.owner, r.seq, r.text)
	if e.Last == 0 {
		c.noLast = append(c.noLast, r.chat)
	}
	if shown != 0 && e.Shown == 0 {
		c.noneShown = append(c.noneShown, r.chat)
	}
}

func (c *cutting) queue(b *pgx.Batch) {
	if len(c.seqs) > 0 {
		b.Queue(dropRows, c.owners, c.seqs)
	}
	if len(c.keptSeqs) > 0 {
		b.Queue(keepRows, c.keptOwners, c.keptSeqs, c.keptFlags)
	}
	var changed chatRows
	for _, e := range c.chats {
		changed.add(e)
	}
	changed.queue(b)
	if len(c.noLast) > 0 {
		b.Queue(findLast, c.noLast)
	}
	if len(c.noneShown) > 0 {
		b.Queue(findShown, c.noneShown)
	}
	var logs logRows
	for _, l := range c.logs {
		if l.Changed {
			logs.add(l)
		}
	}
	logs.queue(b)
	c.hidden.queue(b)
}
