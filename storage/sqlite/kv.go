package sqlite

import (
	"context"
	"database/sql"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// KV is the part of the key-value store that belongs to a module. Put returns
// storage.ErrNotFound if the account does not exist.
func (db *DB) KV(namespace string) storage.KV { return kv{db, namespace} }

type kv struct {
	db        *DB
	namespace string
}

func (s kv) Get(ctx context.Context, account jid.JID, key string) (value []byte, err error) {
	err = s.db.row(ctx, "SELECT value FROM kv WHERE owner = (SELECT id FROM owner WHERE jid = ?) AND namespace = ? AND key = ?",
		account.Bare().String(), s.namespace, key).Scan(&value)
	return value, s.wrap(mapError(err), "read", account)
}

func (s kv) Put(ctx context.Context, account jid.JID, key string, value []byte) error {
	if value == nil {
		value = []byte{}
	}
	err := s.db.write(ctx, func(t *tx) error {
		return affected(t.exec(`INSERT INTO kv (owner, namespace, key, value) SELECT id, ?, ?, ? FROM owner WHERE jid = ?
			ON CONFLICT (owner, namespace, key) DO UPDATE SET value = excluded.value`,
			s.namespace, key, value, account.Bare().String()))
	})
	return s.wrap(err, "write", account)
}

func (s kv) Delete(ctx context.Context, account jid.JID, key string) error {
	err := s.db.write(ctx, func(t *tx) error {
		_, err := t.exec("DELETE FROM kv WHERE owner = (SELECT id FROM owner WHERE jid = ?) AND namespace = ? AND key = ?",
			account.Bare().String(), s.namespace, key)
		return err
	})
	return s.wrap(err, "delete", account)
}

func (s kv) Keys(ctx context.Context, account jid.JID) (keys []string, err error) {
	err = s.db.each(ctx, "SELECT key FROM kv WHERE owner = (SELECT id FROM owner WHERE jid = ?) AND namespace = ? ORDER BY key",
		[]any{account.Bare().String(), s.namespace}, func(rows *sql.Rows) error {
			var key string
			err := rows.Scan(&key)
			keys = append(keys, key)
			return err
		})
	return keys, s.wrap(err, "list", account)
}

func (s kv) wrap(err error, what string, account jid.JID) error {
	return wrap(err, what+" "+s.namespace+" values of", account)
}
