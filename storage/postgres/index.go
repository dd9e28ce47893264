package postgres

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
)

const (
	// Several nodes may do this at the same time. One of the copies is enough for the
	// words.
	moveTexts = `WITH taken AS (
			DELETE FROM text WHERE id IN (SELECT id FROM text WHERE id > $2 ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING *)
		SELECT t.id, t.owner1, t.seq1, t.owner2, t.seq2, coalesce(m1.chat, 0), coalesce(m2.chat, 0), coalesce(m1.xml, m2.xml)
		FROM taken t LEFT JOIN message m1 ON m1.owner = t.owner1 AND m1.seq = t.seq1
			LEFT JOIN message m2 ON m2.owner = t.owner2 AND m2.seq = t.seq2`
	addWords = `INSERT INTO word (id, owner1, seq1, owner2, seq2, words)
		SELECT id, owner1, seq1, owner2, seq2, words::integer[]
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[]) AS w (id, owner1, seq1, owner2, seq2, words)`
)

// tidyAfter is how many texts may be in the index without order: searching looks at
// each of them.
const tidyAfter = 1000

// indexing is how far this node has got.
type indexing struct {
	untidy atomic.Int64 // texts in the index without order
	// after is where the next batch begins: in front of it are rows that are dead, and
	// maybe a few whose transactions took longer. They come with the next first batch.
	after atomic.Int64
}

// entries are texts on their way into the index.
type entries struct {
	taken  int
	last   int64
	ids    []int64
	copies [4][]int64 // owner1, seq1, owner2, seq2
	words  []string   // arrays, in PostgreSQL's notation
}

// IndexTexts puts the oldest texts that are not in the index of words into it, at
// most limit, and returns how many it has looked at; fewer: there are no more. words
// returns those of a stored message; they consist of letters, digits and marks.
func (db *DB) IndexTexts(ctx context.Context, limit int, words func(xml []byte) []string) (n int, err error) {
	var e entries
	err = db.write(ctx, func(ctx context.Context, t pgx.Tx) error {
		rows, err := t.Query(ctx, moveTexts, limit, db.index.after.Load())
		if err != nil {
			return err
		}
		for rows.Next() {
			if err := e.scan(rows, words); err != nil {
				rows.Close()
				return err
			}
		}
		if err := rows.Err(); err != nil || e.taken == 0 {
			return err
		}
		n = e.taken
		if len(e.ids) > 0 {
			_, err = t.Exec(ctx, addWords, e.ids, e.copies[0], e.copies[1], e.copies[2], e.copies[3], e.words)
		}
		return err
	})
	if err == nil {
		if n < limit {
			e.last = 0
		}
		db.index.after.Store(e.last)
		err = db.tidyIndex(ctx, n)
	}
	if err != nil {
		return 0, fmt.Errorf("index texts: %w", err)
	}
	return n, nil
}

// tidyIndex has the server sort into the index what it has only noted down so far.
// By itself it would do so in the midst of a transaction, for up to a second, while
// a correction waits for one of the texts.
func (db *DB) tidyIndex(ctx context.Context, added int) error {
	if db.index.untidy.Add(int64(added)) < tidyAfter {
		return nil
	}
	db.index.untidy.Store(0)
	_, err := db.exec(ctx, "SELECT gin_clean_pending_list('word_words')")
	return err
}

func (e *entries) scan(row pgx.Row, words func(xml []byte) []string) error {
	var id int64
	var copies [4]int64
	var chats [2]int64
	var xml []byte
	if err := row.Scan(&id, &copies[0], &copies[1], &copies[2], &copies[3], &chats[0], &chats[1], &xml); err != nil {
		return err
	}
	e.taken++
	e.last = max(e.last, id)
	if xml == nil {
		return nil // no copy is left
	}
	list := words(xml)
	if len(list) == 0 {
		return nil
	}
	keys := hashes(list)
	for i, chat := range chats {
		if owner, seq := copies[2*i], copies[2*i+1]; owner != 0 && chat != 0 {
			keys = append(keys, partKey(owner, seq, fine), partKey(owner, seq, coarse), chatKey(chat))
		}
	}
	e.ids = append(e.ids, id)
	for i, v := range copies {
		e.copies[i] = append(e.copies[i], v)
	}
	e.words = append(e.words, array(keys))
	return nil
}

// Texts are in the table text first and are moved to word, so whoever changes them
// looks there in this order: one that is being moved is waited for.
const (
	lastNewCopies = "DELETE FROM text" + lastCopies
	leaveNewTexts = "UPDATE text" + leaveCopies
	lastOldCopies = "DELETE FROM word" + lastCopies
	leaveOldTexts = "UPDATE word" + leaveCopies
	lastCopies    = " WHERE id = ANY ($2) AND owner1 IN (0, $1) AND owner2 IN (0, $1)"
	leaveCopies   = ` SET owner1 = CASE owner1 WHEN $1 THEN 0 ELSE owner1 END, owner2 = CASE owner2 WHEN $1 THEN 0 ELSE owner2 END
		WHERE id = ANY ($2)`
)

// leaveTexts takes an owner's copies of texts out of the search, and texts of which
// there is no copy left. Unknown ones are skipped.
func leaveTexts(b *pgx.Batch, owner int64, ids []int64) {
	if len(ids) == 0 {
		return
	}
	for _, query := range []string{lastNewCopies, leaveNewTexts, lastOldCopies, leaveOldTexts} {
		b.Queue(query, owner, ids)
	}
}

// The keys of an owner are of a part of its log each: so many bits of a seq are not
// told apart. Queries begin with the small parts.
const (
	fine   = 12
	coarse = 16
)

// These are in the index like words, and no text has them.
func partKey(owner, seq int64, bits int) int32 {
	return hash("_o" + strconv.FormatInt(owner, 10) + "." + strconv.Itoa(bits) + "." + strconv.FormatInt(seq>>bits, 10))
}

func chatKey(chat int64) int32 { return hash("_c" + strconv.FormatInt(chat, 10)) }

// hash is what the index knows a word by. That two words have the same one costs a
// look at messages that do not match, and no more.
func hash(word string) int32 {
	h := fnv.New32a()
	h.Write([]byte(word))
	return int32(h.Sum32())
}

func hashes(words []string) []int32 {
	list := make([]int32, len(words), len(words)+6)
	for i, w := range words {
		list[i] = hash(w)
	}
	return list
}

// array writes a list in PostgreSQL's notation, sorted.
func array(list []int32) string {
	slices.Sort(list)
	b := make([]byte, 0, 12*len(list)+2)
	b = append(b, '{')
	for i, v := range slices.Compact(list) {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(v), 10)
	}
	return string(append(b, '}'))
}
