package node_test

import (
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/internal/node"
	"github.com/xmppd/xmppd/internal/xmpptest"
)

// console is xmppd ctl without the socket: run returns what a command prints.
func console(t *testing.T, s *xmpptest.Server) (run func(words ...string) string) {
	set := s.Node.Commands(node.Process{Level: new(slog.LevelVar), Stop: func() {}})
	return func(words ...string) string {
		t.Helper()
		c, ok := set.Lookup(words[0])
		if !ok {
			t.Fatalf("no command %s", words[0])
		}
		args, err := c.ParseWords(words[1:])
		if err != nil {
			t.Fatalf("%v: %v", words, err)
		}
		_, v, err := set.Call(t.Context(), c.Name, args)
		if err != nil {
			return "Error: " + err.Error()
		}
		if v == false {
			return "no"
		}
		return c.Result.Format(v)
	}
}

// Every command that the issue of the foundation promises to scripts.
func TestPromisedCommands(t *testing.T) {
	t.Parallel()
	set := xmpptest.Start(t, xmpptest.Options{}).Node.Commands(node.Process{})
	for name, args := range map[string]string{
		"status": "", "stop": "", "reload_config": "", "get_loglevel": "", "set_loglevel": "loglevel",
		"register": "user host password", "unregister": "user host", "registered_users": "host", "registered_vhosts": "",
		"change_password": "user host newpass", "check_account": "user host", "check_password": "user host password",
		"ban_account": "user host reason", "unban_account": "user host", "get_ban_details": "user host",
		"connected_users": "", "connected_users_info": "", "connected_users_number": "", "connected_users_vhost": "host",
		"user_resources": "user host", "user_sessions_info": "user host", "num_resources": "user host",
		"kick_user": "user host", "kick_session": "user host resource reason", "get_presence": "user host",
		"get_roster": "user host", "get_roster_count": "user host",
		"add_rosteritem": "localuser localhost user host nick groups subs", "delete_rosteritem": "localuser localhost user host",
		"get_last": "user host", "set_last": "user host timestamp status",
		"get_offline_count": "user host", "get_offline_messages": "user host", "delete_old_messages": "days",
		"send_message": "type from to subject body", "send_stanza": "from to stanza",
		"stats": "name", "stats_host": "name host", "help": "topic tag",
	} {
		c, ok := set.Lookup(name)
		if !ok {
			t.Errorf("no command %s", name)
			continue
		}
		var names []string
		for _, a := range c.Args {
			names = append(names, a.Name)
		}
		if got := strings.Join(names, " "); got != args {
			t.Errorf("%s takes %q, ejabberdctl %q", name, got, args)
		}
		if text, err := set.Help("xmppd ctl", []string{name}); err != nil || !strings.Contains(text, "$ xmppd ctl "+name) {
			t.Errorf("help %s has no example: %v\n%s", name, err, text)
		}
	}
}

// What the commands say of real sessions, on both nodes of a server.
func TestSessionCommands(t *testing.T) {
	t.Parallel()
	a, b := xmpptest.Pair(t, xmpptest.SQLite)
	run := console(t, a)
	expect := func(want string, words ...string) {
		t.Helper()
		if got := run(words...); !regexp.MustCompile("^(?:" + want + ")$").MatchString(got) {
			t.Errorf("%v:\n%s\nwant\n%s", words, got, want)
		}
	}
	home := a.Login(t, xmpptest.TCP, "romeo@localhost/home")
	phone := b.Login(t, xmpptest.WebSocket, "romeo@localhost/phone")
	other := a.Login(t, xmpptest.DirectTLS, "nurse@verona.example/x")
	home.Send("<presence><priority>3</priority><show>away</show><status>out for lunch</status></presence>")
	home.Sync()
	home.Forget()

	expect("romeo@localhost/home\nromeo@localhost/phone", "connected_users_vhost", "localhost")
	expect("nurse@verona.example/x\nromeo@localhost/home\nromeo@localhost/phone", "connected_users")
	expect("3", "connected_users_number")
	expect("3", "stats", "onlineusers")
	expect("2", "stats", "onlineusersnode")
	expect("2", "stats_host", "onlineusers", "localhost")
	expect("home\nphone", "user_resources", "romeo", "localhost")
	expect("2", "num_resources", "romeo", "localhost")
	expect("romeo@localhost/home\taway\tout for lunch", "get_presence", "romeo", "localhost")
	expect("nurse@verona.example\tunavailable\t", "get_presence", "nurse", "verona.example")
	expect(`c2s\t127\.0\.0\.1\t\d+\t3\txmppd-\w+@\S+\t\d+\taway\thome\tout for lunch`+
		`\n\t\t0\t-1\txmppd-\w+@\S+\t\d+\tunavailable\tphone\t`, "user_sessions_info", "romeo", "localhost")
	expect(`(?s)nurse@verona\.example/x\tc2s_tls\t.*`, "connected_users_info")
	expect(`\S+Z\tONLINE`, "get_last", "romeo", "localhost")

	// A message and a stanza, as if others had sent them.
	expect("", "send_message", "chat", "nurse@verona.example", "romeo@localhost", "", "<3 & peace")
	home.ExpectVars("<message from='nurse@verona.example' to='romeo@localhost' type='chat' id='{id}'><body>&lt;3 &amp; peace</body></message>", xmpptest.Vars{})
	expect("", "send_stanza", "localhost", "romeo@localhost/phone", "<message from='x@y' id='1'><x xmlns='urn:x'/></message>")
	phone.Expect("<message from='localhost' to='romeo@localhost/phone' id='1'><x xmlns='urn:x'/></message>")
	for _, bad := range []string{"<message>", "<message/><message/>", "<x xmlns='urn:x'/>", "text"} {
		expect("Error: (?s).*", "send_stanza", "localhost", "romeo@localhost", bad)
	}
	expect("Error: (?s).*not served here", "send_stanza", "localhost", "romeo@elsewhere.example", "<message/>")

	// The ends.
	expect("", "kick_session", "romeo", "localhost", "phone", "stuck")
	phone.ExpectEnd("policy-violation")
	expect("Error: not_found: .*", "kick_session", "romeo", "localhost", "none", "stuck")
	expect("", "ban_account", "romeo", "localhost", "spam")
	home.ExpectEnd("not-authorized")
	expect(`reason\tspam\nbandate\t\S+Z`, "get_ban_details", "romeo", "localhost")
	expect("", "unban_account", "romeo", "localhost")
	expect("", "get_ban_details", "romeo", "localhost")
	expect("Kicked sessions: 1", "kick_user", "nurse", "verona.example")
	other.ExpectEnd("policy-violation")
}

// Accounts by command, and a login with what the command has set.
func TestAccountCommands(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{})
	run := console(t, s)
	for _, tt := range [][]string{
		{"User romeo@localhost successfully registered", "register", "Romeo", "localhost", xmpptest.Password},
		{"Error: conflict: User romeo@localhost already registered", "register", "romeo", "localhost", "other"},
		{"Error: cannot_register: Unknown virtual host", "register", "romeo", "elsewhere.example", "secret"},
		{"romeo", "registered_users", "localhost"},
		{"", "registered_users", "verona.example"}, // another world
		{"no", "check_account", "romeo", "verona.example"},
		{"localhost\nverona.example", "registered_vhosts"},
		{"", "check_account", "romeo", "localhost"},
		{"", "check_password", "romeo", "localhost", xmpptest.Password},
		{"no", "check_password", "romeo", "localhost", "wrong"},
		{"no", "check_password", "nobody", "localhost", xmpptest.Password},
		{"Error: not_found: User nobody@localhost is not registered", "change_password", "nobody", "localhost", "x"},
		{"1", "stats", "registeredusers"},
		{"0", "stats_host", "registeredusers", "verona.example"},
		{"", "ban_account", "romeo", "localhost", "spam"},
	} {
		if got := run(tt[1:]...); got != tt[0] {
			t.Errorf("%v: %q, want %q", tt[1:], got, tt[0])
		}
	}
	login := func(domain, password, want string) {
		t.Helper()
		c := s.Dial(t, xmpptest.DirectTLS)
		c.Raw(header("to='" + domain + "' version='1.0'"))
		c.Greeting()
		c.Next() // features
		got := ""
		if err := c.Login(sasl.ScramSha1, "romeo", password); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("login at %s: %q, want %q", domain, got, want)
		}
	}
	login("localhost", xmpptest.Password, "account-disabled")
	run("unban_account", "romeo", "localhost")
	login("localhost", xmpptest.Password, "")
	login("verona.example", xmpptest.Password, "not-authorized")
	run("change_password", "romeo", "localhost", "changed")
	login("localhost", xmpptest.Password, "not-authorized")
	login("localhost", "changed", "")
	run("unregister", "romeo", "localhost")
	login("localhost", "changed", "not-authorized")
	if got := run("unregister", "romeo", "localhost"); got != "Error: not_found: User romeo@localhost is not registered" {
		t.Errorf("unregister twice: %q", got)
	}
}
