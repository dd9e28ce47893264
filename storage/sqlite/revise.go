package sqlite

import (
	"database/sql"
	"errors"
	"math"

	"github.com/xmppd/xmppd/storage"
)

const (
	// How far these look is bounded, for those who give all their messages one id, or
	// correct one for ever. Another id with the same key is a matter of intent.
	readKeyed = `SELECT m.id, m.flags, coalesce(m.text, 0), m.xml FROM
		(SELECT id FROM message WHERE chat = ?1 AND key = ?2 AND id < ?4 ORDER BY id DESC LIMIT 100) k
		JOIN message m ON m.id = k.id WHERE m.flags & 2 = ?3 ORDER BY m.id DESC LIMIT 16`
	readCorrections = `SELECT m.id, m.flags, coalesce(m.text, 0), m.xml FROM
		(SELECT id FROM message WHERE chat = ?1 AND ref = ?2 AND id > ?4 AND id < ?5 ORDER BY id DESC LIMIT 100) k
		JOIN message m ON m.id = k.id WHERE m.flags & 2 = ?3 AND (?6 OR m.text IS NOT NULL)`
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
func (g *group) newest(chat int64, id string, by storage.Flags, below int64) (revised, error) {
	var r revised
	rows, err := g.t.query(readKeyed, chat, storage.Key(id), int64(by), below)
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
// those that search does not find if all is set.
func (g *group) corrections(chat int64, of revised, id string, below int64, all bool) (found []revised, err error) {
	rows, err := g.t.query(readCorrections, chat, storage.Key(id), int64(of.flags&storage.FromOwner), of.id, below, all)
	err = eachRow(rows, err, func(rows *sql.Rows) error {
		var r revised
		if err := rows.Scan(&r.id, &r.flags, &r.text, &r.xml); err != nil {
			return err
		}
		if storage.Corrects(r.xml, id) {
			found = append(found, r)
		}
		return nil
	})
	return found, err
}

// supersede takes what a message corrects, and earlier corrections of that, out of
// the search.
func (g *group) supersede(l *storage.Log, c *storage.Chat, m *storage.Message) error {
	below := rowID(l.Owner, m.Seq)
	of, err := g.newest(c.ID, m.Replaces, m.Flags&storage.FromOwner, below)
	if err != nil || of.id == 0 {
		return err
	}
	old, err := g.corrections(c.ID, of, m.Replaces, below, false)
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

// retract puts tombstones in the place of a message and its corrections.
func (g *group) retract(r *storage.Retraction) error {
	l, err := g.log(r.Owner)
	if err != nil || l == nil {
		return err
	}
	c, err := g.chat(l, r.Chat)
	if err != nil || c.ID == 0 {
		return err
	}
	by := storage.Flags(0)
	if r.FromOwner {
		by = storage.FromOwner
	}
	m, err := g.newest(c.ID, r.ID, by, math.MaxInt64)
	if err != nil || m.id == 0 {
		return err
	}
	rows, err := g.corrections(c.ID, m, r.ID, math.MaxInt64, true)
	if err != nil {
		return err
	}
	var texts []int64
	for _, m := range append(rows, m) {
		xml := storage.TombstoneXML(m.xml, r.Element)
		if m.flags.Has(storage.Tombstone) || xml == nil {
			continue
		}
		flags := l.Retract(c, rowSeq(m.id), m.flags, int64(len(m.xml)), int64(len(xml)))
		if _, err := g.t.exec(entomb, int64(flags), xml, m.id); err != nil {
			return err
		}
		if m.text != 0 {
			texts = append(texts, m.text)
		}
	}
	return g.leaveTexts(l.Owner, texts)
}
