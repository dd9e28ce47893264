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

	// Not locked: the foreign key of a new row says if its owner goes meanwhile.
	readOwners = "SELECT jid, id FROM owner WHERE jid = ANY ($1)"

	putStreams = `INSERT INTO stream (id, owner, h, until)
		SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::timestamptz[]) ORDER BY 1
		ON CONFLICT (id) DO UPDATE SET h = excluded.h, until = excluded.until, snapshot = NULL`

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
	g := newGroup(runs)
	if err := g.begin(ctx, conn); err != nil {
		return fmt.Errorf("begin write group: %w", mapError(err))
	}
	b := g.add(runs)
	if b.Len() == 0 {
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
	if committed, ask := db.committed(ctx, g.xid); ask != nil {
		return fmt.Errorf("commit write group, in doubt: %w: %w", mapError(ask), err)
	} else if !committed {
		return fmt.Errorf("commit write group: %w: %w", storage.ErrUnavailable, err)
	}
	return nil
}

// rollback keeps the connection for the next group. If it fails, giving the
// connection back ends it, and the transaction with it.
func rollback(ctx context.Context, conn *pgxpool.Conn) { _, _ = conn.Exec(ctx, "ROLLBACK") }

// group is a write group in its transaction.
type group struct {
	xid    string                   // number of the transaction
	logs   map[jid.JID]*storage.Log // of the owners of messages; nil: there is no such owner
	owners map[jid.JID]int64        // of streams; 0: there is no such owner
}

// newGroup notes whose rows runs have.
func newGroup(runs []*storage.Run) *group {
	g := &group{logs: make(map[jid.JID]*storage.Log)}
	for _, r := range runs {
		for _, w := range r.Writes {
			switch w := w.(type) {
			case *storage.Message:
				g.logs[w.Owner.Bare()] = nil
			case *storage.Stream:
				if g.owners == nil {
					g.owners = make(map[jid.JID]int64)
				}
				g.owners[w.Owner.Bare()] = 0
			}
		}
	}
	return g
}

// begin locks the owners of messages and reads their logs, the numbers of the
// other owners, and that of the transaction.
func (g *group) begin(ctx context.Context, conn *pgxpool.Conn) error {
	b := &pgx.Batch{}
	b.Queue("BEGIN")
	names, byName := named(g.logs)
	b.Queue(lockLogs, names).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var name string
			var l storage.Log
			if err := rows.Scan(&name, &l.Owner, &l.Next, &l.Stored, &l.Bytes); err != nil {
				return err
			}
			g.logs[byName[name]] = &l
		}
		return rows.Err()
	})
	if len(g.owners) > 0 {
		names, byName := named(g.owners)
		b.Queue(readOwners, names).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				var name string
				var id int64
				if err := rows.Scan(&name, &id); err != nil {
					return err
				}
				g.owners[byName[name]] = id
			}
			return rows.Err()
		})
	}
	b.Queue("SELECT pg_current_xact_id()::text").QueryRow(func(row pgx.Row) error { return row.Scan(&g.xid) })
	return conn.SendBatch(ctx, b).Close()
}

// named returns the keys of m as the database knows them, and the way back.
func named[V any](m map[jid.JID]V) (names []string, byName map[string]jid.JID) {
	names, byName = make([]string, 0, len(m)), make(map[string]jid.JID, len(m))
	for j := range m {
		name := j.String()
		names = append(names, name)
		byName[name] = j
	}
	return names, byName
}

// add numbers the messages and returns the statements that store all rows; none
// if all are refused.
func (g *group) add(runs []*storage.Run) *pgx.Batch {
	var m messageColumns
	var s streamColumns
	for _, r := range runs {
		for i, w := range r.Writes {
			switch w := w.(type) {
			case *storage.Message:
				r.Errs[i] = m.add(g.logs[w.Owner.Bare()], w)
			case *storage.Stream:
				r.Errs[i] = s.add(g.owners[w.Owner.Bare()], w)
			}
		}
	}
	b := &pgx.Batch{}
	if len(m.seqs) > 0 {
		b.Queue(addMessages, m.owners, m.seqs, m.peers, m.arrived, m.xml)
		g.advance(b)
	}
	if len(s.ids) > 0 {
		b.Queue(putStreams, s.ids, s.owners, s.hs, s.until)
	}
	return b
}

// advance writes back the logs that have changed.
func (g *group) advance(b *pgx.Batch) {
	var ids, next, stored, size []int64
	for _, l := range g.logs {
		if l != nil && l.Changed {
			ids, next = append(ids, l.Owner), append(next, l.Next)
			stored, size = append(stored, l.Stored), append(size, l.Bytes)
		}
	}
	b.Queue(advanceLogs, ids, next, stored, size)
}

// messageColumns are the columns of message rows.
type messageColumns struct {
	owners, seqs []int64
	peers        []string
	arrived      []time.Time
	xml          [][]byte
}

// add adds a message to them, or says why this one is refused.
func (c *messageColumns) add(l *storage.Log, m *storage.Message) error {
	if l == nil {
		m.Seq = 0
		return storage.ErrNotFound
	}
	if err := l.Add(m); err != nil {
		return err
	}
	c.owners, c.seqs = append(c.owners, l.Owner), append(c.seqs, m.Seq)
	c.peers, c.arrived, c.xml = append(c.peers, m.Peer.String()), append(c.arrived, m.Arrived), append(c.xml, m.XML)
	return nil
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
