package admin_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/admin"
	"github.com/xmppd/xmppd/command"
	"github.com/xmppd/xmppd/jid"
)

// call runs a command line the way xmppd ctl does and returns what it prints.
func call(t *testing.T, w *world, words ...string) (string, error) {
	t.Helper()
	set := new(command.Set)
	set.Add(admin.Commands(w.deps(), set)...)
	c, ok := set.Lookup(words[0])
	if !ok {
		t.Fatalf("no command %s", words[0])
	}
	object, err := c.ParseWords(words[1:])
	if err != nil {
		return "", err
	}
	_, v, err := set.Call(t.Context(), words[0], object)
	if err != nil {
		return "", err
	}
	if v == false {
		return "", command.Errorf("code", "1")
	}
	return c.Result.Format(v), nil
}

const juliets = "juliet@example.org/balcony\tc2s_tls\t192.0.2.7\t42656\t0\txmppd@two\t231\tavailable\tbalcony\t\n" +
	"juliet@example.org/phone\twebsocket\t2001:db8::1\t443\t5\txmppd@one\t3600\taway\tphone\tout for lunch"

func TestCommands(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 2000)
	tests := []struct {
		line string // words, separated by "|"
		want string // what is printed, or the error
		code int
	}{
		{"status", "The node xmppd@one is started with status: started\nxmppd 1.2.3 is running in that node", 0},
		{"registered_vhosts", "example.net\nexample.org", 0},
		{"get_loglevel", "info", 0},
		{"set_loglevel|debug", "", 0},
		{"set_loglevel|5", `loglevel must be none, error, warning, info or debug, not "5"`, 2},
		{"reload_config", "", 0},
		{"stats|registeredusers", "3", 0},
		{"stats|onlineusers", "3", 0},
		{"stats|onlineusersnode", "2", 0},
		{"stats|uptimeseconds", "60", 0},
		{"stats|x", `name must be registeredusers, onlineusers, onlineusersnode, uptimeseconds or processes, not "x"`, 2},
		{"stats_host|registeredusers|example.org", "2", 0},
		{"stats_host|onlineusers|example.org", "3", 0},
		{"stats_host|onlineusers|example.net", "0", 0},
		{"stats_host|onlineusers|x.net", "unknown_host: Unknown virtual host", 1},
		{"stats_host|uptimeseconds|example.org", `name must be registeredusers or onlineusers, not "uptimeseconds"`, 2},

		{"register|tybalt|example.org|s", "User tybalt@example.org successfully registered", 0},
		{"register|Tybalt|EXAMPLE.net|s", "User tybalt@example.net successfully registered", 0},
		{"register|juliet|example.org|s", "conflict: User juliet@example.org already registered", 1},
		{"register|juliet|example.com|s", "cannot_register: Unknown virtual host", 1},
		{"register|tybalt|example.org|", "cannot_register: Can't register user tybalt@example.org at node xmppd@one: Empty password", 1},
		{"register|a b|example.org|s", `user is no valid user: "a b"`, 2},
		{"register|" + long + "|example.org|s", `user is no valid user`, 2},
		{"unregister|juliet|example.org", "", 0},
		{"unregister|tybalt|example.org", "not_found: User tybalt@example.org is not registered", 1},
		{"registered_users|example.org", "juliet\nromeo", 0},
		{"registered_users|example.com", "unknown_host: Unknown virtual host", 1},
		{"change_password|juliet|example.org|new", "", 0},
		{"change_password|juliet|example.org|", "Empty password", 1},
		{"change_password|tybalt|example.org|new", "not_found: User tybalt@example.org is not registered", 1},
		{"check_account|juliet|example.org", "", 0},
		{"check_account|tybalt|example.org", "code: 1", 1},
		{"check_account|juliet|example.com", "code: 1", 1},
		{"check_password|juliet|example.org|secret", "", 0},
		{"check_password|juliet|example.org|wrong", "code: 1", 1},
		{"check_password|tybalt|example.org|secret", "code: 1", 1},
		{"ban_account|juliet|example.org|spam", "", 0},
		{"ban_account|nurse|example.net|spam", "conflict: User nurse@example.net is banned already", 1},
		{"ban_account|tybalt|example.net|spam", "not_found: User tybalt@example.net is not registered", 1},
		{"unban_account|nurse|example.net", "", 0},
		{"unban_account|juliet|example.org", "not_found: User juliet@example.org is not banned", 1},
		{"unban_account|tybalt|example.org", "not_found: User tybalt@example.org is not registered", 1},
		{"get_ban_details|nurse|example.net", "reason\ttalks too much\nbandate\t2026-04-22T10:30:00Z", 0},
		{"get_ban_details|juliet|example.org", "", 0},
		{"get_ban_details|tybalt|example.org", "not_found: User tybalt@example.org is not registered", 1},

		{"list_tokens|juliet|example.org", phoneAgent + "\tConver sations\tPixel\tHT-SHA-512-EXPR\t2026-04-22T12:00:00Z\tnever\t2026-05-22T12:00:00Z\n" +
			phoneAgent + "\tConversations\t\tHT-SHA-256-NONE\t2026-04-21T12:00:00Z\t2026-04-22T11:00:00Z\t2026-05-21T12:00:00Z", 0},
		{"list_tokens|romeo|example.org", "", 0},
		{"list_tokens|tybalt|example.org", "not_found: User tybalt@example.org is not registered", 1},
		{"list_tokens|juliet|example.com", "unknown_host: Unknown virtual host", 1},
		{"revoke_token|juliet|example.org|" + phoneAgent, "", 0},
		{"revoke_token|romeo|example.org|" + phoneAgent, "not_found: User romeo@example.org has no token of agent " + phoneAgent, 1},
		{"revoke_token|juliet|example.org|", "Empty agent", 1},
		{"revoke_token|tybalt|example.org|x", "not_found: User tybalt@example.org is not registered", 1},
		{"revoke_tokens|juliet|example.org", "Revoked tokens: 2", 0},
		{"revoke_tokens|romeo|example.org", "Revoked tokens: 0", 0},
		{"revoke_tokens|tybalt|example.org", "not_found: User tybalt@example.org is not registered", 1},

		{"connected_users", "juliet@example.org/balcony\njuliet@example.org/phone\nromeo@example.org/orchard", 0},
		{"connected_users_vhost|example.org", "juliet@example.org/balcony\njuliet@example.org/phone\nromeo@example.org/orchard", 0},
		{"connected_users_vhost|example.net", "", 0},
		{"connected_users_number", "3", 0},
		{"connected_users_info", juliets + "\nromeo@example.org/orchard\tc2s\t192.0.2.8\t1024\t-1\txmppd@one\t0\tunavailable\torchard\t", 0},
		{"user_sessions_info|juliet|example.org", strings.ReplaceAll(strings.ReplaceAll(juliets, "juliet@example.org/balcony\t", ""), "juliet@example.org/phone\t", ""), 0},
		{"user_resources|juliet|example.org", "balcony\nphone", 0},
		{"num_resources|juliet|example.org", "2", 0},
		{"num_resources|nurse|example.net", "0", 0},
		{"get_presence|juliet|example.org", "juliet@example.org/phone\taway\tout for lunch", 0},
		{"get_presence|romeo|example.org", "romeo@example.org\tunavailable\t", 0},
		{"kick_user|juliet|example.org", "Kicked sessions: 2", 0},
		{"kick_user|nurse|example.net", "Kicked sessions: 0", 0},
		{"kick_session|juliet|example.org|phone|stuck", "", 0},
		{"kick_session|juliet|example.org|desktop|stuck", "not_found: no session juliet@example.org/desktop", 1},
		{"send_message|chat|a@b|juliet@example.org|s|b", "", 0},
		{"send_message|error|a@b|juliet@example.org|s|b", `type must be normal, chat, groupchat or headline, not "error"`, 2},
		{"send_message|chat|a@|juliet@example.org|s|b", `from is no valid jid`, 2},
		{"send_stanza|a@b|juliet@example.org|<presence/>", "", 0},
		{"send_stanza|a@b|juliet@example.org|hello", "send the stanza: not well-formed", 1},
		{"help|nothing", `no tag or command matches "nothing"`, 2},
	}
	for _, test := range tests {
		t.Run(test.line[:min(len(test.line), 60)], func(t *testing.T) {
			t.Parallel()
			got, err := call(t, newWorld(), strings.Split(test.line, "|")...)
			if code := command.ExitCode(err); code != test.code {
				t.Errorf("exit %d, want %d", code, test.code)
			}
			if err != nil {
				got = err.Error()
			}
			if test.code == 2 && strings.HasPrefix(got, test.want) {
				return
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestEffects(t *testing.T) {
	t.Parallel()
	w := newWorld()
	run := func(words ...string) {
		t.Helper()
		if out, err := call(t, w, words...); err != nil {
			t.Fatalf("%v: %s, %v", words, out, err)
		}
	}
	run("change_password", "romeo", "example.org", "n")
	run("check_password", "romeo", "example.org", "n")
	run("set_loglevel", "critical")
	if w.level != slog.LevelError {
		t.Errorf("level is %v", w.level)
	}
	for level, name := range map[string]string{"none": "none", "alert": "error", "warning": "warning", "notice": "info", "debug": "debug"} {
		run("set_loglevel", level)
		if got, _ := call(t, w, "get_loglevel"); got != name {
			t.Errorf("%s is shown as %s", level, got)
		}
	}
	run("ban_account", "juliet", "example.org", "spam & eggs")
	ban := w.accounts[jid.MustParse("juliet@example.org")].Ban
	if ban == nil || ban.Reason != "spam & eggs" || !ban.Since.Equal(noon) {
		t.Errorf("banned as %+v", ban)
	}
	run("unban_account", "juliet", "example.org")
	run("unregister", "romeo", "example.org")
	if got, _ := call(t, w, "registered_users", "example.org"); got != "juliet" {
		t.Errorf("left are %q", got)
	}
	if diff := cmp.Diff([]string{"juliet@example.org: spam & eggs", "romeo@example.org: The account has been removed"}, w.kicked); diff != "" {
		t.Errorf("kicked (-want +got):\n%s", diff)
	}
	run("send_message", "headline", "example.org", "juliet@example.org/phone", "<Restart>", "5 & 6 'min'\x01")
	run("send_message", "normal", "example.org", "juliet@example.org", "", "")
	run("send_stanza", "a@b/c", "juliet@example.org", "<iq type='get'/>")
	got := regexp.MustCompile(`id='[0-9a-f]{16}'`).ReplaceAllString(strings.Join(w.injected, "\n"), "ID")
	want := "example.org > juliet@example.org/phone: <message type='headline' ID><subject>&lt;Restart&gt;</subject><body>5 &amp; 6 &#39;min&#39;\uFFFD</body></message>\n" +
		"example.org > juliet@example.org: <message type='normal' ID></message>\n" +
		"a@b/c > juliet@example.org: <iq type='get'/>"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	w.applied, w.restart = []string{"admins", "log.level"}, []string{"listen.c2s"}
	if got, _ := call(t, w, "reload_config"); got != "applied: admins, log.level\nneeds a restart: listen.c2s" {
		t.Errorf("reload says %q", got)
	}
	run("stop")
	<-w.stopped
}

// An export goes to a new file that nobody else may read; half of one to none.
func TestExportUser(t *testing.T) {
	t.Parallel()
	w, dir := newWorld(), t.TempDir()
	path := filepath.Join(dir, "juliet.xml")
	export := []string{"export_user", "juliet", "example.org", path}
	const want = "<?xml version='1.0' encoding='UTF-8'?>\n<server-data xmlns='urn:xmpp:pie:0'><host jid='example.org'><user name='juliet'>\n" +
		"<query xmlns='jabber:iq:roster'/>\n</user></host></server-data>\n"
	if got, err := call(t, w, export...); err != nil || got != fmt.Sprintf("%d bytes written to %s", len(want), path) {
		t.Errorf("%q, %v", got, err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}

	other := filepath.Join(dir, "other.xml")
	for _, tt := range []struct {
		words []string
		want  string // in the error
		code  int
	}{
		{export, "exists", 1},
		{[]string{"export_user", "juliet", "example.org", "other.xml"}, "other.xml is not an absolute path", 2},
		{[]string{"export_user", "juliet", "example.org", filepath.Join(dir, "none", "other.xml")}, "no such file", 1},
		{[]string{"export_user", "tybalt", "example.org", other}, "not_found: User tybalt@example.org is not registered", 1},
		{[]string{"export_user", "juliet", "example.com", other}, "unknown_host: Unknown virtual host", 1},
	} {
		if _, err := call(t, w, tt.words...); err == nil || !strings.Contains(err.Error(), tt.want) || command.ExitCode(err) != tt.code {
			t.Errorf("%v: %v, want %s", tt.words, err, tt.want)
		}
	}
	w.failing = true
	if _, err := call(t, w, "export_user", "juliet", "example.org", other); err == nil || err.Error() != "export juliet@example.org: disk on fire" {
		t.Errorf("a failed export: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left are %v, %v", left, err)
	}
}

// Trouble of the database is told, not taken for a missing account.
func TestDatabaseTrouble(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.broken = true
	for line, want := range map[string]string{
		"check_account juliet example.org":   "disk on fire",
		"ban_account juliet example.org x":   "disk on fire",
		"connected_users":                    "list sessions: disk on fire",
		"user_resources juliet example.org":  "list sessions: disk on fire",
		"stats onlineusers":                  "list sessions: disk on fire",
		"register tybalt example.org secret": "cannot_register: Can't register user tybalt@example.org at node xmppd@one: disk on fire",
		"reload_config":                      `reload the configuration: xmppd.yml:3: log.level: "loud" is not one of debug, info, warn, error`,
	} {
		_, err := call(t, w, strings.Fields(line)...)
		if err == nil || err.Error() != want || command.ExitCode(err) != 1 {
			t.Errorf("%s: %v, want %s", line, err, want)
		}
	}
}

// Every declaration is complete: its example calls it with the right arguments
// and has an output for whatever prints one.
func TestDeclarations(t *testing.T) {
	t.Parallel()
	set := new(command.Set)
	set.Add(admin.Commands(admin.Deps{}, set)...)
	for _, c := range set.All() {
		var words []string
		for _, a := range c.Args {
			if a.Doc == "" {
				t.Errorf("%s: %s has no explanation", c.Name, a.Name)
			}
			if a.Example == "" && !a.Optional {
				t.Errorf("%s: %s has no example", c.Name, a.Name)
			}
			if a.Example != "" {
				words = append(words, a.Example)
			}
		}
		if _, err := c.ParseWords(words); err != nil {
			t.Errorf("%s: the example is wrong: %v", c.Name, err)
		}
		if (c.Example == "") != (c.Result.Kind == command.Rescode) && c.Name != "unregister" {
			t.Errorf("%s: has the example output %q", c.Name, c.Example)
		}
		if c.Result.Kind == command.List && c.Result.Fields[0].Kind == command.Tuple {
			for line := range strings.Lines(c.Example) {
				if n := strings.Count(line, "\t") + 1; n != len(c.Result.Fields[0].Fields) {
					t.Errorf("%s: %d columns in the example line %q", c.Name, n, line)
				}
			}
		}
		if c.Name == "help" {
			continue
		}
		if _, _, err := set.Call(t.Context(), c.Name, mustParse(t, c, words)); err == nil {
			t.Errorf("%s runs without a server", c.Name)
		}
	}
}

func mustParse(t *testing.T, c *command.Command, words []string) []byte {
	t.Helper()
	object, err := c.ParseWords(words)
	if err != nil {
		t.Fatal(err)
	}
	return object
}

func TestHelpOverHTTP(t *testing.T) {
	t.Parallel()
	got, err := call(t, newWorld(), "help", "stats")
	if err != nil {
		t.Fatal(err)
	}
	want := `stats: Show a figure about the server

Usage: xmppd ctl stats name

Arguments:
  name  string  Which figure

Result: stat (integer)

Example:
  $ xmppd ctl stats registeredusers
  6

Tags: statistics

Names: registeredusers, onlineusers, onlineusersnode, uptimeseconds, processes
(goroutines of this node).`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, err := call(t, newWorld(), "help", "--tags", "logs"); err != nil || !strings.HasPrefix(got, "  get_loglevel") {
		t.Errorf("help --tags logs: %q, %v", got, err)
	}
}
