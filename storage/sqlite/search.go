package sqlite

import (
	"context"
	"database/sql"
	"math"
	"strconv"
	"strings"

	"github.com/xmppd/xmppd/storage"
)

const (
	// The numbers of texts rise along the seqs of each owner, so they are in order.
	// The index of words comes first, whatever the planner thinks.
	textSeq  = "iif(t.owner1 = ?1, t.seq1, t.seq2)"
	textRows = "(t.owner1 = ?1 OR t.owner2 = ?1)"
	findText = "SELECT t.id, " + textSeq + ` FROM word CROSS JOIN text t ON t.id = word.rowid
		WHERE word MATCH ?2 AND word.rowid > ?3 AND word.rowid < ?4 AND ` + textRows + " ORDER BY word.rowid "
	findForward  = findText + "LIMIT ?5"
	findBackward = findText + "DESC LIMIT ?5"

	newTexts    = "SELECT " + textSeq + " AS seq FROM text t WHERE t.id > ?2 AND " + textRows + " AND seq BETWEEN ?3 AND ?4 ORDER BY seq "
	newForward  = newTexts + "LIMIT -1"
	newBackward = newTexts + "DESC LIMIT -1"

	// What stands next to a bound says from which text on to look; ?3 rows decide,
	// because others may have none.
	textFrom = "SELECT text FROM (SELECT text FROM message WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?) WHERE text IS NOT NULL LIMIT 1"
	textUpTo = "SELECT text FROM (SELECT text FROM message WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT ?) WHERE text IS NOT NULL LIMIT 1"

	boundRows   = 500
	maxChatKeys = 64 // more chats are not asked for one by one
)

// searchArchive is Archive for a query with words.
func (db *DB) searchArchive(ctx context.Context, q storage.ArchiveQuery, fn func(*storage.Message) error) error {
	var stopped error
	err := db.view(ctx, func(t *tx) error {
		s, err := t.selection(q)
		if err != nil || s.first > s.last || s.byChat && len(s.chats) == 0 {
			return err
		}
		search, err := t.search(s, &q)
		if err != nil {
			return err
		}
		return search.Run(func(m *storage.Message) error {
			stopped = fn(m)
			return stopped
		})
	})
	if stopped != nil {
		return stopped
	}
	return wrap(err, "search archive of", q.Owner.Bare())
}

func (t *tx) search(s selection, q *storage.ArchiveQuery) (*storage.Search, error) {
	indexed, err := t.indexed()
	if err != nil {
		return nil, err
	}
	found, fresh := findForward, newForward
	if q.Backward {
		found, fresh = findBackward, newBackward
	}
	search := &storage.Search{Query: q}
	rows, err := t.query(fresh, s.owner, indexed, rowSeq(s.first), rowSeq(s.last))
	if err := eachRow(rows, err, func(rows *sql.Rows) error {
		var seq int64
		err := rows.Scan(&seq)
		search.New = append(search.New, seq)
		return err
	}); err != nil {
		return nil, err
	}
	after, before, err := t.textBounds(s, q)
	if err != nil {
		return nil, err
	}
	match := s.match(q.Words)
	search.Next = func(limit int) (seqs []int64, err error) {
		rows, err := t.query(found, s.owner, match, after, before, limit)
		return seqs, eachRow(rows, err, func(rows *sql.Rows) error {
			var id, seq int64
			err := rows.Scan(&id, &seq)
			if seqs = append(seqs, seq); q.Backward {
				before = id
			} else {
				after = id
			}
			return err
		})
	}
	search.Rows = func(seqs []int64) (messages []storage.Message, err error) {
		ids := make([]int64, len(seqs))
		for i, seq := range seqs {
			ids[i] = rowID(s.owner, seq)
		}
		rows, err := t.query(listedRows, list(ids))
		return messages, eachRow(rows, err, func(rows *sql.Rows) error {
			m, err := scanMessage(rows, q.Owner.Bare())
			messages = append(messages, m)
			return err
		})
	}
	return search, nil
}

// textBounds are the numbers of texts between which those of the rows are, or more.
func (t *tx) textBounds(s selection, q *storage.ArchiveQuery) (after, before int64, err error) {
	before = math.MaxInt64
	if q.After > 0 || !q.Start.IsZero() {
		err := t.row(textFrom, s.first, s.last, boundRows).Scan(&after)
		if after--; err == sql.ErrNoRows {
			after = 0
		} else if err != nil {
			return 0, 0, err
		}
	}
	if q.Before > 0 || !q.End.IsZero() {
		err := t.row(textUpTo, s.first, s.last, boundRows).Scan(&before)
		if before++; err == sql.ErrNoRows {
			before = math.MaxInt64
		} else if err != nil {
			return 0, 0, err
		}
	}
	return after, before, nil
}

// match is the query in the language of FTS5.
func (s *selection) match(words []string) string {
	var b strings.Builder
	for _, w := range words {
		b.WriteByte('"')
		b.WriteString(strings.ReplaceAll(w, `"`, `""`))
		b.WriteString(`" AND `)
	}
	if !s.byChat || len(s.chats) > maxChatKeys {
		b.WriteString(ownerKey(s.owner))
		return b.String()
	}
	b.WriteByte('(')
	for i, chat := range s.chats {
		if i > 0 {
			b.WriteString(" OR ")
		}
		b.WriteString(chatKey(chat))
	}
	b.WriteByte(')')
	return b.String()
}

// These are in the index like words, and no text has them.
func ownerKey(owner int64) string { return "_o" + strconv.FormatInt(owner, 10) }
func chatKey(chat int64) string   { return "_c" + strconv.FormatInt(chat, 10) }
