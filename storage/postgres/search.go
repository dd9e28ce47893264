package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/xmppd/xmppd/storage"
)

const (
	searchBounds = `SELECT o.id, o.next_seq, coalesce((SELECT seq FROM message WHERE owner = o.id ORDER BY seq LIMIT 1), o.next_seq)
		FROM owner o WHERE jid = $1`
	searchChats = `SELECT id FROM chat WHERE owner = (SELECT id FROM owner WHERE jid = $1) AND bare = $2
		AND ($3 = '' OR resource IN ('', $3))`
	newTexts = `SELECT seq FROM (SELECT CASE WHEN t.owner1 = o.id THEN t.seq1 ELSE t.seq2 END AS seq
		FROM text t JOIN owner o ON o.jid = $1 AND (t.owner1 = o.id OR t.owner2 = o.id)) t WHERE seq > $2 AND seq < $3 ORDER BY seq`

	// Whatever the planner thinks of the limit, it has to ask the index.
	findTexts = "WITH found AS MATERIALIZED (SELECT owner1, seq1, seq2, owner2 FROM word WHERE words @> $1::integer[] AND words && $2::integer[]"
	ofChats   = " AND words && $7::integer[]"
	inOrder   = `) SELECT seq FROM (SELECT CASE WHEN owner1 = $3 THEN seq1 ELSE seq2 END AS seq FROM found WHERE owner1 = $3 OR owner2 = $3) f
		WHERE seq > $4 AND seq < $5 ORDER BY seq`

	firstParts  = 2  // of the log that the index is asked for at first
	mostParts   = 32 // at once, of the large ones
	maxChatKeys = 64 // more chats are not asked for one by one
)

// searchArchive is Archive for a query with words.
func (db *DB) searchArchive(ctx context.Context, q storage.ArchiveQuery, fn func(*storage.Message) error) error {
	s := search{db: db, ctx: ctx, query: &q, bits: fine, parts: firstParts}
	err := s.open()
	if err != nil || s.low+1 >= s.high || s.chats != nil && len(*s.chats) == 0 {
		return wrap(err, "search archive of", q.Owner)
	}
	var stopped error
	err = (&storage.Search{Query: &q, New: s.fresh, Next: s.next, Rows: s.rows}).Run(func(m *storage.Message) error {
		stopped = fn(m)
		return stopped
	})
	if stopped != nil {
		return stopped
	}
	return wrap(err, "search archive of", q.Owner)
}

// search reads the index of one archive.
type search struct {
	db    *DB
	ctx   context.Context
	query *storage.ArchiveQuery
	owner int64
	chats *[]int32 // keys; nil: all
	words []int32

	fresh     []int64 // seqs of texts that are not in the index
	low, high int64   // what has not been asked for: seqs, both excluded
	bits      int     // the size of parts of the log
	parts     int64   // how many to ask for next
}

// open reads what a search begins with.
func (s *search) open() error {
	p, err := s.db.selected(s.ctx, s.query)
	if err != nil {
		return err
	}
	s.words = hashes(s.query.Words)
	var first, next int64
	var chats []int64
	err = s.db.view(s.ctx, func(b *pgx.Batch) {
		name := p.owner.String()
		s.fresh, chats, s.chats = nil, nil, nil
		b.Queue(newTexts, name, p.low, p.high).Query(collectInto(&s.fresh))
		b.Queue(searchBounds, name).Query(func(rows pgx.Rows) error {
			_, err := pgx.ForEachRow(rows, []any{&s.owner, &next, &first}, func() error { return nil })
			return err
		})
		if w := s.query.With; !w.IsZero() {
			b.Queue(searchChats, name, w.Bare().String(), w.Resource()).Query(collectInto(&chats))
		}
	})
	if err != nil {
		return err
	}
	if s.query.Backward {
		slices.Reverse(s.fresh)
	}
	if !s.query.With.IsZero() && len(chats) <= maxChatKeys {
		keys := make([]int32, len(chats))
		for i, chat := range chats {
			keys[i] = chatKey(chat)
		}
		s.chats = &keys
	}
	s.low, s.high = max(p.low, first-1), min(p.high, next)
	return nil
}

func collectInto(list *[]int64) func(pgx.Rows) error {
	return func(rows pgx.Rows) (err error) {
		*list, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	}
}

// next asks for a small part of the log at first, so that frequent words need not be
// found everywhere, then for more and more, so that rare ones are found soon.
func (s *search) next(limit int) (seqs []int64, err error) {
	for len(seqs) < limit && s.low+1 < s.high {
		low, high := s.low, s.high
		if s.query.Backward {
			low = max(low, ((high-1)>>s.bits-s.parts+1)<<s.bits-1)
		} else {
			high = min(high, ((low+1)>>s.bits+s.parts)<<s.bits)
		}
		found, err := s.ask(low, high, limit-len(seqs))
		if err != nil {
			return nil, err
		}
		if seqs = append(seqs, found...); len(seqs) < limit {
			s.widen()
		} else {
			low, high = seqs[limit-1]-1, seqs[limit-1]+1
		}
		if s.query.Backward {
			s.high = low + 1
		} else {
			s.low = high - 1
		}
	}
	return seqs, nil
}

func (s *search) widen() {
	switch {
	case s.bits == coarse:
		s.parts = min(2*s.parts, mostParts)
	case s.parts == firstParts:
		s.parts *= 4
	default:
		s.bits, s.parts = coarse, 1
	}
}

// ask reads seqs between low and high, both excluded, out of the index.
func (s *search) ask(low, high int64, limit int) ([]int64, error) {
	var parts []int32
	for part := (low + 1) >> s.bits; part <= (high-1)>>s.bits; part++ {
		parts = append(parts, partKey(s.owner, part<<s.bits, s.bits))
	}
	query, args := findTexts, []any{s.words, parts, s.owner, low, high, limit}
	if s.chats != nil {
		query += ofChats
		args = append(args, *s.chats)
	}
	if query += inOrder; s.query.Backward {
		query += " DESC"
	}
	return list(s.ctx, s.db, query+" LIMIT $6", args, func(row pgx.Row) (seq int64, err error) { return seq, row.Scan(&seq) })
}

func (s *search) rows(seqs []int64) ([]storage.Message, error) {
	messages, err := s.db.ArchiveRows(s.ctx, s.query.Owner, seqs)
	if s.query.Backward {
		slices.Reverse(messages)
	}
	return messages, err
}
