package admin

import (
	"bytes"
	"cmp"
	"context"
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/xmppd/xmppd/command"
	"github.com/xmppd/xmppd/jid"
)

func argType(example string) command.Arg {
	return command.Arg{Name: "type", Type: command.String, Doc: "normal, chat, groupchat or headline", Example: example}
}

func argFromTo() []command.Arg {
	return []command.Arg{
		{Name: "from", Type: command.Address, Doc: "Address of the sender", Example: "admin@example.org"},
		{Name: "to", Type: command.Address, Doc: "Address of the recipient", Example: "juliet@example.org"},
	}
}

func sessionCommands(d Deps) []command.Command {
	fromTo := argFromTo()
	return append(append(sessionLists(d), userSessionLists(d)...), []command.Command{
		{
			Name: "kick_user", Tags: []string{"session"},
			Short:   "End all sessions of a user",
			Args:    []command.Arg{argUser(), argHost()},
			Result:  command.Message(),
			Example: "Kicked sessions: 2",
			Run: func(ctx context.Context, a command.Args) (any, error) {
				account, err := d.account(a)
				if err != nil {
					return nil, err
				}
				n, err := d.Sessions.Kick(ctx, account, "Kicked by admin")
				return "Kicked sessions: " + strconv.Itoa(n), err
			},
		},
		{
			Name: "kick_session", Tags: []string{"session"},
			Short: "End one session of a user",
			Args: []command.Arg{argUser(), argHost(),
				{Name: "resource", Type: command.Resource, Doc: "Resource of the session", Example: "balcony"},
				{Name: "reason", Type: command.String, Doc: "Why; the user sees it", Example: "Stuck connection"}},
			Result: command.Code(),
			Run:    d.kickSession,
		},
		{
			Name: "send_message", Tags: []string{"stanza"},
			Short: "Send a message to an address",
			Args: []command.Arg{argType("headline"), fromTo[0], fromTo[1],
				{Name: "subject", Type: command.String, Doc: "Subject, or empty", Example: "Restart"},
				{Name: "body", Type: command.String, Doc: "Text", Example: "In 5 minutes"}},
			Result: command.Code(),
			Run:    d.sendMessage,
		},
		{
			Name: "send_stanza", Tags: []string{"stanza"},
			Short: "Send a stanza that is given as XML",
			Long:  "The attributes from and to of the stanza are replaced by the arguments.",
			Args: []command.Arg{fromTo[0], fromTo[1],
				{Name: "stanza", Type: command.String, Doc: "One message, presence or iq element", Example: "<message><body>hi</body></message>"}},
			Result: command.Code(),
			Run: func(ctx context.Context, a command.Args) (any, error) {
				return true, d.inject(ctx, a, []byte(a.String("stanza")))
			},
		},
	}...)
}

func sessionLists(d Deps) []command.Command {
	tags := []string{"session"}
	addresses := command.TextOf("sessions")
	return []command.Command{
		{
			Name: "connected_users", Tags: tags,
			Short:   "List all sessions",
			Result:  command.ListOf("connected_users", addresses),
			Example: "juliet@example.org/balcony\nromeo@example.net/orchard",
			Run: func(ctx context.Context, _ command.Args) (any, error) {
				list, err := d.sorted(ctx, jid.JID{})
				return full(list), err
			},
		},
		{
			Name: "connected_users_vhost", Tags: tags,
			Short:   "List the sessions of a domain",
			Args:    []command.Arg{argHost()},
			Result:  command.ListOf("connected_users_vhost", addresses),
			Example: "juliet@example.org/balcony",
			Run: func(ctx context.Context, a command.Args) (any, error) {
				list, err := d.domainSessions(ctx, a.String("host"))
				return full(list), err
			},
		},
		{
			Name: "connected_users_number", Tags: tags,
			Short:   "Count all sessions",
			Result:  command.IntOf("num_sessions"),
			Example: "2",
			Run: func(ctx context.Context, _ command.Args) (any, error) {
				list, err := d.Sessions.Sessions(ctx, jid.JID{})
				return len(list), err
			},
		},
		{
			Name: "connected_users_info", Tags: tags,
			Short:   "List all sessions with connection, presence and uptime",
			Long:    "uptime is in seconds; priority is -1 before the first presence.",
			Result:  command.ListOf("connected_users_info", command.TupleOf("session", append([]command.Field{command.TextOf("jid")}, sessionColumns()...)...)),
			Example: "juliet@example.org/balcony\tc2s\t192.0.2.7\t42656\t8\txmppd@chat\t231\tdnd\tbalcony\t",
			Run: func(ctx context.Context, _ command.Args) (any, error) {
				list, err := d.sorted(ctx, jid.JID{})
				rows := make([]command.Row, len(list))
				for i, s := range list {
					rows[i] = append(command.Row{s.JID.String()}, d.row(s)...)
				}
				return rows, err
			},
		},
	}
}

func userSessionLists(d Deps) []command.Command {
	tags := []string{"session"}
	return []command.Command{
		{
			Name: "user_sessions_info", Tags: tags,
			Short:   "List the sessions of a user with connection, presence and uptime",
			Long:    "uptime is in seconds; priority is -1 before the first presence.",
			Args:    []command.Arg{argUser(), argHost()},
			Result:  command.ListOf("sessions_info", command.TupleOf("session", sessionColumns()...)),
			Example: "c2s\t192.0.2.7\t42656\t8\txmppd@chat\t231\tdnd\tbalcony\t",
			Run: func(ctx context.Context, a command.Args) (any, error) {
				list, err := d.userSessions(ctx, a)
				rows := make([]command.Row, len(list))
				for i, s := range list {
					rows[i] = d.row(s)
				}
				return rows, err
			},
		},
		{
			Name: "user_resources", Tags: tags,
			Short:   "List the resources of a user's sessions",
			Args:    []command.Arg{argUser(), argHost()},
			Result:  command.ListOf("resources", command.TextOf("resource")),
			Example: "balcony\nphone",
			Run: func(ctx context.Context, a command.Args) (any, error) {
				list, err := d.userSessions(ctx, a)
				resources := make([]string, len(list))
				for i, s := range list {
					resources[i] = s.JID.Resource()
				}
				return resources, err
			},
		},
		{
			Name: "num_resources", Tags: tags,
			Short:   "Count the sessions of a user",
			Args:    []command.Arg{argUser(), argHost()},
			Result:  command.IntOf("resources"),
			Example: "2",
			Run: func(ctx context.Context, a command.Args) (any, error) {
				list, err := d.userSessions(ctx, a)
				return len(list), err
			},
		},
		{
			Name: "get_presence", Tags: tags,
			Short: "Show the presence of a user's session of highest priority",
			Long:  "show is available, chat, away, xa, dnd or unavailable; status is the text that the user gave.",
			Args:  []command.Arg{argUser(), argHost()},
			Result: command.TupleOf("presence",
				command.TextOf("jid"), command.TextOf("show"), command.TextOf("status")),
			Example: "juliet@example.org/balcony\taway\tout for lunch",
			Run:     d.presence,
		},
	}
}

func sessionColumns() []command.Field {
	return []command.Field{
		command.TextOf("connection"), command.TextOf("ip"), command.IntOf("port"), command.IntOf("priority"),
		command.TextOf("node"), command.IntOf("uptime"), command.TextOf("status"), command.TextOf("resource"),
		command.TextOf("statustext"),
	}
}

// row has the columns of sessionColumns.
func (d Deps) row(s Session) command.Row {
	ip, priority := "", -1
	if s.Addr.IsValid() {
		ip = s.Addr.Addr().Unmap().String()
	}
	if s.Available {
		priority = int(s.Priority)
	}
	return command.Row{s.Transport, ip, int(s.Addr.Port()), priority, s.Node,
		seconds(d.Server.Now().Sub(s.Since)), s.show(), s.JID.Resource(), s.Status}
}

// show is the name of the presence in ejabberd's lists.
func (s Session) show() string {
	switch {
	case !s.Available:
		return "unavailable"
	case s.Show == "":
		return "available"
	}
	return s.Show
}

func full(list []Session) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = s.JID.String()
	}
	return out
}

func (d Deps) sorted(ctx context.Context, of jid.JID) ([]Session, error) {
	list, err := d.Sessions.Sessions(ctx, of)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	slices.SortFunc(list, func(a, b Session) int { return cmp.Compare(a.JID.String(), b.JID.String()) })
	return list, nil
}

func (d Deps) domainSessions(ctx context.Context, host string) ([]Session, error) {
	if err := d.served(host); err != nil {
		return nil, err
	}
	domain, err := jid.Parse(host)
	if err != nil {
		return nil, err
	}
	return d.sorted(ctx, domain)
}

func (d Deps) userSessions(ctx context.Context, a command.Args) ([]Session, error) {
	account, err := d.account(a)
	if err != nil {
		return nil, err
	}
	return d.sorted(ctx, account)
}

func (d Deps) presence(ctx context.Context, a command.Args) (any, error) {
	account, err := d.account(a)
	if err != nil {
		return nil, err
	}
	list, err := d.sorted(ctx, account)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(s Session) bool { return !s.Available })
	if len(list) == 0 {
		return command.Row{account.String(), "unavailable", ""}, nil
	}
	best := slices.MaxFunc(list, func(x, y Session) int { return cmp.Compare(x.Priority, y.Priority) })
	return command.Row{best.JID.String(), best.show(), best.Status}, nil
}

func (d Deps) kickSession(ctx context.Context, a command.Args) (any, error) {
	account, err := d.account(a)
	if err != nil {
		return nil, err
	}
	session, err := account.WithResource(a.String("resource"))
	if err != nil {
		return nil, command.Errorf(command.Usage, "resource: %v", err)
	}
	n, err := d.Sessions.Kick(ctx, session, a.String("reason"))
	if err != nil {
		return nil, fmt.Errorf("kick %s: %w", session, err)
	}
	if n == 0 {
		return nil, command.Errorf(command.NotFound, "no session %s", session)
	}
	return true, nil
}

func (d Deps) sendMessage(ctx context.Context, a command.Args) (any, error) {
	kind := a.String("type")
	if !slices.Contains([]string{"normal", "chat", "groupchat", "headline"}, kind) {
		return nil, command.Errorf(command.Usage, "type must be normal, chat, groupchat or headline, not %q", kind)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "<message type='%s' id='%016x'>", kind, rand.Uint64())
	for _, part := range []string{"subject", "body"} {
		if text := a.String(part); text != "" {
			fmt.Fprintf(&b, "<%s>", part)
			if err := xml.EscapeText(&b, []byte(text)); err != nil {
				return nil, fmt.Errorf("escape the %s: %w", part, err)
			}
			fmt.Fprintf(&b, "</%s>", part)
		}
	}
	b.WriteString("</message>")
	return true, d.inject(ctx, a, b.Bytes())
}

func (d Deps) inject(ctx context.Context, a command.Args, stanza []byte) error {
	if err := d.Stanzas.Inject(ctx, a.JID("from"), a.JID("to"), stanza); err != nil {
		return command.Errorf(command.Failed, "send the stanza: %v", err)
	}
	return nil
}
