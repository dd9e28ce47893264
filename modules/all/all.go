// Package all lists the modules in their order and hands them their stores and
// the small interfaces that they need of each other. A new feature is a folder
// below modules and one line in List.
package all

import (
	"context"
	"log/slog"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/c2s"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/archive"
	"github.com/xmppd/xmppd/modules/blocking"
	"github.com/xmppd/xmppd/modules/caps"
	"github.com/xmppd/xmppd/modules/carbons"
	"github.com/xmppd/xmppd/modules/contact"
	"github.com/xmppd/xmppd/modules/csi"
	"github.com/xmppd/xmppd/modules/disco"
	"github.com/xmppd/xmppd/modules/entitytime"
	"github.com/xmppd/xmppd/modules/hostmeta"
	"github.com/xmppd/xmppd/modules/inbox"
	"github.com/xmppd/xmppd/modules/internal/archived"
	"github.com/xmppd/xmppd/modules/last"
	"github.com/xmppd/xmppd/modules/offline"
	"github.com/xmppd/xmppd/modules/ping"
	"github.com/xmppd/xmppd/modules/presence"
	"github.com/xmppd/xmppd/modules/register"
	"github.com/xmppd/xmppd/modules/retraction"
	"github.com/xmppd/xmppd/modules/roster"
	"github.com/xmppd/xmppd/modules/search"
	"github.com/xmppd/xmppd/modules/version"
	"github.com/xmppd/xmppd/router"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/storage"
)

// DB is everything that the server and its modules keep. Both stores have it.
type DB interface {
	auth.Store
	c2s.Store
	router.Accounts
	roster.Store
	blocking.Store
	archive.Store
	search.Store
	offline.Store
	inbox.Store
	blocking.Archive
	storage.Health
	KV(namespace string) storage.KV
	RemoveAccount(ctx context.Context, account jid.JID) error
	Accounts(ctx context.Context, domain string, after jid.JID, limit int) ([]jid.JID, error)
	CountAccounts(ctx context.Context, domain string) (int, error)
	SetBan(ctx context.Context, account jid.JID, ban *storage.Ban) error
}

// Deps are the parts of a node.
type Deps struct {
	Config   func() *config.Config
	DB       DB
	Auth     *auth.Backend
	Router   *router.Router
	Registry *session.Registry
	Wheel    *session.Wheel
	Log      *slog.Logger
	Now      func() time.Time
	Started  time.Time
	Version  string
}

// Modules makes the modules of each domain of a node.
type Modules struct {
	Deps
	// One roster serves all domains: it answers for contacts in the others too. So
	// do the blocklists.
	roster   *roster.Module
	blocking *blocking.Module
	search   *search.Module          // one index
	joined   map[modules.Module]bool // told of invalidated values
}

// New prepares the modules of a node.
func New(d Deps) *Modules {
	m := &Modules{Deps: d, joined: make(map[modules.Module]bool)}
	m.roster = roster.New(d.DB, m.limits)
	m.blocking = blocking.New(d.DB, m.roster)
	m.roster.Blocks = m.blocking
	m.search = search.New(d.DB)
	if d.DB != nil {
		m.blocking.Archive = d.DB
	}
	return m
}

// list is the one list that fixes the order of the modules of a domain, in
// which their handlers are to be read.
func (m *Modules) list(t *modules.Tables) []modules.Module {
	cfg := m.Config()
	addresses := contact.New()
	discovery := disco.New(m.roster, addresses.Form)
	waiting := offline.New(m.Wheel, m.DB, m.blocking, m.offlineLimits)
	if cfg.ModuleEnabled(waiting.Info().Name) {
		discovery.AccountNode(offline.NSFlexible, disco.Node{Info: waiting.DescribeWaiting, Items: waiting.ListWaiting})
	}
	return []modules.Module{
		m.roster,
		m.blocking,
		presence.New(m.roster, m.blocking, m.limits),
		waiting,
		inbox.New(m.DB, m.limits),
		retraction.New(),
		archive.New(m.DB, m.roster, m.finder(), waiting.Queried, m.limits),
		m.search,
		carbons.New(),
		csi.New(func() int { return int(m.limits().HeldBytes) }),
		discovery,
		caps.New(discovery.Domain),
		addresses,
		register.New(m.accounts(t), m.registration),
		ping.New(m.Wheel),
		last.New(m.roster, m.Started),
		version.New(m.Version),
		entitytime.New(),
		hostmeta.New(cfg.WebSocketURL()),
	}
}

// Attach initialises the enabled modules of a domain into its tables.
func (m *Modules) Attach(domain jid.JID, t *modules.Tables) error {
	cfg := m.Config()
	for _, mod := range m.list(t) {
		info := mod.Info()
		if !enabled(cfg, info.Name) {
			continue
		}
		t.Infos = append(t.Infos, info)
		var kv storage.KV
		if m.DB != nil {
			kv = m.DB.KV(info.Name)
		}
		h := modules.NewHost(domain, t, m.Router, info,
			func(into any) error { return cfg.DecodeModule(info.Name, into) }, kv, m.Log, m.Now)
		if err := mod.Init(h); err != nil {
			return err
		}
		m.join(info.Name, mod)
	}
	return nil
}

// enabled reports whether a module runs: some do nothing without the archive.
func enabled(cfg *config.Config, name string) bool {
	switch name {
	case "inbox", "retraction", "search":
		return cfg.ModuleEnabled(name) && cfg.ModuleEnabled("archive")
	}
	return cfg.ModuleEnabled(name)
}

// join has a module that caches values told, once, what other nodes drop
// (modules.Services.Invalidate with the module's name).
func (m *Modules) join(name string, mod modules.Module) {
	c, ok := mod.(interface{ Invalidated(jid.JID) })
	if ok && m.Router != nil && !m.joined[mod] {
		m.joined[mod] = true
		m.Router.OnInvalidate(name, c.Invalidated)
	}
}

// finder searches archives; nil: that is switched off.
func (m *Modules) finder() archived.Search {
	if !m.Config().ModuleEnabled("search") {
		return nil
	}
	return m.search
}

func (m *Modules) limits() config.Limits { return m.Config().Limits }

func (d Deps) offlineLimits() offline.Limits {
	l := d.Config().Limits
	return offline.Limits{Messages: l.OfflineMessages, Bytes: int64(l.OfflineBytes)}
}

func (d Deps) registration() register.Options {
	r := d.Config().Registration
	return register.Options{Enabled: r.Enabled, PerAddressPerHour: r.PerAddressPerHour}
}

func (d Deps) accounts(t *modules.Tables) register.Accounts {
	return register.Accounts{
		Register: func(ctx context.Context, user jid.JID, password string) error {
			return d.Auth.Register(ctx, user, password)
		},
		SetPassword: func(ctx context.Context, user jid.JID, password string) error {
			return d.Auth.SetPassword(ctx, user, password)
		},
		Remove: func(ctx context.Context, user jid.JID) error { return Remove(ctx, t, d.DB, user) },
	}
}

// Remove tells the modules and deletes an account with every row about it.
// Sessions are the caller's business.
func Remove(ctx context.Context, t *modules.Tables, db DB, account jid.JID) error {
	if err := t.UserRemoved(ctx, account); err != nil {
		return err
	}
	return db.RemoveAccount(ctx, account)
}

// IdleSeconds is after how much silence a client is asked whether it lives; 0: never.
func IdleSeconds(cfg *config.Config) int {
	var o ping.Options
	if !cfg.ModuleEnabled("ping") || cfg.DecodeModule("ping", &o) != nil {
		return 0
	}
	return int(o.Interval / time.Second)
}
