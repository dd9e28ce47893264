package c2s_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/c2s"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/internal/xmpptest"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/ping"
	"github.com/xmppd/xmppd/router"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/storage"
)

// store is what a server and its logins need of one.
type store interface {
	auth.Store
	c2s.Store
	AccountExists(context.Context, jid.JID) (bool, error)
}

// one is a store with one account, whose writes succeed at once.
type one struct {
	auth.Store
	user        jid.JID
	credentials []storage.Credential
}

func (o *one) CreateAccount(_ context.Context, user jid.JID, c []storage.Credential) error {
	o.user, o.credentials = user, c
	return nil
}

func (o *one) Account(_ context.Context, user jid.JID) (storage.Account, error) {
	if user != o.user {
		return storage.Account{}, storage.ErrNotFound
	}
	return storage.Account{JID: user, Credentials: o.credentials}, nil
}

func (o *one) AccountExists(_ context.Context, user jid.JID) (bool, error) {
	return user == o.user, nil
}

func (*one) Meta(context.Context, string) ([]byte, error) { return make([]byte, 32), nil }

func (*one) Join(r *storage.Run) { r.Begin(); r.End() }

func (*one) Stream(context.Context, string) (storage.Stream, error) {
	return storage.Stream{}, storage.ErrNotFound
}

func (*one) SaveSnapshots(context.Context, []storage.Snapshot) error { return nil }

func (*one) TakeSnapshots(context.Context, int) ([]storage.Snapshot, error) { return nil, nil }

func (*one) DeleteStreams(context.Context, time.Time, int) (int, error) { return 0, nil }

// hall is a server for romeo@localhost that listens nowhere.
type hall struct {
	*c2s.Server
	t       *testing.T
	stopped sync.Once
}

// open runs a server until the test ends, with the module ping and what add
// registers. Its wheel turns in the time of the test.
func open(t *testing.T, cfg *config.Config, st store, add func(*modules.Host)) *hall {
	t.Helper()
	backend, err := auth.New(t.Context(), st, auth.Options{
		Iterations: func() int { return 4096 }, TokenKey: make([]byte, 32),
		Pair:    auth.Limit{Free: 2, Base: 4 * time.Second, Max: time.Minute, Forget: time.Hour},
		Address: auth.Limit{Free: 100, Base: time.Second, Max: time.Second, Forget: time.Hour},
	})
	if err != nil {
		t.Fatal(err)
	}
	credentials, err := backend.Derive(t.Context(), xmpptest.Password)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.CreateAccount(t.Context(), jid.MustParse("romeo@localhost"), credentials); err != nil {
		t.Fatal(err)
	}
	cfg.TLS.Required = false
	log, wheel, registry := slog.New(slog.DiscardHandler), session.NewWheel(time.Now()), session.NewRegistry(1, nil)
	r := router.New(router.Options{Log: log, Now: time.Now, Accounts: st, Group: st, Registry: registry, Wheel: wheel, MaxAsks: 10})
	domain, tables, module := jid.MustParse(xmpptest.Domain), modules.NewTables(), ping.New(wheel)
	h := modules.NewHost(domain, tables, r, module.Info(), func(into any) error { return cfg.DecodeModule("ping", into) }, nil, log, time.Now)
	if err := module.Init(h); err != nil {
		t.Fatal(err)
	}
	if add != nil {
		add(h)
	}
	r.AddDomain(domain, tables)
	s := c2s.New(c2s.Options{Log: log, Config: func() *config.Config { return cfg }, Router: r, Registry: registry, Auth: backend, Wheel: wheel, Store: st, Now: time.Now, TLS: new(tls.Config)})
	stop := make(chan struct{})
	go wheel.Run(stop)
	opened := &hall{Server: s, t: t}
	t.Cleanup(func() {
		opened.stop()
		close(stop)
	})
	return opened
}

// stop is a planned stop.
func (h *hall) stop() {
	h.stopped.Do(func() {
		if err := h.Shutdown(context.Background()); err != nil {
			h.t.Error(err)
		}
	})
}

// pipe connects to a listener of that kind; secure: TLS ends before it.
func (h *hall) pipe(kind string, secure, direct bool) net.Conn {
	client, server := net.Pipe()
	go h.Accept(server, kind, secure, direct)
	h.t.Cleanup(func() { client.Close() })
	return client
}

// dial is pipe for a client that speaks XMPP from the first byte.
func (h *hall) dial(kind string, secure bool) *xmpptest.Client {
	return xmpptest.Over(h.t, h.pipe(kind, secure, false))
}

// enter makes a session of romeo@localhost.
func (h *hall) enter(resource string) *xmpptest.Client {
	h.t.Helper()
	c := h.dial("c2s", true)
	c.Open()
	c.Authenticate("romeo", xmpptest.Password)
	if resource != "" {
		c.Bind(resource)
	}
	return c
}

// session is one of romeo@localhost.
func (h *hall) session(resource string) *session.Session {
	h.t.Helper()
	full, _ := jid.MustParse("romeo@localhost").WithResource(resource)
	for _, s := range h.Registry.Sessions(full.Bare()) {
		if s.JID == full {
			return s
		}
	}
	h.t.Fatalf("no session %s", full)
	return nil
}
