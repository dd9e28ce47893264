package roster

import (
	"context"
	"errors"

	"github.com/xmppd/xmppd/command"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// commands declares the admin commands, as ejabberdctl has them.
func (d *domain) commands() {
	user := command.Arg{Name: "user", Type: command.User, Doc: "User name", Example: "juliet"}
	host := command.Arg{Name: "host", Type: command.Host, Doc: "Domain", Example: "example.org"}
	localUser := command.Arg{Name: "localuser", Type: command.User, Doc: "User name of the roster's owner", Example: "juliet"}
	localHost := command.Arg{Name: "localhost", Type: command.Host, Doc: "Domain of the roster's owner", Example: "example.org"}
	contactUser := command.Arg{Name: "user", Type: command.User, Doc: "User name of the contact", Example: "romeo"}
	contactHost := command.Arg{Name: "host", Type: command.Host, Doc: "Domain of the contact", Example: "example.net"}

	d.h.Command(command.Command{
		Name: "get_roster", Tags: []string{"roster"}, Short: "List the contacts of an account",
		Long: "Requests that the account has not answered are in the list too, with 'in' or 'both' as pending; " +
			"'out' and 'both' mean that the contact has not answered.",
		Args: []command.Arg{user, host},
		Result: command.ListOf("contacts", command.TupleOf("contact", command.TextOf("jid"), command.TextOf("nick"),
			command.TextOf("subscription"), command.TextOf("pending"), command.ListOf("groups", command.TextOf("group")))),
		Example: "romeo@example.net\tRomeo\tboth\tnone\tFriends,Montagues",
		Run:     d.listItems,
	})
	d.h.Command(command.Command{
		Name: "get_roster_count", Tags: []string{"roster"}, Short: "Count the contacts of an account",
		Args: []command.Arg{user, host}, Result: command.IntOf("value"), Example: "5",
		Run: d.countItems,
	})
	d.h.Command(command.Command{
		Name: "add_rosteritem", Tags: []string{"roster"}, Short: "Add or change a contact of an account",
		Long: "Only the roster of localuser changes. For two accounts to see each other the command is needed once " +
			"for each of them, with 'both' as subscription.",
		Args: []command.Arg{localUser, localHost, contactUser, contactHost,
			{Name: "nick", Type: command.String, Doc: "Name of the contact", Example: "Romeo"},
			{Name: "groups", Type: command.Strings, Doc: "Groups", Example: "Friends,Montagues"},
			{Name: "subs", Type: command.String, Doc: "Subscription: none, from, to or both", Example: "both"}},
		Result: command.Code(), Run: d.addItem,
	})
	d.h.Command(command.Command{
		Name: "delete_rosteritem", Tags: []string{"roster"}, Short: "Remove a contact of an account",
		Long: "Only the roster of localuser changes.",
		Args: []command.Arg{localUser, localHost, contactUser, contactHost}, Result: command.Code(), Run: d.deleteItem,
	})
}

// account is the existing account of this server that two arguments name.
func (d *domain) account(ctx context.Context, a command.Args, user, host string) (jid.JID, error) {
	account, err := d.h.Account(a, user, host)
	if err != nil {
		return account, err
	}
	ok, err := d.h.Exists(ctx, account)
	if err == nil && !ok {
		err = command.Errorf(command.NotFound, "no account %s", account)
	}
	return account, err
}

func (d *domain) listItems(ctx context.Context, a command.Args) (any, error) {
	owner, err := d.account(ctx, a, "user", "host")
	if err != nil {
		return nil, err
	}
	items, err := d.items(ctx, owner)
	if err != nil {
		return nil, err
	}
	rows := []command.Row{}
	for i := range items {
		item := &items[i]
		groups := item.Groups
		if groups == nil {
			groups = []string{}
		}
		rows = append(rows, command.Row{item.Contact.String(), item.Name, item.Sub.String(), pending(item), groups})
	}
	return rows, nil
}

// pending is what ejabberd calls ask.
func pending(i *storage.RosterItem) string {
	switch {
	case i.Ask && i.PendingIn != nil:
		return "both"
	case i.Ask:
		return "out"
	case i.PendingIn != nil:
		return "in"
	}
	return "none"
}

func (d *domain) countItems(ctx context.Context, a command.Args) (any, error) {
	owner, err := d.account(ctx, a, "user", "host")
	if err != nil {
		return nil, err
	}
	return d.store.CountRoster(ctx, owner)
}

// item is the roster and the contact that four arguments name.
func (d *domain) item(ctx context.Context, a command.Args) (owner, contact jid.JID, err error) {
	if owner, err = d.account(ctx, a, "localuser", "localhost"); err == nil {
		contact, err = a.Account("user", "host")
	}
	return owner, contact, err
}

func (d *domain) addItem(ctx context.Context, a command.Args) (any, error) {
	owner, contact, err := d.item(ctx, a)
	if err != nil {
		return nil, err
	}
	if contact == owner {
		return nil, command.Errorf(command.Usage, "an account is no contact of itself")
	}
	sub := storage.SubNone
	for a.String("subs") != sub.String() {
		if sub++; sub > storage.SubBoth {
			return nil, command.Errorf(command.Usage, "subs must be none, from, to or both, not %q", a.String("subs"))
		}
	}
	_, err = d.change(ctx, edit{
		owner: owner, contact: contact, limit: d.limits().RosterItems, echo: true,
		fn: func(i *storage.RosterItem) error {
			i.Listed, i.Name, i.Groups, i.Sub = true, a.String("nick"), a.Strings("groups"), sub
			i.Ask = i.Ask && sub&storage.SubTo == 0
			if sub&storage.SubFrom != 0 {
				i.PendingIn = nil
			}
			return nil
		},
	})
	if errors.Is(err, storage.ErrTooMany) {
		return nil, command.Errorf(command.Failed, "the roster of %s is full", owner)
	}
	return nil, err
}

func (d *domain) deleteItem(ctx context.Context, a command.Args) (any, error) {
	owner, contact, err := d.item(ctx, a)
	if err != nil {
		return nil, err
	}
	_, err = d.forget(ctx, owner, contact, false)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, command.Errorf(command.NotFound, "%s is not in the roster of %s", contact, owner)
	}
	return nil, err
}
