package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

const (
	lockLogs = "SELECT jid, id, next_seq, stored, stored_bytes FROM owner WHERE jid = ANY ($1) ORDER BY id FOR NO KEY UPDATE"

	addMessages = `INSERT INTO message (owner, seq, peer, arrived, xml)
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::timestamptz[], $5::bytea[])`

	advanceLogs = `UPDATE owner SET next_seq = l.next_seq, stored = l.stored, stored_bytes = l.stored_bytes
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) AS l (id, next_seq, stored, stored_bytes)
		WHERE owner.id = l.id`

	// doubtPause is how long to wait before asking again about a commit in doubt.
	doubtPause = 50 * time.Millisecond
)

// Join adds a run to the open write group; see storage.Group.
func (db *DB) Join(r *storage.Run) { db.group.Join(r) }

// writeGroup is the storage.Attempt of this store. It takes two round trips:
// lock the owners, in the order of their numbers, so that two nodes cannot wait
// for each other; then add the rows and commit.
func (db *DB) writeGroup(ctx context.Context, runs []*storage.Run, detach func()) error {
	conn, err := db.writer.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("begin write group: %w", mapError(err))
	}
	defer conn.Release()
	logs, xid, err := beginGroup(ctx, conn, runs)
	if err != nil {
		return fmt.Errorf("begin write group: %w", mapError(err))
	}
	b := addRuns(logs, runs)
	if b == nil {
		rollback(ctx, conn)
		return nil
	}
	if db.opts.BeforeCommit != nil {
		if err := db.opts.BeforeCommit(ctx); err != nil {
			rollback(ctx, conn)
			return fmt.Errorf("commit write group: %w", err)
		}
	}
	b.Queue("COMMIT")
	err = conn.SendBatch(ctx, b).Close()
	var refused *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused) && refused.Severity == "ERROR":
		// Nothing behind the failed statement has been run.
		rollback(ctx, conn)
		return fmt.Errorf("write group: %w", mapError(err))
	}
	detach()
	if committed, ask := db.committed(ctx, xid); ask != nil {
		return fmt.Errorf("commit write group, in doubt: %w: %w", mapError(ask), err)
	} else if !committed {
		return fmt.Errorf("commit write group: %w: %w", storage.ErrUnavailable, err)
	}
	return nil
}

// rollback keeps the connection for the next group. If it fails, giving the
// connection back ends it, and the transaction with it.
func rollback(ctx context.Context, conn *pgxpool.Conn) { _, _ = conn.Exec(ctx, "ROLLBACK") }

// beginGroup locks the owners of all rows and returns their logs, and the number
// of the transaction.
func beginGroup(ctx context.Context, conn *pgxpool.Conn, runs []*storage.Run) (logs map[jid.JID]*storage.Log, xid string, err error) {
	logs = make(map[jid.JID]*storage.Log)
	for _, r := range runs {
		for _, w := range r.Writes {
			logs[w.(*storage.Message).Owner.Bare()] = nil
		}
	}
	byName := make(map[string]jid.JID, len(logs))
	names := make([]string, 0, len(logs))
	for owner := range logs {
		names = append(names, owner.String())
		byName[owner.String()] = owner
	}
	b := &pgx.Batch{}
	b.Queue("BEGIN")
	b.Queue(lockLogs, names).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var name string
			var l storage.Log
			if err := rows.Scan(&name, &l.Owner, &l.Next, &l.Stored, &l.Bytes); err != nil {
				return err
			}
			logs[byName[name]] = &l
		}
		return rows.Err()
	})
	b.Queue("SELECT pg_current_xact_id()::text").QueryRow(func(row pgx.Row) error { return row.Scan(&xid) })
	return logs, xid, conn.SendBatch(ctx, b).Close()
}

// addRuns numbers the messages and returns the statements that store them, nil
// if all are refused.
func addRuns(logs map[jid.JID]*storage.Log, runs []*storage.Run) *pgx.Batch {
	var owners, seqs []int64
	var peers []string
	var arrived []time.Time
	var xml [][]byte
	for _, r := range runs {
		for i, w := range r.Writes {
			m := w.(*storage.Message)
			l := logs[m.Owner.Bare()]
			if l == nil {
				m.Seq, r.Errs[i] = 0, storage.ErrNotFound
				continue
			}
			if r.Errs[i] = l.Add(m); r.Errs[i] != nil {
				continue
			}
			owners, seqs = append(owners, l.Owner), append(seqs, m.Seq)
			peers, arrived, xml = append(peers, m.Peer.String()), append(arrived, m.Arrived), append(xml, m.XML)
		}
	}
	if len(seqs) == 0 {
		return nil
	}
	b := &pgx.Batch{}
	b.Queue(addMessages, owners, seqs, peers, arrived, xml)
	var ids, next, stored, size []int64
	for _, l := range logs {
		if l != nil && l.Changed {
			ids, next = append(ids, l.Owner), append(next, l.Next)
			stored, size = append(stored, l.Stored), append(size, l.Bytes)
		}
	}
	b.Queue(advanceLogs, ids, next, stored, size)
	return b
}

// committed finds out what became of a transaction whose connection was lost
// while it was being committed. When it gives up, all runs of the group are past
// their deadline, so that nobody writes them again.
func (db *DB) committed(ctx context.Context, xid string) (bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), db.opts.CommitTimeout)
	defer cancel()
	for {
		var status *string
		err := db.pool.QueryRow(ctx, "SELECT pg_xact_status($1::text::xid8)", xid).Scan(&status)
		var answer *pgconn.PgError
		switch {
		case err == nil && status != nil && *status == "committed":
			return true, nil
		case err == nil && status != nil && *status == "in progress":
			// The server has not noticed. If the commit has not begun, it never will.
			_, _ = db.pool.Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_xid = $1::text::xid8::xid", xid)
		case err == nil:
			return false, nil
		case errors.As(err, &answer) && answer.Code == "22023":
			// It is in the future: this server, a standby that took over, never had it.
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("ask for transaction: %w", ctx.Err())
		case <-time.After(doubtPause):
		}
	}
}
