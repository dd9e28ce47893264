package postgres

import (
	"context"
	"math"
	"math/bits"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// selection is which rows of an archive are meant.
type selection struct {
	owner, with jid.JID
	low, high   int64 // seqs, both excluded
}

// selected translates the times of a query.
func (db *DB) selected(ctx context.Context, q *storage.ArchiveQuery) (p selection, err error) {
	p = selection{owner: q.Owner.Bare(), with: q.With, low: q.After, high: q.Before}
	if p.high == 0 {
		p.high = math.MaxInt64
	}
	if q.Start.IsZero() && q.End.IsZero() {
		return p, nil
	}
	// Rows have microseconds.
	start, end := q.Start.Add(time.Microsecond-1).Truncate(time.Microsecond), q.End.Truncate(time.Microsecond).Add(time.Microsecond)
	var times []time.Time
	if !q.Start.IsZero() {
		times = append(times, start)
	}
	if !q.End.IsZero() {
		times = append(times, end)
	}
	seqs, err := list(ctx, db, seqsAt, []any{p.owner.String(), times}, func(row pgx.Row) (seq int64, err error) {
		return seq, row.Scan(&seq)
	})
	if err != nil || len(seqs) == 0 { // there is no such owner
		return p, err
	}
	if !q.Start.IsZero() {
		p.low = max(p.low, seqs[0]-1)
	}
	if !q.End.IsZero() {
		p.high = min(p.high, seqs[len(seqs)-1])
	}
	return p, nil
}

// query selects columns of the rows m, in order; 0: no limit. Those of several
// chats, which are occupants of one room, are merged: at most limit of each. The
// constant limit tells PostgreSQL that few rows are read: otherwise it expects a tenth
// of all, finds every plan with the numbers in it better, and makes one each time.
func (p *selection) query(columns string, limit int, backward bool) (string, []any) {
	order, most, expected := " ORDER BY seq", any(limit), "NULL"
	if backward {
		order += " DESC"
	}
	if limit == 0 {
		most = nil
	} else {
		expected = strconv.Itoa(1 << max(8, bits.Len(uint(limit-1))))
	}
	page := func(query string) string {
		return "SELECT * FROM (" + query + order + " LIMIT " + expected + ") m" + order + " LIMIT $4"
	}
	args := []any{p.owner.String(), p.low, p.high, most}
	const owner, rows = " = (SELECT id FROM owner WHERE jid = $1)", " AND m.seq > $2 AND m.seq < $3 AND m.flags & 1 <> 0"
	if p.with.IsZero() {
		return page("SELECT " + columns + " FROM message m WHERE m.owner" + owner + rows), args
	}
	args = append(args, p.with.Bare().String())
	with, each := "", "SELECT * FROM message m WHERE m.chat = c.id"+rows
	if p.with.IsFull() {
		args = append(args, p.with.Resource(), p.with.String())
		with = " AND c.resource IN ('', $6)"
		each = "SELECT * FROM (" + each + order + " LIMIT " + strconv.Itoa(storage.PeerRows) + ") m WHERE m.peer = $7"
	}
	return page("SELECT " + columns + " FROM chat c CROSS JOIN LATERAL (" + page(each) + ") m WHERE c.owner" + owner + " AND c.bare = $5" + with), args
}

// size is how many rows there are with the same address, for query.
func (p *selection) size() string {
	if p.with.IsZero() {
		return "(SELECT stored FROM owner WHERE jid = $1)"
	}
	return "(SELECT sum(stored)::bigint FROM chat WHERE owner = (SELECT id FROM owner WHERE jid = $1) AND bare = $5)"
}

// looked fails if a query for one peer does not look at all that it selects.
func (db *DB) looked(ctx context.Context, p *selection) error {
	if !p.with.IsFull() {
		return nil
	}
	var more bool
	err := db.row(ctx, `SELECT EXISTS (SELECT FROM chat c CROSS JOIN LATERAL
			(SELECT FROM message WHERE chat = c.id AND seq > $1 AND seq < $2 ORDER BY seq LIMIT 1 OFFSET $3) m
		WHERE c.owner = (SELECT id FROM owner WHERE jid = $4) AND c.bare = $5 AND c.resource IN ('', $6))`,
		p.low, p.high, storage.PeerRows, p.owner.String(), p.with.Bare().String(), p.with.Resource()).Scan(&more)
	if more {
		return storage.ErrPeerRows
	}
	return err
}
