package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

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
	err = s.db.row(ctx, "SELECT value FROM kv WHERE owner = (SELECT id FROM owner WHERE jid = $1) AND namespace = $2 AND key = $3",
		account.Bare().String(), s.namespace, key).Scan(&value)
	return value, s.wrap(err, "read", account)
}

func (s kv) Put(ctx context.Context, account jid.JID, key string, value []byte) error {
	if value == nil {
		value = []byte{}
	}
	err := changed(s.db.exec(ctx, `INSERT INTO kv (owner, namespace, key, value) SELECT id, $2, $3, $4 FROM owner WHERE jid = $1
		ON CONFLICT (owner, namespace, key) DO UPDATE SET value = excluded.value`,
		account.Bare().String(), s.namespace, key, value))
	return s.wrap(err, "write", account)
}

func (s kv) Delete(ctx context.Context, account jid.JID, key string) error {
	_, err := s.db.exec(ctx, "DELETE FROM kv WHERE owner = (SELECT id FROM owner WHERE jid = $1) AND namespace = $2 AND key = $3",
		account.Bare().String(), s.namespace, key)
	return s.wrap(err, "delete", account)
}

func (s kv) Keys(ctx context.Context, account jid.JID) (keys []string, err error) {
	keys, err = list(ctx, s.db, "SELECT key FROM kv WHERE owner = (SELECT id FROM owner WHERE jid = $1) AND namespace = $2 ORDER BY key",
		[]any{account.Bare().String(), s.namespace}, func(row pgx.Row) (key string, err error) {
			err = row.Scan(&key)
			return key, err
		})
	return keys, s.wrap(err, "list", account)
}

func (s kv) wrap(err error, what string, account jid.JID) error {
	return wrap(err, what+" "+s.namespace+" values of", account)
}
