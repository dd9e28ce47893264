package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/sqlite"
)

var romeo = jid.MustParse("romeo@example.org")

func write(db *sqlite.DB, bodies ...string) *storage.Run {
	r := &storage.Run{}
	for _, body := range bodies {
		r.Writes = append(r.Writes, &storage.Message{Owner: romeo, Flags: storage.Waiting, Peer: romeo, Arrived: time.Now(), XML: []byte(body)})
	}
	db.Join(r)
	return r
}

func openAt(t *testing.T, o sqlite.Options) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// TestStuckDisk: when a commit does not return, nobody waits for longer than
// the deadline, and the store goes on when the disk does.
func TestStuckDisk(t *testing.T) {
	t.Parallel()
	var stuck atomic.Bool
	release := make(chan struct{})
	db := openAt(t, sqlite.Options{Path: filepath.Join(t.TempDir(), "a.db"), CommitTimeout: 200 * time.Millisecond,
		BeforeCommit: func(context.Context) error {
			if stuck.Load() {
				<-release
			}
			return nil
		}})
	if err := db.CreateAccount(t.Context(), romeo, nil); err != nil {
		t.Fatal(err)
	}
	stuck.Store(true)
	first := write(db, "1", "2")
	second := write(db, "3")
	for _, r := range []*storage.Run{first, second, write(db, "4")} {
		r.Wait()
		for _, err := range r.Errs {
			if !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("error is %v", err)
			}
		}
	}
	if _, err := db.Account(t.Context(), romeo); err != nil {
		t.Errorf("reading fails: %v", err)
	}
	stuck.Store(false)
	close(release)
	for {
		r := write(db, "5")
		r.Wait()
		if r.Errs[0] == nil {
			break
		}
	}
}

// TestMemoryPastDeadline: a group that has lost its transaction to the deadline and
// goes on beside other changes leaves nothing behind.
func TestMemoryPastDeadline(t *testing.T) {
	t.Parallel()
	var stuck atomic.Bool
	release := make(chan struct{})
	db := openAt(t, sqlite.Options{Path: filepath.Join(t.TempDir(), "a.db"), CommitTimeout: 500 * time.Millisecond,
		BeforeCommit: func(ctx context.Context) error {
			if stuck.Load() {
				<-release
				<-ctx.Done()
			}
			return nil
		}})
	if err := db.CreateAccount(t.Context(), romeo, nil); err != nil {
		t.Fatal(err)
	}
	sent := func() *storage.Message {
		for {
			r := write(db, "x")
			if r.Wait(); r.Errs[0] == nil {
				return r.Writes[0].(*storage.Message)
			}
		}
	}
	first := sent()
	stuck.Store(true)
	lost := write(db, "lost")
	if lost.Wait(); !errors.Is(lost.Errs[0], storage.ErrUnavailable) {
		t.Fatalf("error is %v", lost.Errs[0])
	}
	stuck.Store(false)
	var all sync.WaitGroup
	all.Go(func() {
		for i := range 20 {
			if err := db.KV("test").Put(t.Context(), romeo, strconv.Itoa(i), nil); err != nil {
				t.Error(err)
			}
		}
	})
	close(release)
	all.Wait()
	if m := sent(); m.Seq != first.Seq+1 {
		t.Errorf("seq is %d behind %d", m.Seq, first.Seq)
	}
}

const killFile = "XMPPD_TEST_KILL_FILE"

// firstH makes the count of the killed stream pass its largest value soon.
const firstH = math.MaxUint32 - 100

// TestKilled: what was acknowledged survives kill -9 at any moment, and the h of
// its stream counts just that.
func TestKilled(t *testing.T) {
	t.Parallel()
	if path := os.Getenv(killFile); path != "" {
		acknowledge(t, path)
		return
	}
	for i := range 3 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "a.db")
			child := exec.Command(os.Args[0], "-test.run=^TestKilled$")
			child.Env = append(os.Environ(), killFile+"="+path)
			child.Stderr = os.Stderr
			out, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			acknowledged := int64(0)
			lines := bufio.NewScanner(out)
			for lines.Scan() {
				n, err := strconv.ParseInt(lines.Text(), 10, 64)
				if err != nil {
					t.Fatalf("child says %q", lines.Text())
				}
				if acknowledged = n; n >= int64(200+100*i) && child.ProcessState == nil {
					child.Process.Kill() // what it has said until then still comes
				}
			}
			if err := child.Wait(); err == nil {
				t.Fatal("child ended by itself")
			}
			db := openAt(t, sqlite.Options{Path: path})
			m, err := db.PendingMessages(t.Context(), romeo, 0, 0, 100000)
			if err != nil {
				t.Fatal(err)
			}
			if int64(len(m)) < acknowledged {
				t.Errorf("%d messages are there, %d were acknowledged", len(m), acknowledged)
			}
			for i, m := range m {
				if m.Seq != int64(i+1) {
					t.Fatalf("message %d has seq %d", i, m.Seq)
				}
			}
			if s, err := db.Stream(t.Context(), "killed"); err != nil || s.H-firstH != uint32(len(m)) {
				t.Errorf("the stream counts %d messages, %v; there are %d", s.H-firstH, err, len(m))
			}
			if n, err := db.CountMessages(t.Context(), romeo); n != len(m) || err != nil {
				t.Errorf("CountMessages = %d, %v; there are %d", n, err, len(m))
			}
		})
	}
}

// acknowledge writes messages for ever and says how many are durable.
func acknowledge(t *testing.T, path string) {
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.CreateAccount(t.Context(), romeo, nil); err != nil {
		t.Fatal(err)
	}
	r := &storage.Run{}
	for n := 0; ; n += 3 {
		for range 3 {
			r.Writes = append(r.Writes, &storage.Message{Owner: romeo, Flags: storage.Waiting, Peer: romeo, Arrived: time.Now(), XML: []byte("counted")})
		}
		r.Writes = append(r.Writes, &storage.Stream{ID: "killed", Owner: romeo, H: firstH + uint32(n+3), Until: time.Now().Add(time.Hour)})
		db.Join(r)
		r.Wait()
		if err := errors.Join(r.Errs...); err != nil {
			t.Fatal(err)
		}
		r.Reset()
		if _, err := fmt.Fprintln(io.Writer(os.Stdout), n+3); err != nil {
			return
		}
	}
}
