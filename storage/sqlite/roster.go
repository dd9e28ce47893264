package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

const rosterColumns = "contact, name, groups, sub, ask, approved, pending_in, listed, version"

func scanItem(row scanner) (storage.RosterItem, error) {
	var i storage.RosterItem
	var contact, groups string
	if err := row.Scan(&contact, &i.Name, &groups, &i.Sub, &i.Ask, &i.Approved, &i.PendingIn, &i.Listed, &i.Version); err != nil {
		return i, err
	}
	var err error
	if i.Contact, err = jid.Parse(contact); err != nil {
		return i, err
	}
	if groups != "[]" {
		err = json.Unmarshal([]byte(groups), &i.Groups)
	}
	return i, err
}

// view runs fn in a transaction that sees one state of the database.
func (db *DB) view(ctx context.Context, fn func(*tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, db.opts.StatementTimeout)
	defer cancel()
	if err := db.readers.prepareWanted(ctx); err != nil {
		return mapError(err)
	}
	t, err := db.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return mapError(err)
	}
	defer t.Rollback() // nothing was written
	return mapError(fn(&tx{Tx: t, p: db.readers}))
}

// Roster returns all items of an account, also those that are not Listed, in
// the order of their addresses, and the roster's version.
func (db *DB) Roster(ctx context.Context, owner jid.JID) (items []storage.RosterItem, version uint64, err error) {
	err = db.view(ctx, func(t *tx) error {
		id, err := rosterOwner(t, owner, &version, new(uint64))
		if err != nil {
			return err
		}
		rows, err := t.query("SELECT "+rosterColumns+" FROM roster WHERE owner = ? ORDER BY contact", id)
		return eachRow(rows, err, func(rows *sql.Rows) error {
			i, err := scanItem(rows)
			items = append(items, i)
			return err
		})
	})
	if err != nil {
		return nil, 0, wrap(err, "read roster of", owner)
	}
	return items, version, nil
}

func rosterOwner(t *tx, owner jid.JID, version, floor *uint64) (id int64, err error) {
	err = t.row("SELECT owner, roster_version, roster_floor FROM account WHERE domain = ? AND local = ?",
		owner.Domain(), owner.Local()).Scan(&id, version, floor)
	return id, mapError(err)
}

// RosterItem returns what is stored of a contact, or storage.ErrNotFound.
func (db *DB) RosterItem(ctx context.Context, owner, contact jid.JID) (storage.RosterItem, error) {
	i, err := scanItem(db.row(ctx, "SELECT "+rosterColumns+" FROM roster WHERE owner = (SELECT id FROM owner WHERE jid = ?) AND contact = ?",
		owner.Bare().String(), contact.Bare().String()))
	if err != nil {
		return storage.RosterItem{}, wrap(mapError(err), "read roster item of", owner)
	}
	return i, nil
}

// RosterSince returns what has changed in a roster since a version (RFC 6121
// §2.6). It is not known if the version is older than the removals that are
// kept, or not of this account; then only the version returned has a meaning.
func (db *DB) RosterSince(ctx context.Context, owner jid.JID, since uint64) (changed []storage.RosterItem, removed []storage.RosterRemoval, version uint64, known bool, err error) {
	err = db.view(ctx, func(t *tx) error {
		var floor uint64
		id, err := rosterOwner(t, owner, &version, &floor)
		if err != nil {
			return err
		}
		if known = since >= floor && since <= version; !known || since == version {
			return nil
		}
		rows, err := t.query("SELECT "+rosterColumns+" FROM roster WHERE owner = ? AND listed AND version > ? ORDER BY version, contact", id, since)
		if err = eachRow(rows, err, func(rows *sql.Rows) error {
			i, err := scanItem(rows)
			changed = append(changed, i)
			return err
		}); err != nil {
			return err
		}
		rows, err = t.query("SELECT contact, version FROM roster_removal WHERE owner = ? AND version > ? ORDER BY version", id, since)
		return eachRow(rows, err, func(rows *sql.Rows) error {
			var r storage.RosterRemoval
			var contact string
			if err := rows.Scan(&contact, &r.Version); err != nil {
				return err
			}
			var err error
			r.Contact, err = jid.Parse(contact)
			removed = append(removed, r)
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
	err := db.write(ctx, func(t *tx) error {
		var version, floor uint64
		id, err := rosterOwner(t, owner, &version, &floor)
		if err != nil {
			return err
		}
		old, err := scanItem(t.row("SELECT "+rosterColumns+" FROM roster WHERE owner = ? AND contact = ?", id, contact.String()))
		if err == sql.ErrNoRows {
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
			if err := t.row("SELECT count(*) FROM roster WHERE owner = ? AND listed = ?", id, edit.New.Listed).Scan(&n); err != nil {
				return err
			}
			if n >= maxItems {
				return storage.ErrTooMany
			}
		}
		return putItem(t, id, &edit)
	})
	if err != nil {
		return storage.RosterChange{}, wrap(err, "update roster of", owner)
	}
	return edit.RosterChange, nil
}

func putItem(t *tx, id int64, e *storage.RosterEdit) error {
	i := &e.New
	contact := i.Contact.String()
	if e.Keep {
		groups := []byte("[]")
		if len(i.Groups) > 0 {
			var err error
			if groups, err = json.Marshal(i.Groups); err != nil {
				return fmt.Errorf("encode groups: %w", err)
			}
		}
		if _, err := t.exec("INSERT OR REPLACE INTO roster (owner, "+rosterColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			id, contact, i.Name, string(groups), int(i.Sub), i.Ask, i.Approved, i.PendingIn, i.Listed, int64(i.Version)); err != nil {
			return err
		}
	} else if _, err := t.exec("DELETE FROM roster WHERE owner = ? AND contact = ?", id, contact); err != nil {
		return err
	}
	if !e.Visible {
		return nil
	}
	if _, err := t.exec("UPDATE account SET roster_version = ? WHERE owner = ?", int64(e.Version), id); err != nil {
		return err
	}
	if i.Listed {
		_, err := t.exec("DELETE FROM roster_removal WHERE owner = ? AND contact = ?", id, contact)
		return err
	}
	return putRemoval(t, id, contact, e.Version)
}

// putRemoval remembers that a contact left, and forgets the oldest removal
// beyond the bound.
func putRemoval(t *tx, id int64, contact string, version uint64) error {
	if _, err := t.exec("INSERT OR REPLACE INTO roster_removal (owner, contact, version) VALUES (?, ?, ?)", id, contact, int64(version)); err != nil {
		return err
	}
	var oldest int64
	err := t.row("SELECT version FROM roster_removal WHERE owner = ? ORDER BY version DESC LIMIT 1 OFFSET ?", id, storage.RosterRemovals).Scan(&oldest)
	if err == sql.ErrNoRows {
		return nil
	} else if err != nil {
		return err
	}
	if _, err := t.exec("DELETE FROM roster_removal WHERE owner = ? AND version <= ?", id, oldest); err != nil {
		return err
	}
	_, err = t.exec("UPDATE account SET roster_floor = ? WHERE owner = ?", oldest, id)
	return err
}

// CountRoster counts the listed items of an account.
func (db *DB) CountRoster(ctx context.Context, owner jid.JID) (n int, err error) {
	err = db.row(ctx, "SELECT count(*) FROM roster WHERE owner = (SELECT id FROM owner WHERE jid = ?) AND listed", owner.Bare().String()).Scan(&n)
	return n, wrap(mapError(err), "count roster of", owner)
}
