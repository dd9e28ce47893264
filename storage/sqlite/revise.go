package sqlite

import (
	"database/sql"
	"errors"
	"math"

	"github.com/xmppd/xmppd/storage"
)

const (
	// How far these look is bounded, for those who give all their messages one id, or
	// correct one for ever. Another id with the same key is a matter of intent. The second
	// one looks at storage.RetractStep rows.
	readKeyed = `SELECT id, flags, coalesce(text, 0), xml FROM message
		WHERE chat = ? AND key = ? AND id < ? ORDER BY id DESC LIMIT 16`
	readCorrections = `SELECT m.id, m.flags, coalesce(m.text, 0), m.xml FROM
		(SELECT id FROM message WHERE chat = ?1 AND ref = ?2 AND id > ?3 AND id < ?4 ORDER BY id DESC LIMIT 100) k
		JOIN message m ON m.id = k.id WHERE ?5 OR m.text IS NOT NULL`
	withoutText = "UPDATE message SET text = NULL WHERE id = ?"
	entomb      = "UPDATE message SET flags = ?, text = NULL, xml = ? WHERE id = ?"
	countUnread = "SELECT count(*) FROM message WHERE chat = ? AND id > ? AND id <= ? AND flags & 16"
)

// errFound ends a search.
var errFound = errors.New("found")

// revised is a row that others refer to.
type revised struct {
	id, text int64
	flags    storage.Flags
	xml      []byte
}

// newest finds the newest row of a chat with a message id, by the owner or by the
// peer, below a row. The id 0: there is none.
func (g *group) newest(chat int64, id string, side storage.Flags, below int64) (revised, error) {
	var r revised
	rows, err := g.t.query(readKeyed, chat, storage.Key(id, side), below)
	err = eachRow(rows, err, func(rows *sql.Rows) error {
		if err := rows.Scan(&r.id, &r.flags, &r.text, &r.xml); err != nil {
			return err
		}
		// A tombstone has no origin-id any more.
		if r.flags.Has(storage.Tombstone) || storage.HasID(r.xml, id) {
			return errFound
		}
		return nil
	})
	if err == errFound {
		return r, nil
	}
	return revised{}, err
}

// corrections are the rows between a message and below that correct it, with
// those that search does not find if all is set. Then there may be more below the row
// more; 0: there are none.
func (g *group) corrections(chat int64, of revised, id string, below int64, all bool) (found []revised, more int64, err error) {
	n := 0
	rows, err := g.t.query(readCorrections, chat, storage.Key(id, of.flags), of.id, below, all)
	err = eachRow(rows, err, func(rows *sql.Rows) error {
		var r revised
		if err := rows.Scan(&r.id, &r.flags, &r.text, &r.xml); err != nil {
			return err
		}
		if n++; storage.Corrects(r.xml, id) {
			found = append(found, r)
		}
		below = min(below, r.id)
		return nil
	})
	if n == storage.RetractStep {
		more = below
	}
	return found, more, err
}

// supersede takes what a message corrects, and earlier corrections of that, out of
// the search.
func (g *group) supersede(l *storage.Log, c *storage.Chat, m *storage.Message, of revised) error {
	old, _, err := g.corrections(c.ID, of, m.Replaces, rowID(l.Owner, m.Seq), false)
	if err != nil {
		return err
	}
	var texts []int64
	for _, r := range append(old, of) {
		if r.text == 0 {
			continue
		}
		if _, err := g.t.exec(withoutText, r.id); err != nil {
			return err
		}
		texts = append(texts, r.text)
	}
	return g.leaveTexts(l.Owner, texts)
}

// read moves a read position.
func (g *group) read(r *storage.Read) error {
	l, err := g.log(r.Owner)
	if err != nil || l == nil {
		return err
	}
	c, err := g.chat(l, r.Chat)
	if err != nil || c.ID == 0 {
		return err
	}
	m, err := g.newest(c.ID, r.ID, 0, math.MaxInt64)
	was, seq := c.Read, rowSeq(m.id)
	if err != nil || seq <= was {
		return err
	}
	c.Read, c.Changed = seq, true
	if c.Unread == 0 || c.Read >= c.Last {
		c.Unread = 0
		return nil
	}
	// Each row is counted once in its life, when it is read.
	var n int64
	err = g.t.row(countUnread, c.ID, rowID(l.Owner, was), m.id).Scan(&n)
	c.Unread -= n
	return err
}

// retract puts tombstones in the place of a message and its corrections, or goes on
// with these.
func (g *group) retract(r *storage.Retraction) error {
	l, err := g.log(r.Owner)
	if err != nil || l == nil {
		return err
	}
	c, err := g.chat(l, r.Chat)
	if err != nil || c.ID == 0 {
		return err
	}
	of, below := revised{id: rowID(l.Owner, r.Of), flags: r.Side()}, rowID(l.Owner, r.Below)
	var rows []revised
	if r.Of == 0 {
		below = math.MaxInt64
		if of, err = g.newest(c.ID, r.ID, r.Side(), below); err != nil || of.id == 0 {
			return err
		}
		rows = append(rows, of)
	}
	corrections, more, err := g.corrections(c.ID, of, r.ID, below, true)
	if err != nil {
		return err
	}
	if more != 0 {
		g.rest = append(g.rest, r.Rest(rowSeq(of.id), rowSeq(more)))
	}
	return g.entomb(l, c, append(rows, corrections...), r.Element)
}

func (g *group) entomb(l *storage.Log, c *storage.Chat, rows []revised, element []byte) error {
	var texts []int64
	for _, r := range rows {
		xml := storage.TombstoneXML(r.xml, element)
		if r.flags.Has(storage.Tombstone) || xml == nil {
			continue
		}
		flags := l.Retract(c, rowSeq(r.id), r.flags, int64(len(r.xml)), int64(len(xml)))
		if _, err := g.t.exec(entomb, int64(flags), xml, r.id); err != nil {
			return err
		}
		if r.text != 0 {
			texts = append(texts, r.text)
		}
	}
	return g.leaveTexts(l.Owner, texts)
}
