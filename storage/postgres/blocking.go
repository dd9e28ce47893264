package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// textList is a list of addresses as an argument of type text[].
func textList(list []jid.JID) []string {
	texts := make([]string, len(list))
	for i, j := range list {
		texts[i] = j.String()
	}
	return texts
}

// Blocklists returns the items of the blocklists of several accounts in one
// query, in the order of owners and addresses.
func (db *DB) Blocklists(ctx context.Context, owners []jid.JID) ([]storage.Blocked, error) {
	const query = `SELECT o.jid, b.jid FROM owner o JOIN blocklist b ON b.owner = o.id
		WHERE o.jid = ANY ($1) ORDER BY o.jid, b.jid`
	items, err := list(ctx, db, query, []any{textList(owners)}, func(row pgx.Row) (b storage.Blocked, err error) {
		var owner, item string
		if err := row.Scan(&owner, &item); err != nil {
			return b, err
		}
		if b.Owner, err = jid.Parse(owner); err == nil {
			b.JID, err = jid.Parse(item)
		}
		return b, err
	})
	if err != nil {
		return nil, fmt.Errorf("read blocklists: %w", err)
	}
	return items, nil
}

func blocklist(ctx context.Context, t pgx.Tx, id int64) ([]jid.JID, error) {
	rows, err := t.Query(ctx, "SELECT jid FROM blocklist WHERE owner = $1 ORDER BY jid", id)
	if err != nil {
		return nil, err
	}
	return collect(rows, func(row pgx.Row) (jid.JID, error) {
		var text string
		if err := row.Scan(&text); err != nil {
			return jid.JID{}, err
		}
		return jid.Parse(text)
	})
}

// Block adds items to a blocklist and stores the reports that belong to them,
// all or nothing but for what storage.Block leaves out. It returns the list as
// it was before and the number of stored reports. storage.ErrNotFound: no such
// account; storage.ErrTooMany: the list would be longer than its limit.
func (db *DB) Block(ctx context.Context, b storage.Block) (before []jid.JID, reports int, err error) {
	err = db.write(ctx, func(ctx context.Context, t pgx.Tx) error {
		id, _, _, err := lockAccount(ctx, t, b.Owner)
		if err != nil {
			return err
		}
		if before, err = blocklist(ctx, t, id); err != nil {
			return err
		}
		if err := b.Check(before); err != nil {
			return err
		}
		if _, err := t.Exec(ctx, "INSERT INTO blocklist (owner, jid) SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING", id, textList(b.Items)); err != nil {
			return err
		}
		reports, err = putReports(ctx, t, id, &b)
		return err
	})
	return before, reports, wrap(err, "block for", b.Owner)
}

func putReports(ctx context.Context, t pgx.Tx, id int64, b *storage.Block) (n int, err error) {
	if len(b.Reports) == 0 {
		return 0, nil
	}
	if err := t.QueryRow(ctx, "SELECT count(*) FROM report WHERE reporter = $1 AND created > $2", id, b.ReportsSince).Scan(&n); err != nil {
		return 0, err
	}
	room := min(max(b.ReportLimit-n, 0), len(b.Reports))
	batch := &pgx.Batch{}
	for i := range b.Reports[:room] {
		r := &b.Reports[i]
		c, err := r.Columns()
		if err != nil {
			return 0, err
		}
		batch.Queue(`INSERT INTO report (reporter, reported, reason, texts, messages, copies, to_origin, third_party, created)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			id, r.Reported.String(), r.Reason, c.Texts, c.Messages, c.Copies, r.ToOrigin, r.ThirdParty, r.Created)
	}
	return room, t.SendBatch(ctx, batch).Close()
}

// Unblock takes items off a blocklist, all of them if items is nil, and returns
// the list as it was before. storage.ErrNotFound: no such account.
func (db *DB) Unblock(ctx context.Context, owner jid.JID, items []jid.JID) (before []jid.JID, err error) {
	err = db.write(ctx, func(ctx context.Context, t pgx.Tx) error {
		id, _, _, err := lockAccount(ctx, t, owner)
		if err != nil {
			return err
		}
		if before, err = blocklist(ctx, t, id); err != nil {
			return err
		}
		if items == nil {
			_, err = t.Exec(ctx, "DELETE FROM blocklist WHERE owner = $1", id)
		} else {
			_, err = t.Exec(ctx, "DELETE FROM blocklist WHERE owner = $1 AND jid = ANY ($2)", id, textList(items))
		}
		return err
	})
	return before, wrap(err, "unblock for", owner)
}

// Reports returns at most limit reports behind an id, in the order of their ids.
func (db *DB) Reports(ctx context.Context, state storage.ReportState, after int64, limit int) ([]storage.Report, error) {
	query := `SELECT r.id, o.jid, reported, reason, texts, messages, copies, to_origin, third_party, created, closed, comment
		FROM report r JOIN owner o ON o.id = r.reporter WHERE r.id > $1 `
	switch state {
	case storage.OpenReports:
		query += "AND closed IS NULL "
	case storage.ClosedReports:
		query += "AND closed IS NOT NULL "
	}
	reports, err := list(ctx, db, query+"ORDER BY r.id LIMIT $2", []any{after, limit}, scanReport)
	if err != nil {
		return nil, fmt.Errorf("read reports: %w", err)
	}
	return reports, nil
}

func scanReport(row pgx.Row) (r storage.Report, err error) {
	var reporter, reported string
	var c storage.ReportColumns
	var closed *time.Time
	if err := row.Scan(&r.ID, &reporter, &reported, &r.Reason, &c.Texts, &c.Messages, &c.Copies, &r.ToOrigin, &r.ThirdParty, &r.Created, &closed, &r.Comment); err != nil {
		return r, err
	}
	r.Created = r.Created.UTC()
	if closed != nil {
		r.Closed = closed.UTC()
	}
	if r.Reporter, err = jid.Parse(reporter); err != nil {
		return r, err
	}
	if r.Reported, err = jid.Parse(reported); err != nil {
		return r, err
	}
	return r, r.SetColumns(c)
}

// CloseReport closes an open report; storage.ErrNotFound: there is none.
func (db *DB) CloseReport(ctx context.Context, id int64, at time.Time, comment string) error {
	err := db.write(ctx, func(ctx context.Context, t pgx.Tx) error {
		tag, err := t.Exec(ctx, "UPDATE report SET closed = $1, comment = $2 WHERE id = $3 AND closed IS NULL", at, comment, id)
		return changed(tag.RowsAffected(), err)
	})
	if err != nil {
		return fmt.Errorf("close report %d: %w", id, err)
	}
	return nil
}
