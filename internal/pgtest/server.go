package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	role     = "postgres"
	patience = time.Minute // for a machine that is busy with other tests
)

// instance is a database cluster and, between launch and stop, its server.
type instance struct {
	dir     string // holds the cluster, the socket and the log
	bin     string
	durable bool
	owner   *syscall.Credential // nil: ourselves

	mu sync.Mutex // of admin

	run    sync.Mutex
	keeper *exec.Cmd
	leash  io.WriteCloser
}

func newInstance(durable bool) (*instance, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	owner, err := unprivileged()
	if err != nil {
		return nil, err
	}
	// Not in the folder of the test, which the server's user could not enter. The
	// name is short because a socket's path must be.
	dir, err := os.MkdirTemp("", "xmppd-pg-")
	if err != nil {
		return nil, err
	}
	s := &instance{dir: dir, bin: bin, durable: durable, owner: owner}
	if owner != nil {
		if err := os.Chown(dir, int(owner.Uid), int(owner.Gid)); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	initdb := exec.Command(filepath.Join(bin, "initdb"), "--pgdata", s.data(), "--username", role,
		"--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions")
	initdb.Dir = dir
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("initdb: %w: %s", err, out), os.RemoveAll(dir))
	}
	return s, nil
}

func (s *instance) data() string   { return filepath.Join(s.dir, "data") }
func (s *instance) socket() string { return filepath.Join(s.dir, ".s.PGSQL.5432") }

// programs finds the folder of the newest server.
func programs() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	if len(found) > 0 {
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", fmt.Errorf("find the programs of PostgreSQL: %w", err)
	}
	return filepath.Dir(path), nil
}

// unprivileged is the user to run as instead of root, whom PostgreSQL refuses.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("run as an ordinary user: there is no user postgres and none named nobody")
}

// keep runs the server for as long as its standard input is open, which is as
// long as the process of the tests exists, however that ends. Then it removes
// the folder, unless it was told to keep it.
const keep = `
"$1/postgres" -D "$2/data" -k "$2" -h '' -p 5432 $3 >>"$2/log" 2>&1 &
server=$!
read -r word
kill -QUIT $server
wait $server
[ "$word" = keep ] || rm -rf "$2"
`

// launch starts the server and waits until it answers.
func (s *instance) launch() error {
	s.run.Lock()
	defer s.run.Unlock()
	settings := "-c max_connections=500 -c shared_buffers=32MB -c autovacuum=off -c timezone=UTC"
	if !s.durable {
		settings += " -c fsync=off -c full_page_writes=off"
	}
	keeper := exec.Command("/bin/sh", "-c", keep, "pgtest", s.bin, s.dir, settings)
	keeper.Dir = s.dir
	// A group of its own: an interrupt of the tests must not end it before it has
	// cleaned up.
	keeper.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner, Setpgid: true}
	leash, err := keeper.StdinPipe()
	if err != nil {
		return err
	}
	if err := keeper.Start(); err != nil {
		return err
	}
	s.keeper, s.leash = keeper, leash
	if err := s.await(); err != nil {
		log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		return errors.Join(fmt.Errorf("%w; its log: %s", err, log), s.end("keep"))
	}
	return nil
}

// await returns when the server takes connections.
func (s *instance) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.url("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no answer: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop ends the server and keeps its data.
func (s *instance) stop() error {
	s.run.Lock()
	defer s.run.Unlock()
	return s.end("keep")
}

// remove ends the server and deletes everything.
func (s *instance) remove() {
	s.run.Lock()
	defer s.run.Unlock()
	_ = s.end("")
	_ = os.RemoveAll(s.dir)
}

func (s *instance) running() bool {
	s.run.Lock()
	defer s.run.Unlock()
	return s.keeper != nil
}

// end says the last word to the keeper and waits for it.
func (s *instance) end(word string) error {
	if s.keeper == nil {
		return nil
	}
	_, err := io.WriteString(s.leash, word+"\n")
	err = errors.Join(err, s.leash.Close(), s.keeper.Wait())
	s.keeper, s.leash = nil, nil
	return err
}
