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
	pendingRows = `SELECT o.confirmed, ` + messageColumns + ` FROM owner o
		CROSS JOIN LATERAL (SELECT * FROM message
			WHERE owner = o.id AND seq > greatest(o.delivered, $2) AND seq <= $3 AND flags & 2 = 0 ORDER BY seq LIMIT $4) m
		WHERE o.jid = $1 ORDER BY m.seq`

	// What is confirmed goes, or does not wait any more if it is archived.
	confirmRows = `WITH done AS (SELECT m.owner, m.seq, m.flags, octet_length(m.xml) AS size
			FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS r (owner, first, last)
			JOIN message m ON m.owner = r.owner AND m.seq BETWEEN r.first AND r.last WHERE m.flags & 5 <> 1),
		gone AS (DELETE FROM message USING done WHERE message.owner = done.owner AND message.seq = done.seq AND done.flags & 1 = 0),
		kept AS (UPDATE message SET flags = done.flags - 4 FROM done
			WHERE message.owner = done.owner AND message.seq = done.seq AND done.flags & 1 <> 0)
		SELECT owner, count(*), sum(size) FROM done WHERE flags & 4 <> 0 GROUP BY owner`

	// The first row of each range, which is not confirmed, that its owner has not got.
	firstPending = `SELECT r.owner, r.first, r.last, coalesce((SELECT seq FROM message
			WHERE owner = r.owner AND seq BETWEEN r.first AND r.last AND flags & 2 = 0 ORDER BY seq LIMIT 1), 0)
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS r (owner, first, last)`

	// The condition on flags is that of the index.
	oldWaiting = "SELECT owner, seq FROM message WHERE arrived < $1 AND flags & 4 <> 0 ORDER BY arrived LIMIT $2"
)

// PendingMessages returns rows of an account's log that it has not got: those above
// a seq and up to another (0: to the end) that the account has not sent and no
// client has confirmed; in order, at most limit of them.
func (db *DB) PendingMessages(ctx context.Context, owner jid.JID, after, upTo int64, limit int) ([]storage.Message, error) {
	owner = owner.Bare()
	if upTo == 0 {
		upTo = math.MaxInt64
	}
	var messages []storage.Message
	for len(messages) < limit {
		var confirmed storage.Ranges
		s := scanner{owner: owner}
		page, err := list(ctx, db, pendingRows, []any{owner.String(), after, upTo, limit}, func(row pgx.Row) (m storage.Message, err error) {
			var set []byte
			if m, err = s.scan(row, &set); err == nil && confirmed == nil {
				confirmed, err = storage.DecodeRanges(set)
			}
			return m, err
		})
		if err != nil {
			return nil, wrap(err, "read messages of", owner)
		}
		for _, m := range page {
			if after = m.Seq; !confirmed.Has(m.Seq) && len(messages) < limit {
				messages = append(messages, m)
			}
		}
		if len(page) < limit {
			break
		}
		for _, r := range confirmed { // nothing to be read up to its end
			if r.First <= after {
				after = max(after, r.Last)
			}
		}
	}
	return messages, nil
}

// ConfirmMessages takes note of what accounts have got: rows that are not in the
// archive go, others do not wait any more. Accounts that do not exist are skipped.
func (db *DB) ConfirmMessages(ctx context.Context, confirmed []storage.Confirmed) error {
	ranges := make(map[string][]storage.Range, len(confirmed))
	for _, c := range confirmed {
		name := c.Owner.Bare().String()
		ranges[name] = append(ranges[name], c.Ranges...)
	}
	err := db.write(ctx, func(ctx context.Context, t pgx.Tx) error {
		rows, err := t.Query(ctx, lockLogs, slices.Collect(maps.Keys(ranges)))
		if err != nil {
			return err
		}
		var done confirmation
		if err := eachLog(rows, func(owner string, l *storage.Log) { done.add(l, ranges[owner]) }); err != nil {
			return err
		}
		_, err = done.write(ctx, t)
		return err
	})
	if err != nil {
		return fmt.Errorf("confirm messages: %w", err)
	}
	return nil
}

// confirmation is what owners, which are locked, have got.
type confirmation struct {
	logs                []*storage.Log
	owners, first, last []int64 // what was not known before
}

func (c *confirmation) add(l *storage.Log, ranges []storage.Range) {
	fresh := l.Confirm(ranges)
	if len(fresh) == 0 {
		return
	}
	c.logs = append(c.logs, l)
	for _, r := range fresh {
		c.owners, c.first, c.last = append(c.owners, l.Owner), append(c.first, r.First), append(c.last, r.Last)
	}
}

// write makes it so and returns how many of the rows waited.
func (c *confirmation) write(ctx context.Context, t pgx.Tx) (waited int64, err error) {
	if len(c.logs) == 0 {
		return 0, errUnchanged
	}
	byOwner := make(map[int64]*storage.Log, len(c.logs))
	var gaps confirmation
	for _, l := range c.logs {
		byOwner[l.Owner] = l
		gaps.addGaps(l)
	}
	pending := make(map[int64]int64, len(c.logs))
	b := &pgx.Batch{}
	b.Queue(confirmRows, c.owners, c.first, c.last).Query(func(rows pgx.Rows) error {
		var owner, n, size int64
		_, err := pgx.ForEachRow(rows, []any{&owner, &n, &size}, func() error {
			byOwner[owner].Taken(n, size)
			waited += n
			return nil
		})
		return err
	})
	b.Queue(firstPending, gaps.owners, gaps.first, gaps.last).Query(func(rows pgx.Rows) error {
		var owner, seq int64
		var gap storage.Range
		_, err := pgx.ForEachRow(rows, []any{&owner, &gap.First, &gap.Last, &seq}, func() error {
			byOwner[owner].Join(gap, seq)
			if was := pending[owner]; seq > 0 && (was == 0 || seq < was) {
				pending[owner] = seq
			}
			return nil
		})
		return err
	})
	if err := t.SendBatch(ctx, b).Close(); err != nil {
		return 0, err
	}
	var logs logRows
	var sets [][]byte
	for _, l := range c.logs {
		l.Advance(pending[l.Owner])
		logs.add(l)
		sets = append(sets, l.Confirmed.Encode())
	}
	b = &pgx.Batch{}
	logs.queue(b)
	b.Queue(writeConfirmed, logs.ids, sets)
	return waited, t.SendBatch(ctx, b).Close()
}

// addGaps adds what is not confirmed of a log.
func (c *confirmation) addGaps(l *storage.Log) {
	for _, r := range l.Confirmed.Without(storage.Range{First: l.Delivered + 1, Last: l.Next - 1}) {
		c.owners, c.first, c.last = append(c.owners, l.Owner), append(c.first, r.First), append(c.last, r.Last)
	}
}

// CountMessages counts what waits for an account.
func (db *DB) CountMessages(ctx context.Context, owner jid.JID) (n int, err error) {
	err = db.row(ctx, "SELECT coalesce((SELECT waiting FROM owner WHERE jid = $1), 0)", owner.Bare().String()).Scan(&n)
	return n, wrap(err, "count messages of", owner)
}

// DeleteMessagesBefore gives up the oldest messages that wait and arrived before t,
// of all accounts, at most limit of them, and returns how many: they stay in
// archives, as if they had been delivered, and nowhere else. Callers repeat it until
// that is less than limit, so that other writers get their turn.
func (db *DB) DeleteMessagesBefore(ctx context.Context, before time.Time, limit int) (int, error) {
	var n int64
	err := db.write(ctx, func(ctx context.Context, t pgx.Tx) error {
		old := make(map[int64]storage.Ranges)
		rows, err := t.Query(ctx, oldWaiting, before, limit)
		if err != nil {
			return err
		}
		var owner, seq int64
		if _, err := pgx.ForEachRow(rows, []any{&owner, &seq}, func() error {
			old[owner] = append(old[owner], storage.Range{First: seq, Last: seq})
			return nil
		}); err != nil {
			return err
		}
		logs, err := lockOwners(ctx, t, lockLogsByID, slices.Collect(maps.Keys(old)))
		if err != nil {
			return err
		}
		var done confirmation
		for owner, l := range logs {
			done.add(l, old[owner])
		}
		n, err = done.write(ctx, t)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("delete old messages: %w", err)
	}
	return int(n), nil
}
