package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// PendingMessages returns messages of an account's log behind the seq given, in
// order, at most limit of them.
func (db *DB) PendingMessages(ctx context.Context, owner jid.JID, after int64, limit int) ([]storage.Message, error) {
	owner = owner.Bare()
	const query = `SELECT seq, peer, arrived, xml FROM message
		WHERE owner = (SELECT id FROM owner WHERE jid = $1) AND seq > $2 ORDER BY seq LIMIT $3`
	messages, err := list(ctx, db, query, []any{owner.String(), after, limit}, func(row pgx.Row) (storage.Message, error) {
		m := storage.Message{Owner: owner}
		var peer string
		err := row.Scan(&m.Seq, &peer, &m.Arrived, &m.XML)
		if err != nil {
			return m, err
		}
		m.Arrived = m.Arrived.UTC()
		m.Peer, err = jid.Parse(peer)
		return m, err
	})
	if err != nil {
		return nil, wrap(err, "read messages of", owner)
	}
	return messages, nil
}

// ConfirmMessages deletes an account's messages up to a seq, that one included.
func (db *DB) ConfirmMessages(ctx context.Context, owner jid.JID, upTo int64) error {
	err := db.write(ctx, func(ctx context.Context, t pgx.Tx) error {
		var id int64
		err := t.QueryRow(ctx, "SELECT id FROM owner WHERE jid = $1 FOR NO KEY UPDATE", owner.Bare().String()).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			return errUnchanged
		} else if err != nil {
			return err
		}
		_, err = t.Exec(ctx, `WITH gone AS (DELETE FROM message WHERE owner = $1 AND seq <= $2 RETURNING octet_length(xml) AS size),
				total AS (SELECT count(*) AS n, coalesce(sum(size), 0) AS size FROM gone)
			UPDATE owner SET stored = stored - total.n, stored_bytes = stored_bytes - total.size FROM total WHERE id = $1 AND total.n > 0`, id, upTo)
		return err
	})
	return wrap(err, "confirm messages of", owner)
}

// CountMessages counts what is in an account's log.
func (db *DB) CountMessages(ctx context.Context, owner jid.JID) (n int, err error) {
	err = db.row(ctx, "SELECT coalesce((SELECT stored FROM owner WHERE jid = $1), 0)", owner.Bare().String()).Scan(&n)
	return n, wrap(err, "count messages of", owner)
}

// DeleteMessagesBefore deletes the oldest messages that arrived before t, of
// all accounts, at most limit of them, and returns how many. Callers repeat it
// until that is less than limit, so that other writers get their turn.
func (db *DB) DeleteMessagesBefore(ctx context.Context, before time.Time, limit int) (int, error) {
	deleted := 0
	err := db.write(ctx, func(ctx context.Context, t pgx.Tx) error {
		var owners, seqs []int64
		rows, err := t.Query(ctx, "SELECT owner, seq FROM message WHERE arrived < $1 ORDER BY arrived LIMIT $2", before, limit)
		if err != nil {
			return err
		}
		var owner, seq int64
		if _, err := pgx.ForEachRow(rows, []any{&owner, &seq}, func() error {
			owners, seqs = append(owners, owner), append(seqs, seq)
			return nil
		}); err != nil {
			return err
		}
		// In the order in which write groups lock them.
		if _, err := t.Exec(ctx, "SELECT 1 FROM owner WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE", owners); err != nil {
			return err
		}
		return t.QueryRow(ctx, `WITH old AS (SELECT * FROM unnest($1::bigint[], $2::bigint[]) AS old (owner, seq)),
				gone AS (DELETE FROM message m USING old WHERE m.owner = old.owner AND m.seq = old.seq RETURNING m.owner, octet_length(m.xml) AS size),
				total AS (SELECT owner, count(*) AS n, sum(size) AS size FROM gone GROUP BY owner),
				shrunk AS (UPDATE owner SET stored = stored - total.n, stored_bytes = stored_bytes - total.size FROM total WHERE id = total.owner)
			SELECT count(*) FROM gone`, owners, seqs).Scan(&deleted)
	})
	if err != nil {
		return 0, fmt.Errorf("delete old messages: %w", err)
	}
	return deleted, nil
}
