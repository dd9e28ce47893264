// Package admin is what an administrator sees of a running server: the commands
// behind `xmppd ctl`, served on a Unix socket, and metrics, health and profiles
// over HTTP. It knows no feature; the commands of features come from their
// modules, everything else through the small interfaces below.
package admin

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"github.com/xmppd/xmppd/command"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// Server is the process as its commands see it. All methods are safe for
// concurrent use.
type Server interface {
	Node() string       // the name of this node
	Version() string    // of the program
	Started() time.Time // when the process began to serve
	Now() time.Time
	Domains() []string // served, prepared
	// Stop begins an orderly stop and returns at once. The command socket must
	// be the last thing to go, for `xmppd ctl stop` waits for that.
	Stop()
	// Reload reads the configuration again and applies what can change while
	// running. It returns the keys that changed; restart has those that wait for
	// a restart. With an error nothing was applied.
	Reload(ctx context.Context) (applied, restart []string, err error)
	LogLevel() slog.Level
	SetLogLevel(slog.Level)
}

// Accounts are the registered users. Addresses are bare and of a served domain.
// Methods return errors that wrap storage.ErrNotFound for an account that does
// not exist and storage.ErrExists for one that does.
type Accounts interface {
	Create(ctx context.Context, account jid.JID, password string) error
	// Delete removes the account with everything that is stored about it.
	Delete(ctx context.Context, account jid.JID) error
	// Export writes what is stored about the account, without credentials, as children
	// of <user/> (XEP-0227).
	Export(ctx context.Context, account jid.JID, w io.Writer) error
	SetPassword(ctx context.Context, account jid.JID, password string) error
	// CheckPassword reports false for a wrong password and for a missing account.
	CheckPassword(ctx context.Context, account jid.JID, password string) (bool, error)
	Account(ctx context.Context, account jid.JID) (storage.Account, error)
	// Names lists the localparts of a domain's accounts, sorted.
	Names(ctx context.Context, domain string) ([]string, error)
	Count(ctx context.Context, domain string) (int, error)
	// SetBan closes the account, or opens it again with a nil ban.
	SetBan(ctx context.Context, account jid.JID, ban *storage.Ban) error
	// Tokens lists the tokens of an account by the id of the user agent (XEP-0484).
	Tokens(ctx context.Context, account jid.JID) ([]storage.Token, error)
	// RevokeTokens takes the tokens of a user agent away, or those of all with an
	// empty id, and returns how many there were.
	RevokeTokens(ctx context.Context, account jid.JID, agent string) (int, error)
}

// Session is a bound resource on any node.
type Session struct {
	JID       jid.JID        // full
	Transport string         // "c2s", "c2s_tls", "websocket", …
	Addr      netip.AddrPort // of the client; the zero value if it is not known
	Node      string
	Here      bool // on the node that was asked
	Since     time.Time
	Available bool // has sent available presence
	Priority  int8
	Show      string // "", "away", "chat", "dnd" or "xa" (RFC 6121 §4.7.2.1)
	Status    string // text for people
}

// Sessions are the bound resources of all nodes.
type Sessions interface {
	// Sessions lists the sessions of a bare address, of a domain, or all of them
	// for the zero JID, in any order.
	Sessions(ctx context.Context, of jid.JID) ([]Session, error)
	// Kick ends the session of a full address or all sessions of a bare one; the
	// client sees the reason in its stream error. It returns how many there were.
	Kick(ctx context.Context, of jid.JID, reason string) (int, error)
}

// Stanzas takes stanzas as if clients or servers had sent them.
type Stanzas interface {
	// Inject cuts one stanza from xml, which must hold nothing else, sets its
	// from and to, and routes it with all stages. A stanza that is not well-formed
	// or breaks a limit is an error, and so is an undeliverable one where that is
	// known at once.
	Inject(ctx context.Context, from, to jid.JID, xml []byte) error
}

// Deps is what the commands work on.
type Deps struct {
	Server   Server
	Accounts Accounts
	Sessions Sessions
	Stanzas  Stanzas
}

// Commands declares the commands of the server itself. With the zero Deps the
// declarations can be read but not run. The set is what help speaks about; the
// caller adds the commands to it, and those of the modules.
func Commands(d Deps, set *command.Set) []command.Command {
	all := serverCommands(d, set)
	all = append(all, accountCommands(d)...)
	all = append(all, tokenCommands(d)...)
	all = append(all, sessionCommands(d)...)
	if d == (Deps{}) {
		for i := range all {
			if all[i].Name != "help" {
				all[i].Run = nil
			}
		}
	}
	return all
}

// Arguments that many commands share.
func argUser() command.Arg {
	return command.Arg{Name: "user", Type: command.User, Doc: "Name of the account, the part before the @", Example: "juliet"}
}

func argHost() command.Arg {
	return command.Arg{Name: "host", Type: command.Host, Doc: "Domain of the account", Example: "example.org"}
}

// account is the address in the arguments user and host, which must be of a
// served domain.
func (d Deps) account(a command.Args) (jid.JID, error) {
	account, err := a.Account("user", "host")
	if err != nil {
		return jid.JID{}, err
	}
	return account, d.served(account.Domain())
}

func (d Deps) served(domain string) error {
	for _, own := range d.Server.Domains() {
		if own == domain {
			return nil
		}
	}
	return command.Errorf(command.UnknownHost, "Unknown virtual host")
}

// cannotRegister is a reason of ejabberd beside those of package command.
const cannotRegister command.Reason = "cannot_register"
