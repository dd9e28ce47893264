// Command streams measures how a server of XMPP clients opens, resumes and
// keeps streams: logins per second and what each costs, thousands of clients
// that come back at once, sessions that wait for their client. README.md one
// folder up tells what the figures mean.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
)

type command struct {
	name, help string
	run        func(args []string) error
}

func commands() []command {
	return []command{
		{"register", "make the users u0..uN-1 (XEP-0077)", register},
		{"logins", "logins per second, and the server's CPU time for each", logins},
		{"storm", "N clients lose their connections and come back at once, while others chat", storm},
		{"detached", "memory of sessions that wait for their client", detached},
		{"chat", "pairs of users chat at a fixed rate (storm runs one beside itself)", chat},
	}
}

func main() {
	raiseFiles()
	if len(os.Args) > 1 {
		for _, c := range commands() {
			if c.name == os.Args[1] {
				run(c)
				return
			}
		}
	}
	fmt.Fprintln(os.Stderr, "usage: streams COMMAND [flags]   (streams COMMAND -h lists the flags)")
	for _, c := range commands() {
		fmt.Fprintf(os.Stderr, "  %-10s%s\n", c.name, c.help)
	}
	os.Exit(2)
}

func run(c command) {
	err := c.run(os.Args[2:])
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return
	}
	fmt.Fprintln(os.Stderr, "streams:", err)
	os.Exit(1)
}
