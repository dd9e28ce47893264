package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

const (
	rowsToJudge = `SELECT m.seq, m.flags, m.peer, m.xml, coalesce(m.chat, 0), c.id IS NOT NULL, m.ref IS NOT NULL
		FROM message m LEFT JOIN chat c ON c.id = m.chat
		WHERE m.owner = $1 AND m.seq > $2 AND m.flags & 1 <> 0 ORDER BY m.seq LIMIT $3`

	judgeRow = "UPDATE message SET flags = $1, chat = $2 WHERE owner = $3 AND seq = $4 AND flags = $5"
	findChat = `INSERT INTO chat (owner, bare, resource, archive) VALUES ($1, $2, $3, $1)
		ON CONFLICT (owner, bare, resource) DO UPDATE SET bare = excluded.bare RETURNING id`
	raiseRead = "UPDATE chat SET read = $1 WHERE id = $2 AND read < $1"
	findRead  = `SELECT seq, flags, xml FROM message
		WHERE chat = $1 AND key = $2 AND seq < $3 ORDER BY seq DESC LIMIT 16`

	newestOriginal   = "SELECT seq, coalesce(key, 0) FROM message WHERE chat = $1 AND flags & 8 <> 0 AND ref IS NULL ORDER BY seq DESC LIMIT 1"
	newestShown      = "SELECT seq, coalesce(ref, 0) FROM message WHERE chat = $1 AND flags & 8 <> 0 ORDER BY seq DESC LIMIT 1"
	newestCorrection = "SELECT coalesce(max(seq), 0) FROM message WHERE chat = $1 AND ref = $2 AND flags & 8 <> 0 AND seq > $3"

	countChat = `UPDATE chat SET shown = $2, shown_id = $3,
		stored = (SELECT count(*) FROM message WHERE message.chat = $1),
		last   = (SELECT coalesce(max(seq), 0) FROM message WHERE message.chat = $1),
		unread = (SELECT count(*) FROM message WHERE message.chat = $1 AND seq > read AND flags & 16 <> 0)
		WHERE id = $1`
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
	err := db.row(ctx, "SELECT id, stored FROM owner WHERE jid = $1", owner.String()).Scan(&id, &at.Of)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		at.Done = true
		return at, nil
	case err != nil:
		return at, wrap(err, "rebuild inbox of", owner)
	case !at.Chats:
		err = db.judgeRows(ctx, owner, id, &at, limit, judge)
	default:
		err = db.rebuildChats(ctx, owner, id, &at, limit)
	}
	return at, wrap(err, "rebuild inbox of", owner)
}

// judged is a row and what is to be changed for it.
type judged struct {
	storage.Judgement
	seq  int64
	was  storage.Flags
	chat int64 // 0: is to be found
	gone bool  // the chat that the row names is not known
}

func (j *judged) changed() bool { return j.Flags != j.was&storage.InboxFlags }

// touches reports whether anything is to be written because of the row.
func (j *judged) touches() bool {
	return j.gone || j.changed() || j.Read != "" || j.Flags.Has(storage.ReadsChat)
}

func (db *DB) judgeRows(ctx context.Context, owner jid.JID, id int64, at *storage.InboxRebuild, limit int,
	judge func(*storage.Message) storage.Judgement) error {
	rows, err := list(ctx, db, rowsToJudge, []any{id, at.Row, limit}, func(row pgx.Row) (j judged, err error) {
		m := storage.Message{Owner: owner}
		var peer string
		var known, corrects bool
		if err := row.Scan(&m.Seq, &m.Flags, &peer, &m.XML, &j.chat, &known, &corrects); err != nil {
			return j, err
		}
		if m.Peer, err = jid.Parse(peer); err != nil {
			return j, err
		}
		j.seq, j.was, j.gone, j.Judgement = m.Seq, m.Flags, !known, judge(&m)
		switch {
		case m.Flags.Has(storage.Tombstone): // there is nothing left to judge by
			j.Flags = m.Flags & storage.InboxFlags
		case corrects:
			j.Flags &^= storage.Unread
		}
		return j, nil
	})
	if err != nil {
		return err
	}
	at.Rows += int64(len(rows))
	if at.Chats = len(rows) < limit; len(rows) == 0 {
		return nil
	}
	at.Row = rows[len(rows)-1].seq
	return db.changeOwner(ctx, owner, func(ctx context.Context, t pgx.Tx) error { return writeJudged(ctx, t, id, rows) })
}

// changeOwner runs fn in a transaction that holds the lock of the owner's row, which
// write groups take: no message comes meanwhile.
func (db *DB) changeOwner(ctx context.Context, owner jid.JID, fn func(context.Context, pgx.Tx) error) error {
	return db.write(ctx, func(ctx context.Context, t pgx.Tx) error {
		var id int64
		err := t.QueryRow(ctx, "SELECT id FROM owner WHERE jid = $1 FOR NO KEY UPDATE", owner.String()).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			return errUnchanged
		}
		if err != nil {
			return err
		}
		return fn(ctx, t)
	})
}

func writeJudged(ctx context.Context, t pgx.Tx, owner int64, rows []judged) error {
	read := make(map[int64]int64) // by chat
	for i := range rows {
		j := &rows[i]
		if !j.touches() {
			continue
		}
		if j.gone {
			if err := t.QueryRow(ctx, findChat, owner, j.Chat.Bare().String(), j.Chat.Resource()).Scan(&j.chat); err != nil {
				return err
			}
		}
		if j.gone || j.changed() {
			flags := j.was&^storage.InboxFlags | j.Flags
			if _, err := t.Exec(ctx, judgeRow, flags, j.chat, owner, j.seq, j.was); err != nil {
				return err
			}
		}
		seq := int64(0)
		switch {
		case j.Flags.Has(storage.ReadsChat):
			seq = j.seq
		case j.Read != "":
			var err error
			if seq, err = seen(ctx, t, j.chat, j.Read, j.seq); err != nil {
				return err
			}
		}
		read[j.chat] = max(read[j.chat], seq)
	}
	b := &pgx.Batch{}
	for chat, seq := range read {
		b.Queue(raiseRead, seq, chat)
	}
	return t.SendBatch(ctx, b).Close()
}

// seen is the row that a marker names, 0 if there is none: what came after the
// marker was not meant.
func seen(ctx context.Context, t pgx.Tx, chat int64, id string, below int64) (int64, error) {
	rows, err := t.Query(ctx, findRead, chat, storage.Key(id, 0), below)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var seq int64
		var flags storage.Flags
		var xml []byte
		if err := rows.Scan(&seq, &flags, &xml); err != nil {
			return 0, err
		}
		if flags.Has(storage.Tombstone) || storage.HasID(xml, id) {
			return seq, nil
		}
	}
	return 0, rows.Err()
}

func (db *DB) rebuildChats(ctx context.Context, owner jid.JID, id int64, at *storage.InboxRebuild, limit int) error {
	chats, err := list(ctx, db, "SELECT id FROM chat WHERE owner = $1 AND id > $2 ORDER BY id LIMIT $3", []any{id, at.Chat, limit},
		func(row pgx.Row) (chat int64, err error) { return chat, row.Scan(&chat) })
	if err != nil {
		return err
	}
	if at.Done = len(chats) < limit; len(chats) == 0 {
		return nil
	}
	at.Chat = chats[len(chats)-1]
	return db.changeOwner(ctx, owner, func(ctx context.Context, t pgx.Tx) error {
		for _, chat := range chats {
			if err := rebuildChat(ctx, t, chat); err != nil {
				return err
			}
		}
		return nil
	})
}

func rebuildChat(ctx context.Context, t pgx.Tx, chat int64) error {
	var shown, shownID int64
	if err := t.QueryRow(ctx, "SELECT shown_id FROM chat WHERE id = $1", chat).Scan(&shownID); err != nil {
		return err
	}
	shown, shownID, err := standingLike(ctx, t, chat, shownID)
	if err == nil {
		_, err = t.Exec(ctx, countChat, chat, shown, shownID)
	}
	return err
}

// standingLike finds what stands in the inbox for a chat: the newest message to be
// seen, or its newest correction. If there are only corrections, whose originals
// have gone, it is the newest of them, those of what stood there first.
func standingLike(ctx context.Context, t pgx.Tx, chat, was int64) (shown, shownID int64, err error) {
	err = t.QueryRow(ctx, newestOriginal, chat).Scan(&shown, &shownID)
	if errors.Is(err, pgx.ErrNoRows) {
		shownID = was
		if err = nil; was == 0 {
			if err = t.QueryRow(ctx, newestShown, chat).Scan(&shown, &shownID); errors.Is(err, pgx.ErrNoRows) {
				return 0, 0, nil
			}
		}
	}
	if err != nil {
		return 0, 0, err
	}
	if shownID != 0 {
		var correction int64
		if err := t.QueryRow(ctx, newestCorrection, chat, shownID, shown).Scan(&correction); err != nil {
			return 0, 0, err
		}
		shown = max(shown, correction)
	}
	if shown == 0 {
		return standingLike(ctx, t, chat, 0)
	}
	return shown, shownID, nil
}
