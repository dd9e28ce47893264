package sqlite

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
)

const (
	// checkpointPages is about how many pages may be in the log before they are
	// copied into the database file. Most of what is written is written again soon,
	// and copied once.
	checkpointPages = 4000
	// truncatePages is how long the log may get because readers keep it from
	// being used again from its start; then writers wait for a moment.
	truncatePages = 4 * checkpointPages

	pagesPerWrite = 8 // an estimate
)

// checkpointer copies the write-ahead log into the database file, on a
// connection of its own, so that no write group pays for it.
type checkpointer struct {
	dsn    string
	writer *pool
	log    *slog.Logger
	pages  atomic.Int64 // written since the last checkpoint, roughly
	kick   chan struct{}
	stop   context.CancelFunc
	done   chan struct{}

	truncateAt int64 // truncatePages
}

func startCheckpointer(dsn string, writer *pool, log *slog.Logger) *checkpointer {
	ctx, cancel := context.WithCancel(context.Background())
	c := &checkpointer{
		dsn: dsn, writer: writer, log: log,
		kick: make(chan struct{}, 1), stop: cancel, done: make(chan struct{}),
		truncateAt: truncatePages,
	}
	go c.run(ctx)
	return c
}

// wrote counts pages and starts a checkpoint when there are enough.
func (c *checkpointer) wrote(pages int64) {
	if c.pages.Add(pages) < checkpointPages {
		return
	}
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

func (c *checkpointer) close() {
	c.stop()
	<-c.done
}

func (c *checkpointer) run(ctx context.Context) {
	defer close(c.done)
	var p *pool
	defer func() {
		if p != nil {
			p.close() // nothing is lost with it
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.kick:
		}
		c.pages.Store(0)
		var err error
		if p == nil {
			p, err = openPool(c.dsn, 1)
		}
		if err == nil {
			err = c.checkpoint(ctx, p)
		}
		if err != nil && ctx.Err() == nil {
			c.log.Warn("checkpoint of the write-ahead log failed", "err", err)
		}
	}
}

func (c *checkpointer) checkpoint(ctx context.Context, p *pool) error {
	var busy, pages, copied int64
	if err := p.QueryRowContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &pages, &copied); err != nil {
		return fmt.Errorf("copy log: %w", err)
	}
	if pages < c.truncateAt {
		return nil
	}
	// Writing never paused long enough for the log to start again. Holding the
	// writer's connection makes it pause, instead of letting it run into a lock.
	conn, err := c.writer.Conn(ctx)
	if err != nil {
		return fmt.Errorf("pause writer: %w", err)
	}
	defer conn.Close() // it goes back to the pool
	if err := p.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &copied); err != nil {
		return fmt.Errorf("empty log: %w", err)
	}
	return nil
}
