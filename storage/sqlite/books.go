package sqlite

import (
	"database/sql"
	"encoding/json"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

const (
	readLog = `SELECT id, next_seq, last_arrived, stored, stored_bytes, waiting, waiting_bytes, delivered
		FROM owner WHERE jid = ?`
	advanceLog = `UPDATE owner SET next_seq = ?, last_arrived = ?, stored = ?, stored_bytes = ?,
		waiting = ?, waiting_bytes = ?, delivered = ? WHERE id = ?`
	readWholeLog = `SELECT id, next_seq, last_arrived, stored, stored_bytes, waiting, waiting_bytes, delivered,
		confirmed FROM owner WHERE id = ?`
	writeCursor = "UPDATE owner SET delivered = ?, confirmed = ? WHERE id = ?"

	chatByName = "SELECT id, stored, last, shown, shown_id, unread, read FROM chat WHERE owner = ? AND bare = ? AND resource = ?"
	chatByID   = "SELECT id, stored, last, shown, shown_id, unread, read FROM chat WHERE id = ?"
	addChat    = "INSERT INTO chat (owner, bare, resource, archive) VALUES (?1, ?2, ?3, ?1) RETURNING id"
	writeChat  = "UPDATE chat SET stored = ?, last = ?, shown = ?, shown_id = ?, unread = ?, read = ? WHERE id = ?"
)

// ownerShift makes the numbers of rows: owner << ownerShift | seq.
const ownerShift = 32

func rowID(owner, seq int64) int64 { return owner<<ownerShift | seq }

func rowSeq(id int64) int64 { return id & (1<<ownerShift - 1) }

// findLog reads what a write group needs of an owner's log; nil: there is no such
// owner.
func findLog(t *tx, owner jid.JID) (*storage.Log, error) {
	l := new(storage.Log)
	err := t.row(readLog, owner.String()).Scan(&l.Owner, &l.Next, &l.Last, &l.Stored, &l.Bytes, &l.Waiting, &l.Queued, &l.Delivered)
	if err == sql.ErrNoRows {
		return nil, nil
	}
	return l, err
}

// wholeLog reads a log with what has been confirmed of it.
func wholeLog(t *tx, owner int64) (*storage.Log, error) {
	l := new(storage.Log)
	var confirmed []byte
	err := t.row(readWholeLog, owner).Scan(&l.Owner, &l.Next, &l.Last, &l.Stored, &l.Bytes, &l.Waiting, &l.Queued, &l.Delivered, &confirmed)
	if err != nil {
		return nil, err
	}
	l.Confirmed, err = storage.DecodeRanges(confirmed)
	return l, err
}

func saveLog(t *tx, l *storage.Log) error {
	_, err := t.exec(advanceLog, l.Next, l.Last, l.Stored, l.Bytes, l.Waiting, l.Queued, l.Delivered, l.Owner)
	return err
}

// saveCursor writes what saveLog does not: the part that only wholeLog reads.
func saveCursor(t *tx, l *storage.Log) error {
	_, err := t.exec(writeCursor, l.Delivered, l.Confirmed.Encode(), l.Owner)
	return err
}

func scanChat(row scanner) (*storage.Chat, error) {
	c := new(storage.Chat)
	return c, row.Scan(&c.ID, &c.Stored, &c.Last, &c.Shown, &c.ShownID, &c.Unread, &c.Read)
}

func saveChat(t *tx, c *storage.Chat) error {
	_, err := t.exec(writeChat, c.Stored, c.Last, c.Shown, c.ShownID, c.Unread, c.Read, c.ID)
	return err
}

// list is the argument of a json_each.
func list(ids []int64) string {
	b, _ := json.Marshal(ids) // numbers do not fail
	return string(b)
}
