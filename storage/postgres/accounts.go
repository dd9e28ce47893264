package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// CreateAccount adds an account; storage.ErrExists if there is one.
func (db *DB) CreateAccount(ctx context.Context, account jid.JID, credentials []storage.Credential) error {
	account = account.Bare()
	err := db.write(ctx, func(ctx context.Context, t pgx.Tx) error {
		var id int64
		err := t.QueryRow(ctx, "INSERT INTO owner (jid) VALUES ($1) ON CONFLICT DO NOTHING RETURNING id", account.String()).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			return storage.ErrExists
		} else if err != nil {
			return err
		}
		// A roster version that no earlier account of this name has reached: what
		// its clients remember of it must not be taken for a state of this one.
		now := time.Now()
		// The same goes for the epoch and who began to log in to that account.
		if _, err = t.Exec(ctx, "INSERT INTO account (owner, domain, local, created, roster_version, roster_floor, epoch) VALUES ($1, $2, $3, $4, $5, $5, $5)",
			id, account.Domain(), account.Local(), now, now.UnixMicro()); err != nil {
			return err
		}
		return putCredentials(ctx, t, id, credentials)
	})
	return wrap(err, "create account", account)
}

func putCredentials(ctx context.Context, t pgx.Tx, owner int64, credentials []storage.Credential) error {
	b := &pgx.Batch{}
	for _, c := range credentials {
		b.Queue("INSERT INTO credential (owner, hash, iterations, salt, stored_key, server_key) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
			owner, c.Hash, c.Iterations, c.Salt, c.StoredKey, c.ServerKey)
	}
	return t.SendBatch(ctx, b).Close()
}

// Account returns an account with its credentials, or storage.ErrNotFound.
func (db *DB) Account(ctx context.Context, account jid.JID) (storage.Account, error) {
	a := storage.Account{JID: account.Bare()}
	const query = `SELECT a.created, a.epoch, a.ban_since, coalesce(a.ban_reason, ''), c.hash, c.iterations, c.salt, c.stored_key, c.server_key
		FROM account a LEFT JOIN credential c ON c.owner = a.owner
		WHERE a.domain = $1 AND a.local = $2 ORDER BY c.hash`
	credentials, err := list(ctx, db, query, []any{account.Domain(), account.Local()}, func(row pgx.Row) (c storage.Credential, err error) {
		var since *time.Time
		var reason string
		var hash *string
		var iterations *int
		if err := row.Scan(&a.Created, &a.Epoch, &since, &reason, &hash, &iterations, &c.Salt, &c.StoredKey, &c.ServerKey); err != nil {
			return c, err
		}
		a.Created = a.Created.UTC()
		if since != nil {
			a.Ban = &storage.Ban{Reason: reason, Since: since.UTC()}
		}
		if hash != nil {
			c.Hash, c.Iterations = *hash, *iterations
		}
		return c, nil
	})
	if err == nil && len(credentials) == 0 {
		err = storage.ErrNotFound
	}
	if err != nil {
		return storage.Account{}, wrap(err, "read account", a.JID)
	}
	if credentials[0].Hash != "" { // the row of an account without any has none
		a.Credentials = credentials
	}
	return a, nil
}

// AccountExists reports whether there is such an account, banned or not.
func (db *DB) AccountExists(ctx context.Context, account jid.JID) (bool, error) {
	var exists bool
	err := db.row(ctx, "SELECT EXISTS (SELECT 1 FROM account WHERE domain = $1 AND local = $2)",
		account.Domain(), account.Local()).Scan(&exists)
	return exists, wrap(err, "look up account", account)
}

// SetCredentials replaces all credentials of an account and revokes its tokens.
func (db *DB) SetCredentials(ctx context.Context, account jid.JID, credentials []storage.Credential) error {
	err := db.write(ctx, func(ctx context.Context, t pgx.Tx) error {
		id, _, _, err := lockAccount(ctx, t, account)
		if err != nil {
			return err
		}
		if _, err := revoke(ctx, t, id, ""); err != nil {
			return err
		}
		if _, err := t.Exec(ctx, "DELETE FROM credential WHERE owner = $1", id); err != nil {
			return err
		}
		return putCredentials(ctx, t, id, credentials)
	})
	return wrap(err, "set credentials of", account)
}

// AddCredentials adds those for hashes that an account has none for. It returns
// storage.ErrNotFound without an account, or if its epoch has ended.
func (db *DB) AddCredentials(ctx context.Context, account jid.JID, epoch int64, credentials []storage.Credential) error {
	err := db.write(ctx, func(ctx context.Context, t pgx.Tx) error {
		id, err := lockEpoch(ctx, t, account, epoch)
		if err != nil {
			return err
		}
		return putCredentials(ctx, t, id, credentials)
	})
	return wrap(err, "add credentials of", account)
}

// RemoveAccount deletes an account and every row that it owns. What others have
// stored about it, such as roster items, is theirs. Its archive goes before it, in
// steps.
func (db *DB) RemoveAccount(ctx context.Context, account jid.JID) error {
	exists, err := db.AccountExists(ctx, account)
	if err == nil && !exists {
		err = wrap(storage.ErrNotFound, "remove account", account)
	}
	for n := removeStep; err == nil && n == removeStep; {
		n, err = db.RemoveArchive(ctx, account, jid.JID{}, removeStep)
	}
	if err != nil {
		return err
	}
	err = db.write(ctx, func(ctx context.Context, t pgx.Tx) error {
		id, _, _, err := lockAccount(ctx, t, account)
		if err != nil {
			return err
		}
		// A write group that holds this row adds messages until it commits; one
		// that comes later finds no row.
		if _, err := t.Exec(ctx, "SELECT 1 FROM owner WHERE id = $1 FOR UPDATE", id); err != nil {
			return err
		}
		rows, err := t.Query(ctx, "DELETE FROM message WHERE owner = $1 RETURNING seq, coalesce(text, 0)", id)
		if err != nil {
			return err
		}
		var hidden hiddenRows
		var seq, text int64
		if _, err := pgx.ForEachRow(rows, []any{&seq, &text}, func() error {
			hidden.add(id, seq, text)
			return nil
		}); err != nil {
			return err
		}
		b := &pgx.Batch{}
		hidden.queue(b)
		// The other tables follow by their foreign keys.
		b.Queue("DELETE FROM owner WHERE id = $1", id)
		return t.SendBatch(ctx, b).Close()
	})
	return wrap(err, "remove account", account)
}

// removeStep is how many rows of an archive go in one transaction with its account.
const removeStep = 2000

// Accounts lists accounts of a domain in the order of their localparts, from
// the one behind after (zero: from the first), at most limit of them.
func (db *DB) Accounts(ctx context.Context, domain string, after jid.JID, limit int) ([]jid.JID, error) {
	accounts, err := list(ctx, db, "SELECT local FROM account WHERE domain = $1 AND local > $2 ORDER BY local LIMIT $3",
		[]any{domain, after.Local(), limit}, func(row pgx.Row) (jid.JID, error) {
			var local string
			if err := row.Scan(&local); err != nil {
				return jid.JID{}, err
			}
			return jid.New(local, domain, "")
		})
	if err != nil {
		return nil, fmt.Errorf("list accounts of %s: %w", domain, err)
	}
	return accounts, nil
}

// CountAccounts counts the accounts of a domain.
func (db *DB) CountAccounts(ctx context.Context, domain string) (n int, err error) {
	if err := db.row(ctx, "SELECT count(*) FROM account WHERE domain = $1", domain).Scan(&n); err != nil {
		return 0, fmt.Errorf("count accounts of %s: %w", domain, err)
	}
	return n, nil
}

// SetBan bans an account and revokes its tokens, or lifts the ban with nil.
func (db *DB) SetBan(ctx context.Context, account jid.JID, ban *storage.Ban) error {
	var since *time.Time
	var reason *string
	if ban != nil {
		since, reason = &ban.Since, &ban.Reason
	}
	err := db.write(ctx, func(ctx context.Context, t pgx.Tx) error {
		id, _, _, err := lockAccount(ctx, t, account)
		if err != nil {
			return err
		}
		if ban != nil {
			if _, err := revoke(ctx, t, id, ""); err != nil {
				return err
			}
		}
		_, err = t.Exec(ctx, "UPDATE account SET ban_since = $1, ban_reason = $2 WHERE owner = $3", since, reason, id)
		return err
	})
	return wrap(err, "set ban of", account)
}
