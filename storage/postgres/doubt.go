package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// doubtPause is how long to wait before asking again about a commit in doubt.
const doubtPause = 50 * time.Millisecond

// committed finds out what became of a transaction whose connection was lost
// while it was being committed. When it gives up, all runs of the group are past
// their deadline, so that nobody writes them again.
func (db *DB) committed(ctx context.Context, xid string) (bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), db.opts.CommitTimeout)
	defer cancel()
	for {
		var status *string
		err := db.pool.QueryRow(ctx, "SELECT pg_xact_status($1::text::xid8)", xid).Scan(&status)
		var answer *pgconn.PgError
		switch {
		case err == nil && status != nil && *status == "committed":
			return true, nil
		case err == nil && status != nil && *status == "in progress":
			// The server has not noticed. If the commit has not begun, it never will.
			_, _ = db.pool.Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_xid = $1::text::xid8::xid", xid)
		case err == nil:
			return false, nil
		case errors.As(err, &answer) && answer.Code == "22023":
			// It is in the future: this server, a standby that took over, never had it.
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("ask for transaction: %w", ctx.Err())
		case <-time.After(doubtPause):
		}
	}
}
