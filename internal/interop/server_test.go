package interop

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is for a machine that is busy with other tests; nothing waits as
// long as this unless something is broken.
const patience = 3 * time.Minute

// program is the path of the server, built once. Its race detector is on when
// that of the tests is.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "xmppd-interop-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "xmppd")
	args := []string{"build", "-o", path}
	if race {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "../../cmd/xmppd")...).CombinedOutput()
	if err != nil {
		return "", errors.Join(fmt.Errorf("build the server: %w: %s", err, out), os.RemoveAll(dir))
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := program(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// server is a running xmppd with a configuration, a data folder and ports of
// its own.
type server struct {
	dir   string
	cmd   *exec.Cmd
	addr  map[string]string // by key below listen; other ones after every start
	first []string          // the line that creates the first account
	log   *buffer
	ended chan struct{} // closed when the process has ended
	err   error         // how it ended, once it has
}

// serve starts a server and ends it with the test, which fails if the server
// does not exit with 0, as it does when the race detector found something. Its own
// deadlines are as patient as the test. more is added to the configuration.
func serve(t *testing.T, database string, more ...string) *server {
	t.Helper()
	// Not the folder of the test: the path of a socket must be short.
	dir, err := os.MkdirTemp("", "xmppd-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	config := fmt.Sprintf(`domains: [localhost]
data_dir: %s
database: %q
shutdown_timeout: 3m
auth: {scram_iterations: 4096}
database_options: {commit_timeout: 3m, statement_timeout: 3m}
streams: {ack_timeout: 3m}
limits: {login_timeout: 3m, write_stall: 3m, offline_messages: 10000}
listen:
  c2s: ["127.0.0.1:0"]
  c2s_tls: ["127.0.0.1:0"]
  http: ["127.0.0.1:0"]
  https: ["127.0.0.1:0"]
  admin: []
`, dir, database) + strings.Join(more, "\n")
	if err := os.WriteFile(filepath.Join(dir, "xmppd.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &server{dir: dir, log: new(buffer)}
	t.Cleanup(func() {
		if s.cmd != nil {
			s.stop(t)
		}
		if t.Failed() {
			t.Logf("log of the server:\n%s", s.log)
		}
	})
	s.start(t)
	return s
}

// start runs the program on the data that is there and returns when it takes
// connections. The ports are others each time: those of before may be taken.
func (s *server) start(t *testing.T) {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "serve", "--config", filepath.Join(s.dir, "xmppd.yml"))
	cmd.Stderr = s.log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.cmd, s.addr, s.ended = cmd, make(map[string]string), make(chan struct{})
	ready, ended := make(chan struct{}), s.ended
	go func() {
		s.greeting(out, ready)
		s.err = cmd.Wait()
		close(ended)
	}()
	select {
	case <-ready:
	case <-s.ended:
		t.Fatalf("the server ended at once: %v", s.err)
	case <-time.After(patience):
		t.Fatal("the server does not say where it listens")
	}
}

// greeting reads what the server tells the person who started it, up to its
// last line; then it only reads.
func (s *server) greeting(out io.Reader, ready chan<- struct{}) {
	const certificate, first = "Set tls.cert_file", "register NAME localhost PASSWORD"
	last := certificate
	if s.first == nil {
		last = first
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) >= 2 {
			if addr, ok := strings.CutSuffix(words[1], ":"); ok {
				s.addr[words[0]] = addr
			}
		}
		if strings.HasSuffix(lines.Text(), first) {
			s.first = words
		}
		if ready != nil && strings.Contains(lines.Text(), last) {
			close(ready)
			ready = nil
		}
	}
}

// register makes an account with the line that the server printed.
func (s *server) register(t *testing.T, name string) {
	t.Helper()
	line := strings.NewReplacer("NAME", name, "PASSWORD", password).Replace(strings.Join(s.first, "\n"))
	words := strings.Split(line, "\n")
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(words, " "), err, out)
	}
}

// stop asks the server to end and waits until it has.
func (s *server) stop(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	select {
	case <-s.ended:
	case <-time.After(patience):
		t.Error("the server does not stop")
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
	if s.err != nil {
		t.Errorf("the server ended with: %v", s.err)
	}
}

// crash kills the server as kill -9 does.
func (s *server) crash(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	<-s.ended
}

// certificate is the file that clients are to trust.
func (s *server) certificate() string { return filepath.Join(s.dir, "self-signed.pem") }

// port is where the server listens; 0 if it does not.
func (s *server) port(key string) int {
	_, port, _ := net.SplitHostPort(s.addr[key])
	n, _ := strconv.Atoi(port)
	return n
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func deadline() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}
