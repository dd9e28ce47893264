package sqlite

import (
	"context"
	"database/sql"
	"math/bits"
	"slices"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

const (
	archiveForward  = "SELECT id, tag, flags, peer, arrived, xml FROM message WHERE id >= ? AND id <= ? AND flags & 1 ORDER BY id LIMIT ?"
	archiveBackward = "SELECT id, tag, flags, peer, arrived, xml FROM message WHERE id >= ? AND id <= ? AND flags & 1 ORDER BY id DESC LIMIT ?"
	countRange      = "SELECT count(*) FROM message WHERE id >= ? AND id <= ? AND flags & 1"

	// The join keeps the order of the list.
	listedRows = `SELECT m.id, tag, flags, peer, arrived, xml
		FROM json_each(?) j CROSS JOIN message m WHERE m.id = j.value AND flags & 1`

	// seekArrived finds the first of the numbers from ?1 to below ?2 behind all rows
	// that arrived before ?3: arrived does not fall along them, so that it takes steps
	// of ?4, half of that, and so on, and needs no index.
	seekArrived = `WITH RECURSIVE seek (at, step) AS (
			SELECT ?1 - 1, ?4
			UNION ALL
			SELECT iif((SELECT arrived FROM message WHERE id >= at + step AND id < ?2 ORDER BY id LIMIT 1) < ?3, at + step, at),
				step / 2 FROM seek WHERE step > 0)
		SELECT max(at) + 1 FROM seek`
)

// selection is what an ArchiveQuery asks for, in terms of rows.
type selection struct {
	owner       int64
	first, last int64   // row numbers
	chats       []int64 // rows of these only
	byChat      bool
	peer        string // of these only those with this peer; "": any
	size        int64  // rows of the archive, or of the chats
}

// selection looks up what bounds an ArchiveQuery, all but its words.
func (t *tx) selection(q storage.ArchiveQuery) (s selection, err error) {
	var next int64
	err = t.row("SELECT id, next_seq, stored FROM owner WHERE jid = ?", q.Owner.Bare().String()).Scan(&s.owner, &next, &s.size)
	if err == sql.ErrNoRows {
		return selection{last: -1}, nil
	} else if err != nil {
		return s, err
	}
	end := rowID(s.owner, next) // behind the last row
	if q.Before > 0 && q.Before < next {
		end = rowID(s.owner, q.Before)
	}
	s.first = rowID(s.owner, max(q.After, 0)) + 1
	if !q.Start.IsZero() {
		if s.first, err = t.seek(s.first, end, ceilMicro(q.Start)); err != nil {
			return s, err
		}
	}
	if !q.End.IsZero() {
		if end, err = t.seek(s.first, end, q.End.UnixMicro()+1); err != nil {
			return s, err
		}
	}
	s.last = end - 1
	if q.With.IsZero() {
		return s, nil
	}
	return s, t.selectChats(q.With, &s)
}

// seek returns the number, at least first, behind the last row below end that
// arrived before a time.
func (t *tx) seek(first, end, arrived int64) (behind int64, err error) {
	if first >= end {
		return first, nil
	}
	step := int64(1) << (bits.Len64(uint64(end-first)) - 1)
	err = t.row(seekArrived, first, end, arrived, step).Scan(&behind)
	return behind, err
}

// ceilMicro is the first microsecond that is not before a time.
func ceilMicro(at time.Time) int64 { return at.Add(time.Microsecond - time.Nanosecond).UnixMicro() }

// Archive calls fn for the rows that a query selects, in its order, until fn
// returns an error, which Archive returns. The message is fn's to keep; its Chat is
// not set.
func (db *DB) Archive(ctx context.Context, q storage.ArchiveQuery, fn func(*storage.Message) error) error {
	if len(q.Words) > 0 {
		return db.searchArchive(ctx, q, fn)
	}
	var stopped error
	err := db.view(ctx, func(t *tx) error {
		s, err := t.selection(q)
		if err != nil || s.first > s.last {
			return err
		}
		if q.Size != nil {
			*q.Size = s.size
		}
		rows, err := t.selected(s, q)
		return eachRow(rows, err, func(rows *sql.Rows) error {
			m, err := scanMessage(rows, q.Owner.Bare())
			if err == nil {
				stopped = fn(&m)
				err = stopped
			}
			return err
		})
	})
	if stopped != nil {
		return stopped
	}
	return wrap(err, "read archive of", q.Owner.Bare())
}

// selected queries a page of rows.
func (t *tx) selected(s selection, q storage.ArchiveQuery) (*sql.Rows, error) {
	if !s.byChat {
		query := archiveForward
		if q.Backward {
			query = archiveBackward
		}
		return t.query(query, s.first, s.last, q.Limit)
	}
	ids, err := t.selectedIDs(s, q)
	if err != nil {
		return nil, err
	}
	return t.query(listedRows, list(ids))
}

// CountArchive counts the rows that a query without Words selects, whatever its Limit. It is
// cheap for a whole archive, or all with one bare address.
func (db *DB) CountArchive(ctx context.Context, q storage.ArchiveQuery) (n int64, err error) {
	owner := q.Owner.Bare()
	err = db.view(ctx, func(t *tx) error {
		s, err := t.selection(q)
		if err != nil || s.first > s.last {
			return err
		}
		if q.Start.IsZero() && q.End.IsZero() && q.After <= 0 && q.Before <= 0 && !q.With.IsFull() {
			n = s.size
			return nil
		}
		if !s.byChat {
			return t.row(countRange, s.first, s.last).Scan(&n)
		}
		for _, chat := range s.chats {
			if err := t.looked(s, chat); err != nil {
				return err
			}
			var some int64
			if err := t.row(countChatRows, chat, s.first, s.last, s.peer).Scan(&some); err != nil {
				return err
			}
			n += some
		}
		return nil
	})
	return n, wrap(err, "count archive of", owner)
}

// ArchiveRows returns those of some rows that are in the archive, in order of seq,
// without their Chat.
func (db *DB) ArchiveRows(ctx context.Context, owner jid.JID, seqs []int64) (messages []storage.Message, err error) {
	owner = owner.Bare()
	seqs = slices.Compact(slices.Sorted(slices.Values(seqs)))
	err = db.view(ctx, func(t *tx) error {
		id, err := ownerID(t, owner)
		if err != nil {
			return err
		}
		ids := make([]int64, 0, len(seqs))
		for _, seq := range seqs {
			if seq > 0 && seq < 1<<ownerShift {
				ids = append(ids, rowID(id, seq))
			}
		}
		rows, err := t.query(listedRows, list(ids))
		return eachRow(rows, err, func(rows *sql.Rows) error {
			m, err := scanMessage(rows, owner)
			messages = append(messages, m)
			return err
		})
	})
	if err == storage.ErrNotFound {
		return nil, nil
	}
	return messages, wrap(err, "read archive of", owner)
}

// ArchiveEnds returns the first and the last row of an archive; without Seq if it
// is empty.
func (db *DB) ArchiveEnds(ctx context.Context, owner jid.JID) (first, last storage.ArchiveEnd, err error) {
	err = db.view(ctx, func(t *tx) error {
		id, err := ownerID(t, owner)
		if err != nil {
			return err
		}
		if err := t.end("SELECT id, tag, arrived FROM message WHERE id > ? AND id < ? AND flags & 1 ORDER BY id LIMIT 1", id, &first); err != nil {
			return err
		}
		return t.end("SELECT id, tag, arrived FROM message WHERE id > ? AND id < ? AND flags & 1 ORDER BY id DESC LIMIT 1", id, &last)
	})
	if err == storage.ErrNotFound {
		err = nil
	}
	return first, last, wrap(err, "read archive of", owner.Bare())
}

func (t *tx) end(query string, owner int64, e *storage.ArchiveEnd) error {
	var arrived int64
	err := t.row(query, rowID(owner, 0), rowID(owner+1, 0)).Scan(&e.Seq, &e.Tag, &arrived)
	if err == nil {
		e.Seq, e.Arrived = rowSeq(e.Seq), fromMicro(arrived)
	}
	return mapError(err)
}
