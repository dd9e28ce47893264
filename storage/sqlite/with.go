package sqlite

import (
	"database/sql"
	"fmt"
	"slices"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

const (
	// The rows of a chat: archived ones only. The index has all that they ask for,
	// unless it is one peer of several.
	chatForward   = "SELECT id FROM message WHERE chat = ? AND id >= ? AND id <= ? AND (?4 = '' OR peer = ?4) ORDER BY id LIMIT ?"
	chatBackward  = "SELECT id FROM message WHERE chat = ? AND id >= ? AND id <= ? AND (?4 = '' OR peer = ?4) ORDER BY id DESC LIMIT ?"
	countChatRows = "SELECT count(*) FROM message WHERE chat = ? AND id >= ? AND id <= ? AND (?4 = '' OR peer = ?4)"

	// The row behind all that a query for one peer looks at.
	peerForward  = "SELECT id FROM message WHERE chat = ? AND id >= ? AND id <= ? ORDER BY id LIMIT 1 OFFSET ?"
	peerBackward = "SELECT id FROM message WHERE chat = ? AND id >= ? AND id <= ? ORDER BY id DESC LIMIT 1 OFFSET ?"
)

// selectChats looks up the conversations with an address.
func (t *tx) selectChats(with jid.JID, s *selection) error {
	s.byChat, s.size = true, 0
	if with.IsFull() {
		s.peer = with.String()
	}
	rows, err := t.query("SELECT id, resource, stored FROM chat WHERE owner = ? AND bare = ?", s.owner, with.Bare().String())
	return eachRow(rows, err, func(rows *sql.Rows) error {
		var id, stored int64
		var resource string
		err := rows.Scan(&id, &resource, &stored)
		s.size += stored
		if s.peer == "" || resource == "" || resource == with.Resource() {
			s.chats = append(s.chats, id)
		}
		return err
	})
}

// selectedIDs reads the numbers of a page of rows out of the index of chats. Of
// several chats it takes a page each.
func (t *tx) selectedIDs(s selection, q storage.ArchiveQuery) (ids []int64, err error) {
	query := chatForward
	if q.Backward {
		query = chatBackward
	}
	for _, chat := range s.chats {
		part, cut, err := t.bound(s, chat, q.Backward)
		if err != nil {
			return nil, err
		}
		rows, err := t.query(query, chat, part.first, part.last, s.peer, q.Limit)
		n := 0
		err = eachRow(rows, err, func(rows *sql.Rows) error {
			var id int64
			err := rows.Scan(&id)
			ids = append(ids, id)
			n++
			return err
		})
		if err == nil && cut && n < q.Limit {
			err = errPeerRows
		}
		if err != nil {
			return nil, err
		}
	}
	if len(s.chats) > 1 {
		slices.Sort(ids)
		if q.Backward {
			slices.Reverse(ids)
		}
	}
	return ids[:min(len(ids), q.Limit)], nil
}

var errPeerRows = fmt.Errorf("look at more than %d messages for one address: %w", storage.PeerRows, storage.ErrUnavailable)

// bound cuts what a query for one peer looks at in a chat.
func (t *tx) bound(s selection, chat int64, backward bool) (part selection, cut bool, err error) {
	if s.peer == "" {
		return s, false, nil
	}
	query := peerForward
	if backward {
		query = peerBackward
	}
	var behind int64
	err = t.row(query, chat, s.first, s.last, storage.PeerRows).Scan(&behind)
	switch {
	case err == sql.ErrNoRows:
		return s, false, nil
	case backward:
		s.first = behind + 1
	default:
		s.last = behind - 1
	}
	return s, true, err
}
