package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// PendingMessages returns messages of an account's log behind the seq given, in
// order, at most limit of them.
func (db *DB) PendingMessages(ctx context.Context, owner jid.JID, after int64, limit int) ([]storage.Message, error) {
	owner = owner.Bare()
	var messages []storage.Message
	const query = `SELECT seq, peer, arrived, xml FROM message
		WHERE owner = (SELECT id FROM owner WHERE jid = ?) AND seq > ? ORDER BY seq LIMIT ?`
	err := db.each(ctx, query, []any{owner.String(), after, limit}, func(rows *sql.Rows) error {
		m := storage.Message{Owner: owner}
		var peer string
		var arrived int64
		if err := rows.Scan(&m.Seq, &peer, &arrived, &m.XML); err != nil {
			return err
		}
		m.Arrived = fromMicro(arrived)
		var err error
		m.Peer, err = jid.Parse(peer)
		messages = append(messages, m)
		return err
	})
	if err != nil {
		return nil, wrap(err, "read messages of", owner)
	}
	return messages, nil
}

// ConfirmMessages deletes an account's messages up to a seq, that one included.
func (db *DB) ConfirmMessages(ctx context.Context, owner jid.JID, upTo int64) error {
	err := db.write(ctx, func(t *tx) error {
		id, err := ownerID(t, owner)
		if err == storage.ErrNotFound {
			return errUnchanged
		} else if err != nil {
			return err
		}
		var n, size int64
		if err := t.row("SELECT count(*), coalesce(sum(length(xml)), 0) FROM message WHERE owner = ? AND seq <= ?", id, upTo).Scan(&n, &size); err != nil {
			return err
		}
		if n == 0 {
			return errUnchanged
		}
		if _, err := t.exec("DELETE FROM message WHERE owner = ? AND seq <= ?", id, upTo); err != nil {
			return err
		}
		return shrinkLog(t, id, n, size)
	})
	return wrap(err, "confirm messages of", owner)
}

func shrinkLog(t *tx, owner, messages, size int64) error {
	_, err := t.exec("UPDATE owner SET stored = stored - ?, stored_bytes = stored_bytes - ? WHERE id = ?", messages, size, owner)
	return err
}

// CountMessages counts what is in an account's log.
func (db *DB) CountMessages(ctx context.Context, owner jid.JID) (n int, err error) {
	err = db.row(ctx, "SELECT coalesce((SELECT stored FROM owner WHERE jid = ?), 0)", owner.Bare().String()).Scan(&n)
	return n, wrap(mapError(err), "count messages of", owner)
}

// DeleteMessagesBefore deletes the oldest messages that arrived before t, of
// all accounts, at most limit of them, and returns how many. Callers repeat it
// until that is less than limit, so that other writers get their turn.
func (db *DB) DeleteMessagesBefore(ctx context.Context, before time.Time, limit int) (int, error) {
	deleted := 0
	err := db.write(ctx, func(t *tx) error {
		gone := map[int64][2]int64{}
		rows, err := t.query("DELETE FROM message WHERE id IN (SELECT id FROM message WHERE arrived < ? ORDER BY arrived LIMIT ?) RETURNING owner, length(xml)",
			before.UnixMicro(), limit)
		if err := eachRow(rows, err, func(rows *sql.Rows) error {
			var owner, size int64
			if err := rows.Scan(&owner, &size); err != nil {
				return err
			}
			g := gone[owner]
			gone[owner] = [2]int64{g[0] + 1, g[1] + size}
			deleted++
			return nil
		}); err != nil {
			return err
		}
		for owner, g := range gone {
			if err := shrinkLog(t, owner, g[0], g[1]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("delete old messages: %w", err)
	}
	return deleted, nil
}
