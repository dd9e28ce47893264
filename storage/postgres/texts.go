package postgres

import (
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/xmppd/xmppd/storage"
)

const (
	addTexts = `INSERT INTO text (id, owner1, seq1, owner2, seq2) OVERRIDING SYSTEM VALUE
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])`

	// Texts belong to two owners, of whom only one is locked. That of a message moves
	// from one table to the other.
	lockTexts = "SELECT 1 FROM text WHERE id = ANY ($1) ORDER BY id FOR UPDATE"
	lockWords = "SELECT 1 FROM word WHERE id = ANY ($1) ORDER BY id FOR UPDATE"
)

// addText takes a copy of a message into its entry of the search.
func (g *group) addText(entries *[]*storage.Text, t *storage.Text, owner, seq int64) (id int64) {
	copied := 1
	if t.ID == 0 {
		t.ID, g.free = g.free[0], g.free[1:]
		*entries = append(*entries, t)
		copied = 0
	}
	t.Owners[copied], t.Seqs[copied] = owner, seq
	return t.ID
}

func queueTexts(b *pgx.Batch, entries []*storage.Text) {
	if len(entries) == 0 {
		return
	}
	var columns [5][]int64
	for _, t := range entries {
		for i, v := range [...]int64{t.ID, t.Owners[0], t.Seqs[0], t.Owners[1], t.Seqs[1]} {
			columns[i] = append(columns[i], v)
		}
	}
	b.Queue(addTexts, columns[0], columns[1], columns[2], columns[3], columns[4])
}

// hiddenRows are copies that the search is not to find any more, of owners that are
// locked.
type hiddenRows struct {
	owners, seqs []int64
	texts        []int64
}

// add takes a copy; text is 0 if the search does not know it.
func (r *hiddenRows) add(owner, seq, text int64) {
	if text != 0 {
		r.owners, r.seqs, r.texts = append(r.owners, owner), append(r.seqs, seq), append(r.texts, text)
	}
}

func (r *hiddenRows) queue(b *pgx.Batch) {
	if len(r.texts) == 0 {
		return
	}
	byOwner := make(map[int64][]int64)
	for i, owner := range r.owners {
		byOwner[owner] = append(byOwner[owner], r.texts[i])
	}
	slices.Sort(r.texts)
	b.Queue(lockTexts, r.texts)
	b.Queue(lockWords, r.texts)
	for owner, texts := range byOwner {
		leaveTexts(b, owner, texts)
	}
}
