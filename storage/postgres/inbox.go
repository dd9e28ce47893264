package postgres

import (
	"context"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

const (
	// Of the rows only those of the page are looked up.
	inboxForward  = inboxPage + "at DESC LIMIT $5)" + inboxRows + "at DESC"
	inboxBackward = inboxPage + "at LIMIT $5)" + inboxRows + "at"
	inboxRows     = `SELECT bare, resource, unread, shown, last, at,
			coalesce((SELECT tag FROM message WHERE owner = archive AND seq = last), 0),
			coalesce((SELECT tag FROM message WHERE owner = archive AND seq = at), 0)
		FROM page ORDER BY `
	inboxPage = `WITH place AS (SELECT *, CASE shown WHEN 0 THEN last ELSE shown END AS at FROM chat
			WHERE owner = (SELECT id FROM owner WHERE jid = $1) AND stored > 0 AND (NOT $2 OR unread > 0)),
		page AS MATERIALIZED (SELECT * FROM place WHERE at < $3 AND at > $4 ORDER BY `

	inboxMessages = `SELECT seq, flags, peer, arrived, xml FROM message
		WHERE owner = (SELECT id FROM owner WHERE jid = $1) AND seq = ANY ($2)`

	inboxTotals = `SELECT count(*), count(*) FILTER (WHERE unread > 0), coalesce(sum(unread), 0)::bigint FROM chat
		WHERE owner = (SELECT id FROM owner WHERE jid = $1) AND stored > 0`

	// inboxRead is how many messages are read at a time, and in memory together.
	inboxRead = 20
)

// Inbox calls fn for the chats that the query selects, in its order, until fn
// returns an error, which Inbox returns. The entry is fn's to keep.
func (db *DB) Inbox(ctx context.Context, q storage.InboxQuery, fn func(*storage.InboxEntry) error) error {
	owner, query := q.Owner.Bare(), inboxForward
	if q.Backward {
		query = inboxBackward
	}
	below := q.Below
	if below == 0 {
		below = math.MaxInt64
	}
	page, err := list(ctx, db, query, []any{owner.String(), q.Unread, below, q.Above, q.Limit}, scanInbox)
	if err != nil {
		return wrap(err, "read inbox of", owner)
	}
	for i := range page {
		if q.Messages && i%inboxRead == 0 {
			if err := db.inboxMessages(ctx, owner, page[i:min(i+inboxRead, len(page))]); err != nil {
				return wrap(err, "read inbox of", owner)
			}
		}
		if err := fn(&page[i].InboxEntry); err != nil {
			return err
		}
		page[i].Message = nil
	}
	return nil
}

type inboxRow struct {
	storage.InboxEntry
	shown int64
}

func scanInbox(row pgx.Row) (r inboxRow, err error) {
	var bare, resource string
	err = row.Scan(&bare, &resource, &r.Unread, &r.shown, &r.Last.Seq, &r.At.Seq, &r.Last.Tag, &r.At.Tag)
	if err == nil {
		r.Chat, err = chatJID(bare, resource)
	}
	return r, err
}

// chatJID is the address that two columns of a chat make.
func chatJID(bare, resource string) (jid.JID, error) {
	j, err := jid.Parse(bare)
	if err != nil || resource == "" {
		return j, err
	}
	return j.WithResource(resource)
}

// inboxMessages reads what stands in the inbox, as far as it is still there.
func (db *DB) inboxMessages(ctx context.Context, owner jid.JID, page []inboxRow) error {
	byPlace := make(map[int64]*inboxRow, len(page))
	seqs := make([]int64, 0, len(page))
	for i := range page {
		if page[i].shown != 0 {
			byPlace[page[i].shown] = &page[i]
			seqs = append(seqs, page[i].shown)
		}
	}
	messages, err := list(ctx, db, inboxMessages, []any{owner.String(), seqs}, func(row pgx.Row) (*storage.Message, error) {
		m := &storage.Message{Owner: owner}
		var peer string
		if err := row.Scan(&m.Seq, &m.Flags, &peer, &m.Arrived, &m.XML); err != nil {
			return nil, err
		}
		m.Arrived = m.Arrived.UTC()
		var err error
		m.Peer, err = jid.Parse(peer)
		return m, err
	})
	for _, m := range messages {
		e := byPlace[m.Seq]
		m.Tag, m.Chat, e.Message = e.At.Tag, e.Chat, m
	}
	return err
}

// InboxTotals sums up the inbox of an account; zero without one.
func (db *DB) InboxTotals(ctx context.Context, owner jid.JID) (t storage.InboxTotals, err error) {
	err = db.row(ctx, inboxTotals, owner.Bare().String()).Scan(&t.Chats, &t.UnreadChats, &t.Unread)
	return t, wrap(mapError(err), "sum up inbox of", owner)
}
