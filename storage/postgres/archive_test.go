package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/xmppd/xmppd/internal/pgtest"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/postgres"
	"github.com/xmppd/xmppd/storage/storagetest"
)

// wrong finds counters that do not count what there is, and entries of the search
// that do not agree with their messages.
const wrong = `
	SELECT 'log of ' || jid || format(': %s stored, %s bytes, %s waiting, %s bytes, but ', o.stored, o.stored_bytes, o.waiting, o.waiting_bytes) || m::text
	FROM owner o CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE flags & 1 <> 0) AS stored,
		coalesce(sum(octet_length(xml)) FILTER (WHERE flags & 1 <> 0), 0) AS stored_bytes,
		count(*) FILTER (WHERE flags & 4 <> 0) AS waiting,
		coalesce(sum(octet_length(xml)) FILTER (WHERE flags & 4 <> 0), 0) AS waiting_bytes FROM message WHERE owner = o.id) m
	WHERE (o.stored, o.stored_bytes, o.waiting, o.waiting_bytes) <> (m.stored, m.stored_bytes, m.waiting, m.waiting_bytes)
	UNION ALL
	SELECT 'chat ' || c::text || ', but ' || m::text
	FROM chat c CROSS JOIN LATERAL (SELECT count(*) AS stored, coalesce(max(seq), 0) AS last,
		count(*) FILTER (WHERE flags & 16 <> 0 AND seq > c.read) AS unread, count(*) FILTER (WHERE seq = c.shown) AS shown, count(*) FILTER (WHERE flags & 8 <> 0 AND ref IS NULL) AS shows FROM message WHERE chat = c.id) m
	WHERE (c.stored, c.last, c.unread, sign(c.shown)) <> (m.stored, m.last, m.unread, m.shown) OR m.shows > 0 AND c.shown = 0
	UNION ALL
	SELECT 'message ' || owner || ', ' || seq || ': archived but not in a chat, or the reverse' FROM message WHERE (flags & 1 <> 0) <> (chat IS NOT NULL)
	UNION ALL
	SELECT 'message ' || owner || ', ' || seq || ' has no text ' || text FROM message m WHERE text IS NOT NULL AND NOT EXISTS
		(SELECT 1 FROM (TABLE text UNION ALL SELECT id, owner1, seq1, owner2, seq2 FROM word) t
			WHERE t.id = m.text AND (m.owner, m.seq) IN ((t.owner1, t.seq1), (t.owner2, t.seq2)))
	UNION ALL
	SELECT 'text ' || id || ' has no message ' || owner || ', ' || seq
	FROM (TABLE text UNION ALL SELECT id, owner1, seq1, owner2, seq2 FROM word) t CROSS JOIN LATERAL (VALUES (owner1, seq1), (owner2, seq2)) AS v (owner, seq)
	WHERE (owner <> 0 OR owner1 + owner2 = 0) AND NOT EXISTS (SELECT 1 FROM message m WHERE m.owner = v.owner AND m.seq = v.seq AND m.text = t.id)`

func wantBooks(t *testing.T, url string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), wrong)
	if err != nil {
		t.Fatal(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range found {
		t.Error(s)
	}
}

// TestArchiveOfTwoNodes: two nodes whose clocks differ write, and a reader who pages
// misses nothing.
func TestArchiveOfTwoNodes(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	one, two := openAt(t, postgres.Options{URL: url}), openAt(t, postgres.Options{URL: url})
	create(t, one, romeo, juliet)
	storagetest.ArchiveReader(t, one, two)
	wantBooks(t, url)
}

// TestNobodyWaitsInCircles: groups, confirmations, retention and removals of two
// nodes lock the same rows. None of them ends in a deadlock, of which the store would
// say nothing: it tries again.
func TestNobodyWaitsInCircles(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	owners := make([]jid.JID, 8)
	for i := range owners {
		owners[i] = jid.MustParse(fmt.Sprintf("user%d@example.org", i))
	}
	stores := []*postgres.DB{openAt(t, postgres.Options{URL: url}), openAt(t, postgres.Options{URL: url})}
	create(t, stores[0], owners...)
	var wg sync.WaitGroup
	for i, db := range stores {
		for j, work := range []func(*testing.T, *postgres.DB, *rand.Rand, []jid.JID) error{converse, converse, confirmSome, trimSome, removeSome} {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), uint64(j)))
				for range 60 {
					if err := work(t, db, r, owners); err != nil && !errors.Is(err, storage.ErrNotFound) {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	wantBooks(t, url)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var deadlocks int
	// The servers of the stores report what they have counted when they end.
	for _, db := range stores {
		db.Close()
	}
	if err := conn.QueryRow(t.Context(), "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").Scan(&deadlocks); err != nil || deadlocks != 0 {
		t.Errorf("%d deadlocks, %v", deadlocks, err)
	}
}

// converse sends messages between random owners, with corrections, retractions and
// markers among them.
func converse(_ *testing.T, db *postgres.DB, r *rand.Rand, owners []jid.JID) error {
	var run storage.Run
	for range 1 + r.IntN(20) {
		from, to := owners[r.IntN(len(owners))], owners[r.IntN(len(owners))]
		if from == to {
			continue
		}
		sent := copies(from, to, r.IntN(50))
		for side, m := range sent {
			if m.Flags &^= storage.Unique; side == 1 && r.IntN(4) == 0 {
				m.Flags |= storage.Waiting
			}
			switch id := fmt.Sprintf("b7a3c5f0-1111-4222-8333-%012d", r.IntN(50)); r.IntN(6) {
			case 0:
				m.Replaces = id
			case 1:
				run.Writes = append(run.Writes, &storage.Retraction{Owner: m.Owner, Chat: m.Chat, FromOwner: r.IntN(2) == 0, ID: id, Element: []byte("<gone/>")})
			case 2:
				run.Writes = append(run.Writes, &storage.Read{Owner: m.Owner, Chat: m.Chat, ID: id})
			}
			run.Writes = append(run.Writes, m)
		}
	}
	db.Join(&run)
	run.Wait()
	for _, err := range run.Errs {
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
	}
	return nil
}

func confirmSome(t *testing.T, db *postgres.DB, r *rand.Rand, owners []jid.JID) error {
	var list []storage.Confirmed
	for _, i := range r.Perm(len(owners))[:1+r.IntN(len(owners))] {
		first := r.Int64N(200)
		list = append(list, storage.Confirmed{Owner: owners[i], Ranges: []storage.Range{{First: first, Last: first + r.Int64N(30)}}})
	}
	if err := db.ConfirmMessages(t.Context(), list); err != nil {
		return err
	}
	_, err := db.DeleteMessagesBefore(t.Context(), time.Now().Add(-time.Second), 20)
	return err
}

func trimSome(t *testing.T, db *postgres.DB, r *rand.Rand, owners []jid.JID) error {
	_, _, err := db.TrimArchives(t.Context(), storage.Trim{Bytes: 5000 + r.Int64N(20000)}, 0, 60)
	if err != nil {
		return err
	}
	with := owners[r.IntN(len(owners))]
	if r.IntN(2) == 0 {
		with, _ = with.WithResource("balcony") // what it has sent, not what it got
	}
	_, err = db.RemoveArchive(t.Context(), owners[r.IntN(len(owners))], with, 20)
	if err != nil {
		return err
	}
	_, err = db.IndexTexts(t.Context(), 20, func([]byte) []string { return []string{"word"} })
	return err
}

func removeSome(t *testing.T, db *postgres.DB, r *rand.Rand, owners []jid.JID) error {
	if r.IntN(10) > 0 {
		return nil
	}
	owner := owners[r.IntN(len(owners))]
	if err := db.RemoveAccount(t.Context(), owner); err != nil {
		return err
	}
	return db.CreateAccount(t.Context(), owner, nil)
}

// TestArchiveInDoubt: when the connection is lost while a group is committed, both
// copies of its messages are there once, whatever became of it, and so is what
// depends on them.
func TestArchiveInDoubt(t *testing.T) {
	t.Parallel()
	for name, arm := range map[string]func(*cutter){
		"request lost":  func(c *cutter) { c.request.Store(true) },
		"response lost": func(c *cutter) { c.response.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := pgtest.URL(t)
			c := newCutter(t, server)
			var armed atomic.Bool
			db := openAt(t, postgres.Options{URL: c.url, BeforeCommit: func(context.Context) error {
				if armed.CompareAndSwap(true, false) {
					arm(c)
				}
				return nil
			}})
			create(t, db, romeo, juliet)
			for n := range 3 {
				var r storage.Run
				if n > 0 { // a group with a correction has one round trip more
					armed.Store(true)
				}
				for _, m := range copies(romeo, juliet, n) {
					if n == 2 {
						m.Replaces = fmt.Sprintf("b7a3c5f0-1111-4222-8333-%012d", 1)
					}
					r.Writes = append(r.Writes, m)
				}
				db.Join(&r)
				r.Wait()
				if err := errors.Join(r.Errs...); err != nil {
					t.Error(err)
				}
				for _, w := range r.Writes {
					if m := w.(*storage.Message); m.Seq != int64(n+1) || m.Text.Seqs != [2]int64{m.Seq, m.Seq} {
						t.Errorf("message %d has seq %d, text %+v", n, m.Seq, *m.Text)
					}
				}
			}
			if c.request.Load() || c.response.Load() {
				t.Error("nothing was cut")
			}
			for _, owner := range []jid.JID{romeo, juliet} {
				if n, err := db.CountArchive(t.Context(), storage.ArchiveQuery{Owner: owner}); n != 3 || err != nil {
					t.Errorf("%s has %d rows, %v", owner, n, err)
				}
			}
			wantBooks(t, server)
		})
	}
}

// TestTrimBesideWriters: retention leaves out who is being written to, and does not
// wait.
func TestTrimBesideWriters(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	db := openAt(t, postgres.Options{URL: url})
	create(t, db, romeo, juliet)
	for n := range 3 {
		var r storage.Run
		for _, m := range copies(romeo, juliet, n) {
			r.Writes = append(r.Writes, m)
		}
		db.Join(&r)
		r.Wait()
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	sweep := func(want int) {
		t.Helper()
		if n, next, err := db.TrimArchives(t.Context(), storage.Trim{Bytes: 1}, 0, 100); n != want || next != 0 || err != nil {
			t.Errorf("trimmed %d, then %d, %v; want %d", n, next, err, want)
		}
	}
	for _, lock := range []string{"BEGIN", "SELECT 1 FROM owner WHERE jid = '" + romeo.String() + "' FOR NO KEY UPDATE"} {
		if _, err := conn.Exec(t.Context(), lock); err != nil {
			t.Fatal(err)
		}
	}
	sweep(3) // juliet's
	if _, err := conn.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	sweep(3)
	wantBooks(t, url)
}

// TestRemoveNewest: where the newest rows of a chat go, those before them stand in
// their place.
func TestRemoveNewest(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	db := openAt(t, postgres.Options{URL: url})
	create(t, db, romeo, juliet)
	for n := range 4 {
		from, to := romeo, juliet
		if n >= 2 {
			from, to = juliet, romeo
		}
		var r storage.Run
		for _, m := range copies(from, to, n) {
			r.Writes = append(r.Writes, m)
		}
		db.Join(&r)
		r.Wait()
	}
	balcony, _ := juliet.WithResource("balcony")
	if n, err := db.RemoveArchive(t.Context(), romeo, balcony, 10); n != 2 || err != nil {
		t.Fatalf("removed %d, %v", n, err)
	}
	err := db.Inbox(t.Context(), storage.InboxQuery{Owner: romeo, Limit: 1}, func(e *storage.InboxEntry) error {
		if e.Last.Seq != 2 || e.At.Seq != 2 || e.Unread != 0 {
			t.Errorf("the inbox has %+v", *e)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	wantBooks(t, url)
}
