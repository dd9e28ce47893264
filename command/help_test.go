package command_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/command"
)

func TestHelp(t *testing.T) {
	t.Parallel()
	const page = `add_rosteritem: Add a contact to a roster

Usage: xmppd ctl add_rosteritem user host resource contact nick secret priority [groups]

Arguments:
  user      user      Name
  host      host      Domain
  resource  resource
  contact   jid       Address
  nick      string
  secret    password
  priority  integer   Number
  groups    list      Groups (optional)

Result: one line for each contact, with columns separated by tabs: jid, nick

Example:
  $ xmppd ctl add_rosteritem juliet example.org balcony romeo@example.net 'Romeo'\''s phone' 'x y' -1 'Friends,Team 1'
  romeo@example.net	Romeo

Tags: roster

First paragraph, which is long enough that it has to be wrapped at the end of
the line, somewhere.
Second.
`
	const all = `Usage: xmppd ctl COMMAND [ARGUMENT…]

Commands:
  add_rosteritem user host resource contact nick secret priority [groups]  Add a contact to a roster
  declared  Cannot run
  stats     Show figures
  status    Show the status

More: xmppd ctl help COMMAND, xmppd ctl help --tags
`
	const tags = `roster
  add_rosteritem
server
  stats, status
statistics
  stats
x
  declared
`
	const server = "  stats   Show figures\n  status  Show the status\n"
	for _, test := range []struct {
		words []string
		want  string
		code  int
	}{
		{nil, all, 0},
		{[]string{""}, all, 0},
		{[]string{"add_rosteritem"}, page, 0},
		{[]string{"add-rosteritem"}, page, 0},
		{[]string{"add*"}, page, 0},
		{[]string{"stat?s"}, "status: Show the status\n\nUsage: xmppd ctl status\n\nResult: a text; the exit code is 0 on success and 1 otherwise\n\nExample:\n  $ xmppd ctl status\n\nTags: server\n", 0},
		{[]string{"stat*"}, server, 0},
		{[]string{"server"}, server, 0},
		{[]string{"--tags"}, tags, 0},
		{[]string{"tags"}, tags, 0},
		{[]string{"--tags", "server"}, server, 0},
		{[]string{"--tags", "nothing"}, "", 2},
		{[]string{"nothing"}, "", 2},
		{[]string{"[bad"}, "", 2},
	} {
		got, err := sample().Help("xmppd ctl", test.words)
		if code := command.ExitCode(err); code != test.code {
			t.Errorf("help %v: %v", test.words, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("help %v (-want +got):\n%s", test.words, diff)
		}
	}
}
