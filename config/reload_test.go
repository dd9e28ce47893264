package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDiff(t *testing.T) {
	t.Parallel()
	const before = `
domains: [example.org]
admins: [juliet@example.org]
log: {level: info}
modules: {ping: {interval: 1m}, time: {enabled: true}}
`
	for _, test := range []struct {
		name, after      string
		applied, restart []string
	}{
		{"nothing", before + "# a comment", nil, nil},
		{"spelled otherwise", before + "limits: {stanza_bytes: 262144}\nlisten: {c2s: [':5222']}\nhttp: {trusted_proxies: []}", nil, nil},
		{"live", `
domains: [example.org]
admins: [romeo@example.org]
log: {level: debug}
tls: {cert_dir: /etc/certs}
limits: {depth: 20, login_timeout: 5s}
registration: {enabled: true}
auth: {scram_iterations: 20000}
modules: {ping: {interval: 1m}, time: {enabled: true}}
`, []string{"admins", "log.level", "tls.cert_dir", "registration.enabled", "auth.scram_iterations", "limits.depth", "limits.login_timeout"}, nil},
		{"restart", `
domains: [example.org, example.net]
admins: [juliet@example.org]
listen: {http: []}
database_options: {durability: normal}
modules: {ping: {interval: 2m}, last: {enabled: false}}
`, nil, []string{"domains", "listen.http", "database_options.durability", "modules.last.enabled", "modules.ping.interval", "modules.time.enabled"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			old, problems := loadText(t, before)
			new, more := loadText(t, test.after)
			if problems+more != "" {
				t.Fatal(problems, more)
			}
			applied, restart := Diff(old, new)
			if diff := cmp.Diff(test.applied, applied); diff != "" {
				t.Error("applied", diff)
			}
			if diff := cmp.Diff(test.restart, restart); diff != "" {
				t.Error("needs restart", diff)
			}

			// What runs after the reload differs from the file only by the rest.
			running := old.Reloaded(new)
			applied, restart = Diff(running, new)
			if len(applied) > 0 {
				t.Error("not applied:", applied)
			}
			if diff := cmp.Diff(test.restart, restart); diff != "" {
				t.Error("needs restart", diff)
			}
			if applied, _ = Diff(old, running); len(applied) != len(test.applied) {
				t.Error("the running Config was changed in place")
			}
		})
	}
}
