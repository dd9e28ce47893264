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
	err := pgx.BeginFunc(ctx, db.pool, func(t pgx.Tx) error { return fn(ctx, t) })
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return mapError(err)
}

// view runs the queries of a batch on one state of the database, in one round trip.
func (db *DB) view(ctx context.Context, fill func(*pgx.Batch)) error {
	ctx, cancel := context.WithTimeout(ctx, db.opts.StatementTimeout)
	defer cancel()
	b := &pgx.Batch{}
	b.Queue("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
	fill(b)
	b.Queue("COMMIT")
	return mapError(db.pool.SendBatch(ctx, b).Close())
}

// row is for a query of one row outside of any transaction.
func (db *DB) row(ctx context.Context, query string, args ...any) pgx.Row {
	ctx, cancel := context.WithTimeout(ctx, db.opts.StatementTimeout)
	return oneRow{db.pool.QueryRow(ctx, query, args...), cancel}
}

type oneRow struct {
	pgx.Row
	cancel context.CancelFunc
}

func (r oneRow) Scan(dest ...any) error {
	defer r.cancel()
	return mapError(r.Row.Scan(dest...))
}

// each calls scan for each row of a query outside of any transaction.
func (db *DB) each(ctx context.Context, query string, args []any, scan func(pgx.Rows) error) error {
	ctx, cancel := context.WithTimeout(ctx, db.opts.StatementTimeout)
	defer cancel()
	rows, err := db.pool.Query(ctx, query, args...)
	if err != nil {
		return mapError(err)
	}
	return eachRow(rows, scan)
}

func eachRow(rows pgx.Rows, scan func(pgx.Rows) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return mapError(err)
		}
	}
	return mapError(rows.Err())
}

// exec is for one statement outside of any transaction.
func (db *DB) exec(ctx context.Context, query string, args ...any) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, db.opts.StatementTimeout)
	defer cancel()
	tag, err := db.pool.Exec(ctx, query, args...)
	return tag.RowsAffected(), mapError(err)
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
