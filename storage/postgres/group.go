package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

const (
	putStreams = `INSERT INTO stream (id, owner, h, until)
		SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::timestamptz[]) ORDER BY 1
		ON CONFLICT (id) DO UPDATE SET h = excluded.h, until = excluded.until, snapshot = NULL`
)

// Join adds a run to the open write group; see storage.Group.
func (db *DB) Join(r *storage.Run) { db.group.Join(r) }

// writeGroup is the storage.Attempt of this store. It takes two round trips:
// lock the owners, in the order of their numbers, so that two nodes cannot wait
// for each other; then add the rows and commit. Corrections and retractions cost a
// third one.
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
	if b.Len() == 0 && len(g.revisions) == 0 {
		rollback(ctx, conn)
		return nil
	}
	if db.opts.BeforeCommit != nil {
		if err := db.opts.BeforeCommit(ctx); err != nil {
			rollback(ctx, conn)
			return fmt.Errorf("commit write group: %w", err)
		}
	}
	if len(g.revisions) > 0 {
		if b, err = g.revise(ctx, conn, b); err != nil {
			rollback(ctx, conn)
			return fmt.Errorf("write group: %w", mapError(err))
		}
	}
	b.Queue("COMMIT")
	err = conn.SendBatch(ctx, b).Close()
	var refused *pgconn.PgError
	switch {
	case err == nil:
		db.group.Follow(g.rest)
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
	db.group.Follow(g.rest)
	return nil
}

// rollback keeps the connection for the next group. If it fails, giving the
// connection back ends it, and the transaction with it.
func rollback(ctx context.Context, conn *pgxpool.Conn) { _, _ = conn.Exec(ctx, "ROLLBACK") }

// group is a write group in its transaction.
type group struct {
	xid    string                   // number of the transaction
	logs   map[jid.JID]*storage.Log // of the owners of rows; nil: there is no such owner
	owners map[jid.JID]int64        // of streams; 0: there is no such owner
	chats  map[chatName]*chat
	ask    questions

	messages  int                                   // how many it has
	reads     []*read                               // in order
	known     map[*storage.Message]bool             // that stood in the archive before
	added     map[sent]*storage.Message             // by the group itself: the latest one
	before    map[*storage.Message]*storage.Message // of added: the one before it, if there is any
	originals map[*storage.Message]original         // of corrections, that stood in the archive before
	text      *storage.Text                         // the latest one that was noted: copies follow each other
	texts     int                                   // how many entries of the search it may need
	free      []int64                               // numbers for them, in order

	revisions   []*revision
	retractions int                   // of them
	rest        []*storage.Retraction // of those that the group does not finish
}

type chatName struct{ owner, chat jid.JID }

// chat is a row of chat.
type chat struct {
	storage.Chat
	name  chatName
	owner int64 // 0: there is no such owner
	isNew bool

	rows   int  // messages of the group
	isRead bool // by a Read of the group
}

// stored reports whether the chat has a row, at the end of the group.
func (c *chat) stored() bool { return c.owner != 0 && (!c.isNew || c.Changed) }

// sent is what a message is recognised by.
type sent struct {
	chat *chat
	id   string
	side storage.Flags // FromOwner or 0
}
