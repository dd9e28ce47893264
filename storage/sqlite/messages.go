package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

const (
	readCursor  = "SELECT id, next_seq, delivered, confirmed FROM owner WHERE jid = ?"
	readPending = `SELECT id, tag, flags, peer, arrived, xml FROM message
		WHERE id >= ? AND id <= ? AND NOT flags & 2 ORDER BY id LIMIT ?`
	nextPending = "SELECT id FROM message WHERE id >= ? AND id <= ? AND NOT flags & 2 ORDER BY id LIMIT 1"

	// What changes when rows have been confirmed: those that wait, and those that
	// are not archived.
	countTaken = `SELECT count(*), count(*) FILTER (WHERE flags & 4), coalesce(sum(length(xml)) FILTER (WHERE flags & 4), 0)
		FROM message WHERE id >= ? AND id <= ? AND (flags & 4 OR NOT flags & 1)`
	dropTaken = "DELETE FROM message WHERE id >= ? AND id <= ? AND NOT flags & 1"
	markTaken = "UPDATE message SET flags = flags - 4 WHERE id >= ? AND id <= ? AND flags & 4"

	// The condition on flags is that of the index.
	oldWaiting = "SELECT id FROM message WHERE arrived < ? AND flags & 4 ORDER BY arrived, id LIMIT ?"
)

// PendingMessages returns messages of an account's log that none of its clients
// has for sure, behind one seq and up to another (0: to the end), in order, at most
// limit of them. Those that the account has sent are not among them.
func (db *DB) PendingMessages(ctx context.Context, owner jid.JID, after, upTo int64, limit int) ([]storage.Message, error) {
	owner = owner.Bare()
	var messages []storage.Message
	err := db.view(ctx, func(t *tx) error {
		l, err := cursor(t, owner)
		if err != nil {
			return err
		}
		if upTo == 0 || upTo >= l.Next {
			upTo = l.Next - 1
		}
		for _, gap := range l.Confirmed.Without(storage.Range{First: max(after, l.Delivered) + 1, Last: upTo}) {
			rows, err := t.query(readPending, rowID(l.Owner, gap.First), rowID(l.Owner, gap.Last), limit-len(messages))
			err = eachRow(rows, err, func(rows *sql.Rows) error {
				m, err := scanMessage(rows, owner)
				messages = append(messages, m)
				return err
			})
			if err != nil || len(messages) == limit {
				return err
			}
		}
		return nil
	})
	if err == storage.ErrNotFound {
		return nil, nil
	}
	return messages, wrap(err, "read messages of", owner)
}

// cursor reads how far an account has got its log, or storage.ErrNotFound.
func cursor(t *tx, owner jid.JID) (l storage.Log, err error) {
	var confirmed []byte
	if err := t.row(readCursor, owner.String()).Scan(&l.Owner, &l.Next, &l.Delivered, &confirmed); err != nil {
		return l, mapError(err)
	}
	l.Confirmed, err = storage.DecodeRanges(confirmed)
	return l, err
}

// scanMessage reads the columns id, tag, flags, peer, arrived, xml.
func scanMessage(rows *sql.Rows, owner jid.JID) (storage.Message, error) {
	m := storage.Message{Owner: owner}
	var id, flags, arrived int64
	var peer string
	if err := rows.Scan(&id, &m.Tag, &flags, &peer, &arrived, &m.XML); err != nil {
		return m, err
	}
	m.Seq, m.Flags, m.Arrived = rowSeq(id), storage.Flags(flags), fromMicro(arrived)
	var err error
	m.Peer, err = jid.Parse(peer)
	return m, err
}

// ConfirmMessages notes that rows have reached their owners. Those that are not
// archived go. Owners that do not exist are skipped.
func (db *DB) ConfirmMessages(ctx context.Context, list []storage.Confirmed) error {
	err := db.change(ctx, func(t *tx) error {
		for _, c := range list {
			id, err := ownerID(t, c.Owner)
			if err == storage.ErrNotFound {
				continue
			} else if err != nil {
				return err
			}
			if err := confirm(t, id, c.Ranges); err != nil {
				return err
			}
		}
		return nil
	}, func(m *memory) {
		for _, c := range list {
			m.forgetLog(c.Owner)
		}
	})
	if err != nil {
		return fmt.Errorf("confirm messages: %w", err)
	}
	return nil
}

func confirm(t *tx, owner int64, ranges []storage.Range) error {
	l, err := wholeLog(t, owner)
	if err != nil {
		return err
	}
	fresh := l.Confirm(ranges)
	if len(fresh) == 0 {
		return nil
	}
	for _, r := range fresh {
		if err := take(t, l, r); err != nil {
			return err
		}
	}
	for _, gap := range l.Gaps(fresh) {
		seq, err := pendingIn(t, l, gap)
		if err != nil {
			return err
		}
		l.Join(gap, seq)
	}
	pending, err := firstPending(t, l)
	if err != nil {
		return err
	}
	l.Advance(pending)
	if l.Changed {
		if err := saveLog(t, l); err != nil {
			return err
		}
	}
	return saveCursor(t, l)
}

// take does with the rows of a range what has to be done once they are confirmed.
func take(t *tx, l *storage.Log, r storage.Range) error {
	first, last := rowID(l.Owner, r.First), rowID(l.Owner, r.Last)
	var rows, waiting, size int64
	if err := t.row(countTaken, first, last).Scan(&rows, &waiting, &size); err != nil || rows == 0 {
		return err
	}
	if _, err := t.exec(dropTaken, first, last); err != nil {
		return err
	}
	if waiting > 0 {
		l.Taken(waiting, size)
		_, err := t.exec(markTaken, first, last)
		return err
	}
	return nil
}

// firstPending finds the seq of the first row that has to be delivered yet; 0:
// there is none.
func firstPending(t *tx, l *storage.Log) (seq int64, err error) {
	for _, gap := range l.Confirmed.Without(storage.Range{First: l.Delivered + 1, Last: l.Next - 1}) {
		if seq, err = pendingIn(t, l, gap); err != nil || seq != 0 {
			return seq, err
		}
	}
	return 0, nil
}

// pendingIn is firstPending for what is not confirmed.
func pendingIn(t *tx, l *storage.Log, gap storage.Range) (seq int64, err error) {
	err = t.row(nextPending, rowID(l.Owner, gap.First), rowID(l.Owner, gap.Last)).Scan(&seq)
	if err == sql.ErrNoRows {
		return 0, nil
	}
	return rowSeq(seq), err
}

// CountMessages counts what nobody took when it came, and nobody has confirmed.
func (db *DB) CountMessages(ctx context.Context, owner jid.JID) (n int, err error) {
	err = db.row(ctx, "SELECT coalesce((SELECT waiting FROM owner WHERE jid = ?), 0)", owner.Bare().String()).Scan(&n)
	return n, wrap(mapError(err), "count messages of", owner)
}

// DeleteMessagesBefore gives up the oldest messages that wait and arrived before
// t, of all accounts, at most limit of them, and returns how many: they stay in
// archives, as if they had been delivered, and nowhere else. Callers repeat it until
// that is less than limit, so that other writers get their turn.
func (db *DB) DeleteMessagesBefore(ctx context.Context, before time.Time, limit int) (int, error) {
	deleted := 0
	err := db.write(ctx, func(t *tx) error {
		old := make(map[int64]storage.Ranges)
		rows, err := t.query(oldWaiting, before.UnixMicro(), limit)
		if err := eachRow(rows, err, func(rows *sql.Rows) error {
			var id int64
			err := rows.Scan(&id)
			owner, seq := id>>ownerShift, rowSeq(id)
			old[owner] = old[owner].Add(storage.Range{First: seq, Last: seq})
			deleted++
			return err
		}); err != nil {
			return err
		}
		for owner, ranges := range old {
			if err := confirm(t, owner, ranges); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("delete old messages: %w", err)
	}
	return deleted, nil
}
