package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"path/filepath"
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

var (
	romeo  = jid.MustParse("romeo@example.org")
	juliet = jid.MustParse("juliet@example.org")
)

func openAt(t *testing.T, o postgres.Options) *postgres.DB {
	t.Helper()
	if o.CommitTimeout == 0 {
		o.CommitTimeout = storagetest.Patience
	}
	o.MaxConnections = 4
	db, err := postgres.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func create(t *testing.T, db *postgres.DB, accounts ...jid.JID) {
	t.Helper()
	for _, a := range accounts {
		if err := db.CreateAccount(t.Context(), a, nil); err != nil {
			t.Fatal(err)
		}
	}
}

func messages(bodies ...string) *storage.Run {
	r := &storage.Run{}
	for _, body := range bodies {
		r.Writes = append(r.Writes, &storage.Message{Owner: romeo, Flags: storage.Waiting, Peer: juliet, Arrived: time.Now(), XML: []byte(body)})
	}
	return r
}

func write(db *postgres.DB, bodies ...string) *storage.Run {
	r := messages(bodies...)
	db.Join(r)
	return r
}

// writeCounted is write with a stream that has had h messages then.
func writeCounted(db *postgres.DB, h int, bodies ...string) *storage.Run {
	r := messages(bodies...)
	r.Writes = append(r.Writes, &storage.Stream{ID: "stream", Owner: romeo, H: uint32(h), Until: time.Now().Add(time.Hour)})
	db.Join(r)
	return r
}

// wantCounted checks that the stream counts what is stored, at one moment.
func wantCounted(t *testing.T, url string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) // nothing is lost with it
	var h, rows int
	if err := conn.QueryRow(t.Context(), "SELECT h, (SELECT count(*) FROM message) FROM stream").Scan(&h, &rows); err != nil || h != rows {
		t.Errorf("the stream counts %d messages, %v; there are %d", h, err, rows)
	}
}

func wantStored(t *testing.T, db *postgres.DB, want ...string) {
	t.Helper()
	m, err := db.PendingMessages(t.Context(), romeo, 0, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range m {
		got = append(got, string(m[i].XML))
		if m[i].Seq != int64(i+1) {
			t.Errorf("message %d has seq %d", i, m[i].Seq)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("stored %q, want %q", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("stored %q, want %q", got, want)
		}
	}
	if n, err := db.CountMessages(t.Context(), romeo); n != len(want) || err != nil {
		t.Errorf("CountMessages = %d, %v", n, err)
	}
}

// TestTwoNodes: two nodes write for the same accounts at once.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	one, two := openAt(t, postgres.Options{URL: url}), openAt(t, postgres.Options{URL: url})
	owners := []jid.JID{romeo, juliet, jid.MustParse("nurse@example.com")}
	create(t, one, owners...)
	storagetest.GroupOrder(t, owners, one, two)
	storagetest.RosterRace(t, one, two)
	storagetest.SnapshotRace(t, romeo, one, two)
}

// TestNodesStartTogether: they migrate an empty database one after the other.
func TestNodesStartTogether(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	errs := make(chan error)
	for range 3 {
		go func() {
			db, err := postgres.Open(t.Context(), postgres.Options{URL: url, MaxConnections: 2})
			if err == nil {
				err = db.Close()
			}
			errs <- err
		}()
	}
	for range 3 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// cutter stands between a store and the server and can cut the connection.
type cutter struct {
	request  atomic.Bool // before the next bytes of the client reach the server
	response atomic.Bool // before the client hears of a commit
	url      string
}

func newCutter(t *testing.T, server string) *cutter {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(u.Query().Get("host"), ".s.PGSQL.5432")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c := &cutter{url: "postgres://postgres@" + l.Addr().String() + u.Path + "?sslmode=disable"}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", socket)
			if err != nil {
				client.Close()
				continue
			}
			go c.pump(server, client, func([]byte) bool { return c.request.CompareAndSwap(true, false) })
			go c.pump(client, server, func(b []byte) bool {
				return bytes.Contains(b, []byte("COMMIT\x00")) && c.response.CompareAndSwap(true, false)
			})
		}
	}()
	return c
}

func (c *cutter) pump(to, from net.Conn, cut func([]byte) bool) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 1<<16)
	for {
		n, err := from.Read(b)
		if n > 0 && cut(b[:n]) {
			return
		}
		if _, werr := to.Write(b[:n]); werr != nil || err != nil {
			return
		}
	}
}

// TestCommitInDoubt: when the connection is lost during a commit, the rows are
// there once, whatever became of it.
func TestCommitInDoubt(t *testing.T) {
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
			create(t, db, romeo)
			first := writeCounted(db, 1, "1")
			first.Wait()
			armed.Store(true)
			r := writeCounted(db, 3, "2", "3")
			r.Wait()
			if err := errors.Join(append(first.Errs, r.Errs...)...); err != nil {
				t.Error(err)
			}
			if c.request.Load() || c.response.Load() {
				t.Error("nothing was cut")
			}
			for i, w := range r.Writes[:2] {
				if seq := w.(*storage.Message).Seq; seq != int64(i+2) {
					t.Errorf("message %d has seq %d", i+2, seq)
				}
			}
			wantStored(t, db, "1", "2", "3")
			wantCounted(t, server)
		})
	}
}

// TestCutOff: the server goes on holding a transaction whose node it can no
// longer hear; that must not keep the node's rows out.
func TestCutOff(t *testing.T) {
	t.Parallel()
	server := pgtest.URL(t)
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	// A proxy that stops forwarding to the server but keeps that side open.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var mute atomic.Bool
	held := make(chan net.Conn, 100)
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("unix", filepath.Join(u.Query().Get("host"), ".s.PGSQL.5432"))
			if err != nil {
				client.Close()
				return
			}
			held <- upstream
			go func() { io.Copy(client, upstream); client.Close() }()
			go func() {
				b := make([]byte, 1<<16)
				for {
					n, err := client.Read(b)
					if err != nil {
						return
					}
					if mute.CompareAndSwap(true, false) {
						client.Close()
						return
					}
					if _, err := upstream.Write(b[:n]); err != nil {
						return
					}
				}
			}()
		}
	}()
	defer func() {
		for len(held) > 0 {
			(<-held).Close()
		}
	}()
	var armed atomic.Bool
	db := openAt(t, postgres.Options{URL: "postgres://postgres@" + l.Addr().String() + u.Path + "?sslmode=disable", StatementTimeout: storagetest.Patience,
		BeforeCommit: func(context.Context) error {
			if armed.CompareAndSwap(true, false) {
				mute.Store(true)
			}
			return nil
		}})
	create(t, db, romeo)
	armed.Store(true)
	r := writeCounted(db, 2, "1", "2")
	r.Wait()
	if err := errors.Join(r.Errs...); err != nil {
		t.Error(err)
	}
	wantStored(t, db, "1", "2")
	wantCounted(t, server)
}

// TestOutage: while the server is down, callers are told so in time; what joined
// is written when it is back in time; the store needs no help to recover.
func TestOutage(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{})
	url := server.URL(t)
	patient := openAt(t, postgres.Options{URL: url})
	create(t, patient, romeo)
	first := write(patient, "1")
	first.Wait()
	if first.Errs[0] != nil {
		t.Fatal(first.Errs[0])
	}
	hasty := openAt(t, postgres.Options{URL: url, CommitTimeout: 300 * time.Millisecond})

	server.Stop(t)
	late := writeCounted(patient, 3, "2", "3")
	told := write(hasty, "not stored")
	told.Wait()
	_, account := hasty.Account(t.Context(), romeo)
	for _, err := range []error{told.Errs[0], hasty.Ping(t.Context()), account, hasty.SetBan(t.Context(), romeo, nil)} {
		if !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("error is %v", err)
		}
		t.Log(err)
	}
	server.Start(t)
	late.Wait()
	if err := errors.Join(late.Errs...); err != nil {
		t.Error(err)
	}
	wantStored(t, patient, "1", "2", "3")
	wantCounted(t, url)
	if err := hasty.Ping(t.Context()); err != nil {
		t.Errorf("after the outage: %v", err)
	}
}

// TestCrash: what was acknowledged survives a crash of the server at any moment,
// and nothing is written twice.
func TestCrash(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{})
	url := server.URL(t)
	db := openAt(t, postgres.Options{URL: url})
	create(t, db, romeo)
	const crashes = 3
	var want []string
	runs := make(chan *storage.Run, 4)
	stop := make(chan struct{})
	go func() {
		defer close(runs)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				runs <- writeCounted(db, i+1, string(rune('a'+i%26)))
			}
		}
	}()
	next := func() {
		r := <-runs
		r.Wait()
		if err := errors.Join(r.Errs...); err != nil {
			t.Error(err)
		}
		want = append(want, string(r.Writes[0].(*storage.Message).XML))
	}
	for range crashes {
		for range 30 {
			next()
		}
		server.Stop(t)
		server.Start(t)
		wantCounted(t, url)
	}
	close(stop)
	for r := range runs {
		r.Wait()
		want = append(want, string(r.Writes[0].(*storage.Message).XML))
	}
	wantStored(t, db, want...)
	wantCounted(t, url)
}
