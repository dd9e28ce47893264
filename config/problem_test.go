package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProblems(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, file, want string }{
		{"empty file", "", ""},
		{"only comments", "# nothing\n", ""},
		{"misspelt section", "\nlimit:\n  depth: 64\n", `xmppd.yml:2: limit: unknown key; did you mean limits?`},
		{"misspelt key", "log:\n  levle: info\n", `xmppd.yml:2: log.levle: unknown key; did you mean log.level?`},
		{"wrong case", "log:\n  Level: info\n", `xmppd.yml:2: log.Level: unknown key; did you mean log.level?`},
		{"flat instead of nested", "log_level: info\n", `xmppd.yml:1: log_level: unknown key; did you mean log.level?`},
		{"dotted instead of nested", "log.level: info\n", `xmppd.yml:1: log.level: unknown key; did you mean log.level?`},
		{"without its section", "stanza_bytes: 300000\n", `xmppd.yml:1: stanza_bytes: unknown key; did you mean limits.stanza_bytes?`},
		{"nothing like it", "mnesia: true\n", `xmppd.yml:1: mnesia: unknown key`},
		{"a number as a key", "5: true\n", `xmppd.yml:1: 5: unknown key`},
		{"a list as a key", "[a]: true\n", `xmppd.yml:1: a key that is not a word`},

		{"no size", "limits:\n  depth: 64\n  stanza_bytes: abc\n", `xmppd.yml:3: limits.stanza_bytes: "abc" is not a number of bytes such as 65536 or 64KiB`},
		{"unit of a size", "limits: {stanza_bytes: 256K}\n", `xmppd.yml:1: limits.stanza_bytes: "256K" is not a number of bytes such as 65536 or 64KiB`},
		{"overflow of a size", "limits: {stanza_bytes: 9999999999999GiB}\n", `xmppd.yml:1: limits.stanza_bytes: "9999999999999GiB" is not a number of bytes such as 65536 or 64KiB`},
		{"fraction", "limits:\n  depth: 64.5\n", `xmppd.yml:2: limits.depth: "64.5" is not a whole number`},
		{"quoted number", "limits:\n  depth: '64'\n", `xmppd.yml:2: limits.depth: "64" is not a whole number`},
		{"huge number", "limits:\n  depth: 18446744073709551615\n", `xmppd.yml:2: limits.depth: "18446744073709551615" is not a whole number`},
		{"duration without unit", "limits:\n  write_stall: 30\n", `xmppd.yml:2: limits.write_stall: "30" is not a duration such as 30s or 5m`},
		{"yes", "tls: {required: yes}\n", `xmppd.yml:1: tls.required: "yes" is not true or false`},
		{"number as text", "tls: {cert_dir: 5}\n", `xmppd.yml:1: tls.cert_dir: "5" is not text; put it in quotes`},
		{"text as list", "domains: example.org\n", `xmppd.yml:1: domains: "example.org" is not a list such as [a, b]`},
		{"list as text", "data_dir: [a]\n", `xmppd.yml:1: data_dir: is a list, not text; put it in quotes`},
		{"section as text", "database: {host: db}\n", `xmppd.yml:1: database: is a section, not text; put it in quotes`},
		{"text as section", "log: debug\n", `xmppd.yml:1: log: "debug" is not a section of keys`},
		{"list as section", "log:\n- debug\n", `xmppd.yml:2: log: is a list, not a section of keys`},
		{"list as file", "- log\n", `xmppd.yml:1: is a list, not a section of keys`},
		{"word as file", "log\n", `xmppd.yml:1: the file is not a section of keys`},
		{"item of a list", "listen:\n  c2s:\n    - :5222\n    - 5223\n", `xmppd.yml:4: listen.c2s[1]: "5223" is not text; put it in quotes`},
		{"no value", "log:\n  level:\n", `xmppd.yml:2: log.level: has no value; leave the key out for its default`},

		{"twice", "log:\n  level: info\n  level: warn\n", `xmppd.yml:3: log.level: is already set in line 2`},
		{"section twice", "log:\n  level: info\nlog:\n  format: json\n", `xmppd.yml:3: log: is already set in line 1`},
		{"twice in a module", "modules:\n  ping: {enabled: true, enabled: false}\n", `xmppd.yml:2: modules.ping.enabled: is already set in line 2`},
		{"syntax", "log:\n  level: info\n bad\n", `xmppd.yml:3: did not find expected key`},
		{"open quote", "log:\n  level: \"info\n", `xmppd.yml:2: found unexpected end of stream`},
		{"syntax in the first line", "domains: [:5222]\n", `xmppd.yml:1: did not find expected node content; in a list in brackets put :5222 in quotes`},
		{"open bracket", "domains: [a\n", `xmppd.yml:2: did not find expected ',' or ']'`},
		{"tab", "log:\n\tlevel: info\n", `xmppd.yml:2: found character that cannot start any token`},
		{"colon in brackets", "\nlisten:\n  c2s: [:5222]\n", `xmppd.yml:3: did not find expected node content; in a list in brackets put :5222 in quotes`},
		{"two documents", "log: {level: info}\n---\nlog: {level: warn}\n", `xmppd.yml:2: a second YAML document; only one is read`},

		{"word", "log:\n  level: loud\n", `xmppd.yml:2: log.level: "loud" is not one of debug, info, warn, error`},
		{"too small", "limits: {stanza_bytes: 5KiB}\n", `xmppd.yml:1: limits.stanza_bytes: "5KiB" is less than 10000`},
		{"too large", "auth:\n  scram_iterations: 99999999\n", `xmppd.yml:2: auth.scram_iterations: "99999999" is more than 10000000`},
		{"too short", "limits: {write_stall: 1ms}\n", `xmppd.yml:1: limits.write_stall: "1ms" is less than 1s`},
		{"negative", "limits: {depth: -1}\n", `xmppd.yml:1: limits.depth: "-1" is less than 16`},

		{"no domain", "domains: []\n", `xmppd.yml:1: domains: is empty; at least one domain is needed`},
		{"bad domain", "domains: [a b, a..b, '']\n", "xmppd.yml:1: domains[0]: \"a b\" is not a domain name\nxmppd.yml:1: domains[1]: \"a..b\" is not a domain name\nxmppd.yml:1: domains[2]: is not a domain name"},
		{"same domain", "domains:\n- example.org\n- EXAMPLE.org\n", `xmppd.yml:3: domains[1]: "EXAMPLE.org" is listed twice`},
		{"admin", "admins: [juliet, juliet@example.org/balcony]\n", "xmppd.yml:1: admins[0]: \"juliet\" is not an address such as admin@example.org\nxmppd.yml:1: admins[1]: \"juliet@example.org/balcony\" is not an address such as admin@example.org"},
		{"database", "database: mysql://root:secret@db/x\n", `xmppd.yml:1: database: the value is neither sqlite nor a postgres:// URL`},
		{"proxy", "http: {trusted_proxies: [10.0.0.0/33]}\n", `xmppd.yml:1: http.trusted_proxies[0]: "10.0.0.0/33" is neither an address nor a network such as 192.0.2.0/24`},
		{"URL", "http: {public_url: example.org}\n", `xmppd.yml:1: http.public_url: "example.org" is not a URL such as https://example.org/path`},
		{"URL of the wrong kind", "websocket: {public_url: https://example.org/ws}\n", `xmppd.yml:1: websocket.public_url: "https://example.org/ws" is not a URL such as wss://example.org/path`},
		{"certificate alone", "tls: {cert_file: a.pem}\n", `xmppd.yml:1: tls.cert_file: "a.pem" needs tls.key_file beside it`},
		{"key alone", "tls: {key_file: a.pem}\n", `xmppd.yml:1: tls.key_file: "a.pem" needs tls.cert_file beside it`},
		{"small outbox", "limits:\n  outbox_bytes: 128KiB\n", `xmppd.yml:2: limits.outbox_bytes: "128KiB" is less than limits.stanza_bytes`},

		{"no port", "listen:\n  c2s: ['5222', 'localhost', ':xmpp', ':65536']\n", `xmppd.yml:2: listen.c2s[0]: "5222" is not an address such as :5222 or 192.0.2.1:5222
xmppd.yml:2: listen.c2s[1]: "localhost" is not an address such as :5222 or 192.0.2.1:5222
xmppd.yml:2: listen.c2s[2]: ":xmpp" is not an address such as :5222 or 192.0.2.1:5222
xmppd.yml:2: listen.c2s[3]: ":65536" is not an address such as :5222 or 192.0.2.1:5222`},
		{"same address", "listen:\n  c2s: [':5222']\n  http: ['0.0.0.0:5222']\n", `xmppd.yml:3: listen.http[0]: "0.0.0.0:5222" is already taken by listen.c2s`},
		{"same as a default", "listen:\n  http: ['127.0.0.1:5222']\n", `xmppd.yml:2: listen.http[0]: "127.0.0.1:5222" is already taken by listen.c2s`},
		{"same host", "listen:\n  http: ['localhost:80']\n  https: ['127.0.0.1:80', '127.0.0.2:80', '[::1]:80']\n", `xmppd.yml:3: listen.https[0]: "127.0.0.1:80" is already taken by listen.http`},

		{"module as text", "modules: {ping: 5}\n", `xmppd.yml:1: modules.ping: "5" is not a section of keys`},
		{"enabled", "modules:\n  ping:\n    enabled: off\n", `xmppd.yml:3: modules.ping.enabled: "off" is not true or false`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, got := loadText(t, test.file)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	_, got := loadText(t, `domains: [example.org]
log:
  levl: debug
limits:
  depth: deep
  stanza_bytes: 1
listen:
  c2s: [":5222", ":5222"]
modules:
  ping: {interval: 3, interval: 5}
`, "XMPPD_LOG_LEVL=debug", "XMPPD_LIMITS_DEPTH=deeper", "XMPPD_DATABASE=mysql://root:secret@db")
	want := `xmppd.yml:3: log.levl: unknown key; did you mean log.level?
xmppd.yml:5: limits.depth: "deep" is not a whole number
xmppd.yml:6: limits.stanza_bytes: "1" is less than 10000
xmppd.yml:8: listen.c2s[1]: ":5222" is already taken by listen.c2s
xmppd.yml:10: modules.ping.interval: is already set in line 10
XMPPD_DATABASE: database: the value is neither sqlite nor a postgres:// URL
XMPPD_LIMITS_DEPTH: limits.depth: "deeper" is not a whole number
XMPPD_LOG_LEVL: unknown key; did you mean XMPPD_LOG_LEVEL?`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestProblemsOfTheEnvironment(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ file, env, want string }{
		{"", "XMPPD_LISTEN_C2S=:5222,:5222", `XMPPD_LISTEN_C2S: listen.c2s[1]: ":5222" is already taken by listen.c2s`},
		{"listen:\n  c2s: [':1', ':2']\n", "XMPPD_LISTEN_C2S=:1,:x", `XMPPD_LISTEN_C2S: listen.c2s[1]: ":x" is not an address such as :5222 or 192.0.2.1:5222`},
		{"", "XMPPD_TLS_REQUIRED=1", `XMPPD_TLS_REQUIRED: tls.required: "1" is not true or false`},
		{"", "XMPPD_LIMITS_WRITE_STALL=30", `XMPPD_LIMITS_WRITE_STALL: limits.write_stall: "30" is not a duration such as 30s or 5m`},
		{"", "XMPPD_LIMITS_STANZA_BYTES=-1", `XMPPD_LIMITS_STANZA_BYTES: limits.stanza_bytes: "-1" is not a number of bytes such as 65536 or 64KiB`},
		{"", "XMPPD_LIMITS_STANZA_BYTE=1", `XMPPD_LIMITS_STANZA_BYTE: unknown key; did you mean XMPPD_LIMITS_STANZA_BYTES?`},
		{"", "XMPPD_DOMAIN=example.org", `XMPPD_DOMAIN: unknown key; did you mean XMPPD_DOMAINS?`},
		{"", "XMPPD_LOG=debug", `XMPPD_LOG: unknown key`},
		{"", "XMPPD_MODULES_PING=true", `XMPPD_MODULES_PING: unknown key`},
		{"", "XMPPD_MODULES_PING_ENABLED=1", `XMPPD_MODULES_PING_ENABLED: modules.ping.enabled: "1" is not true or false`},
	} {
		t.Run(test.env, func(t *testing.T) {
			t.Parallel()
			_, got := loadText(t, test.file, test.env)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A password in a URL must not reach a log by way of an error.
func TestSecretsStayOutOfProblems(t *testing.T) {
	t.Parallel()
	for _, file := range []string{
		"database: mysql://root:secret@db/x\n",
		"database: 'postgres://u:secret@[bad/x'\n",
		"database: [secret]\n",
		"databse: secret\n",
	} {
		if _, got := loadText(t, file); got == "" || strings.Contains(got, "secret") {
			t.Errorf("%q: %s", file, got)
		}
	}
}
