package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/xmppd/xmppd/storage"
)

// In the statements below stand the numbers of storage.Flags: 1 Archived,
// 2 FromOwner, 4 Waiting, 8 Shown, 16 Unread, 32 ReadsChat, 128 Tombstone.

const (
	logColumns = "jid, id, next_seq, last_arrived, stored, stored_bytes, waiting, waiting_bytes, delivered, confirmed"

	// In the order of their numbers, so that no two can wait for each other.
	lockLogs     = "SELECT " + logColumns + " FROM owner WHERE jid = ANY ($1) ORDER BY id FOR NO KEY UPDATE"
	lockLogsByID = "SELECT " + logColumns + " FROM owner WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE"
	lockFreeLogs = lockLogsByID + " SKIP LOCKED"

	writeLogs = `UPDATE owner SET next_seq = l.next_seq, last_arrived = l.last_arrived, stored = l.stored,
			stored_bytes = l.stored_bytes, waiting = l.waiting, waiting_bytes = l.waiting_bytes, delivered = l.delivered
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])
			AS l (id, next_seq, last_arrived, stored, stored_bytes, waiting, waiting_bytes, delivered)
		WHERE owner.id = l.id`
	writeConfirmed = `UPDATE owner SET confirmed = nullif(l.confirmed, '')
		FROM unnest($1::bigint[], $2::bytea[]) AS l (id, confirmed) WHERE owner.id = l.id`
)

// eachLog calls fn with what lockLogs or lockLogsByID found.
func eachLog(rows pgx.Rows, fn func(owner string, l *storage.Log)) error {
	defer rows.Close()
	var confirmed []byte
	for rows.Next() {
		var owner string
		l := new(storage.Log)
		err := rows.Scan(&owner, &l.Owner, &l.Next, &l.Last, &l.Stored, &l.Bytes, &l.Waiting, &l.Queued, &l.Delivered, &confirmed)
		if err != nil {
			return err
		}
		if l.Confirmed, err = storage.DecodeRanges(confirmed); err != nil {
			return err
		}
		fn(owner, l)
	}
	return rows.Err()
}

// lockOwners locks owners by their numbers, with lockLogsByID or lockFreeLogs, and
// reads their logs; those that do not exist any more are left out.
func lockOwners(ctx context.Context, t pgx.Tx, query string, ids []int64) (map[int64]*storage.Log, error) {
	rows, err := t.Query(ctx, query, ids)
	if err != nil {
		return nil, err
	}
	logs := make(map[int64]*storage.Log, len(ids))
	return logs, eachLog(rows, func(_ string, l *storage.Log) { logs[l.Owner] = l })
}

// logRows are the columns of owners' rows that writeLogs takes.
type logRows struct {
	ids, next, last, stored, bytes, waiting, queued, delivered []int64
}

func (r *logRows) add(l *storage.Log) {
	r.ids, r.next, r.last = append(r.ids, l.Owner), append(r.next, l.Next), append(r.last, l.Last)
	r.stored, r.bytes = append(r.stored, l.Stored), append(r.bytes, l.Bytes)
	r.waiting, r.queued = append(r.waiting, l.Waiting), append(r.queued, l.Queued)
	r.delivered = append(r.delivered, l.Delivered)
}

func (r *logRows) queue(b *pgx.Batch) {
	b.Queue(writeLogs, r.ids, r.next, r.last, r.stored, r.bytes, r.waiting, r.queued, r.delivered)
}
