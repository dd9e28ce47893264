package offline

import (
	"context"

	"github.com/xmppd/xmppd/command"
)

const (
	stamp = "2006-01-02T15:04:05.999999Z" // XEP-0082 §3.2
	step  = 500                           // rows deleted at a time, so that writers get their turn
)

// declareCommands adds the commands about stored messages with ejabberd's
// arguments and results.
func (m *Module) declareCommands() {
	account := []command.Arg{
		{Name: "user", Type: command.User, Doc: "Local part of the account", Example: "juliet"},
		{Name: "host", Type: command.Host, Doc: "Domain of the account", Example: "capulet.lit"},
	}
	m.host.Command(command.Command{
		Name: "get_offline_count", Tags: []string{"offline"},
		Short:   "Count the messages that wait for an account",
		Args:    account,
		Result:  command.IntOf("value"),
		Example: "5",
		Run:     m.count,
	})
	m.host.Command(command.Command{
		Name: "get_offline_messages", Tags: []string{"offline"},
		Short: "List the messages that an account has not got",
		Args:  account,
		Result: command.ListOf("queue", command.TupleOf("messages",
			command.TextOf("time"), command.TextOf("from"), command.TextOf("to"), command.TextOf("packet"))),
		Example: "2026-07-14T23:08:25Z\tromeo@capulet.lit/orchard\tjuliet@capulet.lit\t" +
			"<message from='romeo@capulet.lit/orchard' to='juliet@capulet.lit'><body>Art thou not Romeo?</body></message>",
		Run: m.list,
	})
	m.host.Command(command.Command{
		Name: "delete_old_messages", Tags: []string{"offline", "purge"},
		Short:  "Delete messages that have waited for longer than some days, of all accounts",
		Args:   []command.Arg{{Name: "days", Type: command.Int, Doc: "Number of days", Example: "31"}},
		Result: command.Code(),
		Run:    m.deleteOld,
	})
}

func (m *Module) count(ctx context.Context, a command.Args) (any, error) {
	owner, err := m.host.Account(a, "user", "host")
	if err != nil {
		return nil, err
	}
	if err := m.write(ctx); err != nil {
		return nil, err
	}
	return m.store.CountMessages(ctx, owner)
}

func (m *Module) list(ctx context.Context, a command.Args) (any, error) {
	owner, err := m.host.Account(a, "user", "host")
	if err != nil {
		return nil, err
	}
	if err := m.write(ctx); err != nil {
		return nil, err
	}
	list := []command.Row{}
	for after := int64(0); ; {
		rows, err := m.store.PendingMessages(ctx, owner, after, 0, page)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			list = append(list, command.Row{row.Arrived.UTC().Format(stamp), row.Peer.String(), owner.String(), string(row.XML)})
			after = row.Seq
		}
		if len(rows) < page {
			return list, nil
		}
	}
}

func (m *Module) deleteOld(ctx context.Context, a command.Args) (any, error) {
	days := a.Int("days")
	if days < 0 {
		return nil, command.Errorf(command.Usage, "days must not be negative")
	}
	const most = 1000 * 366 // far enough from where a date overflows and would lie in the future
	if err := m.write(ctx); err != nil {
		return nil, err
	}
	before := m.host.Now().AddDate(0, 0, -int(min(days, most)))
	for {
		n, err := m.store.DeleteMessagesBefore(ctx, before, step)
		if err != nil || n < step {
			return nil, err
		}
	}
}
