package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/xmppd/xmppd/admin"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/internal/node"
)

// serveNode runs the server until ctx is done or a listener fails.
func (p *program) serveNode(ctx context.Context, cfg *config.Config) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP) // unheard, it would end the process
	defer signal.Stop(hup)
	level := new(slog.LevelVar)
	if err := level.UnmarshalText([]byte(cfg.Log.Level)); err != nil {
		return err
	}
	log := slog.New(logHandler(p.err, cfg.Log.Format, level))
	warnDescriptors(log, cfg)

	// The socket comes first: a second server on one data folder must not touch it.
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	socket, err := admin.ListenSocket(cfg.Socket())
	if err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	defer socket.Close()
	n, err := node.Start(ctx, node.Options{Config: cfg, Log: log, Version: versionText(), TuneMemory: os.Getenv("GOGC") == ""})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	process := node.Process{Level: level, Stop: stop, Load: p.reload}
	set := n.Commands(process)
	p.greet(n, cfg)

	commands, endCommands := context.WithCancel(context.WithoutCancel(ctx))
	defer endCommands()
	ended := make(chan error, 1)
	go func() { ended <- admin.ServeCommands(commands, socket, set, log) }()
	observe := &http.Server{Handler: n.Observe(), ReadHeaderTimeout: 10 * time.Second}
	for _, l := range n.Listener("listen.admin") {
		go observe.Serve(l) // ends with the listener
	}
	err = wait(ctx, n, hup, func() {
		if _, _, err := set.Call(context.WithoutCancel(ctx), "reload_config", nil); err != nil {
			log.Error("reload failed", "error", err)
		}
	})
	log.Info("stopping")
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.ShutdownTimeout)
	defer cancel()
	err = errors.Join(err, n.Shutdown(grace))
	observe.Close() // a profile may take longer than the grace
	endCommands()
	return errors.Join(err, <-ended)
}

// wait returns when the server is to stop; SIGHUP reloads meanwhile.
func wait(ctx context.Context, n *node.Node, hup <-chan os.Signal, reload func()) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-n.Failed():
			return err
		case <-hup:
			reload()
		}
	}
}

// reload reads the configuration that the server was started with once more.
func (p *program) reload() (*config.Config, error) {
	cfg, problems := p.problems()
	if len(problems) == 0 {
		return cfg, nil
	}
	errs := make([]error, len(problems))
	for i, problem := range problems {
		errs[i] = errors.New(problem.String())
	}
	return nil, errors.Join(errs...)
}

func logHandler(w io.Writer, format string, level slog.Leveler) slog.Handler {
	o := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.NewJSONHandler(w, o)
	}
	return slog.NewTextHandler(w, o)
}

// warnDescriptors says when the system allows fewer connections than the
// configuration; the runtime has raised the soft limit to the hard one already.
func warnDescriptors(log *slog.Logger, cfg *config.Config) {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return
	}
	if want := uint64(cfg.Limits.Connections) + 256; uint64(limit.Cur) < want {
		log.Warn("the limit of open files is lower than limits.connections needs", "files", limit.Cur, "wanted", want)
	}
}

// greet tells a person what was started and what to do next.
func (p *program) greet(n *node.Node, cfg *config.Config) {
	var b strings.Builder
	fmt.Fprintf(&b, "xmppd %s\n", versionText())
	source := cfg.Source()
	if source == "" {
		source = "none, all defaults"
	}
	fmt.Fprintf(&b, "  configuration  %s\n", source)
	fmt.Fprintf(&b, "  domains        %s\n", strings.Join(cfg.Domains, ", "))
	fmt.Fprintf(&b, "  data folder    %s\n", cfg.DataDir)
	for _, l := range []struct{ key, text string }{
		{"listen.c2s", "clients, STARTTLS"}, {"listen.c2s_tls", "clients, direct TLS"},
		{"listen.http", "HTTP and WebSocket (/ws)"}, {"listen.https", "HTTPS and WebSocket (/ws)"},
		{"listen.admin", "metrics and health"},
	} {
		for _, a := range n.Addrs(l.key) {
			fmt.Fprintf(&b, "  %-14s %s: %s\n", strings.TrimPrefix(l.key, "listen."), a, l.text)
		}
	}
	if n.SelfSigned() {
		fmt.Fprintf(&b, "The certificate is self-signed: clients will ask whether to trust it.\nSet tls.cert_file and tls.key_file for a real one.\n")
	}
	if n.Empty() {
		fmt.Fprintf(&b, "There are no accounts yet. Create the first one with\n  %s register NAME %s PASSWORD\n", p.ctlCommand(cfg), cfg.Domains[0])
	}
	fmt.Fprint(p.out, b.String())
}

// ctlCommand is how the person at this terminal calls xmppd ctl for this server.
func (p *program) ctlCommand(cfg *config.Config) string {
	self := "xmppd"
	if exe, err := os.Executable(); err == nil {
		self = exe
		if dir, err := os.Getwd(); err == nil {
			if rel, err := filepath.Rel(dir, exe); err == nil && !strings.HasPrefix(rel, "..") {
				self = "./" + rel
			}
		}
	}
	return fmt.Sprintf("%s ctl --socket %s", self, cfg.Socket())
}
