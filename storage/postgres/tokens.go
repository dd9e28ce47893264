package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

const (
	selectTokens = `SELECT a.epoch, a.ban_since, coalesce(a.ban_reason, ''), t.agent, t.software, t.device, t.fresh,
			t.mechanism, t.nonce, t.created, t.used, t.expires, t.count
		FROM account a LEFT JOIN token t ON t.owner = a.owner`
	selectAccess = selectTokens + " AND t.agent = $3 WHERE a.domain = $1 AND a.local = $2 ORDER BY t.fresh DESC"
	selectAll    = selectTokens + " WHERE a.domain = $1 AND a.local = $2 ORDER BY t.agent, t.fresh DESC"

	putToken = `INSERT INTO token (owner, agent, fresh, software, device, mechanism, nonce, created, used, expires, count)
		VALUES ($1, $2, true, $3, $4, $5, $6, $7, $7, $8, -1)
		ON CONFLICT (owner, agent, fresh) DO UPDATE SET software = excluded.software, device = excluded.device,
			mechanism = excluded.mechanism, nonce = excluded.nonce, created = excluded.created, used = excluded.used,
			expires = excluded.expires, count = excluded.count`
	dropAgents = `DELETE FROM token WHERE owner = $1 AND agent = ANY (ARRAY (SELECT agent FROM token
		WHERE owner = $1 AND agent <> $2 GROUP BY agent ORDER BY max(used) DESC, agent OFFSET $3))`
)

// Access returns what a login with a token of an agent needs to know, or
// storage.ErrNotFound without an account.
func (db *DB) Access(ctx context.Context, account jid.JID, agent string) (storage.Access, error) {
	a, err := db.access(ctx, selectAccess, account.Domain(), account.Local(), agent)
	return a, wrap(err, "read tokens of", account)
}

// Tokens lists the tokens of an account by agent, or returns
// storage.ErrNotFound without an account.
func (db *DB) Tokens(ctx context.Context, account jid.JID) ([]storage.Token, error) {
	a, err := db.access(ctx, selectAll, account.Domain(), account.Local())
	return a.Tokens, wrap(err, "list tokens of", account)
}

func (db *DB) access(ctx context.Context, query string, args ...any) (a storage.Access, err error) {
	tokens, err := list(ctx, db, query, args, func(row pgx.Row) (t storage.Token, err error) {
		var since, created, used, expires *time.Time
		var reason string
		var agent, software, device, mechanism *string
		var fresh *bool
		var count *int64
		if err := row.Scan(&a.Epoch, &since, &reason, &agent, &software, &device, &fresh,
			&mechanism, &t.Nonce, &created, &used, &expires, &count); err != nil {
			return t, err
		}
		if since != nil {
			a.Ban = &storage.Ban{Reason: reason, Since: since.UTC()}
		}
		if agent != nil {
			t.Agent, t.Software, t.Device, t.Mechanism = *agent, *software, *device, *mechanism
			t.New, t.Count = *fresh, *count
			t.Created, t.Used, t.Expires = created.UTC(), used.UTC(), expires.UTC()
		}
		return t, nil
	})
	if err == nil && len(tokens) == 0 {
		err = storage.ErrNotFound
	}
	if err != nil {
		return storage.Access{}, err
	}
	if tokens[0].Nonce != nil { // the row of an account without any has none
		a.Tokens = tokens
	}
	return a, nil
}

// AddToken stores a new token in place of the agent's last one that was never
// used, and forgets those that have expired. An account has tokens of at most
// limit agents: who has not used one for longest loses them. It returns
// storage.ErrNotFound without an account, or if its epoch has ended.
func (db *DB) AddToken(ctx context.Context, account jid.JID, epoch int64, token storage.Token, limit int) error {
	err := db.write(ctx, func(ctx context.Context, t pgx.Tx) error {
		id, err := lockEpoch(ctx, t, account, epoch)
		if err != nil {
			return err
		}
		b := &pgx.Batch{}
		b.Queue("DELETE FROM token WHERE owner = $1 AND expires < $2", id, token.Created)
		b.Queue(putToken, id, token.Agent, token.Software, token.Device, token.Mechanism, token.Nonce, token.Created, token.Expires)
		b.Queue(dropAgents, id, token.Agent, max(limit-1, 0))
		return t.SendBatch(ctx, b).Close()
	})
	return wrap(err, "add token of", account)
}

// UseToken notes a login. A new token takes the place of the one before; tokens
// of the agent that would have expired earlier are forgotten. It returns
// storage.ErrNotFound for a token that is gone or has been used with that count.
func (db *DB) UseToken(ctx context.Context, account jid.JID, agent string, use storage.TokenUse) error {
	err := db.write(ctx, func(ctx context.Context, t pgx.Tx) error {
		id, _, _, err := lockAccount(ctx, t, account)
		if err != nil {
			return err
		}
		var fresh bool
		var expires time.Time
		var count int64
		if err := t.QueryRow(ctx, "SELECT fresh, expires, count FROM token WHERE owner = $1 AND agent = $2 AND nonce = $3",
			id, agent, use.Nonce).Scan(&fresh, &expires, &count); err != nil {
			return err
		}
		if use.Count >= 0 && use.Count <= count {
			return storage.ErrNotFound
		}
		b := &pgx.Batch{}
		b.Queue("DELETE FROM token WHERE owner = $1 AND agent = $2 AND ($3 OR nonce <> $4 AND ($5 OR expires < $6))",
			id, agent, use.Remove, use.Nonce, fresh, expires)
		b.Queue("UPDATE token SET fresh = false, used = greatest(used, $1), count = greatest(count, $2) WHERE owner = $3 AND agent = $4 AND nonce = $5",
			use.At, use.Count, id, agent, use.Nonce)
		return t.SendBatch(ctx, b).Close()
	})
	return wrap(err, "use token of", account)
}

// RevokeTokens ends the epoch of an account and forgets the tokens of an agent,
// or all with an empty one. It returns how many there were, or
// storage.ErrNotFound without an account.
func (db *DB) RevokeTokens(ctx context.Context, account jid.JID, agent string) (n int, err error) {
	err = db.write(ctx, func(ctx context.Context, t pgx.Tx) error {
		id, _, _, err := lockAccount(ctx, t, account)
		if err == nil {
			n, err = revoke(ctx, t, id, agent)
		}
		return err
	})
	return n, wrap(err, "revoke tokens of", account)
}

// revoke is for an account that is locked.
func revoke(ctx context.Context, t pgx.Tx, owner int64, agent string) (int, error) {
	if _, err := t.Exec(ctx, "UPDATE account SET epoch = epoch + 1 WHERE owner = $1", owner); err != nil {
		return 0, err
	}
	tag, err := t.Exec(ctx, "DELETE FROM token WHERE owner = $1 AND ($2 = '' OR agent = $2)", owner, agent)
	return int(tag.RowsAffected()), err
}

// lockEpoch locks an account that is still in an epoch.
func lockEpoch(ctx context.Context, t pgx.Tx, account jid.JID, epoch int64) (owner int64, err error) {
	err = t.QueryRow(ctx, "SELECT owner FROM account WHERE domain = $1 AND local = $2 AND epoch = $3 FOR NO KEY UPDATE",
		account.Domain(), account.Local(), epoch).Scan(&owner)
	return owner, mapError(err)
}
