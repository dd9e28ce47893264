package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/xmppd/xmppd/storage"
)

// Meta returns a value of the whole server, or storage.ErrNotFound.
func (db *DB) Meta(ctx context.Context, key string) (value []byte, err error) {
	if err := db.row(ctx, "SELECT value FROM meta WHERE key = $1", key).Scan(&value); err != nil {
		return nil, fmt.Errorf("read server value %s: %w", key, err)
	}
	return value, nil
}

// PutMetaOnce stores a value of the whole server unless there is one, and
// returns what is stored: of several writers the first wins.
func (db *DB) PutMetaOnce(ctx context.Context, key string, value []byte) ([]byte, error) {
	if stored, err := db.Meta(ctx, key); !errors.Is(err, storage.ErrNotFound) {
		return stored, err
	}
	if _, err := db.exec(ctx, "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT DO NOTHING", key, value); err != nil {
		return nil, fmt.Errorf("write server value %s: %w", key, err)
	}
	return db.Meta(ctx, key)
}
