package sqlite

import (
	"context"
	"database/sql"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

const (
	selectTokens = `SELECT a.epoch, a.ban_since, coalesce(a.ban_reason, ''), t.agent, t.software, t.device, t.fresh,
			t.mechanism, t.nonce, t.created, t.used, t.expires, t.count
		FROM owner o JOIN account a ON a.owner = o.id LEFT JOIN token t ON t.owner = o.id`
	selectAccess = selectTokens + " AND t.agent = ? WHERE o.jid = ? ORDER BY t.fresh DESC"
	selectAll    = selectTokens + " WHERE o.jid = ? ORDER BY t.agent, t.fresh DESC"

	putToken = `INSERT INTO token (owner, agent, fresh, software, device, mechanism, nonce, created, used, expires, count)
		VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6, ?7, ?7, ?8, -1)
		ON CONFLICT (owner, agent, fresh) DO UPDATE SET software = excluded.software, device = excluded.device,
			mechanism = excluded.mechanism, nonce = excluded.nonce, created = excluded.created, used = excluded.used,
			expires = excluded.expires, count = excluded.count`
	dropAgents = `DELETE FROM token WHERE owner = ?1 AND agent IN (SELECT agent FROM token
		WHERE owner = ?1 AND agent <> ?2 GROUP BY agent ORDER BY max(used) DESC, agent LIMIT -1 OFFSET ?3)`
)

// Access returns what a login with a token of an agent needs to know, or
// storage.ErrNotFound without an account.
func (db *DB) Access(ctx context.Context, account jid.JID, agent string) (storage.Access, error) {
	a, err := db.access(ctx, selectAccess, agent, account.Bare().String())
	return a, wrap(err, "read tokens of", account)
}

// Tokens lists the tokens of an account by agent, or returns
// storage.ErrNotFound without an account.
func (db *DB) Tokens(ctx context.Context, account jid.JID) ([]storage.Token, error) {
	a, err := db.access(ctx, selectAll, account.Bare().String())
	return a.Tokens, wrap(err, "list tokens of", account)
}

func (db *DB) access(ctx context.Context, query string, args ...any) (a storage.Access, err error) {
	found := false
	err = db.each(ctx, query, args, func(rows *sql.Rows) error {
		var since, created, used, expires, count sql.NullInt64
		var reason string
		var agent, software, device, mechanism sql.NullString
		var fresh sql.NullBool
		var t storage.Token
		if err := rows.Scan(&a.Epoch, &since, &reason, &agent, &software, &device, &fresh,
			&mechanism, &t.Nonce, &created, &used, &expires, &count); err != nil {
			return err
		}
		found = true
		if since.Valid {
			a.Ban = &storage.Ban{Reason: reason, Since: fromMicro(since.Int64)}
		}
		if agent.Valid {
			t.Agent, t.Software, t.Device, t.Mechanism = agent.String, software.String, device.String, mechanism.String
			t.New, t.Count = fresh.Bool, count.Int64
			t.Created, t.Used, t.Expires = fromMicro(created.Int64), fromMicro(used.Int64), fromMicro(expires.Int64)
			a.Tokens = append(a.Tokens, t)
		}
		return nil
	})
	if err == nil && !found {
		err = storage.ErrNotFound
	}
	return a, err
}

// AddToken stores a new token in place of the agent's last one that was never
// used, and forgets those that have expired. An account has tokens of at most
// limit agents: who has not used one for longest loses them. It returns
// storage.ErrNotFound without an account, or if its epoch has ended.
func (db *DB) AddToken(ctx context.Context, account jid.JID, epoch int64, token storage.Token, limit int) error {
	err := db.write(ctx, func(t *tx) error {
		id, err := ownerIn(t, account, epoch)
		if err != nil {
			return err
		}
		if _, err := t.exec("DELETE FROM token WHERE owner = ? AND expires < ?", id, token.Created.UnixMicro()); err != nil {
			return err
		}
		if _, err := t.exec(putToken, id, token.Agent, token.Software, token.Device, token.Mechanism,
			token.Nonce, token.Created.UnixMicro(), token.Expires.UnixMicro()); err != nil {
			return err
		}
		_, err = t.exec(dropAgents, id, token.Agent, max(limit-1, 0))
		return err
	})
	return wrap(err, "add token of", account)
}

// UseToken notes a login. A new token takes the place of the one before; tokens
// of the agent that would have expired earlier are forgotten. It returns
// storage.ErrNotFound for a token that is gone or has been used with that count.
func (db *DB) UseToken(ctx context.Context, account jid.JID, agent string, use storage.TokenUse) error {
	err := db.write(ctx, func(t *tx) error {
		id, err := ownerID(t, account)
		if err != nil {
			return err
		}
		var fresh bool
		var expires, count int64
		if err := t.row("SELECT fresh, expires, count FROM token WHERE owner = ? AND agent = ? AND nonce = ?",
			id, agent, use.Nonce).Scan(&fresh, &expires, &count); err != nil {
			return err
		}
		if use.Count >= 0 && use.Count <= count {
			return storage.ErrNotFound
		}
		if _, err := t.exec("DELETE FROM token WHERE owner = ?1 AND agent = ?2 AND (?3 OR nonce <> ?4 AND (?5 OR expires < ?6))",
			id, agent, use.Remove, use.Nonce, fresh, expires); err != nil {
			return err
		}
		_, err = t.exec("UPDATE token SET fresh = 0, used = max(used, ?), count = max(count, ?) WHERE owner = ? AND agent = ? AND nonce = ?",
			use.At.UnixMicro(), use.Count, id, agent, use.Nonce)
		return err
	})
	return wrap(err, "use token of", account)
}

// RevokeTokens ends the epoch of an account and forgets the tokens of an agent,
// or all with an empty one. It returns how many there were, or
// storage.ErrNotFound without an account.
func (db *DB) RevokeTokens(ctx context.Context, account jid.JID, agent string) (n int, err error) {
	err = db.write(ctx, func(t *tx) error {
		n, err = revoke(t, account, agent)
		return err
	})
	return n, wrap(err, "revoke tokens of", account)
}

func revoke(t *tx, account jid.JID, agent string) (int, error) {
	id, err := ownerID(t, account)
	if err != nil {
		return 0, err
	}
	if err := affected(t.exec("UPDATE account SET epoch = epoch + 1 WHERE owner = ?", id)); err != nil {
		return 0, err
	}
	r, err := t.exec("DELETE FROM token WHERE owner = ?1 AND (?2 = '' OR agent = ?2)", id, agent)
	if err != nil {
		return 0, err
	}
	n, err := r.RowsAffected()
	return int(n), err
}

// ownerIn is the number of an owner whose account is still in an epoch.
func ownerIn(t *tx, account jid.JID, epoch int64) (id int64, err error) {
	err = t.row("SELECT o.id FROM owner o JOIN account a ON a.owner = o.id WHERE o.jid = ? AND a.epoch = ?",
		account.Bare().String(), epoch).Scan(&id)
	return id, mapError(err)
}
