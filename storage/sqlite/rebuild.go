package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

const (
	rowsToJudge = `SELECT m.id, m.flags, m.peer, m.xml, coalesce(m.chat, 0), c.id IS NOT NULL, m.ref IS NOT NULL
		FROM message m LEFT JOIN chat c ON c.id = m.chat
		WHERE m.id > ? AND m.id < ? AND m.flags & 1 ORDER BY m.id LIMIT ?`

	judgeRow = "UPDATE message SET flags = ?, chat = ? WHERE id = ? AND flags = ?"
	findChat = `INSERT INTO chat (owner, bare, resource, archive) VALUES (?1, ?2, ?3, ?1)
		ON CONFLICT (owner, bare, resource) DO UPDATE SET bare = excluded.bare RETURNING id`
	raiseRead = "UPDATE chat SET read = ? WHERE id = ? AND read < ?"

	newestOriginal   = "SELECT id, coalesce(key, 0) FROM message WHERE chat = ? AND flags & 8 AND ref IS NULL ORDER BY id DESC LIMIT 1"
	newestShown      = "SELECT id, coalesce(ref, 0) FROM message WHERE chat = ? AND flags & 8 ORDER BY id DESC LIMIT 1"
	newestCorrection = "SELECT coalesce(max(id), 0) FROM message WHERE chat = ? AND ref = ? AND flags & 8 AND id > ?"

	countChat = `UPDATE chat SET shown = ?2, shown_id = ?3,
		stored = (SELECT count(*) FROM message WHERE message.chat = ?1),
		last   = (SELECT coalesce(max(id), 0) & 0xffffffff FROM message WHERE message.chat = ?1),
		unread = (SELECT count(*) FROM message WHERE message.chat = ?1 AND id > archive << 32 | read AND flags & 16)
		WHERE id = ?1`
)

// RebuildInbox takes one step of making an account's inbox anew out of its archive:
// it looks at no more than limit rows, or chats, behind those of the step before.
// First judge says of each row what it is for the inbox; the row's XML is valid
// until it returns. Then the chats are counted. A read position is only ever raised.
// Messages may come and go meanwhile.
func (db *DB) RebuildInbox(ctx context.Context, owner jid.JID, at storage.InboxRebuild, limit int,
	judge func(*storage.Message) storage.Judgement) (storage.InboxRebuild, error) {
	owner = owner.Bare()
	var id int64
	err := db.row(ctx, "SELECT id, stored FROM owner WHERE jid = ?", owner.String()).Scan(&id, &at.Of)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		at.Done = true
		return at, nil
	case err != nil:
		return at, wrap(mapError(err), "rebuild inbox of", owner)
	case !at.Chats:
		err = db.judgeRows(ctx, owner, id, &at, limit, judge)
	default:
		err = db.rebuildChats(ctx, id, &at, limit)
	}
	return at, wrap(err, "rebuild inbox of", owner)
}

// judged is a row and what is to be changed for it.
type judged struct {
	storage.Judgement
	id   int64
	was  storage.Flags
	chat int64 // 0: is to be found
	gone bool  // the chat that the row names is not known
}

func (db *DB) judgeRows(ctx context.Context, owner jid.JID, id int64, at *storage.InboxRebuild, limit int,
	judge func(*storage.Message) storage.Judgement) error {
	var list []judged
	n := 0
	args := []any{rowID(id, at.Row), rowID(id+1, 0), limit}
	err := db.each(ctx, rowsToJudge, args, func(rows *sql.Rows) error {
		var j judged
		m := storage.Message{Owner: owner}
		var peer string
		var xml []byte
		var known, corrects bool
		if err := rows.Scan(&j.id, &m.Flags, &peer, &xml, &j.chat, &known, &corrects); err != nil {
			return err
		}
		var err error
		if m.Peer, err = jid.Parse(peer); err != nil {
			return err
		}
		n++
		m.Seq, m.XML = rowSeq(j.id), xml
		j.was, j.gone, j.Judgement = m.Flags, !known, judge(&m)
		switch {
		case m.Flags.Has(storage.Tombstone): // there is nothing left to judge by
			j.Flags = m.Flags & storage.InboxFlags
		case corrects:
			j.Flags &^= storage.Unread
		}
		at.Row = m.Seq
		if j.gone || j.changed() || j.Read != "" || j.Flags.Has(storage.ReadsChat) {
			list = append(list, j)
		}
		return nil
	})
	if err != nil {
		return err
	}
	at.Rows += int64(n)
	at.Chats = n < limit
	if len(list) == 0 {
		return nil
	}
	return db.write(ctx, func(t *tx) error { return writeJudged(t, id, list) })
}

func (j *judged) changed() bool { return j.Flags != j.was&storage.InboxFlags }

func writeJudged(t *tx, owner int64, list []judged) error {
	read := make(map[int64]int64) // by chat
	for i := range list {
		j := &list[i]
		if j.gone {
			if err := t.row(findChat, owner, j.Chat.Bare().String(), j.Chat.Resource()).Scan(&j.chat); err != nil {
				return err
			}
		}
		if j.gone || j.changed() {
			flags := j.was&^storage.InboxFlags | j.Flags
			if _, err := t.exec(judgeRow, int64(flags), j.chat, j.id, j.was); err != nil {
				return err
			}
		}
		seq := int64(0)
		switch {
		case j.Flags.Has(storage.ReadsChat):
			seq = rowSeq(j.id)
		case j.Read != "":
			g := group{t: t}
			seen, err := g.newest(j.chat, j.Read, 0, j.id) // what came later was not meant
			if err != nil {
				return err
			}
			seq = rowSeq(seen.id)
		}
		read[j.chat] = max(read[j.chat], seq)
	}
	for chat, seq := range read {
		if _, err := t.exec(raiseRead, seq, chat, seq); err != nil {
			return err
		}
	}
	return nil
}

func (db *DB) rebuildChats(ctx context.Context, owner int64, at *storage.InboxRebuild, limit int) error {
	var chats []int64
	err := db.each(ctx, "SELECT id FROM chat WHERE owner = ? AND id > ? ORDER BY id LIMIT ?", []any{owner, at.Chat, limit}, func(rows *sql.Rows) error {
		chats = append(chats, 0)
		return rows.Scan(&chats[len(chats)-1])
	})
	if at.Done = len(chats) < limit; err != nil || len(chats) == 0 {
		return err
	}
	at.Chat = chats[len(chats)-1]
	return db.write(ctx, func(t *tx) error {
		for _, chat := range chats {
			if err := rebuildChat(t, chat); err != nil {
				return err
			}
		}
		return nil
	})
}

func rebuildChat(t *tx, chat int64) error {
	var shown, shownID int64
	if err := t.row("SELECT shown_id FROM chat WHERE id = ?", chat).Scan(&shownID); err != nil {
		return err
	}
	shown, shownID, err := standingLike(t, chat, shownID)
	if err == nil {
		_, err = t.exec(countChat, chat, shown, shownID)
	}
	return err
}

// standing finds what stands in the inbox for a chat: the newest message to be
// seen, or its newest correction. If there are only corrections, whose originals
// have gone, it is the newest of them.
func standing(t *tx, chat int64) (shown, shownID int64, err error) { return standingLike(t, chat, 0) }

// standingLike is standing for a chat in which something stands already: if there
// are only corrections, those of the same message come first.
func standingLike(t *tx, chat, was int64) (shown, shownID int64, err error) {
	err = t.row(newestOriginal, chat).Scan(&shown, &shownID)
	if errors.Is(err, sql.ErrNoRows) {
		shownID = was
		if err = nil; was == 0 {
			if err = t.row(newestShown, chat).Scan(&shown, &shownID); errors.Is(err, sql.ErrNoRows) {
				return 0, 0, nil
			}
		}
	}
	if err != nil {
		return 0, 0, err
	}
	if shownID != 0 {
		var correction int64
		if err := t.row(newestCorrection, chat, shownID, shown).Scan(&correction); err != nil {
			return 0, 0, err
		}
		shown = max(shown, correction)
	}
	if shown == 0 {
		return standingLike(t, chat, 0)
	}
	return rowSeq(shown), shownID, nil
}
