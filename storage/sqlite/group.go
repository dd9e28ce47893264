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
	defer t.Rollback() //nolint:errcheck // after a commit it does nothing
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
	insert := t.stmt(addMessage)
	if insert == nil {
		if insert, err = t.Prepare(addMessage); err != nil {
			return 0, err
		}
	}
	logs := make(map[jid.JID]*storage.Log)
	var size int64
	for _, r := range runs {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		for i, w := range r.Writes {
			m := w.(*storage.Message)
			l, err := ownerLog(t, logs, m.Owner)
			if err != nil {
				return 0, err
			}
			if l == nil {
				m.Seq, r.Errs[i] = 0, storage.ErrNotFound
				continue
			}
			if r.Errs[i] = l.Add(m); r.Errs[i] != nil {
				continue
			}
			// Without a deadline: the driver starts a goroutine for each statement that has one.
			if _, err := insert.ExecContext(context.Background(), l.Owner, m.Seq, m.Peer.String(), m.Arrived.UnixMicro(), m.XML); err != nil {
				return 0, err
			}
			size += int64(len(m.XML)) + rowOverhead
		}
	}
	for _, l := range logs {
		if l == nil || !l.Changed {
			continue
		}
		if _, err := t.exec(advanceLog, l.Next, l.Stored, l.Bytes, l.Owner); err != nil {
			return 0, err
		}
	}
	return int64(2+2*len(logs)) + size/pageBytes, nil
}

// ownerLog reads the state of an owner's log once in a group; nil: no such owner.
func ownerLog(t *tx, logs map[jid.JID]*storage.Log, owner jid.JID) (*storage.Log, error) {
	owner = owner.Bare()
	if l, ok := logs[owner]; ok {
		return l, nil
	}
	l := new(storage.Log)
	err := t.row(readLog, owner.String()).Scan(&l.Owner, &l.Next, &l.Stored, &l.Bytes)
	if err == sql.ErrNoRows {
		l = nil
	} else if err != nil {
		return nil, err
	}
	logs[owner] = l
	return l, nil
}
