// Package postgres keeps everything in a PostgreSQL database (14 or later),
// which any number of nodes may share.
package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/xmppd/xmppd/storage"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	oldestServer = 140000
	// migrateLock is the advisory lock under which one node migrates the schema.
	migrateLock = 0x786d707064 // "xmppd"
)

// Options of Open.
type Options struct {
	// URL is a postgres:// URL; its parameters are libpq's.
	URL string
	// MaxConnections bounds the connections of this node, one of which only the
	// write group uses; 0: 16, at least 2.
	MaxConnections int
	// Durability is "full" (the default): commits are as the server is set up to
	// make them, or "normal": they do not wait for its disk, so that a crash of
	// the server can lose the latest.
	Durability       string
	CommitTimeout    time.Duration // of a write group; 0: 5 s
	StatementTimeout time.Duration // of any other operation; 0: 10 s
	Log              *slog.Logger  // nil: discard

	// BeforeCommit is for tests: it is called before the rows of each write group
	// are sent, and the group fails with its error.
	BeforeCommit func(context.Context) error
}

// DB is the store. Its methods may be called concurrently. Errors wrap
// storage.ErrUnavailable if a later attempt may succeed; a change whose commit
// was cut off has that error too and may have been made, except for the rows of
// a write group, where the store finds out.
type DB struct {
	opts   Options
	pool   *pgxpool.Pool
	writer *pgxpool.Pool // one connection, so that groups do not queue behind readers
	group  *storage.Queue
	index  indexing
}

// writerPlans are settings of the connection of the write group. All that it does is
// to look up some rows by an index: planned once, and never in another way, however
// small the tables are. With the groups of a quiet server that saves a third of the
// time.
var writerPlans = map[string]string{
	"plan_cache_mode":   "force_generic_plan",
	"enable_seqscan":    "off",
	"enable_bitmapscan": "off",
	"enable_hashjoin":   "off",
	"enable_mergejoin":  "off",
}

// Open connects, brings the schema up to date and starts the writer of the
// write group. It refuses a database with a newer schema.
func Open(ctx context.Context, o Options) (*DB, error) {
	db, err := open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("open PostgreSQL database: %w", describe(mapError(err)))
	}
	return db, nil
}

func open(ctx context.Context, o Options) (_ *DB, err error) {
	if o.CommitTimeout <= 0 {
		o.CommitTimeout = 5 * time.Second
	}
	if o.StatementTimeout <= 0 {
		o.StatementTimeout = 10 * time.Second
	}
	if o.MaxConnections <= 0 {
		o.MaxConnections = 16
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	cfg, err := o.poolConfig()
	if err != nil {
		return nil, err
	}
	db := &DB{opts: o}
	if db.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			db.pool.Close()
		}
	}()
	if err := db.checkServer(ctx); err != nil {
		return nil, err
	}
	if err := db.migrate(ctx); err != nil {
		return nil, err
	}
	writer := cfg.Copy()
	writer.MaxConns = 1
	for name, value := range writerPlans {
		writer.ConnConfig.RuntimeParams[name] = value
	}
	if db.writer, err = pgxpool.NewWithConfig(ctx, writer); err != nil {
		return nil, err
	}
	db.group = storage.NewQueue(o.CommitTimeout, db.writeGroup)
	return db, nil
}

func (o *Options) poolConfig() (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(o.URL)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = int32(max(o.MaxConnections-1, 1))
	set := func(name, value string) {
		if cfg.ConnConfig.RuntimeParams[name] == "" {
			cfg.ConnConfig.RuntimeParams[name] = value
		}
	}
	set("application_name", "xmppd")
	set("statement_timeout", strconv.FormatInt(o.StatementTimeout.Milliseconds(), 10))
	// A node that is cut off must not hold its locks for long.
	set("idle_in_transaction_session_timeout", strconv.FormatInt(o.StatementTimeout.Milliseconds(), 10))
	switch o.Durability {
	case "", "full":
	case "normal":
		set("synchronous_commit", "off")
	default:
		return nil, fmt.Errorf("durability %q is neither full nor normal", o.Durability)
	}
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = o.StatementTimeout
	}
	return cfg, nil
}

func (db *DB) checkServer(ctx context.Context) error {
	var version int
	var encoding string
	err := db.pool.QueryRow(ctx, "SELECT current_setting('server_version_num')::integer, current_setting('server_encoding')").Scan(&version, &encoding)
	switch {
	case err != nil:
		return err
	case version < oldestServer:
		return fmt.Errorf("the server has version %d, PostgreSQL %d or later is needed", version/10000, oldestServer/10000)
	case encoding != "UTF8":
		return fmt.Errorf("the database is encoded as %s, UTF8 is needed", encoding)
	}
	return nil
}

// migrate brings the schema up to date; of several nodes that start at once,
// one after the other.
func (db *DB) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(migrateLock)); err != nil {
		return fmt.Errorf("lock schema: %w", err)
	}
	defer conn.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", int64(migrateLock)) // a lost connection has unlocked as well

	// Changing a large table may take longer than a statement is allowed to.
	cfg := db.pool.Config().ConnConfig
	cfg.RuntimeParams["statement_timeout"] = "0"
	std := stdlib.OpenDB(*cfg)
	defer std.Close() // nothing is lost with it
	provider, err := goose.NewProvider(goose.DialectPostgres, std, files,
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	current, known, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > known {
		return fmt.Errorf("its schema has version %d and this program knows %d: a newer xmppd has written it", current, known)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate schema: %w", err)
	}
	if current < known {
		db.opts.Log.Info("database schema migrated", "from", current, "to", known)
	}
	return nil
}

// Close writes the groups that wait, refuses later ones, and disconnects.
func (db *DB) Close() error {
	db.group.Close()
	db.writer.Close()
	db.pool.Close()
	return nil
}

// Ping returns nil when the database answers a query.
func (db *DB) Ping(ctx context.Context) error {
	var n int64
	if err := db.row(ctx, "SELECT max(version_id) FROM goose_db_version").Scan(&n); err != nil {
		return fmt.Errorf("ping database: %w", describe(err))
	}
	return nil
}

// describe shows an error as one line. Where pgx lists every address that it has
// tried, it keeps the last reason.
func describe(err error) error {
	d := described{err, strings.Join(strings.Fields(err.Error()), " ")}
	var connect *pgconn.ConnectError
	var refused *pgconn.PgError
	var network *net.OpError
	if !errors.As(err, &connect) {
		return d
	}
	to := fmt.Sprintf("connect to %s, port %d, database %q, as user %q", connect.Config.Host, connect.Config.Port, connect.Config.Database, connect.Config.User)
	switch {
	case errors.As(err, &refused):
		d.text = fmt.Sprintf("%s: %s (SQLSTATE %s)", to, refused.Message, refused.Code)
	case errors.As(err, &network):
		d.text = fmt.Sprintf("%s: %v", to, network.Err)
	}
	return d
}

type described struct {
	error
	text string
}

func (d described) Error() string { return d.text }
func (d described) Unwrap() error { return d.error }
