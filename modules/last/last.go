// Package last tells when an account was last here and how long the server has
// been running: XEP-0012, Last Activity.
package last

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const (
	ns        = "jabber:iq:last"
	key       = "last" // of the value in the key-value store: Unix seconds, a space, the status
	maxStatus = 1 << 10
)

// Roster tells who may know of an account.
type Roster interface {
	// Subscription is the state of the owner's item for the contact.
	Subscription(ctx context.Context, owner, contact jid.JID) (storage.Subscription, error)
}

// Module is the feature; see New.
type Module struct {
	host    *modules.Host
	roster  Roster
	started time.Time
	status  *session.Slot[string] // of the last unavailable presence
}

// New makes the module of a server that has been running since started.
func New(roster Roster, started time.Time) *Module {
	return &Module{roster: roster, started: started, status: session.NewSlot[string]()}
}

// Info implements modules.Module.
func (m *Module) Info() modules.Info {
	return modules.Info{
		Name:     "last",
		Doc:      "Tells contacts when an account was last online.",
		XEPs:     []modules.XEP{{Number: 12, Version: "2.0"}},
		Features: []string{ns}, AccountFeatures: []string{ns},
	}
}

// Init implements modules.Module.
func (m *Module) Init(h *modules.Host) error {
	m.host = h
	h.IQ(stanza.Get, modules.Server, ns, "query", m.uptime)
	h.IQ(stanza.Get, modules.Self|modules.Account, ns, "query", m.account)
	h.Check(modules.Received, m.protectClient)
	h.Presence(modules.Sent, modules.Check, m.keepStatus)
	h.OnSession(modules.Closed, m.loggedOut)
	h.OnExport(m.export)
	m.declareCommands()
	return nil
}

func (m *Module) uptime(r *modules.Request) error {
	r.Reply.Open("query", ns).Attr("seconds", seconds(m.host.Now().Sub(m.started))).Close()
	return nil
}

func (m *Module) account(r *modules.Request) error {
	allowed, err := m.mayKnow(r.Ctx, r.Owner, r.From)
	if err != nil {
		return err
	}
	if !allowed { // XEP-0012 §4: the same whether the account exists or not
		return stanza.Forbidden("")
	}
	if len(m.host.Sessions(nil, r.Owner)) > 0 {
		r.Reply.Open("query", ns).Attr("seconds", "0").Close()
		return nil
	}
	at, status, err := m.activity(r.Ctx, r.Owner)
	if errors.Is(err, storage.ErrNotFound) {
		return stanza.ServiceUnavailable("no activity known")
	}
	if err != nil {
		return err
	}
	r.Reply.Open("query", ns).Attr("seconds", seconds(m.host.Now().Sub(at))).Chars(status).Close()
	return nil
}

func seconds(d time.Duration) string { return strconv.FormatInt(max(int64(d/time.Second), 0), 10) }

// mayKnow reports whether the asker may see the owner's presence.
func (m *Module) mayKnow(ctx context.Context, owner, asker jid.JID) (bool, error) {
	if asker.Bare() == owner {
		return true, nil
	}
	sub, err := m.roster.Subscription(ctx, owner, asker.Bare())
	return sub&storage.SubFrom != 0, err
}

// protectClient keeps a question for a client's idle time from who may not see
// that client's presence (XEP-0012 §5).
func (m *Module) protectClient(f *modules.Flight) error {
	if f.Stanza.Kind != stanza.IQ || f.Stanza.Type != stanza.Get || !f.Stanza.Root().First().Is(ns, "query") {
		return nil
	}
	allowed, err := m.mayKnow(f.Ctx, f.Owner, f.From)
	if err != nil || allowed {
		return err
	}
	for _, e := range m.host.Sessions(nil, f.Owner) {
		if e.JID == f.To && e.Local != nil && e.Local.IsDirected(f.From) {
			return nil // it has shown itself (RFC 6121 §4.6)
		}
	}
	return stanza.Forbidden("")
}

// keepStatus notes what the client says as it leaves.
func (m *Module) keepStatus(f *modules.Flight) error {
	if f.Session == nil || !f.To.IsZero() {
		return nil
	}
	status := ""
	if f.Stanza.Type == stanza.Unavailable {
		status = f.Stanza.Root().Child(stanza.NSClient, "status").Text()
		if len(status) > maxStatus {
			status = strings.ToValidUTF8(status[:maxStatus], "")
		}
	}
	if status != m.status.Load(f.Session) {
		m.status.Store(f.Session, status)
	}
	return nil
}

// loggedOut notes the time when the last session of an account ends.
func (m *Module) loggedOut(f *modules.Flight) {
	if len(m.host.Sessions(nil, f.Owner)) > 0 {
		return
	}
	err := m.put(f.Ctx, f.Owner, m.host.Now(), m.status.Load(f.Session))
	if err != nil && !errors.Is(err, storage.ErrNotFound) { // the account has just been removed
		m.host.Log.Error("logout not noted", "account", f.Owner.String(), "error", err)
	}
}

func (m *Module) put(ctx context.Context, account jid.JID, at time.Time, status string) error {
	return m.host.KV.Put(ctx, account, key, []byte(strconv.FormatInt(at.Unix(), 10)+" "+status))
}

// activity is when the account logged out for the last time, and what it said
// then; storage.ErrNotFound if it never has.
func (m *Module) activity(ctx context.Context, account jid.JID) (at time.Time, status string, err error) {
	value, err := m.host.KV.Get(ctx, account, key)
	if err != nil {
		return time.Time{}, "", err
	}
	number, status, _ := strings.Cut(string(value), " ")
	unix, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return time.Time{}, "", fmt.Errorf("read last activity of %s: %w", account, err)
	}
	return time.Unix(unix, 0), status, nil
}
