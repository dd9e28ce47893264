package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

const (
	// What scanner.scan takes of a row m.
	messageColumns = "m.seq, m.tag, m.flags, m.peer, m.arrived, m.xml"

	// Searches the log for the first row of the archive that arrived at each time
	// or later: they stand in that order. Behind the last row it is the next seq.
	seqsAt = `WITH RECURSIVE half AS (
			SELECT t.n, t.at, o.id AS owner, 1::bigint AS low, o.next_seq AS high
			FROM owner o, unnest($2::timestamptz[]) WITH ORDINALITY AS t (at, n) WHERE o.jid = $1
		UNION ALL
			SELECT h.n, h.at, h.owner, CASE WHEN m.arrived < h.at THEN m.seq + 1 ELSE h.low END,
				CASE WHEN m.arrived < h.at THEN h.high ELSE (h.low + h.high) / 2 END
			FROM half h LEFT JOIN LATERAL (SELECT seq, arrived FROM message
				WHERE owner = h.owner AND seq >= (h.low + h.high) / 2 AND seq < h.high AND flags & 1 <> 0 ORDER BY seq LIMIT 1) m ON true
			WHERE h.low < h.high)
		SELECT low FROM half WHERE low >= high ORDER BY n`

	countArchive  = "SELECT coalesce((SELECT stored FROM owner WHERE jid = $1), 0)"
	countChats    = "SELECT coalesce(sum(stored), 0)::bigint FROM chat WHERE owner = (SELECT id FROM owner WHERE jid = $1) AND bare = $2"
	countSelected = "SELECT count(*) FROM ("

	rowsByNumber = "SELECT " + messageColumns + ` FROM message m
		WHERE m.owner = (SELECT id FROM owner WHERE jid = $1) AND m.seq = ANY ($2) AND m.flags & 1 <> 0 ORDER BY m.seq`

	archiveEnd = `SELECT seq, tag, arrived FROM message
		WHERE owner = (SELECT id FROM owner WHERE jid = $1) AND flags & 1 <> 0 ORDER BY seq`
)

// scanner makes messages of an owner out of rows.
type scanner struct {
	owner jid.JID
	peer  jid.JID // of the row before
}

// scan takes messageColumns, behind other columns. The Chat is not set.
func (s *scanner) scan(row pgx.Row, before ...any) (m storage.Message, err error) {
	m.Owner = s.owner
	var peer string
	if err := row.Scan(append(before, &m.Seq, &m.Tag, &m.Flags, &peer, &m.Arrived, &m.XML)...); err != nil {
		return m, err
	}
	m.Arrived = m.Arrived.UTC()
	if peer != s.peer.String() {
		if s.peer, err = jid.Parse(peer); err != nil {
			return m, err
		}
	}
	m.Peer = s.peer
	return m, nil
}

// Archive calls fn for the rows of an archive that the query selects, in its order,
// until fn returns an error, which Archive returns. The message is fn's to keep; its
// Chat is not set. fn must not wait: it is called while the rows are read.
func (db *DB) Archive(ctx context.Context, q storage.ArchiveQuery, fn func(*storage.Message) error) error {
	if len(q.Words) > 0 {
		return db.searchArchive(ctx, q, fn)
	}
	p, err := db.selected(ctx, &q)
	if err != nil {
		return wrap(err, "read archive of", q.Owner)
	}
	size, counted := "0::bigint", new(int64)
	if q.Size != nil {
		size, counted = p.size(), q.Size
	}
	query, args := p.query(size+", "+messageColumns, q.Limit, q.Backward)
	s := scanner{owner: p.owner}
	n := 0
	var stop, broken error
	err = db.again(ctx, func(ctx context.Context) error {
		if broken != nil {
			return broken // fn has had rows already
		}
		rows, err := db.pool.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			m, err := s.scan(rows, counted)
			if err != nil {
				return err
			}
			if stop = fn(&m); stop != nil {
				return nil
			}
			broken = storage.ErrUnavailable
			n++
		}
		return rows.Err()
	})
	if err == nil && stop == nil && n < q.Limit {
		err = db.looked(ctx, &p)
	}
	if stop != nil {
		return stop
	}
	return wrap(err, "read archive of", q.Owner)
}

// CountArchive counts the rows that the query, which has no Words, selects without its
// Limit.
func (db *DB) CountArchive(ctx context.Context, q storage.ArchiveQuery) (n int64, err error) {
	owner := q.Owner.Bare().String()
	open := q.Start.IsZero() && q.End.IsZero() && q.After == 0 && q.Before == 0
	switch {
	case open && q.With.IsZero():
		err = db.row(ctx, countArchive, owner).Scan(&n)
	case open && q.With.IsBare():
		err = db.row(ctx, countChats, owner, q.With.String()).Scan(&n)
	default:
		n, err = db.countSelected(ctx, &q)
	}
	return n, wrap(err, "count archive of", q.Owner)
}

func (db *DB) countSelected(ctx context.Context, q *storage.ArchiveQuery) (n int64, err error) {
	p, err := db.selected(ctx, q)
	if err != nil {
		return 0, err
	}
	if err := db.looked(ctx, &p); err != nil {
		return 0, err
	}
	query, args := p.query("m.seq", 0, false)
	err = db.row(ctx, countSelected+query+") m", args...).Scan(&n)
	return n, err
}

// ArchiveRows returns those of the rows that are in the archive, in the order of
// their numbers, without their Chat.
func (db *DB) ArchiveRows(ctx context.Context, owner jid.JID, seqs []int64) ([]storage.Message, error) {
	s := scanner{owner: owner.Bare()}
	messages, err := list(ctx, db, rowsByNumber, []any{s.owner.String(), seqs}, func(row pgx.Row) (storage.Message, error) { return s.scan(row) })
	return messages, wrap(err, "read archive of", owner)
}

// ArchiveEnds returns the first and the last row of an archive; Seq is 0 if there
// is none.
func (db *DB) ArchiveEnds(ctx context.Context, owner jid.JID) (first, last storage.ArchiveEnd, err error) {
	name := owner.Bare().String()
	err = db.view(ctx, func(b *pgx.Batch) {
		for end, query := range map[*storage.ArchiveEnd]string{&first: archiveEnd + " LIMIT 1", &last: archiveEnd + " DESC LIMIT 1"} {
			*end = storage.ArchiveEnd{}
			b.Queue(query, name).Query(func(rows pgx.Rows) error {
				_, err := pgx.ForEachRow(rows, []any{&end.Seq, &end.Tag, &end.Arrived}, func() error {
					end.Arrived = end.Arrived.UTC()
					return nil
				})
				return err
			})
		}
	})
	return first, last, wrap(err, "read archive of", owner)
}
