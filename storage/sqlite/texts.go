package sqlite

import (
	"database/sql"

	"github.com/xmppd/xmppd/storage"
)

const (
	lastText = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'text'"
	addText  = "INSERT INTO text (id, owner1, seq1, owner2, seq2) VALUES (?, ?, ?, ?, ?)"
	// An owner's copies go.
	leaveText = `UPDATE text SET owner1 = iif(owner1 = ?1, 0, owner1), owner2 = iif(owner2 = ?1, 0, owner2)
		WHERE id IN (SELECT value FROM json_each(?2)) RETURNING id, owner1 = 0 AND owner2 = 0`
)

// textID is the number of a text: a new one for the first copy.
func (g *group) textID(t *storage.Text) (int64, error) {
	if t.ID != 0 {
		return t.ID, nil
	}
	if g.nextText == 0 {
		if err := g.t.row(lastText).Scan(&g.nextText); err != nil {
			return 0, err
		}
		g.nextText++
	}
	return g.nextText, nil
}

// addText notes a copy of a text whose row has been added with textID.
func (g *group) addText(t *storage.Text, owner, seq int64) {
	at := 1
	if t.ID == 0 {
		t.ID, at = g.nextText, 0
		g.nextText++
		g.texts = append(g.texts, t)
	}
	t.Owners[at], t.Seqs[at] = owner, seq
}

// writeTexts adds the group's texts.
func (g *group) writeTexts() error {
	for _, t := range g.texts {
		if t.Owners == [2]int64{} {
			continue // corrected in the same group
		}
		if _, err := g.t.exec(addText, t.ID, t.Owners[0], t.Seqs[0], t.Owners[1], t.Seqs[1]); err != nil {
			return err
		}
	}
	g.written = true
	return nil
}

// leaveTexts takes an owner's copies of texts out of the search.
func (g *group) leaveTexts(owner int64, ids []int64) error {
	stored := ids[:0]
	for _, id := range ids {
		if g.written || len(g.texts) == 0 || id < g.texts[0].ID {
			stored = append(stored, id)
			continue
		}
		t := g.texts[id-g.texts[0].ID]
		for i := range t.Owners {
			if t.Owners[i] == owner {
				t.Owners[i] = 0
			}
		}
	}
	return leave(g.t, owner, stored)
}

// leave takes an owner's copies of stored texts out of the search.
func leave(t *tx, owner int64, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	var gone []int64
	rows, err := t.query(leaveText, owner, list(ids))
	err = eachRow(rows, err, func(rows *sql.Rows) error {
		var id int64
		var unused bool
		err := rows.Scan(&id, &unused)
		if unused {
			gone = append(gone, id)
		}
		return err
	})
	if err != nil {
		return err
	}
	return dropTexts(t, gone)
}
