package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"time"

	"github.com/xmppd/xmppd/admin"
	"github.com/xmppd/xmppd/command"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules/all"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// Process is what the commands need of the process around the node.
type Process struct {
	Level *slog.LevelVar
	Stop  func()
	// Load reads the configuration again.
	Load func() (*config.Config, error)
}

// Commands are all admin commands of the node: those of the server and those
// of the modules.
func (n *Node) Commands(p Process) *command.Set {
	set := new(command.Set)
	view := adminView{n, p}
	set.Add(admin.Commands(admin.Deps{Server: view, Accounts: accountsView{n}, Sessions: sessionsView{n}, Stanzas: stanzasView{n}}, set)...)
	for _, t := range n.tables {
		for _, c := range t.Commands() {
			if _, ok := set.Lookup(c.Name); !ok {
				set.Add(c)
			}
		}
	}
	return set
}

// adminView is admin.Server.
type adminView struct {
	n *Node
	p Process
}

func (v adminView) Node() string             { return nodeName(v.n.registry.Node()) }
func (v adminView) Version() string          { return v.n.version }
func (v adminView) Started() time.Time       { return v.n.started }
func (v adminView) Now() time.Time           { return v.n.now() }
func (v adminView) Domains() []string        { return v.n.cfg.Load().Domains }
func (v adminView) Stop()                    { v.p.Stop() }
func (v adminView) LogLevel() slog.Level     { return v.p.Level.Level() }
func (v adminView) SetLogLevel(l slog.Level) { v.p.Level.Set(l) }

func (v adminView) Reload(context.Context) (applied, restart []string, err error) {
	next, err := v.p.Load()
	if err != nil {
		return nil, nil, err
	}
	if err := v.n.certs.load(next); err != nil {
		return nil, nil, err
	}
	old := v.n.cfg.Load()
	applied, restart = config.Diff(old, next)
	v.n.cfg.Store(old.Reloaded(next))
	v.n.c2s.Reloaded()
	if old.Log.Level != next.Log.Level {
		var level slog.Level
		if level.UnmarshalText([]byte(next.Log.Level)) == nil {
			v.p.Level.Set(level)
		}
	}
	v.n.log.Info("configuration reloaded", "applied", applied, "needs_restart", restart)
	return applied, restart, nil
}

// nodeName is how people see a node: the host name, and the random number that
// tells two of one host apart.
func nodeName(id uint64) string {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return fmt.Sprintf("xmppd-%06x@%s", id&0xffffff, host)
}

type accountsView struct{ n *Node }

func (v accountsView) Create(ctx context.Context, account jid.JID, password string) error {
	return v.n.auth.Register(ctx, account, password)
}

func (v accountsView) Delete(ctx context.Context, account jid.JID) error {
	return v.n.removeAccount(ctx, account)
}

// Export writes the clients that have tokens as they have named themselves (XEP-0388
// §2.3), then what the modules keep.
func (v accountsView) Export(ctx context.Context, account jid.JID, w io.Writer) error {
	tokens, err := v.Tokens(ctx, account)
	if err != nil {
		return err
	}
	for i, t := range tokens {
		if i > 0 && tokens[i-1].Agent == t.Agent { // the old one and the new one
			continue
		}
		b := stanza.NewBuilder(nil).Open("user-agent", "urn:xmpp:sasl:2").Attr("id", t.Agent)
		b.Text("software", t.Software).Text("device", t.Device)
		if _, err := w.Write(append(b.Bytes(), '\n')); err != nil {
			return err
		}
	}
	return v.n.router.Tables(account.Domain()).Export(ctx, account, w)
}

func (v accountsView) SetPassword(ctx context.Context, account jid.JID, password string) error {
	return v.n.auth.SetPassword(ctx, account, password)
}

func (v accountsView) CheckPassword(ctx context.Context, account jid.JID, password string) (bool, error) {
	ok, err := v.n.auth.CheckPassword(ctx, account, password)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return ok, err
}

func (v accountsView) Account(ctx context.Context, account jid.JID) (storage.Account, error) {
	return v.n.db.Account(ctx, account)
}

func (v accountsView) Names(ctx context.Context, domain string) (names []string, err error) {
	for after := (jid.JID{}); ; {
		page, err := v.n.db.Accounts(ctx, domain, after, 1000)
		if err != nil || len(page) == 0 {
			return names, err
		}
		for _, j := range page {
			names = append(names, j.Local())
		}
		after = page[len(page)-1]
	}
}

func (v accountsView) Count(ctx context.Context, domain string) (int, error) {
	return v.n.db.CountAccounts(ctx, domain)
}

// SetBan closes the account; its sessions end at once.
func (v accountsView) SetBan(ctx context.Context, account jid.JID, ban *storage.Ban) error {
	if err := v.n.db.SetBan(ctx, account, ban); err != nil || ban == nil {
		return err
	}
	v.n.kickAll(account, stanza.StreamNotAuthorized, "this account is closed")
	return nil
}

// removeAccount ends the sessions, tells the modules and deletes every row.
func (n *Node) removeAccount(ctx context.Context, account jid.JID) error {
	if _, err := n.db.Account(ctx, account); err != nil {
		return err
	}
	const why = "this account has been removed"
	n.kickAll(account, stanza.StreamNotAuthorized, why)
	err := all.Remove(ctx, n.router.Tables(account.Domain()), n.db, account)
	n.kickAll(account, stanza.StreamNotAuthorized, why) // who has come meanwhile
	return err
}

func (n *Node) kickAll(account jid.JID, cond stanza.StreamCondition, text string) int {
	all := n.router.Sessions(nil, account)
	for _, e := range all {
		n.router.Kick(e.Ref, cond, text)
	}
	return len(all)
}

type sessionsView struct{ n *Node }

func (v sessionsView) Sessions(_ context.Context, of jid.JID) ([]admin.Session, error) {
	var entries []session.Entry
	if of.Local() != "" {
		entries = v.n.router.Sessions(nil, of.Bare())
	} else {
		entries = v.n.router.AllSessions(nil)
	}
	out := make([]admin.Session, 0, len(entries))
	for _, e := range entries {
		if of.IsZero() || e.JID.Domain() == of.Domain() {
			out = append(out, v.describe(e))
		}
	}
	return out, nil
}

func (v sessionsView) describe(e session.Entry) admin.Session {
	s := admin.Session{JID: e.JID, Node: nodeName(e.Ref.Node), Available: e.Available, Priority: e.Priority}
	if e.Local != nil {
		info := e.Local.Info()
		s.Here, s.Transport, s.Addr, s.Since = true, info.Transport, info.Addr, info.Since
	}
	var st stanza.Stanza
	if e.Presence != nil && st.Parse(e.Presence, stanza.Limits{}) == nil {
		s.Show = st.Root().Child(stanza.NSClient, "show").Text()
		s.Status = st.Root().Child(stanza.NSClient, "status").Text()
	}
	return s
}

func (v sessionsView) Kick(_ context.Context, of jid.JID, reason string) (int, error) {
	if of.IsBare() {
		return v.n.kickAll(of, stanza.StreamPolicyViolation, reason), nil
	}
	for _, e := range v.n.router.Sessions(nil, of.Bare()) {
		if e.JID == of {
			v.n.router.Kick(e.Ref, stanza.StreamPolicyViolation, reason)
			return 1, nil
		}
	}
	return 0, nil
}

type stanzasView struct{ n *Node }

func (v stanzasView) Inject(ctx context.Context, from, to jid.JID, xml []byte) error {
	var st stanza.Stanza
	if err := st.Parse(xml, stanza.Limits{Bytes: int(v.n.cfg.Load().Limits.StanzaBytes)}); err != nil {
		return err
	}
	if st.Kind == stanza.Other {
		return errors.New("only message, presence and iq can be sent")
	}
	if !v.n.router.Hosted(to.Domain()) {
		return errors.New("the domain " + strconv.Quote(to.Domain()) + " is not served here")
	}
	st.SetAttr(stanza.Sent, "from", from.String())
	st.SetAttr(stanza.Sent, "to", to.String())
	return v.n.router.Route(ctx, st.Emit(nil, stanza.Sent))
}
