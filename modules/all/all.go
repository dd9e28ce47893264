// Package all lists the modules in their order and hands them their stores and
// the small interfaces that they need of each other. A new feature is a folder
// below modules and one line in List.
package all

import (
	"context"
	"log/slog"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/caps"
	"github.com/xmppd/xmppd/modules/contact"
	"github.com/xmppd/xmppd/modules/disco"
	"github.com/xmppd/xmppd/modules/entitytime"
	"github.com/xmppd/xmppd/modules/hostmeta"
	"github.com/xmppd/xmppd/modules/last"
	"github.com/xmppd/xmppd/modules/offline"
	"github.com/xmppd/xmppd/modules/ping"
	"github.com/xmppd/xmppd/modules/presence"
	"github.com/xmppd/xmppd/modules/register"
	"github.com/xmppd/xmppd/modules/roster"
	"github.com/xmppd/xmppd/modules/version"
	"github.com/xmppd/xmppd/router"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/storage"
)

// DB is everything that the server and its modules keep. Both stores have it.
type DB interface {
	auth.Store
	router.Accounts
	roster.Store
	offline.Store
	storage.Group
	storage.Health
	KV(namespace string) storage.KV
	RemoveAccount(ctx context.Context, account jid.JID) error
	Accounts(ctx context.Context, domain string, after jid.JID, limit int) ([]jid.JID, error)
	CountAccounts(ctx context.Context, domain string) (int, error)
	SetBan(ctx context.Context, account jid.JID, ban *storage.Ban) error
}

// Deps are the parts of a node, for one domain.
type Deps struct {
	Domain   jid.JID
	Tables   *modules.Tables
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

// List makes the modules of a domain, in the order in which their handlers are
// to be read.
func List(d Deps) []modules.Module {
	cfg := d.Config()
	limits := func() config.Limits { return d.Config().Limits }
	contacts := roster.New(d.DB, limits)
	addresses := contact.New()
	discovery := disco.New(contacts, addresses.Form)
	return []modules.Module{
		contacts,
		presence.New(contacts, limits),
		discovery,
		caps.New(discovery.Domain),
		addresses,
		ping.New(d.Wheel),
		version.New(d.Version),
		entitytime.New(),
		last.New(contacts, d.Started),
		offline.New(d.DB, d.offlineLimits),
		register.New(d.accounts(), d.registration),
		hostmeta.New(cfg.WebSocket.PublicURL, cfg.HTTP.PublicURL),
	}
}

func (d Deps) offlineLimits() offline.Limits {
	l := d.Config().Limits
	return offline.Limits{Messages: l.OfflineMessages, Bytes: int64(l.OfflineBytes)}
}

func (d Deps) registration() register.Options {
	r := d.Config().Registration
	return register.Options{Enabled: r.Enabled, PerAddressPerHour: r.PerAddressPerHour}
}

func (d Deps) accounts() register.Accounts {
	return register.Accounts{
		Register: func(ctx context.Context, user jid.JID, password string) error {
			return d.Auth.Register(ctx, user, password)
		},
		SetPassword: func(ctx context.Context, user jid.JID, password string) error {
			return d.Auth.SetPassword(ctx, user, password)
		},
		Remove: func(ctx context.Context, user jid.JID) error { return Remove(ctx, d.Tables, d.DB, user) },
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

// Attach initialises the enabled modules of a domain.
func Attach(d Deps) error {
	cfg := d.Config()
	for _, m := range List(d) {
		info := m.Info()
		if !cfg.ModuleEnabled(info.Name) {
			continue
		}
		d.Tables.Infos = append(d.Tables.Infos, info)
		var kv storage.KV
		if d.DB != nil {
			kv = d.DB.KV(info.Name)
		}
		h := modules.NewHost(d.Domain, d.Tables, d.Router, info,
			func(into any) error { return cfg.DecodeModule(info.Name, into) }, kv, d.Log, d.Now)
		if err := m.Init(h); err != nil {
			return err
		}
		if c, ok := m.(interface{ Invalidated(jid.JID) }); ok && d.Router != nil {
			d.Router.OnInvalidate(info.Name, c.Invalidated) // modules call h.Invalidate with their own name
		}
	}
	return nil
}

// IdleSeconds is after how much silence a client is asked whether it lives; 0: never.
func IdleSeconds(cfg *config.Config) int {
	var o ping.Options
	if !cfg.ModuleEnabled("ping") || cfg.DecodeModule("ping", &o) != nil {
		return 0
	}
	return int(o.Interval / time.Second)
}
