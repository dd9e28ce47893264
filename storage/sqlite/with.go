package sqlite

import (
	"database/sql"
	"slices"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

const (
	// The rows of a chat: archived ones only. The index has all that they ask for.
	chatForward   = "SELECT id FROM message WHERE chat = ? AND id >= ? AND id <= ? ORDER BY id LIMIT ?"
	chatBackward  = "SELECT id FROM message WHERE chat = ? AND id >= ? AND id <= ? ORDER BY id DESC LIMIT ?"
	countChatRows = "SELECT count(*) FROM message WHERE chat = ? AND id >= ? AND id <= ? AND (?4 = '' OR peer = ?4)"

	// The same for one peer of several, among so many rows at most.
	peerForward  = "SELECT id FROM (SELECT id, peer FROM message WHERE chat = ? AND id >= ? AND id <= ? ORDER BY id LIMIT ?) WHERE peer = ? LIMIT ?"
	peerBackward = "SELECT id FROM (SELECT id, peer FROM message WHERE chat = ? AND id >= ? AND id <= ? ORDER BY id DESC LIMIT ?) WHERE peer = ? LIMIT ?"
	peerRowsOver = "SELECT EXISTS (SELECT 1 FROM message WHERE chat = ? AND id >= ? AND id <= ? ORDER BY id LIMIT 1 OFFSET ?)"
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
	query, backward, last := chatForward, chatBackward, []any{q.Limit}
	if s.peer != "" {
		query, backward, last = peerForward, peerBackward, []any{storage.PeerRows, s.peer, q.Limit}
	}
	if q.Backward {
		query = backward
	}
	for _, chat := range s.chats {
		rows, err := t.query(query, append([]any{chat, s.first, s.last}, last...)...)
		n := 0
		err = eachRow(rows, err, func(rows *sql.Rows) error {
			var id int64
			err := rows.Scan(&id)
			ids = append(ids, id)
			n++
			return err
		})
		if err == nil && n < q.Limit {
			err = t.looked(s, chat)
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

// looked fails if a query for one peer has not looked at all that it selects of a chat.
func (t *tx) looked(s selection, chat int64) error {
	if s.peer == "" {
		return nil
	}
	var more bool
	err := t.row(peerRowsOver, chat, s.first, s.last, storage.PeerRows).Scan(&more)
	if more {
		return storage.ErrPeerRows
	}
	return err
}
