package admin

import (
	"context"
	"strconv"
	"time"

	"github.com/xmppd/xmppd/command"
)

func tokenCommands(d Deps) []command.Command {
	tags := []string{"accounts", "tokens"}
	return []command.Command{
		{
			Name: "list_tokens", Tags: tags,
			Short: "List the clients of a user that log in with a token",
			Long: "A client has one token, and for a while a new one beside it that was \"never\" used. " +
				"The last use is exact to the hour. Secrets are not shown: the server does not have them.",
			Args: []command.Arg{argUser(), argHost()},
			Result: command.ListOf("tokens", command.TupleOf("token", command.TextOf("agent"), command.TextOf("software"), command.TextOf("device"),
				command.TextOf("mechanism"), command.TextOf("created"), command.TextOf("last_used"), command.TextOf("expires"))),
			Example: "d4565fa7-4d72-4749-b3d3-740edbf87770\tConversations\tPixel\tHT-SHA-512-EXPR\t2026-04-20T10:00:00Z\t2026-04-22T09:00:00Z\t2026-05-20T10:00:00Z",
			Run:     d.listTokens,
		},
		{
			Name: "revoke_token", Tags: tags,
			Short: "Make a client of a user log in with its password again",
			Long:  "Its sessions go on: kick_session ends them.",
			Args: []command.Arg{argUser(), argHost(),
				{Name: "agent", Type: command.String, Doc: "Id of the client, as list_tokens shows it", Example: "d4565fa7-4d72-4749-b3d3-740edbf87770"}},
			Result: command.Code(),
			Run:    d.revokeToken,
		},
		{
			Name: "revoke_tokens", Tags: tags,
			Short:   "Make all clients of a user log in with the password again",
			Long:    "Their sessions go on: kick_user ends them. Changing the password and banning the account revoke the tokens too.",
			Args:    []command.Arg{argUser(), argHost()},
			Result:  command.Message(),
			Example: "Revoked tokens: 3",
			Run:     d.revokeTokens,
		},
	}
}

func (d Deps) listTokens(ctx context.Context, a command.Args) (any, error) {
	account, err := d.account(a)
	if err != nil {
		return nil, err
	}
	tokens, err := d.Accounts.Tokens(ctx, account)
	if err != nil {
		return nil, missing(account, err)
	}
	date := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	rows := []command.Row{}
	for _, t := range tokens {
		used := "never"
		if !t.New {
			used = date(t.Used)
		}
		rows = append(rows, command.Row{t.Agent, t.Software, t.Device, t.Mechanism, date(t.Created), used, date(t.Expires)})
	}
	return rows, nil
}

func (d Deps) revokeToken(ctx context.Context, a command.Args) (any, error) {
	account, err := d.account(a)
	if err != nil {
		return nil, err
	}
	agent := a.String("agent")
	if agent == "" { // that would be all
		return nil, command.Errorf(command.Failed, "Empty agent")
	}
	n, err := d.Accounts.RevokeTokens(ctx, account, agent)
	if err != nil {
		return nil, missing(account, err)
	}
	if n == 0 {
		return nil, command.Errorf(command.NotFound, "User %s has no token of agent %s", account, agent)
	}
	return true, nil
}

func (d Deps) revokeTokens(ctx context.Context, a command.Args) (any, error) {
	account, err := d.account(a)
	if err != nil {
		return nil, err
	}
	n, err := d.Accounts.RevokeTokens(ctx, account, "")
	if err != nil {
		return nil, missing(account, err)
	}
	return "Revoked tokens: " + strconv.Itoa(n), nil
}
