package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// errUnchanged makes write roll back and return nil.
var errUnchanged = errors.New("nothing to write")

// write runs fn in a transaction and commits it. Each statement sees what was
// committed before it began, so what fn reads after it has locked the owner's
// row is current.
func (db *DB) write(ctx context.Context, fn func(context.Context, pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, db.opts.StatementTimeout)
	defer cancel()
	return db.transact(ctx, fn)
}

// transact is write without a bound on the time of the whole: each statement has
// its own.
func (db *DB) transact(ctx context.Context, fn func(context.Context, pgx.Tx) error) error {
	var t pgx.Tx
	err := db.again(ctx, func(ctx context.Context) (err error) {
		t, err = db.pool.Begin(ctx)
		return err
	})
	if err != nil {
		return err
	}
	defer t.Rollback(ctx) // after a commit it does nothing
	switch err := fn(ctx, t); {
	case errors.Is(err, errUnchanged):
		return nil
	case err != nil:
		return mapError(err)
	}
	return mapError(t.Commit(ctx))
}

// again runs fn, which may be run twice without harm, and once more if its
// connection turns out to be dead: after a restart of the server all in the
// pool are.
func (db *DB) again(ctx context.Context, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, db.opts.StatementTimeout)
	defer cancel()
	err := fn(ctx)
	if err != nil && lost(err) && ctx.Err() == nil {
		db.pool.Reset()
		err = fn(ctx)
	}
	return mapError(err)
}

// view runs the queries of a batch on one state of the database, in one round
// trip. fill may be called twice.
func (db *DB) view(ctx context.Context, fill func(*pgx.Batch)) error {
	return db.again(ctx, func(ctx context.Context) error {
		b := &pgx.Batch{}
		b.Queue("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
		fill(b)
		b.Queue("COMMIT")
		return db.pool.SendBatch(ctx, b).Close()
	})
}

// row is for a query of one row outside of any transaction.
func (db *DB) row(ctx context.Context, query string, args ...any) pgx.Row {
	return oneRow{db, ctx, query, args}
}

type oneRow struct {
	db    *DB
	ctx   context.Context
	query string
	args  []any
}

func (r oneRow) Scan(dest ...any) error {
	return r.db.again(r.ctx, func(ctx context.Context) error {
		return r.db.pool.QueryRow(ctx, r.query, r.args...).Scan(dest...)
	})
}

// list returns what scan makes of each row of a query outside of any transaction.
func list[T any](ctx context.Context, db *DB, query string, args []any, scan func(pgx.Row) (T, error)) (items []T, err error) {
	err = db.again(ctx, func(ctx context.Context) error {
		rows, err := db.pool.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		items, err = collect(rows, scan)
		return err
	})
	return items, err
}

func collect[T any](rows pgx.Rows, scan func(pgx.Row) (T, error)) (items []T, err error) {
	defer rows.Close()
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, rows.Err()
}

// exec is for one statement outside of any transaction that may be run twice.
func (db *DB) exec(ctx context.Context, query string, args ...any) (changed int64, err error) {
	err = db.again(ctx, func(ctx context.Context) error {
		tag, err := db.pool.Exec(ctx, query, args...)
		changed = tag.RowsAffected()
		return err
	})
	return changed, err
}

// changed returns storage.ErrNotFound if a statement has changed no row.
func changed(n int64, err error) error {
	if err == nil && n == 0 {
		return storage.ErrNotFound
	}
	return err
}

// lockAccount locks an account against other changes of it. Everyone who locks
// both locks the account before its owner row.
func lockAccount(ctx context.Context, t pgx.Tx, account jid.JID) (owner int64, version, floor uint64, err error) {
	err = t.QueryRow(ctx, "SELECT owner, roster_version, roster_floor FROM account WHERE domain = $1 AND local = $2 FOR NO KEY UPDATE",
		account.Domain(), account.Local()).Scan(&owner, &version, &floor)
	return owner, version, floor, mapError(err)
}

// mapError translates what pgx and the server say.
func mapError(err error) error {
	var e *pgconn.PgError
	switch {
	case err == nil, errors.Is(err, storage.ErrUnavailable):
		return err
	case errors.Is(err, pgx.ErrNoRows):
		return storage.ErrNotFound
	case errors.As(err, &e):
		switch {
		case e.Code == "23503": // foreign_key_violation: the owner is gone
			return storage.ErrNotFound
		case len(e.Code) != 5, !transient(e.Code):
			return err
		}
		return fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
	case lost(err):
		return fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
	}
	return err
}

// transient tells by SQLSTATE what may go better another time.
func transient(code string) bool {
	switch code[:2] {
	case "08", // connection
		"28", // authorization: the role or pg_hba.conf can be put right
		"40", // deadlock, serialization
		"53", // out of disk, memory, connections
		"55", // locks
		"57", // statement timeout, shutdown
		"58": // input and output of the server
		return true
	}
	return code == "25006" || // read-only: a standby, until it is promoted
		code == "3D000" // no such database
}

// lost reports whether err came from the way to the server.
func lost(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		err.Error() == "closed pool" || err.Error() == "conn closed" // they have no name here
}

func wrap(err error, what string, account jid.JID) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, account, err)
}
