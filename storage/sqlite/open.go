// Package sqlite keeps everything in one SQLite database file: the embedded
// store, for one node.
//
// All writes go through one connection, so that none ever finds the database
// locked; readers have a small pool of their own and, with a write-ahead log,
// never wait for the writer. docs/adr/0001-sqlite-driver.md has the reasons.
package sqlite

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/xmppd/xmppd/storage"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	// busyTimeout matters only if another process writes to the file as well.
	busyTimeout = time.Second
	// Page caches of one connection, in KiB when negative. The
	// system has the pages too, and what a server touches most is small.
	readerCache = "cache_size(-256)"
	writerCache = "cache_size(-16384)"
	// checkpointTimeout is how long readers may make writers wait while the log
	// is emptied.
	checkpointTimeout = 100 * time.Millisecond
)

// Options of Open.
type Options struct {
	// Path is the database file. It is made if it does not exist, with mode
	// 0600, and its folder with mode 0700.
	Path string
	// Durability is "full" (the default): a committed row survives a power loss,
	// or "normal": it survives the end of the process.
	Durability       string
	CommitTimeout    time.Duration // of a write group; 0: 5 s
	StatementTimeout time.Duration // of any other operation; 0: 10 s
	Readers          int           // connections for reading; 0: 4
	Log              *slog.Logger  // nil: discard

	// BeforeCommit is for tests: it is called before each commit of a write
	// group, which fails with its error.
	BeforeCommit func(context.Context) error
}

// DB is the store. Its methods may be called concurrently. Errors wrap
// storage.ErrUnavailable if a later attempt may succeed.
type DB struct {
	opts       Options
	writer     *pool // one connection
	readers    *pool
	checkpoint *checkpointer
	group      *storage.Queue
	changes    changes
	memory     memory
}

// Open opens the database file, brings its schema up to date and starts the
// writer of the write group. It refuses a file with a newer schema.
func Open(ctx context.Context, o Options) (*DB, error) {
	db, err := open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", o.Path, err)
	}
	return db, nil
}

func open(ctx context.Context, o Options) (*DB, error) {
	if o.CommitTimeout <= 0 {
		o.CommitTimeout = 5 * time.Second
	}
	if o.StatementTimeout <= 0 {
		o.StatementTimeout = 10 * time.Second
	}
	if o.Readers <= 0 {
		o.Readers = 4
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	synchronous := "FULL"
	switch o.Durability {
	case "", "full":
	case "normal":
		synchronous = "NORMAL"
	default:
		return nil, fmt.Errorf("durability %q is neither full nor normal", o.Durability)
	}
	if err := createFile(o.Path); err != nil {
		return nil, err
	}

	db := &DB{opts: o}
	// The mode is kept in the file, so only the writer sets it.
	writer := dsn(o.Path, busyTimeout, "_txlock=immediate", "journal_mode(WAL)", "synchronous("+synchronous+")", "wal_autocheckpoint(0)", "secure_delete(1)", writerCache)
	var err error
	if db.writer, err = openPool(writer, 1); err != nil {
		return nil, err
	}
	if err := migrate(ctx, db.writer, o.Log); err != nil {
		db.writer.close()
		return nil, mapError(err)
	}
	if db.readers, err = openPool(dsn(o.Path, busyTimeout, "", "query_only(1)", readerCache), o.Readers); err != nil {
		db.writer.close()
		return nil, err
	}
	db.checkpoint = startCheckpointer(dsn(o.Path, checkpointTimeout, "", "synchronous("+synchronous+")"), db.writer, o.Log)
	db.group = storage.NewQueue(o.CommitTimeout, db.writeGroup)
	return db, nil
}

// Close writes the groups that wait, refuses later ones, and closes the file.
func (db *DB) Close() error {
	db.group.Close()
	db.checkpoint.close()
	err := db.readers.close()
	// The last connection empties the log into the database file.
	return errors.Join(err, db.writer.close())
}

// createFile makes the file before the driver does, for its mode: the files
// beside it get the same one.
func createFile(path string) error {
	if path == "" {
		return errors.New("no path")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	// An existing file is not opened here: closing it again would drop the locks
	// that SQLite may hold on it in this process.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return err
	}
	return f.Close()
}

func dsn(path string, busy time.Duration, option string, pragmas ...string) string {
	q := url.Values{"_pragma": {fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()),
		"foreign_keys(1)", "temp_store(MEMORY)", "trusted_schema(0)"}}
	q["_pragma"] = append(q["_pragma"], pragmas...)
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}
	if option != "" {
		u.RawQuery += "&" + option
	}
	return u.String()
}

func migrate(ctx context.Context, p *pool, log *slog.Logger) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, p.DB, files,
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
		log.Info("database schema migrated", "from", current, "to", known)
	}
	return nil
}

// Ping returns nil when the database answers a query.
func (db *DB) Ping(ctx context.Context) error {
	var n int64
	if err := db.row(ctx, "SELECT max(version_id) FROM goose_db_version").Scan(&n); err != nil {
		return fmt.Errorf("ping database: %w", mapError(err))
	}
	return nil
}
