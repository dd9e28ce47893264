package admin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/xmppd/xmppd/command"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

func accountCommands(d Deps) []command.Command {
	tags := []string{"accounts"}
	return []command.Command{
		{
			Name: "register", Tags: tags,
			Short: "Register a user",
			Args: []command.Arg{argUser(), argHost(),
				{Name: "password", Type: command.Password, Doc: "Password of the new account; - reads it from the standard input", Example: "r0m30myr0m30"}},
			Result:  command.Message(),
			Example: "User juliet@example.org successfully registered",
			Run:     d.register,
		},
		{
			Name: "unregister", Tags: tags,
			Short:  "Remove a user",
			Long:   "Ends the user's sessions and deletes the account with everything that is stored about it: roster, messages and all else.",
			Args:   []command.Arg{argUser(), argHost()},
			Result: command.Message(),
			Run:    d.unregister,
		},
		{
			Name: "export_user", Tags: tags,
			Short: "Write what is stored about a user to a new file, as XML (XEP-0227)",
			Long: "Roster, blocked addresses and reports, messages and preferences, and the user's clients that log in with a token, " +
				"as far as their modules are switched on; no password and nothing made of it. Only the server's own user may read the file.",
			Args: []command.Arg{argUser(), argHost(),
				{Name: "file", Type: command.String, Doc: "Absolute path on the server's machine", Example: "/var/tmp/juliet.xml"}},
			Result:  command.Message(),
			Example: "48213 bytes written to /var/tmp/juliet.xml",
			Run:     d.exportUser,
		},
		{
			Name: "registered_users", Tags: tags,
			Short:   "List the users of a domain",
			Args:    []command.Arg{argHost()},
			Result:  command.ListOf("users", command.TextOf("username")),
			Example: "juliet\nromeo",
			Run:     d.registeredUsers,
		},
		{
			Name: "change_password", Tags: tags,
			Short: "Set the password of an account",
			Args: []command.Arg{argUser(), argHost(),
				{Name: "newpass", Type: command.Password, Doc: "New password; - reads it from the standard input", Example: "n3wp4ss"}},
			Result: command.Code(),
			Run:    d.changePassword,
		},
		{
			Name: "check_account", Tags: tags,
			Short:  "Check whether an account exists",
			Args:   []command.Arg{argUser(), argHost()},
			Result: command.Code(),
			Run:    d.checkAccount,
		},
		{
			Name: "check_password", Tags: tags,
			Short: "Check whether a password is right",
			Args: []command.Arg{argUser(), argHost(),
				{Name: "password", Type: command.Password, Doc: "Password to try; - reads it from the standard input", Example: "r0m30myr0m30"}},
			Result: command.Code(),
			Run: func(ctx context.Context, a command.Args) (any, error) {
				account, err := d.account(a)
				if err != nil {
					return nil, err
				}
				return d.Accounts.CheckPassword(ctx, account, a.String("password"))
			},
		},
		{
			Name: "ban_account", Tags: tags,
			Short: "Ban an account: end its sessions and refuse its logins",
			Args: []command.Arg{argUser(), argHost(),
				{Name: "reason", Type: command.String, Doc: "Why; the user sees it", Example: "Spamming other users"}},
			Result: command.Code(),
			Run:    d.ban,
		},
		{
			Name: "unban_account", Tags: tags,
			Short:  "Let a banned account log in again",
			Args:   []command.Arg{argUser(), argHost()},
			Result: command.Code(),
			Run:    d.unban,
		},
		{
			Name: "get_ban_details", Tags: tags,
			Short: "Show why and since when an account is banned",
			Long:  "Prints nothing if the account is not banned.",
			Args:  []command.Arg{argUser(), argHost()},
			Result: command.ListOf("ban_details",
				command.TupleOf("detail", command.TextOf("name"), command.TextOf("value"))),
			Example: "reason\tSpamming other users\nbandate\t2026-04-22T09:16:47.975312Z",
			Run:     d.banDetails,
		},
	}
}

func (d Deps) register(ctx context.Context, a command.Args) (any, error) {
	account, err := a.Account("user", "host")
	if err != nil {
		return nil, err
	}
	if d.served(account.Domain()) != nil {
		return nil, command.Errorf(cannotRegister, "Unknown virtual host")
	}
	password := a.String("password")
	if password == "" {
		//lint:ignore ST1005 what ejabberdctl prints
		err = errors.New("Empty password")
	} else {
		err = d.Accounts.Create(ctx, account, password)
	}
	switch {
	case errors.Is(err, storage.ErrExists):
		return nil, command.Errorf(command.Conflict, "User %s already registered", account)
	case err != nil:
		return nil, command.Errorf(cannotRegister, "Can't register user %s at node %s: %v", account, d.Server.Node(), err)
	}
	return fmt.Sprintf("User %s successfully registered", account), nil
}

func (d Deps) unregister(ctx context.Context, a command.Args) (any, error) {
	account, err := d.account(a)
	if err != nil {
		return nil, err
	}
	if err := d.Accounts.Delete(ctx, account); err != nil {
		return nil, missing(account, err)
	}
	// Only now: a client that comes back in between finds no account.
	if _, err := d.Sessions.Kick(ctx, account, "The account has been removed"); err != nil {
		return nil, fmt.Errorf("end the sessions of %s: %w", account, err)
	}
	return "", nil
}

// exportUser writes a file that does not exist yet and that nobody else may read
// (XEP-0227 §6).
func (d Deps) exportUser(ctx context.Context, a command.Args) (any, error) {
	account, err := d.account(a)
	if err != nil {
		return nil, err
	}
	path := a.String("file")
	if !filepath.IsAbs(path) {
		return nil, command.Errorf(command.Usage, "%s is not an absolute path", path)
	}
	if _, err := d.Accounts.Account(ctx, account); err != nil {
		return nil, missing(account, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	n, err := d.writeExport(ctx, f, account)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("export %s: %w", account, err), os.Remove(path))
	}
	return fmt.Sprintf("%d bytes written to %s", n, path), nil
}

// writeExport writes a whole document (XEP-0227 §4) and returns how many bytes it has.
func (d Deps) writeExport(ctx context.Context, f *os.File, account jid.JID) (size int64, err error) {
	w := bufio.NewWriter(f)
	head := []byte("<?xml version='1.0' encoding='UTF-8'?>\n<server-data xmlns='urn:xmpp:pie:0'><host jid='")
	head = append(stanza.AppendEscaped(head, account.Domain()), "'><user name='"...)
	head = append(stanza.AppendEscaped(head, account.Local()), "'>\n"...)
	if _, err := w.Write(head); err != nil {
		return 0, err
	}
	if err := d.Accounts.Export(ctx, account, w); err != nil {
		return 0, err
	}
	if _, err := w.WriteString("</user></host></server-data>\n"); err != nil {
		return 0, err
	}
	if err := w.Flush(); err != nil {
		return 0, err
	}
	return f.Seek(0, io.SeekCurrent)
}

// missing turns storage.ErrNotFound into what the administrator reads.
func missing(account jid.JID, err error) error {
	if errors.Is(err, storage.ErrNotFound) {
		return command.Errorf(command.NotFound, "User %s is not registered", account)
	}
	return err
}

func (d Deps) registeredUsers(ctx context.Context, a command.Args) (any, error) {
	host := a.String("host")
	if err := d.served(host); err != nil {
		return nil, err
	}
	return d.Accounts.Names(ctx, host)
}

func (d Deps) changePassword(ctx context.Context, a command.Args) (any, error) {
	account, err := d.account(a)
	if err != nil {
		return nil, err
	}
	password := a.String("newpass")
	if password == "" {
		return nil, command.Errorf(command.Failed, "Empty password")
	}
	if err := d.Accounts.SetPassword(ctx, account, password); err != nil {
		return nil, missing(account, err)
	}
	return true, nil
}

func (d Deps) checkAccount(ctx context.Context, a command.Args) (any, error) {
	account, err := a.Account("user", "host")
	if err != nil {
		return nil, err
	}
	if d.served(account.Domain()) != nil {
		return false, nil
	}
	switch _, err := d.Accounts.Account(ctx, account); {
	case err == nil:
		return true, nil
	case errors.Is(err, storage.ErrNotFound):
		return false, nil
	default:
		return nil, err
	}
}

func (d Deps) ban(ctx context.Context, a command.Args) (any, error) {
	account, err := d.account(a)
	if err != nil {
		return nil, err
	}
	found, err := d.Accounts.Account(ctx, account)
	if err != nil {
		return nil, missing(account, err)
	}
	if found.Ban != nil {
		return nil, command.Errorf(command.Conflict, "User %s is banned already", account)
	}
	reason := a.String("reason")
	if err := d.Accounts.SetBan(ctx, account, &storage.Ban{Reason: reason, Since: d.Server.Now()}); err != nil {
		return nil, missing(account, err)
	}
	if _, err := d.Sessions.Kick(ctx, account, reason); err != nil {
		return nil, fmt.Errorf("end the sessions of %s: %w", account, err)
	}
	return true, nil
}

func (d Deps) unban(ctx context.Context, a command.Args) (any, error) {
	account, err := d.account(a)
	if err != nil {
		return nil, err
	}
	found, err := d.Accounts.Account(ctx, account)
	if err != nil {
		return nil, missing(account, err)
	}
	if found.Ban == nil {
		return nil, command.Errorf(command.NotFound, "User %s is not banned", account)
	}
	if err := d.Accounts.SetBan(ctx, account, nil); err != nil {
		return nil, missing(account, err)
	}
	return true, nil
}

func (d Deps) banDetails(ctx context.Context, a command.Args) (any, error) {
	account, err := d.account(a)
	if err != nil {
		return nil, err
	}
	found, err := d.Accounts.Account(ctx, account)
	if err != nil {
		return nil, missing(account, err)
	}
	if found.Ban == nil {
		return []command.Row{}, nil
	}
	return []command.Row{
		{"reason", found.Ban.Reason},
		{"bandate", found.Ban.Since.UTC().Format(time.RFC3339Nano)},
	}, nil
}
