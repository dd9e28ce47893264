package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
)

const (
	indexedKey = "search.indexed" // of meta: the number of the last text that the index has seen
	getIndexed = "SELECT coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = '" + indexedKey + "'), 0)"
	setIndexed = "INSERT INTO meta (key, value) VALUES ('" + indexedKey + "', CAST(? AS BLOB)), ('" + deletedKey + "', CAST(" + never + ` AS BLOB))
		ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE key = '` + indexedKey + "'"

	// One of the copies is enough for the words.
	unindexed = `SELECT t.id, t.owner1, t.owner2, m1.chat, m2.chat, coalesce(m1.xml, m2.xml) FROM text t
		LEFT JOIN message m1 ON m1.id = t.owner1 << 32 | t.seq1
		LEFT JOIN message m2 ON m2.id = t.owner2 << 32 | t.seq2
		WHERE t.id > ? ORDER BY t.id LIMIT ?`

	// A text may be gone since it was read.
	presentTexts = "SELECT id FROM text WHERE id BETWEEN ? AND ?"
	// With a SELECT in place of VALUES each row would become a segment of its own: FTS5
	// flushes what it holds before any statement that may add several rows.
	addWords = "INSERT INTO word (rowid, words) VALUES (?, ?)"
)

// entry is a text on its way into the index.
type entry struct {
	id    int64
	words string // with spaces between them
}

// IndexTexts puts the oldest texts that are not in the index of words into it, at
// most limit, and returns how many it has looked at; fewer: there are no more, or
// EraseTexts is at work. words returns those of a stored message; they consist of
// letters, digits and marks.
func (db *DB) IndexTexts(ctx context.Context, limit int, words func(xml []byte) []string) (n int, err error) {
	var done int64
	if err := db.row(ctx, getIndexed).Scan(&done); err != nil {
		return 0, fmt.Errorf("index texts: %w", mapError(err))
	}
	var batch []entry
	size := int64(0)
	err = db.each(ctx, unindexed, []any{done, limit}, func(rows *sql.Rows) error {
		e, err := scanEntry(rows, words)
		batch, size = append(batch, e), size+int64(len(e.words))
		return err
	})
	if err != nil || len(batch) == 0 {
		return 0, wrapIndex(err)
	}
	err = db.change(ctx, func(t *tx) error {
		if erasing, err := t.erasing(); err != nil {
			return err
		} else if erasing {
			return errUnchanged
		}
		n = len(batch)
		return t.index(done, batch)
	}, (*memory).forgetNothing)
	if err != nil {
		return 0, wrapIndex(err)
	}
	db.checkpoint.wrote(2 * size / pageBytes) // what is merged with it, too
	return n, nil
}

func wrapIndex(err error) error {
	if err != nil {
		return fmt.Errorf("index texts: %w", err)
	}
	return nil
}

func scanEntry(rows *sql.Rows, words func(xml []byte) []string) (e entry, err error) {
	var owners [2]int64
	var chats [2]sql.NullInt64
	var xml sql.RawBytes
	if err := rows.Scan(&e.id, &owners[0], &owners[1], &chats[0], &chats[1], &xml); err != nil {
		return e, err
	}
	var b strings.Builder
	for i, owner := range owners {
		if owner == 0 || !chats[i].Valid {
			continue
		}
		b.WriteString(ownerKey(owner))
		b.WriteByte(' ')
		b.WriteString(chatKey(chats[i].Int64))
		b.WriteByte(' ')
	}
	if xml != nil {
		b.WriteString(strings.Join(words(xml), " "))
	}
	e.words = b.String()
	return e, nil
}

// index adds a batch of texts that follow done, unless somebody has been faster.
func (t *tx) index(done int64, batch []entry) error {
	if now, err := t.indexed(); err != nil || now != done {
		return err
	}
	first, last := batch[0].id, batch[len(batch)-1].id
	present, err := t.presentTexts(first, last)
	if err != nil {
		return err
	}
	for _, e := range batch {
		if !present[e.id] {
			continue
		}
		if _, err := t.exec(addWords, e.id, e.words); err != nil {
			return err
		}
	}
	_, err = t.exec(setIndexed, last)
	return err
}

func (t *tx) presentTexts(first, last int64) (map[int64]bool, error) {
	present := make(map[int64]bool)
	rows, err := t.query(presentTexts, first, last)
	return present, eachRow(rows, err, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		present[id] = true
		return err
	})
}

// indexed returns the number up to which texts are in the index.
func (t *tx) indexed() (done int64, err error) {
	return done, t.row(getIndexed).Scan(&done)
}

// dropTexts takes texts, all of whose copies are gone or must not be found any
// more, out of the search. Unknown ones are skipped.
func dropTexts(t *tx, ids []int64) error {
	indexed := int64(0)
	for _, id := range ids {
		r, err := t.exec("DELETE FROM word WHERE rowid = ?", id)
		if err != nil {
			return err
		}
		n, err := r.RowsAffected()
		if err != nil {
			return err
		}
		indexed += n
		if _, err := t.exec("DELETE FROM text WHERE id = ?", id); err != nil {
			return err
		}
	}
	if indexed == 0 {
		return nil
	}
	_, err := t.exec(eraseFrom, time.Now().Add(eraseDelay).Unix())
	return err
}
