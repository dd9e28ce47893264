package sqlite

import (
	"context"
	"fmt"
	"time"
)

const (
	// Deleting takes a text out of the index of words by a tombstone; its words stay in
	// the file until the index has been written anew. Two keys of meta tell of that,
	// after a restart too: when that is to begin, in Unix seconds, and that it has begun
	// for what had been deleted by then. The first one is there as long as indexedKey.
	deletedKey = "search.deleted"
	erasingKey = "search.erasing"
	never      = "9223372036854775807"

	eraseFrom = "UPDATE meta SET value = CAST(?1 AS BLOB) WHERE key = '" + deletedKey + "' AND CAST(value AS INTEGER) > ?1"
	hasten    = eraseFrom + " AND CAST(value AS INTEGER) < " + never
	toErase   = "SELECT EXISTS (SELECT 1 FROM meta WHERE key = '" + erasingKey + "' OR key = '" + deletedKey + "' AND CAST(value AS INTEGER) <= ?)"
	isErasing = "SELECT EXISTS (SELECT 1 FROM meta WHERE key = '" + erasingKey + "')"
	// What is deleted from now on has to be erased another time.
	nowErasing = "INSERT INTO meta (key, value) VALUES ('" + erasingKey + "', x''), ('" + deletedKey + "', CAST(" + never + ` AS BLOB))
		ON CONFLICT (key) DO UPDATE SET value = excluded.value`
	erased = "DELETE FROM meta WHERE key = '" + erasingKey + "'"

	// The whole index is written, however little has been deleted: half a second of CPU
	// time for 100,000 messages. So what is deleted within a day shares it.
	eraseDelay = 24 * time.Hour
	// Who has an archive removed wants it gone, but that takes many transactions.
	removedDelay = time.Minute

	// erasePages of the index are written in a transaction, which takes a few
	// milliseconds.
	erasePages = 8
)

// EraseTexts has the words of deleted texts leave the file, if any are due at now. It
// writes a small part of the index and reports whether there is more to do; until
// there is not, IndexTexts does nothing. Searching goes on.
func (db *DB) EraseTexts(ctx context.Context, now time.Time) (more bool, err error) {
	var due bool
	if err := db.row(ctx, toErase, now.Unix()).Scan(&due); err != nil || !due {
		return false, wrapErase(mapError(err))
	}
	written := int64(0)
	err = db.change(ctx, func(t *tx) (err error) {
		written, more, err = t.eraseTexts()
		return err
	}, (*memory).forgetNothing)
	if err != nil {
		return false, wrapErase(err)
	}
	db.checkpoint.wrote(written)
	if !more {
		err = db.emptyLog(ctx)
	}
	return more, wrapErase(mapError(err))
}

func wrapErase(err error) error {
	if err != nil {
		return fmt.Errorf("erase deleted texts: %w", err)
	}
	return nil
}

// eraseTexts takes one step of merging the whole index into one segment. It depends
// on IndexTexts not adding others meanwhile: FTS5 might leave the merge for them.
func (t *tx) eraseTexts() (written int64, more bool, err error) {
	erasing, err := t.erasing()
	if err != nil {
		return 0, false, err
	}
	written, more, err = t.mergeWords(erasePages)
	switch {
	case err != nil || more:
		return written, true, err
	case erasing:
		if _, err := t.exec(erased); err != nil {
			return 0, false, err
		}
		return written, false, t.autoMerge(4) // the default
	}
	// No merge is under way any more that has passed words deleted since. A negative
	// number begins one of all segments.
	written, _, err = t.mergeWords(-erasePages)
	if err != nil {
		return 0, false, err
	}
	if _, err := t.exec(nowErasing); err != nil {
		return 0, false, err
	}
	return written, true, t.autoMerge(0)
}

// mergeWords has FTS5 write about so many pages of merged segments, and reports
// whether there was something to merge, by the criterion of
// https://sqlite.org/fts5.html#the_merge_command. It ends a page only between two
// words, and deleted entries on the way do not count.
func (t *tx) mergeWords(pages int) (written int64, merged bool, err error) {
	var before, after int64
	if err := t.row("SELECT total_changes()").Scan(&before); err != nil {
		return 0, false, err
	}
	if _, err := t.exec("INSERT INTO word (word, rank) VALUES ('merge', ?)", pages); err != nil {
		return 0, false, err
	}
	if err := t.row("SELECT total_changes()").Scan(&after); err != nil {
		return 0, false, err
	}
	return after - before, after-before >= 2, nil
}

// autoMerge sets at how many segments FTS5 merges them of its own accord; 0: never.
// It takes deletions for a reason to go on with a merge, by far more than a step.
func (t *tx) autoMerge(segments int) error {
	_, err := t.exec("INSERT INTO word (word, rank) VALUES ('automerge', ?)", segments)
	return err
}

func (t *tx) erasing() (yes bool, err error) {
	return yes, t.row(isErasing).Scan(&yes)
}

// emptyLog has the write-ahead log copied into the file and cut off: the words may be
// there too. If readers are in the way, it is overwritten later.
func (db *DB) emptyLog(ctx context.Context) error {
	p, err := openPool(db.checkpoint.dsn, 1)
	if err != nil {
		return err
	}
	defer p.close()                      // nothing is lost with it
	c := checkpointer{writer: db.writer} // truncates a log of any length
	return c.checkpoint(ctx, p)
}
