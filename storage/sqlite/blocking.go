package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// jsonList is a list of addresses as an argument for json_each.
func jsonList(list []jid.JID) (string, error) {
	texts := make([]string, len(list))
	for i, j := range list {
		texts[i] = j.String()
	}
	b, err := json.Marshal(texts)
	if err != nil {
		return "", fmt.Errorf("encode addresses: %w", err)
	}
	return string(b), nil
}

// Blocklists returns the items of the blocklists of several accounts in one
// query, in the order of owners and addresses.
func (db *DB) Blocklists(ctx context.Context, owners []jid.JID) ([]storage.Blocked, error) {
	arg, err := jsonList(owners)
	if err != nil {
		return nil, err
	}
	var items []storage.Blocked
	const query = `SELECT o.jid, b.jid FROM json_each(?) j JOIN owner o ON o.jid = j.value
		JOIN blocklist b ON b.owner = o.id ORDER BY o.jid, b.jid`
	err = db.each(ctx, query, []any{arg}, func(rows *sql.Rows) error {
		var owner, item string
		if err := rows.Scan(&owner, &item); err != nil {
			return err
		}
		var b storage.Blocked
		var err error
		if b.Owner, err = jid.Parse(owner); err == nil {
			b.JID, err = jid.Parse(item)
		}
		items = append(items, b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read blocklists: %w", err)
	}
	return items, nil
}

func blocklist(t *tx, id int64) (items []jid.JID, err error) {
	rows, err := t.query("SELECT jid FROM blocklist WHERE owner = ? ORDER BY jid", id)
	err = eachRow(rows, err, func(rows *sql.Rows) error {
		var text string
		if err := rows.Scan(&text); err != nil {
			return err
		}
		item, err := jid.Parse(text)
		items = append(items, item)
		return err
	})
	return items, err
}

// Block adds items to a blocklist and stores the reports that belong to them,
// all or nothing but for what storage.Block leaves out. It returns the list as
// it was before and the number of stored reports. storage.ErrNotFound: no such
// account; storage.ErrTooMany: the list would be longer than its limit.
func (db *DB) Block(ctx context.Context, b storage.Block) (before []jid.JID, reports int, err error) {
	arg, err := jsonList(b.Items)
	if err != nil {
		return nil, 0, err
	}
	err = db.write(ctx, func(t *tx) error {
		id, err := ownerID(t, b.Owner)
		if err != nil {
			return err
		}
		if before, err = blocklist(t, id); err != nil {
			return err
		}
		if err := b.Check(before); err != nil {
			return err
		}
		if _, err := t.exec("INSERT INTO blocklist (owner, jid) SELECT ?, value FROM json_each(?) WHERE true ON CONFLICT DO NOTHING", id, arg); err != nil {
			return err
		}
		reports, err = putReports(t, id, &b)
		return err
	})
	return before, reports, wrap(err, "block for", b.Owner)
}

func putReports(t *tx, id int64, b *storage.Block) (n int, err error) {
	if len(b.Reports) == 0 {
		return 0, nil
	}
	if err := t.row("SELECT count(*) FROM report WHERE reporter = ? AND created > ?", id, b.ReportsSince.UnixMicro()).Scan(&n); err != nil {
		return 0, err
	}
	room := min(max(b.ReportLimit-n, 0), len(b.Reports))
	for i := range b.Reports[:room] {
		r := &b.Reports[i]
		c, err := r.Columns()
		if err != nil {
			return 0, err
		}
		if _, err := t.exec(`INSERT INTO report (reporter, reported, reason, texts, messages, copies, to_origin, third_party, created)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			id, r.Reported.String(), r.Reason, c.Texts, c.Messages, c.Copies, r.ToOrigin, r.ThirdParty, r.Created.UnixMicro()); err != nil {
			return 0, err
		}
	}
	return room, nil
}

// Unblock takes items off a blocklist, all of them if items is nil, and returns
// the list as it was before. storage.ErrNotFound: no such account.
func (db *DB) Unblock(ctx context.Context, owner jid.JID, items []jid.JID) (before []jid.JID, err error) {
	arg, err := jsonList(items)
	if err != nil {
		return nil, err
	}
	err = db.write(ctx, func(t *tx) error {
		id, err := ownerID(t, owner)
		if err != nil {
			return err
		}
		if before, err = blocklist(t, id); err != nil {
			return err
		}
		if items == nil {
			_, err = t.exec("DELETE FROM blocklist WHERE owner = ?", id)
		} else {
			_, err = t.exec("DELETE FROM blocklist WHERE owner = ? AND jid IN (SELECT value FROM json_each(?))", id, arg)
		}
		return err
	})
	return before, wrap(err, "unblock for", owner)
}

// Reports returns at most limit reports behind an id, in the order of their ids.
func (db *DB) Reports(ctx context.Context, state storage.ReportState, after int64, limit int) ([]storage.Report, error) {
	var reports []storage.Report
	query := `SELECT r.id, o.jid, reported, reason, texts, messages, copies, to_origin, third_party, created, closed, comment
		FROM report r JOIN owner o ON o.id = r.reporter WHERE r.id > ? `
	switch state {
	case storage.OpenReports:
		query += "AND closed IS NULL "
	case storage.ClosedReports:
		query += "AND closed IS NOT NULL "
	}
	err := db.each(ctx, query+"ORDER BY r.id LIMIT ?", []any{after, limit}, func(rows *sql.Rows) error {
		r, err := scanReport(rows)
		reports = append(reports, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read reports: %w", err)
	}
	return reports, nil
}

func scanReport(row scanner) (r storage.Report, err error) {
	var reporter, reported string
	var c storage.ReportColumns
	var created int64
	var closed sql.NullInt64
	if err := row.Scan(&r.ID, &reporter, &reported, &r.Reason, &c.Texts, &c.Messages, &c.Copies, &r.ToOrigin, &r.ThirdParty, &created, &closed, &r.Comment); err != nil {
		return r, err
	}
	r.Created = fromMicro(created)
	if closed.Valid {
		r.Closed = fromMicro(closed.Int64)
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
	err := db.write(ctx, func(t *tx) error {
		return affected(t.exec("UPDATE report SET closed = ?, comment = ? WHERE id = ? AND closed IS NULL", at.UnixMicro(), comment, id))
	})
	if err != nil {
		return fmt.Errorf("close report %d: %w", id, err)
	}
	return nil
}
