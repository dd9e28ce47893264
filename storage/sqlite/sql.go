package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// pool is a set of connections with the statements that were used on them.
// Statements are constants, so their number is bounded.
type pool struct {
	*sql.DB

	mu     sync.Mutex
	stmts  map[string]*sql.Stmt
	wanted []string // to be prepared when the connection is free
}

func openPool(dsn string, size int) (*pool, error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return &pool{DB: db, stmts: map[string]*sql.Stmt{}}, nil
}

func (p *pool) close() error {
	if err := p.Close(); err != nil {
		return fmt.Errorf("close database: %w", err)
	}
	return nil
}

func (p *pool) prepared(query string) *sql.Stmt {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stmts[query]
}

// prepare returns the statement for query; database/sql prepares it again on
// each connection that needs it.
func (p *pool) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if s := p.prepared(query); s != nil {
		return s, nil
	}
	s, err := p.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if other := p.stmts[query]; other != nil {
		s.Close() // lost a race, nobody has used it
		return other, nil
	}
	p.stmts[query] = s
	return s, nil
}

func (p *pool) want(query string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = append(p.wanted, query)
}

// prepareWanted prepares what transactions had to run unprepared. It cannot be
// done inside of one: the transaction holds the only connection.
func (p *pool) prepareWanted(ctx context.Context) error {
	p.mu.Lock()
	wanted := p.wanted
	p.wanted = nil
	p.mu.Unlock()
	for _, query := range wanted {
		if _, err := p.prepare(ctx, query); err != nil {
			return err
		}
	}
	return nil
}

// tx is a transaction. Its statements have no deadline, for each of which the
// driver would start a goroutine: what is bounded in time is the wait for the
// connection.
type tx struct {
	*sql.Tx
	p     *pool
	stmts map[string]*sql.Stmt // those that the transaction has used
}

func (t *tx) stmt(query string) (*sql.Stmt, error) {
	if s := t.stmts[query]; s != nil {
		return s, nil
	}
	s := t.p.prepared(query)
	if s != nil {
		s = t.StmtContext(context.Background(), s)
	} else {
		t.p.want(query)
		var err error
		if s, err = t.PrepareContext(context.Background(), query); err != nil {
			return nil, err
		}
	}
	if t.stmts == nil {
		t.stmts = make(map[string]*sql.Stmt)
	}
	t.stmts[query] = s
	return s, nil
}

func (t *tx) exec(query string, args ...any) (sql.Result, error) {
	s, err := t.stmt(query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(context.Background(), args...)
}

func (t *tx) row(query string, args ...any) scanner {
	s, err := t.stmt(query)
	if err != nil {
		return failed{err}
	}
	return s.QueryRowContext(context.Background(), args...)
}

func (t *tx) query(query string, args ...any) (*sql.Rows, error) {
	s, err := t.stmt(query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(context.Background(), args...)
}

// errUnchanged makes write roll back and return nil.
var errUnchanged = errors.New("nothing to write")

func (db *DB) begin(ctx context.Context) (*tx, error) {
	if err := db.writer.prepareWanted(ctx); err != nil {
		return nil, err
	}
	t, err := db.writer.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	return &tx{Tx: t, p: db.writer}, nil
}

// row is for a query of one row outside of any transaction.
func (db *DB) row(ctx context.Context, query string, args ...any) scanner {
	ctx, cancel := context.WithTimeout(ctx, db.opts.StatementTimeout)
	s, err := db.readers.prepare(ctx, query)
	if err != nil {
		cancel()
		return failed{err}
	}
	return oneRow{s.QueryRowContext(ctx, args...), cancel}
}

type scanner interface{ Scan(dest ...any) error }

type failed struct{ err error }

func (f failed) Scan(...any) error { return f.err }

type oneRow struct {
	*sql.Row
	cancel context.CancelFunc
}

func (r oneRow) Scan(dest ...any) error {
	defer r.cancel()
	return r.Row.Scan(dest...)
}

// each calls scan for each row of a query outside of any transaction.
func (db *DB) each(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) error {
	ctx, cancel := context.WithTimeout(ctx, db.opts.StatementTimeout)
	defer cancel()
	s, err := db.readers.prepare(ctx, query)
	if err != nil {
		return mapError(err)
	}
	rows, err := s.QueryContext(ctx, args...)
	return eachRow(rows, err, scan)
}

func eachRow(rows *sql.Rows, err error, scan func(*sql.Rows) error) error {
	if err != nil {
		return mapError(err)
	}
	defer rows.Close() // rows.Err has it
	for rows.Next() {
		if err := scan(rows); err != nil {
			return mapError(err)
		}
	}
	return mapError(rows.Err())
}

// ownerID is the number of an owner, storage.ErrNotFound without one.
func ownerID(t *tx, owner jid.JID) (id int64, err error) {
	err = t.row("SELECT id FROM owner WHERE jid = ?", owner.Bare().String()).Scan(&id)
	return id, mapError(err)
}

// affected returns storage.ErrNotFound if a statement has changed no row.
func affected(r sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := r.RowsAffected()
	if err == nil && n == 0 {
		return storage.ErrNotFound
	}
	return err
}

// mapError translates what database/sql and SQLite say.
func mapError(err error) error {
	var e *sqlite.Error
	switch {
	case err == nil, errors.Is(err, storage.ErrUnavailable):
		return err
	case errors.Is(err, sql.ErrNoRows):
		return storage.ErrNotFound
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled),
		errors.Is(err, sql.ErrTxDone), errors.Is(err, sql.ErrConnDone),
		err.Error() == "sql: database is closed": // it has no name
		return fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
	case errors.As(err, &e):
		switch e.Code() & 0xff {
		case lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_FULL, lib.SQLITE_IOERR, lib.SQLITE_CANTOPEN,
			lib.SQLITE_INTERRUPT, lib.SQLITE_READONLY, lib.SQLITE_NOMEM, lib.SQLITE_PROTOCOL:
			return fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
		}
	}
	return err
}

func fromMicro(us int64) time.Time { return time.UnixMicro(us).UTC() }
