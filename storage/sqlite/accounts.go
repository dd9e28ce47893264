package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// CreateAccount adds an account; storage.ErrExists if there is one.
func (db *DB) CreateAccount(ctx context.Context, account jid.JID, credentials []storage.Credential) error {
	account = account.Bare()
	err := db.write(ctx, func(t *tx) error {
		var id int64
		err := t.row("INSERT INTO owner (jid) VALUES (?) ON CONFLICT DO NOTHING RETURNING id", account.String()).Scan(&id)
		if err == sql.ErrNoRows {
			return storage.ErrExists
		} else if err != nil {
			return err
		}
		// A roster version that no earlier account of this name has reached: what
		// its clients remember of it must not be taken for a state of this one.
		now := time.Now().UnixMicro()
		// The same goes for the epoch and who began to log in to that account.
		if _, err = t.exec("INSERT INTO account (owner, domain, local, created, roster_version, roster_floor, epoch) VALUES (?1, ?2, ?3, ?4, ?4, ?4, ?4)",
			id, account.Domain(), account.Local(), now); err != nil {
			return err
		}
		return putCredentials(t, id, credentials)
	})
	return wrap(err, "create account", account)
}

func putCredentials(t *tx, owner int64, credentials []storage.Credential) error {
	for _, c := range credentials {
		if _, err := t.exec("INSERT INTO credential (owner, hash, iterations, salt, stored_key, server_key) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
			owner, c.Hash, c.Iterations, c.Salt, c.StoredKey, c.ServerKey); err != nil {
			return err
		}
	}
	return nil
}

// Account returns an account with its credentials, or storage.ErrNotFound.
func (db *DB) Account(ctx context.Context, account jid.JID) (storage.Account, error) {
	a := storage.Account{JID: account.Bare()}
	found := false
	const query = `SELECT a.created, a.epoch, a.ban_since, coalesce(a.ban_reason, ''), c.hash, c.iterations, c.salt, c.stored_key, c.server_key
		FROM owner o JOIN account a ON a.owner = o.id LEFT JOIN credential c ON c.owner = o.id
		WHERE o.jid = ? ORDER BY c.hash`
	err := db.each(ctx, query, []any{a.JID.String()}, func(rows *sql.Rows) error {
		var created int64
		var since sql.NullInt64
		var reason string
		var hash sql.NullString
		var iterations sql.NullInt64
		var c storage.Credential
		if err := rows.Scan(&created, &a.Epoch, &since, &reason, &hash, &iterations, &c.Salt, &c.StoredKey, &c.ServerKey); err != nil {
			return err
		}
		found = true
		a.Created = fromMicro(created)
		if since.Valid {
			a.Ban = &storage.Ban{Reason: reason, Since: fromMicro(since.Int64)}
		}
		if hash.Valid {
			c.Hash, c.Iterations = hash.String, int(iterations.Int64)
			a.Credentials = append(a.Credentials, c)
		}
		return nil
	})
	if err == nil && !found {
		err = storage.ErrNotFound
	}
	if err != nil {
		return storage.Account{}, wrap(err, "read account", a.JID)
	}
	return a, nil
}

// AccountExists reports whether there is such an account, banned or not.
func (db *DB) AccountExists(ctx context.Context, account jid.JID) (bool, error) {
	var exists bool
	err := db.row(ctx, "SELECT EXISTS (SELECT 1 FROM account WHERE domain = ? AND local = ?)",
		account.Domain(), account.Local()).Scan(&exists)
	return exists, wrap(mapError(err), "look up account", account)
}

// SetCredentials replaces all credentials of an account and revokes its tokens.
func (db *DB) SetCredentials(ctx context.Context, account jid.JID, credentials []storage.Credential) error {
	err := db.write(ctx, func(t *tx) error {
		id, err := ownerID(t, account)
		if err != nil {
			return err
		}
		if _, err := revoke(t, account, ""); err != nil {
			return err
		}
		if _, err := t.exec("DELETE FROM credential WHERE owner = ?", id); err != nil {
			return err
		}
		return putCredentials(t, id, credentials)
	})
	return wrap(err, "set credentials of", account)
}

// AddCredentials adds those for hashes that an account has none for. It returns
// storage.ErrNotFound without an account, or if its epoch has ended.
func (db *DB) AddCredentials(ctx context.Context, account jid.JID, epoch int64, credentials []storage.Credential) error {
	err := db.write(ctx, func(t *tx) error {
		id, err := ownerIn(t, account, epoch)
		if err != nil {
			return err
		}
		return putCredentials(t, id, credentials)
	})
	return wrap(err, "add credentials of", account)
}

// removeStep is how many messages of an account go in one transaction.
const removeStep = 1000

// RemoveAccount deletes an account and every row that it owns. What others have
// stored about it, such as roster items, is theirs. Its archive goes first, in small
// transactions.
func (db *DB) RemoveAccount(ctx context.Context, account jid.JID) error {
	for {
		n, err := db.RemoveArchive(ctx, account, jid.JID{}, removeStep)
		if err != nil {
			return err
		}
		if n < removeStep {
			break
		}
	}
	err := db.write(ctx, func(t *tx) error {
		id, err := ownerID(t, account)
		if err != nil {
			return err
		}
		if err := removeMessages(t, id); err != nil {
			return err
		}
		// The other tables follow by their foreign keys.
		_, err = t.exec("DELETE FROM owner WHERE id = ?", id)
		return err
	})
	return wrap(err, "remove account", account)
}

// Accounts lists accounts of a domain in the order of their localparts, from
// the one behind after (zero: from the first), at most limit of them.
func (db *DB) Accounts(ctx context.Context, domain string, after jid.JID, limit int) ([]jid.JID, error) {
	var accounts []jid.JID
	err := db.each(ctx, "SELECT local FROM account WHERE domain = ? AND local > ? ORDER BY local LIMIT ?",
		[]any{domain, after.Local(), limit}, func(rows *sql.Rows) error {
			var local string
			if err := rows.Scan(&local); err != nil {
				return err
			}
			j, err := jid.New(local, domain, "")
			accounts = append(accounts, j)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("list accounts of %s: %w", domain, err)
	}
	return accounts, nil
}

// CountAccounts counts the accounts of a domain.
func (db *DB) CountAccounts(ctx context.Context, domain string) (n int, err error) {
	if err := db.row(ctx, "SELECT count(*) FROM account WHERE domain = ?", domain).Scan(&n); err != nil {
		return 0, fmt.Errorf("count accounts of %s: %w", domain, mapError(err))
	}
	return n, nil
}

// SetBan bans an account and revokes its tokens, or lifts the ban with nil.
func (db *DB) SetBan(ctx context.Context, account jid.JID, ban *storage.Ban) error {
	var since, reason any
	if ban != nil {
		since, reason = ban.Since.UnixMicro(), ban.Reason
	}
	err := db.write(ctx, func(t *tx) error {
		if ban != nil {
			if _, err := revoke(t, account, ""); err != nil {
				return err
			}
		}
		return affected(t.exec("UPDATE account SET ban_since = ?, ban_reason = ? WHERE domain = ? AND local = ?",
			since, reason, account.Domain(), account.Local()))
	})
	return wrap(err, "set ban of", account)
}

func wrap(err error, what string, account jid.JID) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, account, err)
}
