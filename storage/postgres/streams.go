package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

const (
	saveSnapshots = `INSERT INTO stream (id, owner, h, until, snapshot)
		SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::bytea[])
		ON CONFLICT (id) DO UPDATE SET h = excluded.h, until = excluded.until, snapshot = excluded.snapshot`

	lockSnapshots = `SELECT s.id, o.jid, s.h, s.until, s.snapshot FROM stream s JOIN owner o ON o.id = s.owner
		WHERE s.snapshot IS NOT NULL ORDER BY s.id LIMIT $1 FOR UPDATE OF s SKIP LOCKED`

	// saveBytes and saveRows bound one statement of SaveSnapshots.
	saveBytes = 4 << 20
	saveRows  = 1000
)

// streamColumns are the columns of stream rows, each stream once: a statement
// cannot change a row twice.
type streamColumns struct {
	ids        []string
	owners, hs []int64
	until      []time.Time
	at         map[string]int
}

// add adds a stream to them, in place of an earlier state of it.
func (c *streamColumns) add(owner int64, s *storage.Stream) error {
	if owner == 0 {
		return storage.ErrNotFound
	}
	if i, ok := c.at[s.ID]; ok {
		c.owners[i], c.hs[i], c.until[i] = owner, int64(s.H), s.Kept()
		return nil
	}
	if c.at == nil {
		c.at = make(map[string]int)
	}
	c.at[s.ID] = len(c.ids)
	c.ids, c.owners = append(c.ids, s.ID), append(c.owners, owner)
	c.hs, c.until = append(c.hs, int64(s.H)), append(c.until, s.Kept())
	return nil
}

// Stream returns what is kept of a stream, or storage.ErrNotFound.
func (db *DB) Stream(ctx context.Context, id string) (storage.Stream, error) {
	s := storage.Stream{ID: id}
	var owner string
	err := db.row(ctx, "SELECT o.jid, s.h, s.until FROM stream s JOIN owner o ON o.id = s.owner WHERE s.id = $1", id).Scan(&owner, &s.H, &s.Until)
	if err == nil {
		s.Until = s.Until.UTC()
		s.Owner, err = jid.Parse(owner)
	}
	if err != nil {
		return storage.Stream{}, fmt.Errorf("read stream: %w", err)
	}
	return s, nil
}

// SaveSnapshots stores sessions, all in one transaction. Those of accounts that
// have been removed are left out. ctx bounds the whole, the statement timeout each
// of its parts.
func (db *DB) SaveSnapshots(ctx context.Context, snapshots []storage.Snapshot) error {
	if len(snapshots) == 0 {
		return nil
	}
	owners := make(map[jid.JID]int64)
	sorted := make([]*storage.Snapshot, len(snapshots))
	for i := range snapshots {
		sorted[i] = &snapshots[i]
		owners[snapshots[i].Owner.Bare()] = 0
	}
	slices.SortStableFunc(sorted, func(a, b *storage.Snapshot) int { return strings.Compare(a.ID, b.ID) })
	err := db.transact(ctx, func(ctx context.Context, t pgx.Tx) error {
		if err := keepOwners(ctx, t, owners); err != nil {
			return err
		}
		for rest := sorted; len(rest) > 0; {
			n, err := saveSome(ctx, t, owners, rest)
			if err != nil {
				return err
			}
			rest = rest[n:]
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("save snapshots: %w", err)
	}
	return nil
}

// keepOwners sets the numbers of the owners that exist, and keeps them from
// being removed. The order is that of write groups.
func keepOwners(ctx context.Context, t pgx.Tx, owners map[jid.JID]int64) error {
	names, byName := named(owners)
	rows, err := t.Query(ctx, "SELECT jid, id FROM owner WHERE jid = ANY ($1) ORDER BY id FOR KEY SHARE", names)
	if err != nil {
		return err
	}
	var name string
	var id int64
	_, err = pgx.ForEachRow(rows, []any{&name, &id}, func() error {
		owners[byName[name]] = id
		return nil
	})
	return err
}

// saveSome stores as many of the snapshots as a statement may have and returns
// how many it has dealt with.
func saveSome(ctx context.Context, t pgx.Tx, owners map[jid.JID]int64, sorted []*storage.Snapshot) (n int, err error) {
	var c streamColumns
	var data [][]byte
	for size := 0; n < len(sorted) && len(c.ids) < saveRows && size < saveBytes; n++ {
		s := sorted[n]
		if n+1 < len(sorted) && sorted[n+1].ID == s.ID {
			continue // there is a later state of it
		}
		if c.add(owners[s.Owner.Bare()], &s.Stream) != nil {
			continue
		}
		d := s.Data
		if d == nil {
			d = []byte{}
		}
		data = append(data, d)
		size += len(s.Data)
	}
	if len(c.ids) == 0 {
		return n, nil
	}
	_, err = t.Exec(ctx, saveSnapshots, c.ids, c.owners, c.hs, c.until, data)
	return n, err
}

// TakeSnapshots returns at most limit of the sessions that SaveSnapshots stored
// and forgets them; their streams stay known. Callers repeat it until they get
// less than limit. Each snapshot is returned once, even to several nodes: what
// the caller does not finish with is lost, and so it is if the commit fails after
// all.
func (db *DB) TakeSnapshots(ctx context.Context, limit int) ([]storage.Snapshot, error) {
	var taken []storage.Snapshot
	var ids []string
	err := db.write(ctx, func(ctx context.Context, t pgx.Tx) error {
		rows, err := t.Query(ctx, lockSnapshots, limit)
		if err != nil {
			return err
		}
		taken, err = collect(rows, func(row pgx.Row) (s storage.Snapshot, err error) {
			var owner string
			if err := row.Scan(&s.ID, &owner, &s.H, &s.Until, &s.Data); err != nil {
				return s, err
			}
			s.Until = s.Until.UTC()
			s.Owner, err = jid.Parse(owner)
			ids = append(ids, s.ID)
			return s, err
		})
		if err != nil {
			return err
		}
		if len(taken) == 0 {
			return errUnchanged
		}
		_, err = t.Exec(ctx, "UPDATE stream SET snapshot = NULL WHERE id = ANY ($1)", ids)
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
	n, err := db.exec(ctx, `DELETE FROM stream WHERE id = ANY (ARRAY
		(SELECT id FROM stream WHERE until < $1 ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED))`, before, limit)
	if err != nil {
		return 0, fmt.Errorf("delete streams: %w", err)
	}
	return int(n), nil
}
