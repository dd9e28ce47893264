package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

const (
	// nextToTrim finds the next owner whose archive is larger than ?3 or whose oldest
	// archived row arrived before ?4.
	nextToTrim = `SELECT o.id FROM owner o LEFT JOIN account a ON a.owner = o.id
		WHERE o.id >= ?1 AND o.stored > 0 AND (?2 = '' OR a.domain = ?2) AND (o.stored_bytes > ?3 OR
			(SELECT arrived FROM message WHERE message.id > o.id << 32 AND message.id < o.id + 1 << 32 AND flags & 1
				ORDER BY message.id LIMIT 1) < ?4)
		ORDER BY o.id LIMIT 1`

	oldestRows = `SELECT id, flags, chat, coalesce(text, 0), arrived, length(xml) FROM message
		WHERE id > ? AND id < ? AND flags & 1 ORDER BY id LIMIT ?`
	chatRows = `SELECT id, flags, chat, coalesce(text, 0), arrived, length(xml) FROM message
		WHERE chat = ? AND (?2 = '' OR peer = ?2) ORDER BY id LIMIT ?`
	deleteRows = "DELETE FROM message WHERE id IN (SELECT value FROM json_each(?))"
	// withoutArchive leaves of an archived row what delivery needs.
	withoutArchive = "UPDATE message SET flags = ?, chat = NULL, key = NULL, ref = NULL, text = NULL WHERE id = ?"
	latestOfChat   = "SELECT coalesce(max(id), 0) FROM message WHERE chat = ?"
)

// archived is a row of an archive that may go.
type archived struct {
	id, chat, text, arrived, size int64
	flags                         storage.Flags
}

// TrimArchives cuts back one archive in one transaction, by at most limit rows. It
// looks for one in the order of the numbers of owners, beginning with from, and
// returns how many rows have left it and where to go on; 0: there is no other.
func (db *DB) TrimArchives(ctx context.Context, trim storage.Trim, from int64, limit int) (deleted int, next int64, err error) {
	size, before := int64(math.MaxInt64), int64(math.MinInt64)
	if trim.Bytes > 0 {
		size = trim.Bytes
	}
	if !trim.Before.IsZero() {
		before = trim.Before.UnixMicro()
	}
	var owner int64
	switch err := db.row(ctx, nextToTrim, from, trim.Domain, size, before).Scan(&owner); {
	case err == sql.ErrNoRows:
		return 0, 0, nil
	case err != nil:
		return 0, 0, fmt.Errorf("trim archives: %w", mapError(err))
	}
	err = db.write(ctx, func(t *tx) error {
		l, err := wholeLog(t, owner)
		if err == sql.ErrNoRows {
			return errUnchanged
		} else if err != nil {
			return err
		}
		rows, err := readArchived(t.query(oldestRows, rowID(owner, 0), rowID(owner+1, 0), limit))
		if err != nil {
			return err
		}
		left := l.Bytes
		for deleted < len(rows) && (rows[deleted].arrived < before || left > size) {
			left -= rows[deleted].size
			deleted++
		}
		return removeArchived(t, l, rows[:deleted])
	})
	if err != nil {
		return 0, 0, fmt.Errorf("trim archives: %w", err)
	}
	if deleted < limit {
		owner++
	}
	return deleted, owner, nil
}

func readArchived(rows *sql.Rows, err error) (found []archived, _ error) {
	err = eachRow(rows, err, func(rows *sql.Rows) error {
		var r archived
		err := rows.Scan(&r.id, &r.flags, &r.chat, &r.text, &r.arrived, &r.size)
		found = append(found, r)
		return err
	})
	return found, err
}

// RemoveArchive empties an archive (with is zero), or takes what the owner has
// exchanged with an address out of it, as ArchiveQuery.With says. It removes at most
// limit rows, the oldest first, and returns how many; callers repeat it until that
// is less than limit. What the owner has not got yet waits for delivery.
func (db *DB) RemoveArchive(ctx context.Context, owner, with jid.JID, limit int) (deleted int, err error) {
	err = db.write(ctx, func(t *tx) error {
		id, err := ownerID(t, owner)
		if err == storage.ErrNotFound {
			return errUnchanged
		} else if err != nil {
			return err
		}
		var found []archived
		if with.IsZero() {
			found, err = readArchived(t.query(oldestRows, rowID(id, 0), rowID(id+1, 0), limit))
		} else {
			found, err = archivedWith(t, id, with, limit)
		}
		if err != nil || len(found) == 0 {
			return err
		}
		l, err := wholeLog(t, id)
		if err != nil {
			return err
		}
		deleted = len(found)
		if err := removeArchived(t, l, found); err != nil {
			return err
		}
		_, err = t.exec(hasten, time.Now().Add(removedDelay).Unix())
		return err
	})
	if err != nil {
		return 0, wrap(err, "remove archive of", owner.Bare())
	}
	return deleted, nil
}

func archivedWith(t *tx, owner int64, with jid.JID, limit int) (found []archived, err error) {
	s := selection{owner: owner}
	if err := t.selectChats(with, &s); err != nil {
		return nil, err
	}
	for _, chat := range s.chats {
		some, err := readArchived(t.query(chatRows, chat, s.peer, limit-len(found)))
		if found = append(found, some...); err != nil || len(found) >= limit {
			return found, err
		}
	}
	return found, nil
}

// removeArchived takes rows out of an archive.
func removeArchived(t *tx, l *storage.Log, rows []archived) error {
	if len(rows) == 0 {
		return errUnchanged
	}
	chats := make(map[int64]*storage.Chat)
	shown := make(map[int64]int64)
	var gone, texts []int64
	for _, r := range rows {
		c := chats[r.chat]
		if c == nil {
			var err error
			if c, err = scanChat(t.row(chatByID, r.chat)); err != nil {
				return err
			}
			chats[r.chat], shown[r.chat] = c, c.Shown
		}
		if r.text != 0 {
			texts = append(texts, r.text)
		}
		if keeps := l.Remove(c, rowSeq(r.id), r.flags, r.size); keeps == 0 {
			gone = append(gone, r.id)
		} else if _, err := t.exec(withoutArchive, int64(keeps), r.id); err != nil {
			return err
		}
	}
	if err := leave(t, l.Owner, texts); err != nil {
		return err
	}
	if _, err := t.exec(deleteRows, list(gone)); err != nil {
		return err
	}
	for id, c := range chats {
		if err := settle(t, c, shown[id] != 0 && c.Shown == 0); err != nil {
			return err
		}
	}
	return saveLog(t, l)
}

// settle finds out what is the latest row of a chat, and what stands in the inbox,
// if those that were have gone.
func settle(t *tx, c *storage.Chat, standsNothing bool) (err error) {
	if c.Stored > 0 && c.Last == 0 {
		if err := t.row(latestOfChat, c.ID).Scan(&c.Last); err != nil {
			return err
		}
		c.Last = rowSeq(c.Last)
	}
	if c.Stored > 0 && standsNothing {
		if c.Shown, c.ShownID, err = standing(t, c.ID); err != nil {
			return err
		}
	}
	return saveChat(t, c)
}

// removeMessages deletes an owner's whole log.
func removeMessages(t *tx, owner int64) error {
	first, behind := rowID(owner, 0), rowID(owner+1, 0)
	var texts []int64
	rows, err := t.query("SELECT text FROM message WHERE id > ? AND id < ? AND text IS NOT NULL", first, behind)
	err = eachRow(rows, err, func(rows *sql.Rows) error {
		texts = append(texts, 0)
		return rows.Scan(&texts[len(texts)-1])
	})
	if err != nil {
		return err
	}
	if err := leave(t, owner, texts); err != nil {
		return err
	}
	_, err = t.exec("DELETE FROM message WHERE id > ? AND id < ?", first, behind)
	return err
}
