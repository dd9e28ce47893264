package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// patience guards against waiting for ever; nothing takes as long.
const patience = time.Minute

// lines is what a running program writes, line by line.
type lines struct {
	t    *testing.T
	what string
	c    chan string
}

func follow(t *testing.T, what string) (*lines, io.WriteCloser) {
	l := &lines{t, what, make(chan string, 1000)}
	r, w := io.Pipe()
	go func() {
		for s := bufio.NewScanner(r); s.Scan(); {
			l.c <- s.Text()
		}
		close(l.c)
	}()
	return l, w
}

// until returns the lines up to the one that the pattern matches.
func (l *lines) until(pattern string) string {
	l.t.Helper()
	var all strings.Builder
	late := time.After(patience)
	for re := regexp.MustCompile(pattern); ; {
		select {
		case line, ok := <-l.c:
			if !ok {
				l.t.Fatalf("%s ended before %q:\n%s", l.what, pattern, all.String())
			}
			all.WriteString(line + "\n")
			if re.MatchString(line) {
				return all.String()
			}
		case <-late:
			l.t.Fatalf("%s has no line like %q:\n%s", l.what, pattern, all.String())
		}
	}
}

// running is a server inside the test.
type running struct {
	out, log *lines
	stop     context.CancelFunc
	code     chan int
}

func start(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := &running{stop: cancel, code: make(chan int, 1)}
	var out, log io.WriteCloser
	s.out, out = follow(t, "the greeting")
	s.log, log = follow(t, "the log")
	go func() {
		p := program{in: strings.NewReader(""), out: out, err: log}
		s.code <- p.run(ctx, append([]string{"xmppd"}, args...))
		out.Close()
		log.Close()
	}()
	t.Cleanup(func() { s.end(t) })
	return s
}

// end stops the server, which must exit with 0.
func (s *running) end(t *testing.T) {
	t.Helper()
	s.stop()
	select {
	case code := <-s.code:
		s.code <- 0
		if code != 0 {
			t.Errorf("exit code %d", code)
		}
	case <-time.After(patience):
		t.Error("the server does not stop")
	}
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

// What a person sees who starts the server for the first time, what a monitor
// sees, and what a signal changes.
func TestServe(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	file := filepath.Join(dir, "xmppd.yml")
	config := func(rest string) {
		t.Helper()
		const addr = `"127.0.0.1:0"`
		text := "data_dir: " + dir + "\nauth: {scram_iterations: 4096}\nlisten: {c2s: [ADDR], c2s_tls: [ADDR], http: [ADDR], https: [ADDR], admin: [ADDR]}\n" + rest
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "ADDR", addr)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config("")
	s := start(t, "--config", file)
	greeting := s.out.until("register NAME localhost PASSWORD$")
	for _, want := range []string{
		`^xmppd \S+\n`, `\n  configuration  ` + file + `\n`, `\n  data folder    ` + dir + `\n`,
		`\n  c2s +127\.0\.0\.1:\d+: `, `\n  c2s_tls +127\.0\.0\.1:\d+: `, `\n  http +127\.0\.0\.1:\d+: `, `\n  https +127\.0\.0\.1:\d+: `,
		`\nThe certificate is self-signed`, ` ctl --socket ` + dir + `/xmppd\.sock register NAME localhost PASSWORD\n`,
	} {
		if !regexp.MustCompile(want).MatchString(greeting) {
			t.Errorf("no %q in\n%s", want, greeting)
		}
	}
	observed(t, "http://"+regexp.MustCompile(`\n  admin +(\S+):`).FindStringSubmatch(greeting)[1])

	// The line works as it stands.
	if got := call(t, "/nowhere", "", "xmppd", "ctl", "--socket", dir+"/xmppd.sock", "register", "romeo", "localhost", "secret"); got.Code != 0 {
		t.Errorf("register: %+v", got)
	}

	// SIGHUP: what can change does, the rest is named, nonsense changes nothing.
	hangup := func(want string) {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		s.log.until(want)
	}
	config("log: {level: warn}\nshutdown_timeout: 20s\n")
	level := func(want string) {
		t.Helper()
		if got := call(t, dir, "", "xmppd", "ctl", "get_loglevel"); got.Out != want+"\n" {
			t.Errorf("log level %+v, want %s", got, want)
		}
	}
	level("info")
	if got := call(t, dir, "", "xmppd", "ctl", "reload_config"); got.Out != "applied: log.level\nneeds a restart: shutdown_timeout\n" {
		t.Errorf("reload_config: %+v", got)
	}
	level("warning")
	config("log: {level: loud}\n")
	hangup(`level=ERROR msg="reload failed" error=.*log\.level: .*loud.* is not one of`)
	level("warning")
	config("log: {level: debug}\nshutdown_timeout: 20s\n")
	hangup(`msg="configuration reloaded" applied=\[log\.level\] needs_restart=\[shutdown_timeout\]`)
	level("debug")

	// A second server keeps its hands off the folder.
	if got := call(t, dir, "", "xmppd", "--config", file); got.Code != 1 || !strings.Contains(got.Err, "another server answers") {
		t.Errorf("a second server: %+v", got)
	}
	level("debug")

	s.end(t)
	if got := call(t, dir, "", "xmppd", "ctl", "status"); got.Code != 3 {
		t.Errorf("after the end: %+v", got)
	}

	// Once there is an account the greeting is shorter.
	s = start(t, "serve", "--config", file)
	s.out.until("self-signed")
	s.out.until("tls.cert_file")
	if got := call(t, dir, "", "xmppd", "ctl", "check_password", "romeo", "localhost", "secret"); got.Code != 0 {
		t.Errorf("the account is gone: %+v", got)
	}
	if got := call(t, dir, "", "xmppd", "ctl", "stop"); got.Code != 0 {
		t.Errorf("stop: %+v", got)
	}
	if line, more := <-s.out.c; more {
		t.Errorf("the greeting goes on with %q", line)
	}
}

// observed looks at listen.admin.
func observed(t *testing.T, base string) {
	t.Helper()
	for path, want := range map[string]string{
		"/healthz": "ok", "/readyz": "database: ok\nlisteners: ok", "/debug/pprof/": "goroutine", "/debug/pprof/goroutine?debug=1": "goroutine profile",
	} {
		if status, body := get(t, base+path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d\n%s", path, status, body)
		}
	}
	_, metrics := get(t, base+"/metrics")
	for _, name := range []string{"xmppd_sessions 0", "xmppd_connections_accepted_total 0", `xmppd_logins_total{result="failure"} 0`, `xmppd_stanzas_total{kind="message"} 0`, "go_goroutines", "process_open_fds"} {
		if !strings.Contains(metrics, "\n"+name) {
			t.Errorf("no %s in the metrics", name)
		}
	}
	problems, err := promlint.New(bytes.NewReader([]byte(metrics))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "xmppd_") {
			t.Errorf("metric %s: %s", p.Metric, p.Text)
		}
	}
}

// What a start finds out only when it tries names the key too, in one line, and
// no password.
func TestStartRefused(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "junk", "xmppd.db"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ config, want string }{
		{"database: 'postgres://u:hunter2@127.0.0.1:1/x'", `xmppd: database: .*127\.0\.0\.1, port 1, .*connection refused`},
		{"database: sqlite\ndata_dir: DIR/junk", `xmppd: database: .*DIR/junk/xmppd\.db.*`},
		{"data_dir: DIR/file/below", `xmppd: data_dir: .*DIR/file.*not a directory`},
	} {
		text := "data_dir: DIR/new\n"
		if strings.Contains(tt.config, "data_dir") {
			text = ""
		}
		text += "listen: {c2s: ['127.0.0.1:0'], c2s_tls: [], http: [], https: [], admin: []}\nlimits: {connections: 1}\n" + tt.config
		file := filepath.Join(dir, "xmppd.yml")
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		p := program{in: strings.NewReader(""), out: io.Discard, err: &log}
		code := p.run(t.Context(), []string{"xmppd", "--config", file})
		got := strings.ReplaceAll(log.String(), dir, "DIR")
		if code != 1 || !regexp.MustCompile("^"+tt.want+"\n$").MatchString(got) || strings.Contains(got, "hunter2") {
			t.Errorf("%s: exit %d\n%s", tt.config, code, got)
		}
	}
}
