package sqlite

import (
	"context"
	"database/sql"
	"math"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// The numbers of rows: message.id is owner << 32 | seq.
const (
	// Of the rows only those of the page are looked up.
	inboxForward  = inboxPage + "at DESC LIMIT ?)" + inboxRows + "at DESC"
	inboxBackward = inboxPage + "at LIMIT ?)" + inboxRows + "at"
	inboxRows     = `SELECT bare, resource, unread, shown, archive << 32 | at,
			last, coalesce((SELECT tag FROM message WHERE id = archive << 32 | last), 0),
			at, coalesce((SELECT tag FROM message WHERE id = archive << 32 | at), 0)
		FROM page ORDER BY `
	inboxPage = `WITH place AS MATERIALIZED (SELECT *, CASE shown WHEN 0 THEN last ELSE shown END AS at FROM chat
			WHERE owner = (SELECT id FROM owner WHERE jid = ?) AND stored > 0 AND (NOT ? OR unread > 0)),
		page AS MATERIALIZED (SELECT * FROM place WHERE at < ? AND at > ? ORDER BY `

	inboxMessage = "SELECT flags, peer, arrived, xml FROM message WHERE id = ?"

	inboxTotals = `SELECT count(*), count(*) FILTER (WHERE unread > 0), coalesce(sum(unread), 0) FROM chat
		WHERE owner = (SELECT id FROM owner WHERE jid = ?) AND stored > 0`
)

// Inbox calls fn for the chats that the query selects, in its order, until fn
// returns an error, which Inbox returns. The entry is fn's to keep.
func (db *DB) Inbox(ctx context.Context, q storage.InboxQuery, fn func(*storage.InboxEntry) error) error {
	type found struct {
		storage.InboxEntry
		id    int64 // of the row that gives it its place
		shown bool  // that is a message to be seen
	}
	owner, query := q.Owner.Bare(), inboxForward
	if q.Backward {
		query = inboxBackward
	}
	below := q.Below
	if below == 0 {
		below = math.MaxInt64
	}
	// What stands in the inbox is read one by one: a page of large messages is never
	// in memory as a whole.
	var page []found
	err := db.each(ctx, query, []any{owner.String(), q.Unread, below, q.Above, q.Limit}, func(rows *sql.Rows) error {
		var f found
		var bare, resource string
		var shown int64
		err := rows.Scan(&bare, &resource, &f.Unread, &shown, &f.id, &f.Last.Seq, &f.Last.Tag, &f.At.Seq, &f.At.Tag)
		if err != nil {
			return err
		}
		f.shown = shown != 0
		f.Chat, err = chatJID(bare, resource)
		page = append(page, f)
		return err
	})
	if err != nil {
		return wrap(err, "read inbox of", owner)
	}
	for i := range page {
		f := &page[i]
		if q.Messages && f.shown {
			f.Message, err = db.inboxMessage(ctx, f.id, storage.Message{Owner: owner, Seq: f.At.Seq, Tag: f.At.Tag, Chat: f.Chat})
			if err != nil {
				return wrap(err, "read inbox of", owner)
			}
		}
		if err := fn(&f.InboxEntry); err != nil {
			return err
		}
	}
	return nil
}

// inboxMessage reads a message; nil if it has gone meanwhile.
func (db *DB) inboxMessage(ctx context.Context, id int64, m storage.Message) (*storage.Message, error) {
	var peer string
	var arrived int64
	err := db.row(ctx, inboxMessage, id).Scan(&m.Flags, &peer, &arrived, &m.XML)
	if err == sql.ErrNoRows {
		return nil, nil
	}
	if err != nil {
		return nil, mapError(err)
	}
	m.Arrived = fromMicro(arrived)
	m.Peer, err = jid.Parse(peer)
	return &m, err
}

// chatJID is the address that two columns of a chat make.
func chatJID(bare, resource string) (jid.JID, error) {
	j, err := jid.Parse(bare)
	if err != nil || resource == "" {
		return j, err
	}
	return j.WithResource(resource)
}

// InboxTotals sums up the inbox of an account; zero without one.
func (db *DB) InboxTotals(ctx context.Context, owner jid.JID) (t storage.InboxTotals, err error) {
	err = db.row(ctx, inboxTotals, owner.Bare().String()).Scan(&t.Chats, &t.UnreadChats, &t.Unread)
	return t, wrap(mapError(err), "sum up inbox of", owner)
}
