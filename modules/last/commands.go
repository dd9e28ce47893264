package last

import (
	"context"
	"errors"
	"time"

	"github.com/xmppd/xmppd/command"
	"github.com/xmppd/xmppd/storage"
)

// declareCommands adds get_last and set_last with ejabberd's arguments and results.
func (m *Module) declareCommands() {
	user := command.Arg{Name: "user", Type: command.User, Doc: "Local part of the account", Example: "juliet"}
	host := command.Arg{Name: "host", Type: command.Host, Doc: "Domain of the account", Example: "capulet.lit"}
	m.host.Command(command.Command{
		Name: "get_last", Tags: []string{"last"},
		Short:   "Tell when an account was last online, and its status then",
		Long:    "The status is ONLINE while the account has a session, with the present time, and NOT FOUND if it never had one.",
		Args:    []command.Arg{user, host},
		Result:  command.TupleOf("last_activity", command.TextOf("timestamp"), command.TextOf("status")),
		Example: "2026-07-14T23:08:25Z\tHeading Home",
		Run:     m.getLast,
	})
	m.host.Command(command.Command{
		Name: "set_last", Tags: []string{"last"},
		Short: "Set when an account was last online, and its status then",
		Args: []command.Arg{
			user, host,
			{Name: "timestamp", Type: command.Int, Doc: "Seconds since 1970-01-01 00:00:00 UTC, as printed by date +%s", Example: "1784070505"},
			{Name: "status", Type: command.String, Doc: "Status message", Example: "Heading Home"},
		},
		Result: command.Code(),
		Run:    m.setLast,
	})
}

const stamp = "2006-01-02T15:04:05.999999Z" // XEP-0082 §3.2

func (m *Module) getLast(ctx context.Context, a command.Args) (any, error) {
	account, err := m.host.Account(a, "user", "host")
	if err != nil {
		return nil, err
	}
	now := m.host.Now().UTC().Format(stamp)
	if len(m.host.Sessions(nil, account)) > 0 {
		return command.Row{now, "ONLINE"}, nil
	}
	at, status, err := m.activity(ctx, account)
	if errors.Is(err, storage.ErrNotFound) {
		return command.Row{now, "NOT FOUND"}, nil
	}
	return command.Row{at.UTC().Format(stamp), status}, err
}

func (m *Module) setLast(ctx context.Context, a command.Args) (any, error) {
	account, err := m.host.Account(a, "user", "host")
	if err != nil {
		return nil, err
	}
	err = m.put(ctx, account, time.Unix(a.Int("timestamp"), 0), a.String("status"))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, command.Errorf(command.NotFound, "the account %s does not exist", account)
	}
	return nil, err
}
