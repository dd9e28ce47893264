// Command xmppd is an XMPP server and the tool that administers it.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// tuneMemory makes the collector run at half the usual growth. Most of the heap
// is sessions that live long, so it costs little CPU, and every session is
// about a tenth smaller. GOGC in the environment has the last word.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}

func main() {
	// A second signal ends the process the hard way: stop gives the signals back.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	tuneMemory()
	p := program{env: os.Environ(), in: os.Stdin, out: os.Stdout, err: os.Stderr}
	os.Exit(p.run(ctx, os.Args))
}
