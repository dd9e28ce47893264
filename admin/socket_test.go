package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/admin"
	"github.com/xmppd/xmppd/command"
)

// socketDir is short, unlike t.TempDir in a test with a long name: a socket's
// path has about a hundred bytes.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "xmppd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// serveWorld serves the commands until the test ends or stop is called, which
// waits for the end.
func serveWorld(t *testing.T, w *world, log *slog.Logger, more ...command.Command) (path string, stop func()) {
	t.Helper()
	path = filepath.Join(socketDir(t), "s")
	ln, err := admin.ListenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	set := new(command.Set)
	set.Add(admin.Commands(w.deps(), set)...)
	set.Add(more...)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- admin.ServeCommands(ctx, ln, set, log) }()
	stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		done <- nil
	}
	t.Cleanup(stop)
	return path, stop
}

func TestSocketRunsCommands(t *testing.T) {
	t.Parallel()
	w := newWorld()
	var log bytes.Buffer
	broken := command.Command{Name: "broken", Tags: []string{"test"}, Short: "Panics", Result: command.Code(),
		Run: func(context.Context, command.Args) (any, error) { panic("oh") }}
	path, stop := serveWorld(t, w, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), broken)
	c := admin.Dial(path)

	set, err := c.Commands(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := set.Lookup("connected_users_info"); !ok || len(set.All()) < 30 {
		t.Errorf("%d commands", len(set.All()))
	}
	for _, test := range []struct {
		name, args string
		want       string // JSON, or the error
		code       int
	}{
		{"register", `{"user":"tybalt","host":"example.org","password":"hunter2"}`, `"User tybalt@example.org successfully registered"`, 0},
		{"register", `{"user":"tybalt","host":"example.org","password":"hunter2"}`, `conflict: User tybalt@example.org already registered`, 1},
		{"registered_users", `{"host":"example.org"}`, `["juliet","romeo","tybalt"]`, 0},
		{"check_account", `{"user":"nobody","host":"example.org"}`, `1`, 0},
		{"get_presence", `{"user":"juliet","host":"example.org"}`, `{"jid":"juliet@example.org/phone","show":"away","status":"out\nfor lunch"}`, 0},
		{"get_ban_details", `{"user":"nurse","host":"example.net"}`, `{"reason":"talks too\tmuch","bandate":"2026-04-22T10:30:00Z"}`, 0},
		{"registered_users", `{}`, `the command registered_users lacks its argument host`, 2},
		{"registered_users", `{`, `read the arguments of registered_users: unexpected EOF`, 2},
		{"nothing", `{}`, `command "nothing" not known`, 2},
		{"broken", `{}`, `run broken: panic: oh`, 1},
	} {
		got, err := c.Call(t.Context(), test.name, json.RawMessage(test.args), nil)
		text := strings.TrimSpace(string(got))
		if err != nil {
			text, _, _ = strings.Cut(err.Error(), "\n")
		}
		if text != test.want || command.ExitCode(err) != test.code {
			t.Errorf("%s %s: %s (exit %d), want %s", test.name, test.args, text, command.ExitCode(err), test.want)
		}
	}
	big := `{"host":"` + strings.Repeat("x", 5<<20) + `"}`
	if _, err := c.Call(t.Context(), "registered_users", json.RawMessage(big), nil); command.ExitCode(err) != command.ExitUsage {
		t.Errorf("5 MiB of arguments: %v", err)
	}

	stop()
	if strings.Contains(log.String(), "hunter2") {
		t.Errorf("a password in the log:\n%s", log.String())
	}
	if !strings.Contains(log.String(), "command=register") {
		t.Errorf("commands are not logged:\n%s", log.String())
	}
	if _, err := c.Commands(t.Context()); !errors.Is(err, admin.ErrNotRunning) {
		t.Errorf("after the end: %v", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
	if err := c.WaitGone(t.Context()); err != nil {
		t.Errorf("wait for the end of nothing: %v", err)
	}
}

// The caller of "stop" gets its answer although the server is on its way out,
// and its wait ends with the server, not before.
func TestSocketStop(t *testing.T) {
	t.Parallel()
	w := newWorld()
	path, stop := serveWorld(t, w, slog.New(slog.DiscardHandler))
	c := admin.Dial(path)
	if got, err := c.Call(t.Context(), "stop", json.RawMessage(`{}`), nil); err != nil || strings.TrimSpace(string(got)) != "0" {
		t.Fatalf("stop: %s, %v", got, err)
	}
	<-w.stopped
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.WaitGone(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("the wait ended before the server: %v", err)
	}
	gone := make(chan error, 1)
	go func() { gone <- c.WaitGone(t.Context()) }()
	stop()
	if err := <-gone; err != nil {
		t.Errorf("wait: %v", err)
	}
}

// A running call may end after the stop has begun.
func TestSocketLetsCallsEnd(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	slow := command.Command{Name: "slow", Tags: []string{"test"}, Short: "Waits", Result: command.Message(),
		Run: func(ctx context.Context, _ command.Args) (any, error) {
			close(entered)
			<-leave
			return "done", ctx.Err()
		}}
	path, stop := serveWorld(t, newWorld(), slog.New(slog.DiscardHandler), slow)
	answer := make(chan string, 1)
	go func() {
		got, err := admin.Dial(path).Call(t.Context(), "slow", json.RawMessage(`{}`), nil)
		if err != nil {
			got = []byte(err.Error())
		}
		answer <- strings.TrimSpace(string(got))
	}()
	<-entered
	go func() {
		// Nobody can connect any more: the stop has begun.
		_ = admin.Dial(path).WaitGone(t.Context())
		close(leave)
	}()
	stop()
	if got := <-answer; got != `"done"` {
		t.Errorf("the running call got %s", got)
	}
}

func TestListenSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(socketDir(t), "s")
	first, err := admin.ListenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := admin.ListenSocket(path); !errors.Is(err, admin.ErrInUse) {
		t.Errorf("beside a living server: %v", err)
	}
	// A server that was killed leaves its file. An answer is only an accepted
	// connection, so the first listener stands for a living server until closed.
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path + ".dead", Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	second, err := admin.ListenSocket(path + ".dead")
	if err != nil {
		t.Fatalf("in place of a dead server: %v", err)
	}
	defer second.Close()

	// The file of a successor is not removed.
	if err := os.Rename(path+".dead", path); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the successor's socket is gone: %v", err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("left in the folder: %v", entries)
	}

	for name, prepare := range map[string]func(path string) error{
		"a file":    func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"no folder": func(path string) error { return os.Remove(filepath.Dir(path)) },
	} {
		path := filepath.Join(socketDir(t), "s")
		if err := prepare(path); err != nil {
			t.Fatal(err)
		}
		if _, err := admin.ListenSocket(path); err == nil || errors.Is(err, admin.ErrInUse) {
			t.Errorf("%s: %v", name, err)
		}
	}
	long := filepath.Join(socketDir(t), strings.Repeat("x", 100))
	if _, err := admin.ListenSocket(long); err == nil || !strings.Contains(err.Error(), "data_dir") {
		t.Errorf("long path: %v", err)
	}
}

func TestNotRunning(t *testing.T) {
	t.Parallel()
	dir := socketDir(t)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "nothing"), filepath.Join(dir, "no", "folder"), file} {
		if _, err := admin.Dial(path).Commands(t.Context()); !errors.Is(err, admin.ErrNotRunning) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Something else that speaks HTTP on the socket is reported, not believed.
func TestForeignServer(t *testing.T) {
	t.Parallel()
	path := filepath.Join(socketDir(t), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = io.WriteString(w, "<html>")
	})}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { server.Close() })
	c := admin.Dial(path)
	if _, err := c.Commands(t.Context()); err == nil {
		t.Error("a page is taken for the list of commands")
	}
	if _, err := c.Call(t.Context(), "status", nil, nil); err == nil || !strings.Contains(err.Error(), "418") {
		t.Errorf("call: %v", err)
	}
}
