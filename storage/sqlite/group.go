package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

const (
	readLog    = "SELECT id, next_seq, stored, stored_bytes FROM owner WHERE jid = ?"
	advanceLog = "UPDATE owner SET next_seq = ?, stored = ?, stored_bytes = ? WHERE id = ?"
	addMessage = "INSERT INTO message (owner, seq, peer, arrived, xml) VALUES (?, ?, ?, ?, ?)"
	// Most of the time a stream is known and only its h changes: no index does.
	advanceStream = "UPDATE stream SET h = ? WHERE id = ? AND until = ? AND snapshot IS NULL"
	putStream     = `INSERT INTO stream (id, owner, h, until) SELECT ?, id, ?, ? FROM owner WHERE jid = ?
		ON CONFLICT (id) DO UPDATE SET h = excluded.h, until = excluded.until, snapshot = NULL`
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
			switch w := w.(type) {
			case *storage.Message:
				r.Errs[i], err = g.write(w)
			case *storage.Stream:
				r.Errs[i], err = g.writeStream(t, w)
			}
			if err != nil {
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
	read, add, advance       *sql.Stmt
	advanceStream, putStream *sql.Stmt                // nil until there is a stream
	logs                     map[jid.JID]*storage.Log // nil: there is no such owner
	size                     int64                    // of the rows added
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

// writeStream makes a stream known or advances it, or says why not.
func (g *group) writeStream(t *tx, s *storage.Stream) (refused, err error) {
	if g.advanceStream == nil {
		if g.advanceStream, err = t.stmt(advanceStream); err != nil {
			return nil, err
		}
		if g.putStream, err = t.stmt(putStream); err != nil {
			return nil, err
		}
	}
	ctx, until := context.Background(), s.Kept().UnixMicro()
	g.size += pageBytes // where it is has nothing to do with the rows of others
	err = affected(g.advanceStream.ExecContext(ctx, int64(s.H), s.ID, until))
	if err != storage.ErrNotFound {
		return nil, err
	}
	err = affected(g.putStream.ExecContext(ctx, s.ID, int64(s.H), until, s.Owner.Bare().String()))
	if err == storage.ErrNotFound {
		return err, nil
	}
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
