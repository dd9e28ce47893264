package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

const (
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
	g := group{t: t, past: &db.memory, logs: make(map[jid.JID]*storage.Log), chats: make(map[chatName]*storage.Chat)}
	defer t.Rollback() // after a commit it does nothing
	pages, err := g.addRuns(ctx, runs)
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
	db.memory.keep(g.logs, g.chats)
	if err := t.Commit(); err != nil {
		return fmt.Errorf("commit write group: %w", mapError(err))
	}
	db.memory.stale.Store(false)
	db.checkpoint.wrote(pages)
	db.group.Follow(g.rest)
	return nil
}

func (g *group) addRuns(ctx context.Context, runs []*storage.Run) (pages int64, err error) {
	if err := g.past.check(g.t); err != nil {
		return 0, err
	}
	forgetTexts(runs)
	for _, r := range runs {
		for i, w := range r.Writes {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			switch w := w.(type) {
			case *storage.Message:
				r.Errs[i], err = g.add(w)
			case *storage.Stream:
				r.Errs[i], err = g.stream(w)
			case *storage.Mark:
				r.Errs[i], err = g.mark(w)
			}
			if err != nil {
				return 0, err
			}
		}
	}
	if err := g.writeTexts(); err != nil {
		return 0, err
	}
	for _, r := range runs {
		for _, w := range r.Writes {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			switch w := w.(type) {
			case *storage.Read:
				if !w.By.Refused() {
					err = g.read(w)
				}
			case *storage.Retraction:
				if !w.By.Refused() {
					err = g.retract(w)
				}
			}
			if err != nil {
				return 0, err
			}
		}
	}
	return g.pages(), g.close()
}

// forgetTexts drops what an earlier attempt has noted.
func forgetTexts(runs []*storage.Run) {
	for _, r := range runs {
		for _, w := range r.Writes {
			if m, ok := w.(*storage.Message); ok && m.Text != nil {
				*m.Text = storage.Text{}
			}
		}
	}
}

// group is a write group in its transaction.
type group struct {
	t     *tx
	past  *memory
	logs  map[jid.JID]*storage.Log // of the group; nil: there is no such owner
	chats map[chatName]*storage.Chat
	size  int64   // of the rows added
	row   [10]any // scratch: the values of one
	args  [13]any // and with what makes it unique

	texts    []*storage.Text // new ones, in order of their numbers, without gaps
	nextText int64           // 0: not known
	written  bool            // texts are

	rest []*storage.Retraction // of those that the group does not finish
}

type chatName struct {
	owner int64
	chat  jid.JID
}

// pages is about how many the group has changed.
func (g *group) pages() int64 { return int64(2+2*len(g.logs)+len(g.chats)) + g.size/pageBytes }

// close writes back what has changed beside the rows.
func (g *group) close() error {
	for _, l := range g.logs {
		if l != nil && l.Changed {
			if err := saveLog(g.t, l); err != nil {
				return err
			}
		}
	}
	for _, c := range g.chats {
		if c.Changed {
			if err := saveChat(g.t, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// log reads the state of an owner's log once in a group.
func (g *group) log(owner jid.JID) (*storage.Log, error) {
	owner = owner.Bare()
	if l, ok := g.logs[owner]; ok {
		return l, nil
	}
	l := g.past.log(owner)
	if l == nil {
		var err error
		if l, err = findLog(g.t, owner); err != nil {
			return nil, err
		}
	}
	g.logs[owner] = l
	return l, nil
}

// chat reads the state of a chat once in a group. One with the ID 0 is new.
func (g *group) chat(l *storage.Log, chat jid.JID) (*storage.Chat, error) {
	name := chatName{l.Owner, chat}
	if c := g.chats[name]; c != nil {
		return c, nil
	}
	c := g.past.chat(name)
	if c == nil {
		var err error
		c, err = scanChat(g.t.row(chatByName, l.Owner, chat.Bare().String(), chat.Resource()))
		if err != nil && err != sql.ErrNoRows {
			return nil, err
		}
	}
	g.chats[name] = c
	return c, nil
}

// mark notes the end of a log.
func (g *group) mark(m *storage.Mark) (refused, err error) {
	l, err := g.log(m.Owner)
	if err != nil {
		return nil, err
	}
	if l == nil {
		return storage.ErrNotFound, nil
	}
	m.Seq = l.Next - 1
	return nil, nil
}

// stream makes a stream known or advances it, or says why not.
func (g *group) stream(s *storage.Stream) (refused, err error) {
	until := s.Kept().UnixMicro()
	g.size += pageBytes // where it is has nothing to do with the rows of others
	err = affected(g.t.exec(advanceStream, int64(s.H), s.ID, until))
	if err != storage.ErrNotFound {
		return nil, err
	}
	err = affected(g.t.exec(putStream, s.ID, int64(s.H), until, s.Owner.Bare().String()))
	if err == storage.ErrNotFound {
		return err, nil
	}
	return nil, err
}
