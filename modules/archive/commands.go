package archive

import (
	"context"

	"github.com/xmppd/xmppd/command"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

const (
	stampMicros = "2006-01-02T15:04:05.999999Z" // XEP-0082 §3.2
	listAtMost  = 10_000                        // messages that a command prints
)

// declareCommands adds the commands about archives with ejabberd's arguments and
// results.
func (m *Module) declareCommands() {
	user := command.Arg{Name: "user", Type: command.User, Doc: "Local part of the account", Example: "juliet"}
	host := command.Arg{Name: "host", Type: command.Host, Doc: "Domain of the account", Example: "capulet.lit"}
	m.host.Command(command.Command{
		Name: "get_mam_count", Tags: []string{"mam"},
		Short: "Count the messages in an account's archive",
		Args:  []command.Arg{user, host}, Result: command.IntOf("value"), Example: "5",
		Run: m.countCommand,
	})
	m.host.Command(command.Command{
		Name: "get_mam_messages", Tags: []string{"mam"},
		Short: "List the messages in an account's archive",
		Long:  "If there are more than 10000, use export_user.",
		Args:  []command.Arg{user, host},
		Result: command.ListOf("archive", command.TupleOf("messages",
			command.TextOf("time"), command.TextOf("from"), command.TextOf("to"), command.TextOf("packet"))),
		Example: "2026-07-14T23:08:25Z\tromeo@capulet.lit/orchard\tjuliet@capulet.lit\t" +
			"<message from='romeo@capulet.lit/orchard' to='juliet@capulet.lit'><body>Art thou not Romeo?</body></message>",
		Run: m.listCommand,
	})
	m.host.Command(command.Command{
		Name: "remove_mam_for_user", Tags: []string{"mam"},
		Short: "Remove the archive of an account",
		Args:  []command.Arg{user, host}, Result: command.Message(), Example: "MAM archive removed",
		Run: m.removeCommand,
	})
	m.host.Command(command.Command{
		Name: "remove_mam_for_user_with_peer", Tags: []string{"mam"},
		Short: "Remove the messages from and to one address from the archive of an account",
		Args: []command.Arg{
			user, host,
			{Name: "with", Type: command.Address, Doc: "The other side; without a resource, all of its resources", Example: "romeo@capulet.lit"},
		},
		Result: command.Message(), Example: "MAM archive removed",
		Run: m.removeCommand,
	})
	m.declareDeletions(host)
}

func (m *Module) declareDeletions(host command.Arg) {
	kind := command.Arg{Name: "type", Type: command.String, Doc: "chat, groupchat or all", Example: "all"}
	days := command.Arg{Name: "days", Type: command.Int, Doc: "Days to keep messages", Example: "31"}
	m.host.Command(command.Command{
		Name: "delete_old_mam_messages", Tags: []string{"mam", "purge"},
		Short: "Delete messages that are older than some days from all archives",
		Args:  []command.Arg{kind, days}, Result: command.Code(),
		Run: m.deleteCommand,
	})
	m.host.Command(command.Command{
		Name: "delete_old_mam_messages_batch", Tags: []string{"mam", "purge"},
		Short: "Delete messages that are older than some days from the archives of a domain, little by little",
		Args: []command.Arg{
			host, kind, days,
			{Name: "batch_size", Type: command.Int, Doc: "Messages deleted at a time", Example: "1000"},
			{Name: "rate", Type: command.Int, Doc: "Messages deleted within a minute", Example: "10000"},
		},
		Result: command.Message(), Example: "Operation started",
		Run: m.batchCommand,
	})
	m.host.Command(command.Command{
		Name: "delete_old_mam_messages_status", Tags: []string{"mam", "purge"},
		Short: "Tell how far delete_old_mam_messages_batch is",
		Args:  []command.Arg{host}, Result: command.TextOf("status"), Example: "Operation in progress, deleted 5000 messages",
		Run: func(_ context.Context, a command.Args) (any, error) {
			if !m.host.Hosted(a.String("host")) {
				return nil, command.Errorf(command.UnknownHost, "Unknown virtual host")
			}
			return m.batches.status(a.String("host")), nil
		},
	})
	m.host.Command(command.Command{
		Name: "abort_delete_old_mam_messages", Tags: []string{"mam", "purge"},
		Short: "Abort delete_old_mam_messages_batch",
		Args:  []command.Arg{host}, Result: command.TextOf("status"), Example: "Operation aborted",
		Run: func(_ context.Context, a command.Args) (any, error) {
			if !m.host.Hosted(a.String("host")) {
				return nil, command.Errorf(command.UnknownHost, "Unknown virtual host")
			}
			if m.batches.abort(a.String("host")) {
				return "Operation aborted", nil
			}
			return "No task running", nil
		},
	})
}

func (m *Module) countCommand(ctx context.Context, a command.Args) (any, error) {
	owner, err := m.account(ctx, a)
	if err != nil {
		return nil, err
	}
	return m.store.CountArchive(ctx, storage.ArchiveQuery{Owner: owner})
}

func (m *Module) listCommand(ctx context.Context, a command.Args) (any, error) {
	owner, err := m.account(ctx, a)
	if err != nil {
		return nil, err
	}
	list := []command.Row{}
	err = m.store.Archive(ctx, storage.ArchiveQuery{Owner: owner, Limit: listAtMost + 1}, func(row *storage.Message) error {
		if len(list) == listAtMost {
			return command.Errorf(command.Usage, "the archive holds more than %d messages: use export_user", listAtMost)
		}
		from, to := row.Peer, owner
		if row.Flags.Has(storage.FromOwner) {
			from, to = to, from
		}
		list = append(list, command.Row{row.Arrived.UTC().Format(stampMicros), from.String(), to.String(), string(row.XML)})
		return nil
	})
	return list, err
}

func (m *Module) removeCommand(ctx context.Context, a command.Args) (any, error) {
	owner, err := m.account(ctx, a)
	if err != nil {
		return nil, err
	}
	if err := m.remove(ctx, owner, a.JID("with")); err != nil {
		return nil, err
	}
	return "MAM archive removed", nil
}

func (m *Module) deleteCommand(ctx context.Context, a command.Args) (any, error) {
	t, err := m.old(a)
	if err != nil || t.Before.IsZero() {
		return nil, err
	}
	return nil, m.sweep(ctx, t)
}

func (m *Module) batchCommand(_ context.Context, a command.Args) (any, error) {
	host := a.String("host")
	if !m.host.Hosted(host) {
		return nil, command.Errorf(command.UnknownHost, "Unknown virtual host")
	}
	t, err := m.old(a)
	if err != nil {
		return nil, err
	}
	b := &batch{trim: t, size: step, started: m.host.Now()}
	if size := a.Int("batch_size"); size < 1 {
		return nil, command.Errorf(command.Usage, "batch_size must be at least 1")
	} else if size < step {
		b.size = int(size)
	}
	if b.rate = int(min(a.Int("rate"), 1<<30)); b.rate < 1 {
		return nil, command.Errorf(command.Usage, "rate must be at least 1")
	}
	if b.trim.Domain = host; t.Before.IsZero() {
		b.state = completed
	}
	if err := m.batches.start(host, b); err != nil {
		return nil, err
	}
	return "Operation started", nil
}

// old is what the arguments type and days mean; without a Before, nothing. Messages
// of rooms are not in the archives of accounts.
func (m *Module) old(a command.Args) (storage.Trim, error) {
	days := a.Int("days")
	if days < 0 {
		return storage.Trim{}, command.Errorf(command.Usage, "days must not be negative")
	}
	switch a.String("type") {
	case "groupchat":
		return storage.Trim{}, nil
	case "chat", "all":
		const most = 1000 * 366 // far enough from where a date overflows and would lie in the future
		return storage.Trim{Before: m.host.Now().AddDate(0, 0, -int(min(days, most)))}, nil
	}
	return storage.Trim{}, command.Errorf(command.Usage, "type must be chat, groupchat or all")
}

// account is the one that the arguments name; it must exist.
func (m *Module) account(ctx context.Context, a command.Args) (jid.JID, error) {
	owner, err := m.host.Account(a, "user", "host")
	if err != nil {
		return owner, err
	}
	ok, err := m.host.Exists(ctx, owner)
	if err == nil && !ok {
		err = command.Errorf(command.NotFound, "the account %s does not exist", owner)
	}
	return owner, err
}
