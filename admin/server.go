package admin

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/xmppd/xmppd/command"
	"github.com/xmppd/xmppd/jid"
)

func serverCommands(d Deps, set *command.Set) []command.Command {
	return append(statistics(d), []command.Command{
		{
			Name: "status", Tags: []string{"server"},
			Short:   "Show whether the server runs and its version",
			Long:    "When no server answers, xmppd ctl says so and exits with code 3.",
			Result:  command.Message(),
			Example: "The node xmppd@chat is started with status: started\nxmppd 1.0.0 is running in that node",
			Run: func(context.Context, command.Args) (any, error) {
				return fmt.Sprintf("The node %s is started with status: started\nxmppd %s is running in that node",
					d.Server.Node(), d.Server.Version()), nil
			},
		},
		{
			Name: "stop", Tags: []string{"server"},
			Short:  "Stop the server",
			Long:   "New connections are refused, clients are told, queued writes are flushed. xmppd ctl waits until the server has ended.",
			Result: command.Code(),
			Run: func(context.Context, command.Args) (any, error) {
				d.Server.Stop()
				return true, nil
			},
		},
		{
			Name: "reload_config", Tags: []string{"config"},
			Short:   "Read the configuration again and apply what can change",
			Long:    "Prints the keys that were applied and those that need a restart, and nothing when no key has changed. A configuration with an error is refused as a whole. Certificates are read again in any case.",
			Result:  command.Message(),
			Example: "applied: log.level\nneeds a restart: listen.c2s",
			Run:     d.reload,
		},
		{
			Name: "registered_vhosts", Tags: []string{"server"},
			Short:   "List the domains that are served",
			Result:  command.ListOf("vhosts", command.TextOf("vhost")),
			Example: "example.net\nexample.org",
			Run: func(context.Context, command.Args) (any, error) {
				return slices.Sorted(slices.Values(d.Server.Domains())), nil
			},
		},
		{
			Name: "get_loglevel", Tags: []string{"logs"},
			Short:   "Show the log level",
			Result:  command.TextOf("levelatom"),
			Example: "info",
			Run: func(context.Context, command.Args) (any, error) {
				return levelName(d.Server.LogLevel()), nil
			},
		},
		{
			Name: "set_loglevel", Tags: []string{"logs"},
			Short: "Set the log level until the next start or reload",
			Long:  "Levels: none, error, warning, info, debug. The further names of ejabberd are accepted: emergency, alert and critical mean error, notice means info.",
			Args: []command.Arg{
				{Name: "loglevel", Type: command.String, Doc: "Least severe level that is logged", Example: "debug"},
			},
			Result: command.Code(),
			Run: func(_ context.Context, a command.Args) (any, error) {
				level, err := parseLevel(a.String("loglevel"))
				if err != nil {
					return nil, err
				}
				d.Server.SetLogLevel(level)
				return true, nil
			},
		},
		{
			Name: "help", Tags: []string{"documentation"},
			Short: "Explain commands",
			Long:  "Without arguments: all commands. The topic is a command, a pattern such as 'regist*', a tag, or --tags, which lists the tags and may be followed by one.",
			Args: []command.Arg{
				{Name: "topic", Type: command.String, Doc: "Command, pattern, tag, or --tags", Example: "stats", Optional: true},
				{Name: "tag", Type: command.String, Doc: "After --tags: the tag", Optional: true},
			},
			Result:  command.TextOf("help"),
			Example: "stats: Show a figure about the server\n…",
			Run: func(_ context.Context, a command.Args) (any, error) {
				text, err := set.Help("xmppd ctl", []string{a.String("topic"), a.String("tag")})
				return strings.TrimSuffix(text, "\n"), err
			},
		},
	}...)
}

func (d Deps) reload(ctx context.Context, _ command.Args) (any, error) {
	applied, restart, err := d.Server.Reload(ctx)
	if err != nil {
		return nil, command.Errorf(command.Failed, "reload the configuration: %v", err)
	}
	var lines []string
	if len(applied) > 0 {
		lines = append(lines, "applied: "+strings.Join(applied, ", "))
	}
	if len(restart) > 0 {
		lines = append(lines, "needs a restart: "+strings.Join(restart, ", "))
	}
	return strings.Join(lines, "\n"), nil
}

// levelNone is above every level that is logged.
const levelNone = slog.Level(1 << 20)

func parseLevel(name string) (slog.Level, error) {
	switch name {
	case "none":
		return levelNone, nil
	case "emergency", "alert", "critical", "error":
		return slog.LevelError, nil
	case "warning", "warn":
		return slog.LevelWarn, nil
	case "notice", "info":
		return slog.LevelInfo, nil
	case "debug":
		return slog.LevelDebug, nil
	}
	return 0, command.Errorf(command.Usage, "loglevel must be none, error, warning, info or debug, not %q", name)
}

func levelName(l slog.Level) string {
	switch {
	case l <= slog.LevelDebug:
		return "debug"
	case l <= slog.LevelInfo:
		return "info"
	case l <= slog.LevelWarn:
		return "warning"
	case l <= slog.LevelError:
		return "error"
	}
	return "none"
}

func statistics(d Deps) []command.Command {
	return []command.Command{
		{
			Name: "stats", Tags: []string{"statistics"},
			Short: "Show a figure about the server",
			Long:  "Names: registeredusers, onlineusers, onlineusersnode, uptimeseconds, processes (goroutines of this node).",
			Args: []command.Arg{
				{Name: "name", Type: command.String, Doc: "Which figure", Example: "registeredusers"},
			},
			Result:  command.IntOf("stat"),
			Example: "6",
			Run:     d.stats,
		},
		{
			Name: "stats_host", Tags: []string{"statistics"},
			Short: "Show a figure about a domain",
			Long:  "Names: registeredusers, onlineusers.",
			Args: []command.Arg{
				{Name: "name", Type: command.String, Doc: "Which figure", Example: "registeredusers"},
				{Name: "host", Type: command.Host, Doc: "Domain", Example: "example.org"},
			},
			Result:  command.IntOf("stat"),
			Example: "6",
			Run:     d.statsHost,
		},
	}
}

func (d Deps) stats(ctx context.Context, a command.Args) (any, error) {
	switch name := a.String("name"); name {
	case "uptimeseconds":
		return seconds(d.Server.Now().Sub(d.Server.Started())), nil
	case "processes":
		return runtime.NumGoroutine(), nil
	case "registeredusers":
		sum := 0
		for _, domain := range d.Server.Domains() {
			n, err := d.Accounts.Count(ctx, domain)
			if err != nil {
				return nil, fmt.Errorf("count accounts: %w", err)
			}
			sum += n
		}
		return sum, nil
	case "onlineusers", "onlineusersnode":
		list, err := d.Sessions.Sessions(ctx, jid.JID{})
		if err != nil {
			return nil, fmt.Errorf("list sessions: %w", err)
		}
		n := 0
		for _, s := range list {
			if name == "onlineusers" || s.Here {
				n++
			}
		}
		return n, nil
	default:
		return nil, command.Errorf(command.Usage,
			"name must be registeredusers, onlineusers, onlineusersnode, uptimeseconds or processes, not %q", name)
	}
}

func (d Deps) statsHost(ctx context.Context, a command.Args) (any, error) {
	host := a.String("host")
	if err := d.served(host); err != nil {
		return nil, err
	}
	switch name := a.String("name"); name {
	case "registeredusers":
		n, err := d.Accounts.Count(ctx, host)
		if err != nil {
			return nil, fmt.Errorf("count accounts: %w", err)
		}
		return n, nil
	case "onlineusers":
		list, err := d.domainSessions(ctx, host)
		return len(list), err
	default:
		return nil, command.Errorf(command.Usage, "name must be registeredusers or onlineusers, not %q", name)
	}
}

func seconds(d time.Duration) int64 { return max(0, int64(d/time.Second)) }
