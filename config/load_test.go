package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// loadText loads text as the file xmppd.yml; the folder is cut off the problems.
func loadText(t *testing.T, text string, env ...string) (*Config, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "xmppd.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, problems := load(path, nil, append(env, "HOME=/home/romeo"), false)
	return c, relative(problems, path)
}

func relative(problems []Problem, path string) string {
	return strings.ReplaceAll(Problems(problems).Error(), filepath.Dir(path)+"/", "")
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	c, problems := load("", nil, []string{"HOME=/home/romeo"}, false)
	if len(problems) > 0 {
		t.Fatal(Problems(problems))
	}
	if c.Source() != "" {
		t.Errorf("source %q, want none", c.Source())
	}
	for _, test := range []struct{ got, want any }{
		{c.Domains, []string{"localhost"}},
		{c.DataDir, "/home/romeo/.local/share/xmppd"},
		{c.Socket(), "/home/romeo/.local/share/xmppd/xmppd.sock"},
		{c.Database, "sqlite"},
		{c.Listen, Listen{
			C2S: []string{":5222"}, C2STLS: []string{":5223"}, HTTP: []string{":5280"},
			HTTPS: []string{":5443"}, Admin: []string{"127.0.0.1:5281"},
		}},
		{c.Log, Log{Level: "info", Format: "text"}},
		{c.TLS, TLS{Required: true}},
		{c.Registration.Enabled, false},
		{c.Auth.ScramIterations, 10000},
		{c.Limits.StanzaBytes, Size(256 << 10)},
		{c.Limits.SessionsPerAccount, 10},
		{c.Limits.WriteStall, 30 * time.Second},
		{c.DatabaseOptions.CommitTimeout, 5 * time.Second},
		{c.DatabaseOptions.Durability, "full"},
		{c.ModuleEnabled("ping"), true},
	} {
		if diff := cmp.Diff(test.want, test.got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	c, problems := loadText(t, `
domains: [Example.ORG, BÜCHER.example, xn--bcher-kva.test, "[2001:DB8::1]", example.com.]
data_dir: /srv/xmppd
database: postgres://xmppd:secret@db.example.org/xmppd?sslmode=verify-full
admins: [juliet@example.org]
log: # everything below is commented out
listen:
  http: []
  c2s: ["192.0.2.1:5222", "[2001:db8::1]:5222", "127.0.0.1:0", "127.0.0.1:0"]
limits:
  stanza_bytes: 300000
  outbox_bytes: 1 MiB
  write_stall: 1m30s
auth: {failure_delay: 0}
http:
  trusted_proxies: [127.0.0.1, 10.1.2.3/8, "::1"]
modules:
  ping:
  contact: {abuse: [Mixed Case], enabled: false}
`)
	if problems != "" {
		t.Fatal(problems)
	}
	for _, test := range []struct{ got, want any }{
		{c.Domains, []string{"example.org", "bücher.example", "bücher.test", "[2001:db8::1]", "example.com"}},
		{c.Log.Level, "info"},
		{c.Listen.HTTP, []string{}},
		{len(c.Listen.C2S), 4},
		{c.Listen.C2STLS, []string{":5223"}},
		{c.Limits.StanzaBytes, Size(300000)},
		{c.Limits.OutboxBytes, Size(1 << 20)},
		{c.Limits.WriteStall, 90 * time.Second},
		{c.Auth.FailureDelay, time.Duration(0)},
		{c.ModuleEnabled("ping"), true},
		{c.ModuleEnabled("contact"), false},
		{c.Modules["contact"]["abuse"], []any{"Mixed Case"}},
	} {
		if diff := cmp.Diff(test.want, test.got); diff != "" {
			t.Error(diff)
		}
	}
	var prefixes []string
	for _, p := range c.HTTP.TrustedPrefixes() {
		prefixes = append(prefixes, p.String())
	}
	if diff := cmp.Diff([]string{"127.0.0.1/32", "10.0.0.0/8", "::1/128"}, prefixes); diff != "" {
		t.Error(diff)
	}
}

func TestEnvironmentOverFile(t *testing.T) {
	t.Parallel()
	c, problems := loadText(t, "log: {level: warn, format: json}\nlisten: {c2s: [':1', ':2', ':3']}\n",
		"XMPPD_LOG_LEVEL=debug",
		"XMPPD_LISTEN_C2S=:5, 127.0.0.1:6",
		"XMPPD_LISTEN_C2S_TLS=:7",
		"XMPPD_LISTEN_HTTP=",
		"XMPPD_TLS_REQUIRED=false",
		"XMPPD_LIMITS_WRITE_STALL=5s",
		"XMPPD_LIMITS_STANZA_BYTES=512KiB",
		"XMPPD_DATABASE=postgres://db/xmppd",
		"XMPPD_DATABASE_OPTIONS_COMMIT_TIMEOUT=1s",
		"XMPPD_MODULES_PING_ENABLED=false",
		"PATH=/usr/bin", "XMPPDX=1", "HOME",
	)
	if problems != "" {
		t.Fatal(problems)
	}
	for _, test := range []struct{ got, want any }{
		{c.Log, Log{Level: "debug", Format: "json"}},
		{c.Listen.C2S, []string{":5", "127.0.0.1:6"}},
		{c.Listen.C2STLS, []string{":7"}},
		{c.Listen.HTTP, []string{}},
		{c.TLS.Required, false},
		{c.Limits.WriteStall, 5 * time.Second},
		{c.Limits.StanzaBytes, Size(512 << 10)},
		{c.Database, "postgres://db/xmppd"},
		{c.DatabaseOptions.CommitTimeout, time.Second},
		{c.ModuleEnabled("ping"), false},
	} {
		if diff := cmp.Diff(test.want, test.got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestWhichFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first.yml"), filepath.Join(dir, "second.yml")
	write(t, second, "log: {level: warn}")

	c, problems := load("", []string{first, second}, nil, true)
	if c.Source() != second || c.Log.Level != "warn" || len(problems) > 0 {
		t.Errorf("read %q: %v", c.Source(), problems)
	}
	write(t, first, "log: {level: error}")
	if c, _ := load("", []string{first, second}, nil, true); c.Source() != first || c.Log.Level != "error" {
		t.Errorf("read %q, want the first", c.Source())
	}

	missing := filepath.Join(dir, "missing.yml")
	c, problems = load(missing, []string{first}, nil, true)
	if got := relative(problems, missing); got != "missing.yml: cannot be read: no such file or directory" {
		t.Error(got)
	}
	if c == nil || c.Log.Level != "info" {
		t.Error("no defaults beside the problem")
	}
	// A standard file that is there but cannot be read is not passed over.
	_, problems = load("", []string{dir, first}, nil, true)
	if got := Problems(problems).Error(); got != dir+": cannot be read: is a directory" {
		t.Error(got)
	}
}

func TestDataDir(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		env  []string
		root bool
		want string
	}{
		{[]string{"HOME=/home/romeo"}, false, "/home/romeo/.local/share/xmppd"},
		{[]string{"HOME=/home/romeo", "XDG_DATA_HOME=/data"}, false, "/data/xmppd"},
		{[]string{"HOME=/home/romeo", "XDG_DATA_HOME=relative"}, false, "/home/romeo/.local/share/xmppd"},
		{[]string{"HOME=/root", "XDG_DATA_HOME=/data"}, true, "/var/lib/xmppd"},
		{[]string{"STATE_DIRECTORY=/var/lib/chat:/var/lib/other"}, true, "/var/lib/chat"},
		{[]string{"STATE_DIRECTORY=/var/lib/chat"}, false, "/var/lib/chat"},
		{[]string{"STATE_DIRECTORY=/var/lib/chat", "XMPPD_DATA_DIR=/mine"}, false, "/mine"},
	} {
		if c, _ := load("", nil, test.env, test.root); c.DataDir != test.want {
			t.Errorf("%v: %q, want %q", test.env, c.DataDir, test.want)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
