package sqlite

import (
	"database/sql"
	"time"

	"github.com/xmppd/xmppd/storage"
)

const (
	messageColumns = "INTO message (id, tag, flags, chat, key, ref, text, peer, arrived, xml) VALUES (?1, "
	addMessage     = "INSERT " + messageColumns + "?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
	// A row whose sender may have sent it before: a tag that must not be NULL is, and
	// no row is added.
	addUnique = "INSERT OR IGNORE " + messageColumns + `CASE WHEN EXISTS (SELECT 1 FROM
			(SELECT id FROM message WHERE chat = ?4 AND key = ?5 ORDER BY id DESC LIMIT 100) k JOIN message m ON m.id = k.id
			WHERE m.flags & 2 = ?3 & 2 AND m.arrived >= ?11) THEN NULL ELSE ?2 END,
		?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)`
	readSame = `SELECT m.xml FROM (SELECT id FROM message WHERE chat = ?1 AND key = ?2 ORDER BY id DESC LIMIT 100) k
		JOIN message m ON m.id = k.id WHERE m.flags & 2 = ?3 & 2 AND m.arrived >= ?4 ORDER BY m.id DESC LIMIT 16`
)

// uniqueFor is how long a message that comes again is recognised.
const uniqueFor = time.Hour

// add adds a message, or says why this one is refused.
func (g *group) add(m *storage.Message) (refused, err error) {
	m.Seq = 0
	l, err := g.log(m.Owner)
	if err != nil {
		return nil, err
	}
	if l == nil {
		return storage.ErrNotFound, nil
	}
	var c *storage.Chat
	logWas, chatWas := *l, storage.Chat{}
	if m.Flags.Has(storage.Archived) {
		if c, err = g.chat(l, m.Chat); err != nil {
			return nil, err
		}
		chatWas = *c
	}
	if err := l.Add(m, c); err != nil {
		return err, nil
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
	if c != nil && m.Replaces != "" {
		return nil, g.supersede(l, c, m)
	}
	return nil, nil
}

// insert adds the row of a message; false: its chat has it already.
func (g *group) insert(l *storage.Log, c *storage.Chat, m *storage.Message) (added bool, err error) {
	row := []any{rowID(l.Owner, m.Seq), m.Tag, int64(m.Flags &^ storage.Unique), nil, nil, nil, nil,
		m.Peer.String(), m.Arrived.UnixMicro(), m.XML}
	unique := false
	if c != nil {
		if c.ID == 0 {
			if err := g.t.row(addChat, l.Owner, m.Chat.Bare().String(), m.Chat.Resource()).Scan(&c.ID); err != nil {
				return false, err
			}
		}
		row[3] = c.ID
		if m.ID != "" {
			row[4] = storage.Key(m.ID)
			unique = m.Flags.Has(storage.Unique) && c.Stored > 1
		}
		if m.Replaces != "" {
			row[5] = storage.Key(m.Replaces)
		}
		if m.Text != nil {
			if row[6], err = g.textID(m.Text); err != nil {
				return false, err
			}
		}
	}
	if unique {
		added, err = g.insertUnique(m, append(row, m.Arrived.Add(-uniqueFor).UnixMicro()))
	} else {
		_, err = g.t.exec(addMessage, row...)
		added = err == nil
	}
	if added && row[6] != nil {
		g.addText(m.Text, l.Owner, m.Seq)
	}
	return added, err
}

func (g *group) insertUnique(m *storage.Message, row []any) (added bool, err error) {
	if err := affected(g.t.exec(addUnique, row...)); err != storage.ErrNotFound {
		return err == nil, err
	}
	// The chat has a row with the same key, or the database refuses this one.
	known := false
	rows, err := g.t.query(readSame, row[3], row[4], row[2], row[10])
	err = eachRow(rows, err, func(rows *sql.Rows) error {
		var xml []byte
		if err := rows.Scan(&xml); err != nil {
			return err
		}
		if known = storage.HasID(xml, m.ID); known {
			return errFound
		}
		return nil
	})
	if known {
		return false, nil
	} else if err != nil {
		return false, err
	}
	_, err = g.t.exec(addMessage, row[:10]...)
	return err == nil, err
}
