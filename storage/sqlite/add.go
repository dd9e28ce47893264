package sqlite

import (
	"database/sql"
	"math"

	"github.com/xmppd/xmppd/storage"
)

const (
	// Without numbers: the driver looks those up by their names.
	messageColumns = "INTO message (id, tag, flags, chat, key, ref, text, peer, arrived, xml) VALUES (?, "
	addMessage     = "INSERT " + messageColumns + "?, ?, ?, ?, ?, ?, ?, ?, ?)"
	// A row whose sender may have sent it before: a tag that must not be NULL is, and
	// no row is added.
	addUnique = "INSERT OR IGNORE " + messageColumns + `CASE WHEN (SELECT arrived FROM message
			WHERE chat = ? AND key = ? ORDER BY id DESC LIMIT 1) >= ? THEN NULL ELSE ? END, ?, ?, ?, ?, ?, ?, ?, ?)`
	readSame = `SELECT flags, xml FROM (SELECT flags, arrived, xml FROM message WHERE chat = ? AND key = ? ORDER BY id DESC LIMIT 16)
		WHERE arrived >= ?`
)

// add adds a message, or says why this one is refused.
func (g *group) add(m *storage.Message) (refused, err error) {
	m.Seq, m.Original = 0, 0
	if m.After.Refused() {
		return storage.ErrTooMany, nil
	}
	l, err := g.log(m.Owner)
	if err != nil {
		return nil, err
	}
	if l == nil {
		return storage.ErrNotFound, nil
	}
	var c *storage.Chat
	var of revised
	logWas, chatWas := *l, storage.Chat{}
	if m.Flags.Has(storage.Archived) {
		if c, err = g.chat(l, m.Chat); err != nil {
			return nil, err
		}
		chatWas = *c
		if m.Replaces != "" && c.ID != 0 {
			if of, err = g.newest(c.ID, m.Replaces, m.Flags, math.MaxInt64); err != nil {
				return nil, err
			}
			m.Original = of.flags
		}
	}
	if full := l.Add(m, c); full != nil {
		// What comes again is not one too many.
		if known, err := g.known(c, m); err != nil || !known {
			return full, err
		}
		return storage.ErrExists, nil
	}
	added, err := g.insert(l, c, m)
	if err != nil {
		return nil, err
	}
	if !added {
		m.Seq, m.Tag, *l, *c = 0, 0, logWas, chatWas
		return storage.ErrExists, nil
	}
	g.size += int64(len(m.XML)) + rowOverhead
	if m.Corrects() {
		return nil, g.supersede(l, c, m, of)
	}
	return nil, nil
}

// insert adds the row of a message; false: its chat has it already.
func (g *group) insert(l *storage.Log, c *storage.Chat, m *storage.Message) (added bool, err error) {
	row := append(g.row[:0], rowID(l.Owner, m.Seq), m.Tag, int64(m.Kept()), nil, nil, nil, nil,
		m.Peer.String(), m.Arrived.UnixMicro(), m.XML)
	unique := false
	if c != nil {
		if c.ID == 0 {
			if err := g.t.row(addChat, l.Owner, m.Chat.Bare().String(), m.Chat.Resource()).Scan(&c.ID); err != nil {
				return false, err
			}
		}
		row[3] = c.ID
		if m.ID != "" {
			row[4] = storage.Key(m.ID, m.Flags)
			unique = m.Flags.Has(storage.Unique) && c.Stored > 1
		}
		if m.Corrects() {
			row[5] = m.Ref()
		}
		if m.Text != nil {
			if row[6], err = g.textID(m.Text); err != nil {
				return false, err
			}
		}
	}
	if unique {
		added, err = g.insertUnique(c, m, row)
	} else {
		_, err = g.t.exec(addMessage, row...)
		added = err == nil
	}
	if added && row[6] != nil {
		g.addText(m.Text, l.Owner, m.Seq)
	}
	return added, err
}

func (g *group) insertUnique(c *storage.Chat, m *storage.Message, row []any) (added bool, err error) {
	args := append(g.args[:0], row[0], row[3], row[4], m.Arrived.Add(-storage.UniqueFor).UnixMicro())
	if err := affected(g.t.exec(addUnique, append(args, row[1:]...)...)); err != storage.ErrNotFound {
		return err == nil, err
	}
	// The chat has a row with the same key, or the database refuses this one.
	if known, err := g.known(c, m); err != nil || known {
		return false, err
	}
	_, err = g.t.exec(addMessage, row...)
	return err == nil, err
}

// known reports whether a chat has a message, which is not to be stored again.
func (g *group) known(c *storage.Chat, m *storage.Message) (known bool, err error) {
	if c == nil || c.ID == 0 || m.ID == "" || !m.Flags.Has(storage.Unique) {
		return false, nil
	}
	rows, err := g.t.query(readSame, c.ID, storage.Key(m.ID, m.Flags), m.Arrived.Add(-storage.UniqueFor).UnixMicro())
	err = eachRow(rows, err, func(rows *sql.Rows) error {
		var flags storage.Flags
		var xml []byte
		if err := rows.Scan(&flags, &xml); err != nil {
			return err
		}
		// A tombstone has neither an origin-id nor a text any more.
		if known = flags.Has(storage.Tombstone) || storage.Repeats(xml, m.XML, m.ID); known {
			return errFound
		}
		return nil
	})
	if known {
		err = nil
	}
	return known, err
}
