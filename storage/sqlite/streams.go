package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// Stream returns what is kept of a stream, or storage.ErrNotFound.
func (db *DB) Stream(ctx context.Context, id string) (storage.Stream, error) {
	s := storage.Stream{ID: id}
	var owner string
	var until int64
	err := db.row(ctx, "SELECT o.jid, s.h, s.until FROM stream s JOIN owner o ON o.id = s.owner WHERE s.id = ?", id).Scan(&owner, &s.H, &until)
	if err == nil {
		s.Until = fromMicro(until)
		s.Owner, err = jid.Parse(owner)
	}
	if err != nil {
		return storage.Stream{}, fmt.Errorf("read stream: %w", mapError(err))
	}
	return s, nil
}

// SaveSnapshots stores sessions, all in one transaction. Those of accounts that
// have been removed are left out.
func (db *DB) SaveSnapshots(ctx context.Context, snapshots []storage.Snapshot) error {
	pages := int64(0)
	err := db.write(ctx, func(t *tx) error {
		put, err := t.stmt(`INSERT INTO stream (id, owner, h, until, snapshot) SELECT ?, id, ?, ?, ? FROM owner WHERE jid = ?
			ON CONFLICT (id) DO UPDATE SET h = excluded.h, until = excluded.until, snapshot = excluded.snapshot`)
		if err != nil {
			return err
		}
		for i := range snapshots {
			s := &snapshots[i]
			data := s.Data
			if data == nil {
				data = []byte{}
			}
			if _, err := put.ExecContext(context.Background(), s.ID, int64(s.H), s.Kept().UnixMicro(), data, s.Owner.Bare().String()); err != nil {
				return err
			}
			pages += 1 + int64(len(data))/pageBytes
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("save snapshots: %w", err)
	}
	db.checkpoint.wrote(pages)
	return nil
}

// TakeSnapshots returns at most limit of the sessions that SaveSnapshots stored
// and forgets them; their streams stay known. Callers repeat it until they get
// less than limit. Each snapshot is returned once: what the caller does not
// finish with is lost, and so it is if the commit fails after all.
func (db *DB) TakeSnapshots(ctx context.Context, limit int) ([]storage.Snapshot, error) {
	var taken []storage.Snapshot
	err := db.write(ctx, func(t *tx) error {
		rows, err := t.query(`SELECT s.id, o.jid, s.h, s.until, s.snapshot FROM stream s JOIN owner o ON o.id = s.owner
			WHERE s.snapshot IS NOT NULL ORDER BY s.id LIMIT ?`, limit)
		if err := eachRow(rows, err, func(rows *sql.Rows) error {
			var s storage.Snapshot
			var owner string
			var until int64
			if err := rows.Scan(&s.ID, &owner, &s.H, &until, &s.Data); err != nil {
				return err
			}
			s.Until = fromMicro(until)
			var err error
			s.Owner, err = jid.Parse(owner)
			taken = append(taken, s)
			return err
		}); err != nil {
			return err
		}
		if len(taken) == 0 {
			return errUnchanged
		}
		// They are the first ones of the order above.
		_, err = t.exec("UPDATE stream SET snapshot = NULL WHERE snapshot IS NOT NULL AND id <= ?", taken[len(taken)-1].ID)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("take snapshots: %w", err)
	}
	return taken, nil
}

// DeleteStreams forgets streams whose time was up before t, with what is left of
// them, at most limit, and returns how many. Callers repeat it until that is less
// than limit, so that other writers get their turn.
func (db *DB) DeleteStreams(ctx context.Context, before time.Time, limit int) (int, error) {
	var deleted int64
	err := db.write(ctx, func(t *tx) error {
		r, err := t.exec("DELETE FROM stream WHERE id IN (SELECT id FROM stream WHERE until < ? ORDER BY until LIMIT ?)", before.UnixMicro(), limit)
		if err != nil {
			return err
		}
		if deleted, err = r.RowsAffected(); err == nil && deleted == 0 {
			return errUnchanged
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("delete streams: %w", err)
	}
	return int(deleted), nil
}
