package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/admin"
	"github.com/xmppd/xmppd/command"
)

// dataDir is short, for the sake of the socket in it.
func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "xmppd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// outcome is what a call of the program leaves behind.
type outcome struct {
	Out, Err string
	Code     int
}

// call runs the program with the data folder dir.
func call(t *testing.T, dir, stdin string, args ...string) outcome {
	t.Helper()
	var out, err bytes.Buffer
	p := program{env: []string{"XMPPD_DATA_DIR=" + dir}, in: strings.NewReader(stdin), out: &out, err: &err}
	code := p.run(t.Context(), args)
	return outcome{out.String(), strings.ReplaceAll(err.String(), dir, "DIR"), code}
}

// startServer serves a few commands of every form in a data folder. The command
// stop ends it.
func startServer(t *testing.T) (dir string) {
	t.Helper()
	dir = dataDir(t)
	ln, err := admin.ListenSocket(filepath.Join(dir, "xmppd.sock"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	set := new(command.Set)
	text := func(name string) command.Arg { return command.Arg{Name: name} }
	set.Add(
		command.Command{Name: "register", Tags: []string{"t"}, Short: "Register",
			Args:   []command.Arg{{Name: "user", Type: command.User}, {Name: "host", Type: command.Host}, {Name: "password", Type: command.Password}},
			Result: command.Message(),
			Run: func(_ context.Context, a command.Args) (any, error) {
				if a.String("user") == "juliet" {
					return nil, command.Errorf(command.Conflict, "User %s@%s already registered", a.String("user"), a.String("host"))
				}
				return a.String("user") + "@" + a.String("host") + " with " + a.String("password"), nil
			}},
		command.Command{Name: "check_account", Tags: []string{"t"}, Short: "Check", Args: []command.Arg{text("user")}, Result: command.Code(),
			Run: func(_ context.Context, a command.Args) (any, error) { return a.String("user") == "juliet", nil }},
		command.Command{Name: "sessions", Tags: []string{"t"}, Short: "List",
			Result: command.ListOf("sessions", command.TupleOf("session", command.TextOf("jid"), command.IntOf("port"))),
			Run: func(context.Context, command.Args) (any, error) {
				return []command.Row{{"a@b/c", 1}, {"d@e/f", 2}}, nil
			}},
		command.Command{Name: "nothing", Tags: []string{"t"}, Short: "Empty list", Result: command.ListOf("l", command.TextOf("s")),
			Run: func(context.Context, command.Args) (any, error) { return []string{}, nil }},
		command.Command{Name: "repeat", Tags: []string{"t"}, Short: "Echo", Args: []command.Arg{text("a"), {Name: "n", Type: command.Int}}, Result: command.TextOf("s"),
			Run: func(_ context.Context, a command.Args) (any, error) { return a.String("a"), nil }},
		command.Command{Name: "count", Tags: []string{"t"}, Short: "Long work", Args: []command.Arg{{Name: "n", Type: command.Int}}, Result: command.TextOf("s"),
			Run: func(ctx context.Context, a command.Args) (any, error) {
				command.Progress(ctx, 1, a.Int("n"))
				command.Progress(ctx, 12, a.Int("n"))
				if a.Int("n") == 0 {
					return nil, command.Errorf(command.Conflict, "lost count")
				}
				return "counted", nil
			}},
		command.Command{Name: "stop", Tags: []string{"t"}, Short: "Stop", Result: command.Code(),
			Run: func(context.Context, command.Args) (any, error) { cancel(); return true, nil }},
	)
	done := make(chan error, 1)
	go func() { done <- admin.ServeCommands(ctx, ln, set, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return dir
}

func TestCtl(t *testing.T) {
	t.Parallel()
	dir := startServer(t)
	socket := filepath.Join(dir, "xmppd.sock")
	const conflict = "User juliet@example.org already registered"
	tests := []struct {
		name  string
		args  []string
		stdin string
		want  outcome
	}{
		{"text", []string{"register", "romeo", "example.org", "pw"}, "", outcome{"romeo@example.org with pw\n", "", 0}},
		{"dashes for underscores", []string{"check-account", "juliet"}, "", outcome{"", "", 0}},
		{"password on stdin", []string{"register", "romeo", "example.org", "-"}, "p w\nrest", outcome{"romeo@example.org with p w\n", "", 0}},
		{"password on stdin without an end", []string{"register", "romeo", "example.org", "-"}, "pw", outcome{"romeo@example.org with pw\n", "", 0}},
		{"no password on stdin", []string{"register", "romeo", "example.org", "-"}, "", outcome{"", "xmppd ctl: read the password from the standard input: EOF\n", 1}},
		{"only a password is read", []string{"repeat", "-", "1"}, "x\n", outcome{"-\n", "", 0}},
		{"arguments like options", []string{"repeat", "--json", "-5"}, "", outcome{"--json\n", "", 0}},
		{"failure", []string{"register", "juliet", "example.org", "pw"}, "", outcome{"Error: conflict: " + conflict + "\n", "", 1}},
		{"failure as JSON", []string{"--json", "register", "juliet", "example.org", "pw"}, "",
			outcome{`{"status":"error","code":1,"reason":"conflict","message":"` + conflict + "\"}\n", "", 1}},
		{"code: yes", []string{"check_account", "juliet"}, "", outcome{"", "", 0}},
		{"code: no", []string{"check_account", "romeo"}, "", outcome{"", "", 1}},
		{"code as JSON", []string{"--json", "check_account", "romeo"}, "", outcome{"1\n", "", 1}},
		{"rows", []string{"sessions"}, "", outcome{"a@b/c\t1\nd@e/f\t2\n", "", 0}},
		{"rows as JSON", []string{"sessions", "--json"}, "", outcome{`[{"jid":"a@b/c","port":1},{"jid":"d@e/f","port":2}]` + "\n", "", 0}},
		{"markup as JSON", []string{"--json", "repeat", "<a>&</a>", "1"}, "", outcome{`"<a>&</a>"` + "\n", "", 0}},
		{"no rows", []string{"nothing"}, "", outcome{"", "", 0}},
		{"too few", []string{"register", "romeo"}, "", outcome{"", "xmppd ctl: the command register requires 2 arguments more; see xmppd ctl help register\n", 2}},
		{"too many", []string{"sessions", "x"}, "", outcome{"", "xmppd ctl: the command sessions requires 1 argument less; see xmppd ctl help sessions\n", 2}},
		{"wrong type", []string{"repeat", "a", "b"}, "", outcome{"", "xmppd ctl: n must be an integer, not \"b\"; see xmppd ctl help repeat\n", 2}},
		{"unknown", []string{"dance"}, "", outcome{"", "xmppd ctl: command \"dance\" not known; see xmppd ctl help\n", 2}},
		{"no command", nil, "", outcome{"", "xmppd ctl: which command? See xmppd ctl help\n", 2}},
		{"bad option", []string{"--frob"}, "", outcome{"", "xmppd: unknown flag: --frob; see xmppd ctl --help\n", 2}},
		{"ejabberdctl's options", []string{"-n", "ejabberd@x", "--no-timeout", "--version", "2", "-c", "x", "check_account", "juliet"}, "", outcome{"", "", 0}},
		{"help of the server's commands", []string{"help", "t"}, "", outcome{`  check_account user           Check
  count n                      Long work
  nothing                      Empty list
  register user host password  Register
  repeat a n                   Echo
  sessions                     List
  stop                         Stop
`, "", 0}},
		{"help for nothing", []string{"help", "dance"}, "", outcome{"", "xmppd ctl: no tag or command matches \"dance\"\n", 2}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, call(t, dir, test.stdin, append([]string{"xmppd", "ctl"}, test.args...)...)); diff != "" {
				t.Errorf("xmppd ctl (-want +got):\n%s", diff)
			}
			if test.want.Err != "" {
				return
			}
			if diff := cmp.Diff(test.want, call(t, "/nowhere", test.stdin, append([]string{"/opt/ejabberdctl", "--socket", socket}, test.args...)...)); diff != "" {
				t.Errorf("ejabberdctl --socket (-want +got):\n%s", diff)
			}
		})
	}
}

// screen is a terminal as far as the program can see.
type screen struct {
	bytes.Buffer
	fs.FileInfo
	mode fs.FileMode
}

func (s *screen) Stat() (fs.FileInfo, error) { return s, nil }
func (s *screen) Mode() fs.FileMode          { return s.mode }

// Progress is drawn for people alone, and gone before anything else is printed.
func TestCtlProgress(t *testing.T) {
	t.Parallel()
	dir := startServer(t)
	const tty = fs.ModeDevice | fs.ModeCharDevice
	for _, test := range []struct {
		args     string
		mode     fs.FileMode
		out, err string
	}{
		{"count 4", tty, "counted\n", "\rcount   25 %  1 of 4\rcount  100 %  12 of 4\r                     \r"},
		{"count 1000", tty, "counted\n", "\rcount    0 %  1 of 1000\rcount    1 %  12 of 1000\r                        \r"},
		{"count 0", tty, "Error: conflict: lost count\n", "\rcount  1\rcount  12\r         \r"},
		{"count 4", 0, "counted\n", ""},
		{"count 4", fs.ModeNamedPipe, "counted\n", ""},
		{"--json count 4", tty, "\"counted\"\n", ""},
		{"count 4 --json", tty, "\"counted\"\n", ""},
		{"nothing", tty, "", ""},
		{"check_account juliet", tty, "", ""},
		{"dance", tty, "", "xmppd ctl: command \"dance\" not known; see xmppd ctl help\n"},
	} {
		var out bytes.Buffer
		err := &screen{mode: test.mode}
		p := program{env: []string{"XMPPD_DATA_DIR=" + dir}, in: strings.NewReader(""), out: &out, err: err}
		p.run(t.Context(), append([]string{"xmppd", "ctl"}, strings.Fields(test.args)...))
		if got := [2]string{out.String(), err.String()}; got != [2]string{test.out, test.err} {
			t.Errorf("%s (%v): %q, want %q %q", test.args, test.mode, got, test.out, test.err)
		}
	}
}

// What gets shorter leaves nothing behind.
func TestBarShrinks(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	b := bar{w: &got, name: "x"}
	b.clear()
	b.draw(5, 1000)
	b.draw(6, 0)
	b.draw(-1, 9)
	b.clear()
	if want := "\rx    0 %  5 of 1000" + "\rx  6               " + "\rx    0 %  -1 of 9  " + "\r                   \r"; got.String() != want {
		t.Errorf("%q\nwant %q", got.String(), want)
	}
}

func TestCtlStop(t *testing.T) {
	t.Parallel()
	dir := startServer(t)
	if diff := cmp.Diff(outcome{}, call(t, dir, "", "xmppd", "ctl", "stop")); diff != "" {
		t.Errorf("stop (-want +got):\n%s", diff)
	}
	if _, err := os.Lstat(filepath.Join(dir, "xmppd.sock")); err == nil {
		t.Error("stop came back before the server had ended")
	}
	gone := outcome{"", "xmppd ctl: no server answers on DIR/xmppd.sock; is it running?\n", 3}
	for _, word := range []string{"status", "stop", "dance"} {
		if diff := cmp.Diff(gone, call(t, dir, "", "xmppd", "ctl", word)); diff != "" {
			t.Errorf("%s afterwards (-want +got):\n%s", word, diff)
		}
	}
}

const helpRegister = `register: Register a user

Usage: PROG register user host password

Arguments:
  user      user      Name of the account, the part before the @
  host      host      Domain of the account
  password  password  Password of the new account; - reads it from the standard input

Result: a text; the exit code is 0 on success and 1 otherwise

Example:
  $ PROG register juliet example.org r0m30myr0m30
  User juliet@example.org successfully registered

Tags: accounts
`

// Help needs no server.
func TestCtlHelpOffline(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	want := outcome{Out: strings.ReplaceAll(helpRegister, "PROG", "xmppd ctl")}
	if diff := cmp.Diff(want, call(t, dir, "", "xmppd", "ctl", "help", "register")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want = outcome{Out: strings.ReplaceAll(helpRegister, "PROG", "ejabberdctl")}
	if diff := cmp.Diff(want, call(t, dir, "", "ejabberdctl", "help", "register")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got := call(t, dir, "", "xmppd", "ctl", "help")
	if got.Code != 0 || !strings.Contains(got.Out, "ban_account user host reason") || !strings.Contains(got.Out, "No server answers") {
		t.Errorf("help: %+v", got)
	}
	got = call(t, dir, "", "xmppd", "ctl", "help", "--tags")
	if got.Code != 0 || !strings.HasPrefix(got.Out, "accounts\n  ban_account, ") {
		t.Errorf("help --tags: %+v", got)
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	bad := filepath.Join(dir, "bad.yml")
	if err := os.WriteFile(bad, []byte("domain: x\nlog:\n  level: loud\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "good.yml")
	if err := os.WriteFile(file, []byte("log:\n  level: debug\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		args     []string
		code     int
		out, err string // contained
	}{
		{[]string{"--help"}, 0, "check-config", ""},
		{[]string{"ctl", "--help"}, 0, "ejabberdctl", ""},
		{[]string{"serve", "--help"}, 0, "--config", ""},
		{[]string{"help", "ctl"}, 0, "--socket", ""},
		{[]string{"version"}, 0, "xmppd ", ""},
		{[]string{"completion", "bash"}, 0, "complete", ""},
		{[]string{"config"}, 0, "stanza_bytes", ""},
		{[]string{"config", "--markdown"}, 0, "limits.stanza_bytes", ""},
		{[]string{"check-config"}, 0, "the configuration is valid (no file", ""},
		{[]string{"check-config", "--config", file}, 0, "good.yml)", ""},
		{[]string{"check-config", "--config", bad}, 1, "", "DIR/bad.yml:3: log.level: \"loud\""},
		{[]string{"--config", bad}, 1, "", "DIR/bad.yml:1: domain: "},
		{[]string{"serve", "--config", bad}, 1, "", "DIR/bad.yml:1: domain: "},
		{[]string{"serve", "--config", filepath.Join(dir, "none.yml")}, 1, "", "DIR/none.yml: cannot be read"},
		{[]string{"ctl", "--config", filepath.Join(dir, "none.yml"), "status"}, 1, "", "DIR/none.yml: cannot be read"},
		{[]string{"ctl", "--config", bad, "status"}, 3, "", "no server answers on DIR/xmppd.sock"},
		{[]string{"dance"}, 2, "", `xmppd: unknown command "dance"`},
		{[]string{"--dance"}, 2, "", "xmppd: unknown flag: --dance; see xmppd --help"},
		{[]string{"version", "x"}, 2, "", "xmppd: unknown command \"x\""},
		{[]string{"__complete", "ctl", "reg"}, 0, "register\tRegister a user", ""},
		{[]string{"__complete", "ctl", "help", "reg"}, 0, "register\tRegister a user", ""},
	}
	for _, test := range tests {
		t.Run(strings.ReplaceAll(strings.Join(test.args, " "), dir, ""), func(t *testing.T) {
			t.Parallel()
			got := call(t, dir, "", append([]string{"xmppd"}, test.args...)...)
			if got.Code != test.code || !strings.Contains(got.Out, test.out) || !strings.Contains(got.Err, test.err) {
				t.Errorf("exit %d\n%s%s\nwant %d %q %q", got.Code, got.Out, got.Err, test.code, test.out, test.err)
			}
			if test.code != 0 && strings.Contains(got.Out+got.Err, "Usage:") {
				t.Errorf("an error brings the whole usage:\n%s", got.Err)
			}
		})
	}
}

// The results that commands print as JSON are JSON.
func TestCtlJSON(t *testing.T) {
	t.Parallel()
	dir := startServer(t)
	for _, args := range [][]string{{"sessions"}, {"nothing"}, {"check_account", "x"}, {"repeat", "a\"b\n", "1"}, {"register", "juliet", "b", "c"}} {
		got := call(t, dir, "", append([]string{"xmppd", "ctl", "--json"}, args...)...)
		if !json.Valid([]byte(got.Out)) {
			t.Errorf("%v: %q", args, got.Out)
		}
	}
}

// A start that fails says everything that is wrong at once: the file, what the
// modules think of it, the certificate, and the addresses that are in use.
func TestStartSaysEverythingAtOnce(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(dir, "xmppd.yml")
	text := `log: {level: loud}
listen:
  c2s: ["ADDR"]
  c2s_tls: ["127.0.0.1:0", "nonsense"]
  http: ["ADDR"]
  https: []
  admin: []
tls:
  cert_file: DIR/none.crt
  key_file: DIR/none.key
modules:
  ping: {intervall: 3s}
  pong: {}
`
	if err := os.WriteFile(file, []byte(strings.NewReplacer("DIR", dir, "ADDR", taken.Addr().String()).Replace(text)), 0o600); err != nil {
		t.Fatal(err)
	}
	want := outcome{Code: 1, Err: `FILE:1: log.level: "loud" is not one of debug, info, warn, error
FILE:3: listen.c2s[0]: "ADDR" cannot be listened on: address already in use
FILE:4: listen.c2s_tls[1]: "nonsense" is not an address such as :5222 or 192.0.2.1:5222
FILE:5: listen.http[0]: "ADDR" cannot be listened on: address already in use
FILE:5: listen.http[0]: "ADDR" is already taken by listen.c2s
FILE:9: tls.cert_file: "DIR/none.crt" cannot be read: no such file or directory
FILE:10: tls.key_file: "DIR/none.key" cannot be read: no such file or directory
FILE:12: modules.ping.intervall: unknown key; did you mean modules.ping.interval?
FILE:13: modules.pong: unknown module; did you mean modules.ping?
`}
	got := call(t, dir, "", "xmppd", "serve", "--config", file)
	got.Err = strings.NewReplacer("DIR/xmppd.yml", "FILE", taken.Addr().String(), "ADDR").Replace(got.Err)
	// Both things are true of the second address, in either order.
	if diff := cmp.Diff(slices.Sorted(strings.Lines(want.Err)), slices.Sorted(strings.Lines(got.Err))); diff != "" || got.Code != 1 || got.Out != "" {
		t.Errorf("exit %d (-want +got):\n%s", got.Code, diff)
	}
	// Nothing else is wrong: still the same line, and the same exit code.
	if err := os.WriteFile(file, []byte("listen: {c2s: ['"+taken.Addr().String()+"'], c2s_tls: [], http: [], https: [], admin: []}"), 0o600); err != nil {
		t.Fatal(err)
	}
	got = call(t, dir, "", "xmppd", "--config", file)
	if line := "DIR/xmppd.yml:1: listen.c2s[0]: \"" + taken.Addr().String() + "\" cannot be listened on: address already in use\n"; got != (outcome{"", line, 1}) {
		t.Errorf("got %+v, want %q", got, line)
	}
	// check-config does not mind: the server that runs has the address.
	if got := call(t, dir, "", "xmppd", "check-config", "--config", file); got.Code != 0 {
		t.Errorf("check-config: %+v", got)
	}
}

// What `xmppd config` prints is a configuration.
func TestPrintedConfigLoads(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	file := filepath.Join(dir, "xmppd.yml")
	if err := os.WriteFile(file, []byte(call(t, dir, "", "xmppd", "config").Out), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := call(t, dir, "", "xmppd", "check-config", "--config", file); got.Code != 0 {
		t.Errorf("%+v", got)
	}
}
