package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

const rosterColumns = "contact, name, groups, sub, ask, approved, pending_in, listed, version"

func scanItem(row pgx.Row) (storage.RosterItem, error) {
	var i storage.RosterItem
	var contact string
	var sub int16
	if err := row.Scan(&contact, &i.Name, &i.Groups, &sub, &i.Ask, &i.Approved, &i.PendingIn, &i.Listed, &i.Version); err != nil {
		return i, err
	}
	if len(i.Groups) == 0 {
		i.Groups = nil
	}
	i.Sub = storage.Subscription(sub)
	var err error
	i.Contact, err = jid.Parse(contact)
	return i, err
}

func scanRemoval(row pgx.Row) (r storage.RosterRemoval, err error) {
	var contact string
	if err := row.Scan(&contact, &r.Version); err != nil {
		return r, err
	}
	r.Contact, err = jid.Parse(contact)
	return r, err
}

// Roster returns all items of an account, also those that are not Listed, in
// the order of their addresses, and the roster's version.
func (db *DB) Roster(ctx context.Context, owner jid.JID) (items []storage.RosterItem, version uint64, err error) {
	err = db.view(ctx, func(b *pgx.Batch) {
		b.Queue("SELECT roster_version FROM account WHERE domain = $1 AND local = $2", owner.Domain(), owner.Local()).QueryRow(func(row pgx.Row) error {
			return row.Scan(&version)
		})
		b.Queue("SELECT "+rosterColumns+" FROM roster WHERE owner = (SELECT id FROM owner WHERE jid = $1) ORDER BY contact", owner.Bare().String()).Query(func(rows pgx.Rows) (err error) {
			items, err = collect(rows, scanItem)
			return err
		})
	})
	if err != nil {
		return nil, 0, wrap(err, "read roster of", owner)
	}
	return items, version, nil
}

// RosterItem returns what is stored of a contact, or storage.ErrNotFound.
func (db *DB) RosterItem(ctx context.Context, owner, contact jid.JID) (storage.RosterItem, error) {
	i, err := scanItem(db.row(ctx, "SELECT "+rosterColumns+" FROM roster WHERE owner = (SELECT id FROM owner WHERE jid = $1) AND contact = $2",
		owner.Bare().String(), contact.Bare().String()))
	if err != nil {
		return storage.RosterItem{}, wrap(err, "read roster item of", owner)
	}
	return i, nil
}

// RosterSince returns what has changed in a roster since a version (RFC 6121
// §2.6). It is not known if the version is older than the removals that are
// kept, or not of this account; then only the version returned has a meaning.
func (db *DB) RosterSince(ctx context.Context, owner jid.JID, since uint64) (changed []storage.RosterItem, removed []storage.RosterRemoval, version uint64, known bool, err error) {
	const after = "owner = (SELECT owner FROM account WHERE domain = $1 AND local = $2 AND $3 BETWEEN roster_floor AND roster_version) AND version > $3"
	args := []any{owner.Domain(), owner.Local(), since}
	err = db.view(ctx, func(b *pgx.Batch) {
		b.Queue("SELECT roster_version, $3 BETWEEN roster_floor AND roster_version FROM account WHERE domain = $1 AND local = $2", args...).QueryRow(func(row pgx.Row) error {
			return row.Scan(&version, &known)
		})
		b.Queue("SELECT "+rosterColumns+" FROM roster WHERE "+after+" AND listed ORDER BY version, contact", args...).Query(func(rows pgx.Rows) (err error) {
			changed, err = collect(rows, scanItem)
			return err
		})
		b.Queue("SELECT contact, version FROM roster_removal WHERE "+after+" ORDER BY version", args...).Query(func(rows pgx.Rows) (err error) {
			removed, err = collect(rows, scanRemoval)
			return err
		})
	})
	if err != nil {
		return nil, nil, 0, false, wrap(err, "read roster changes of", owner)
	}
	return changed, removed, version, known, nil
}

// UpdateRoster changes one item in one transaction. fn gets the item, or one
// with only Contact set, and must not call the store; its error aborts and is
// returned wrapped. An item that is neither Listed nor Approved and holds no
// PendingIn is deleted. The version goes up when the owner's clients can see
// the change. maxItems bounds the listed items, and apart from them those that
// are not listed: storage.ErrTooMany; 0: no bound.
func (db *DB) UpdateRoster(ctx context.Context, owner, contact jid.JID, maxItems int, fn func(*storage.RosterItem) error) (storage.RosterChange, error) {
	contact = contact.Bare()
	var edit storage.RosterEdit
	err := db.write(ctx, func(ctx context.Context, t pgx.Tx) error {
		id, version, _, err := lockAccount(ctx, t, owner)
		if err != nil {
			return err
		}
		old, err := scanItem(t.QueryRow(ctx, "SELECT "+rosterColumns+" FROM roster WHERE owner = $1 AND contact = $2", id, contact.String()))
		if errors.Is(err, pgx.ErrNoRows) {
			old, err = storage.NoRosterItem(contact), nil
		}
		if err != nil {
			return err
		}
		if edit, err = storage.EditRoster(old, version, fn); err != nil {
			return err
		}
		if !edit.Changed {
			return errUnchanged
		}
		if edit.Adds && maxItems > 0 {
			var n int
			if err := t.QueryRow(ctx, "SELECT count(*) FROM roster WHERE owner = $1 AND listed = $2", id, edit.New.Listed).Scan(&n); err != nil {
				return err
			}
			if n >= maxItems {
				return storage.ErrTooMany
			}
		}
		return putItem(ctx, t, id, &edit)
	})
	if err != nil {
		return storage.RosterChange{}, wrap(err, "update roster of", owner)
	}
	return edit.RosterChange, nil
}

func putItem(ctx context.Context, t pgx.Tx, id int64, e *storage.RosterEdit) error {
	i, b := &e.New, &pgx.Batch{}
	contact := i.Contact.String()
	if e.Keep {
		groups := i.Groups
		if groups == nil {
			groups = []string{}
		}
		b.Queue("INSERT INTO roster (owner, "+rosterColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
			ON CONFLICT (owner, contact) DO UPDATE SET name = $3, groups = $4, sub = $5, ask = $6, approved = $7, pending_in = $8, listed = $9, version = $10`,
			id, contact, i.Name, groups, int16(i.Sub), i.Ask, i.Approved, i.PendingIn, i.Listed, i.Version)
	} else {
		b.Queue("DELETE FROM roster WHERE owner = $1 AND contact = $2", id, contact)
	}
	if e.Visible {
		b.Queue("UPDATE account SET roster_version = $1 WHERE owner = $2", e.Version, id)
		if i.Listed {
			b.Queue("DELETE FROM roster_removal WHERE owner = $1 AND contact = $2", id, contact)
		} else {
			queueRemoval(b, id, contact, e.Version)
		}
	}
	return t.SendBatch(ctx, b).Close()
}

// queueRemoval remembers that a contact left, and forgets the oldest removal
// beyond the bound.
func queueRemoval(b *pgx.Batch, id int64, contact string, version uint64) {
	b.Queue(`INSERT INTO roster_removal (owner, contact, version) VALUES ($1, $2, $3)
		ON CONFLICT (owner, contact) DO UPDATE SET version = $3`, id, contact, version)
	b.Queue(`WITH oldest AS MATERIALIZED (
			SELECT version FROM roster_removal WHERE owner = $1 ORDER BY version DESC LIMIT 1 OFFSET $2
		), gone AS (
			DELETE FROM roster_removal WHERE owner = $1 AND version <= (SELECT version FROM oldest)
		)
		UPDATE account SET roster_floor = oldest.version FROM oldest WHERE owner = $1`, id, storage.RosterRemovals)
}

// CountRoster counts the listed items of an account.
func (db *DB) CountRoster(ctx context.Context, owner jid.JID) (n int, err error) {
	err = db.row(ctx, "SELECT count(*) FROM roster WHERE owner = (SELECT id FROM owner WHERE jid = $1) AND listed", owner.Bare().String()).Scan(&n)
	return n, wrap(err, "count roster of", owner)
}
