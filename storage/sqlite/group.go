package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

const (
	readLog     = "SELECT id, next_seq, stored, stored_bytes FROM owner WHERE jid = ?"
	advanceLog  = "UPDATE owner SET next_seq = ?, stored = ?, stored_bytes = ? WHERE id = ?"
	addMessage  = "INSERT INTO message (owner, seq, peer, arrived, xml) VALUES (?, ?, ?, ?, ?)"
	pageBytes   = 4096
	rowOverhead = 100 // bytes of a message row beside its XML, roughly
)

// Join adds a run to the open write group; see storage.Group.
func (db *DB) Join(r *storage.Run) { db.group.Join(r) }

// writeGroup is the storage.Attempt of this store.
func (db *DB) writeGroup(ctx context.Context, runs []*storage.Run, detach func()) error {
	t, err := db.begin(ctx)
	if err != nil {
		return fmt.Errorf("begin write group: %w", mapError(err))
	}
	defer t.Rollback() // after a commit it does nothing
	pages, err := addRuns(ctx, t, runs)
	if err != nil {
		return fmt.Errorf("write group: %w", mapError(err))
	}
	// From here on nobody can tell how long it takes; the driver has copied
	// all that it was given.
	detach()
	if db.opts.BeforeCommit != nil {
		if err := db.opts.BeforeCommit(ctx); err != nil {
			return fmt.Errorf("commit write group: %w", err)
		}
	}
	if err := t.Commit(); err != nil {
		return fmt.Errorf("commit write group: %w", mapError(err))
	}
	db.checkpoint.wrote(pages)
	return nil
}

func addRuns(ctx context.Context, t *tx, runs []*storage.Run) (pages int64, err error) {
	g := group{logs: make(map[jid.JID]*storage.Log)}
	for _, s := range []struct {
		stmt  **sql.Stmt
		query string
	}{{&g.read, readLog}, {&g.add, addMessage}, {&g.advance, advanceLog}} {
		if *s.stmt, err = t.stmt(s.query); err != nil {
			return 0, err
		}
	}
	for _, r := range runs {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		for i, w := range r.Writes {
			if r.Errs[i], err = g.write(w.(*storage.Message)); err != nil {
				return 0, err
			}
		}
	}
	for _, l := range g.logs {
		if l == nil || !l.Changed {
			continue
		}
		if _, err := g.advance.ExecContext(context.Background(), l.Next, l.Stored, l.Bytes, l.Owner); err != nil {
			return 0, err
		}
	}
	return int64(2+2*len(g.logs)) + g.size/pageBytes, nil
}

// group is a write group in its transaction.
type group struct {
	read, add, advance *sql.Stmt
	logs               map[jid.JID]*storage.Log // nil: there is no such owner
	size               int64                    // of the rows added
}

// write adds a message, or says why this one is refused.
func (g *group) write(m *storage.Message) (refused, err error) {
	l, err := g.log(m.Owner.Bare())
	if err != nil {
		return nil, err
	}
	if l == nil {
		m.Seq = 0
		return storage.ErrNotFound, nil
	}
	if err := l.Add(m); err != nil {
		return err, nil
	}
	g.size += int64(len(m.XML)) + rowOverhead
	_, err = g.add.ExecContext(context.Background(), l.Owner, m.Seq, m.Peer.String(), m.Arrived.UnixMicro(), m.XML)
	return nil, err
}

// log reads the state of an owner's log once in a group.
func (g *group) log(owner jid.JID) (*storage.Log, error) {
	if l, ok := g.logs[owner]; ok {
		return l, nil
	}
	l := new(storage.Log)
	err := g.read.QueryRowContext(context.Background(), owner.String()).Scan(&l.Owner, &l.Next, &l.Stored, &l.Bytes)
	if err == sql.ErrNoRows {
		l = nil
	} else if err != nil {
		return nil, err
	}
	g.logs[owner] = l
	return l, nil
}
