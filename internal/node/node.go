// Package node puts a server together: stores, router, modules, listeners.
// The command and the tests start the same one.
package node

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/c2s"
	"github.com/xmppd/xmppd/cluster"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/all"
	"github.com/xmppd/xmppd/router"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/storage/postgres"
	"github.com/xmppd/xmppd/storage/sqlite"
	"github.com/xmppd/xmppd/web"
)

// Options of a node. Only Config is required.
type Options struct {
	Config  *config.Config
	Log     *slog.Logger
	Version string
	// DB is used instead of what the configuration names, and is not closed.
	DB all.DB
	// Cluster connects nodes of one process; nil: the node is alone.
	Cluster *cluster.Local
	// Tables, if set, may look at or shuffle the tables of each domain.
	Tables func(*modules.Tables)
	Now    func() time.Time
	// TuneMemory lets the node set how often the process collects garbage.
	TuneMemory bool
	// Wheel is used instead of one that follows the clock; whoever made it moves it.
	Wheel *session.Wheel
}

// Node is a running server.
type Node struct {
	log      *slog.Logger
	now      func() time.Time
	version  string
	started  time.Time
	cfg      atomic.Pointer[config.Config]
	db       all.DB
	closeDB  func() error
	registry *session.Registry
	wheel    *session.Wheel
	router   *router.Router
	auth     *auth.Backend
	c2s      *c2s.Server
	web      *web.Server
	member   cluster.Node
	certs    *certificates
	tables   []*modules.Tables

	tune      bool                      // see Options.TuneMemory
	listeners map[string][]net.Listener // by key of the configuration
	stop      chan struct{}
	serving   sync.WaitGroup
	serveErr  chan error
}

// Start opens the database and the listeners and serves. On an error nothing
// is left running.
func Start(ctx context.Context, o Options) (*Node, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	n := &Node{
		log: o.Log, now: o.Now, version: o.Version, started: o.Now(), tune: o.TuneMemory,
		listeners: make(map[string][]net.Listener), stop: make(chan struct{}), serveErr: make(chan error, 16),
	}
	n.cfg.Store(o.Config)
	if err := n.assemble(ctx, o); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

func (n *Node) assemble(ctx context.Context, o Options) (err error) {
	cfg := o.Config
	if n.certs, err = loadCertificates(cfg); err != nil {
		return err
	}
	if err := n.listen(cfg); err != nil {
		return err
	}
	n.db, n.closeDB = o.DB, func() error { return nil }
	if n.db == nil {
		if n.db, n.closeDB, err = openDB(ctx, cfg, n.log); err != nil {
			return fmt.Errorf("database: %w", err)
		}
	}
	options, err := n.authOptions(cfg)
	if err != nil {
		return err
	}
	if n.auth, err = auth.New(ctx, n.db, options); err != nil {
		return err
	}
	var id [8]byte
	rand.Read(id[:])
	if n.wheel = o.Wheel; n.wheel == nil {
		n.wheel = session.NewWheel(n.now())
		n.serving.Go(func() { n.wheel.Run(n.stop) })
	}
	n.registry = session.NewRegistry(binary.BigEndian.Uint64(id[:])|1, func(e session.Entry, gone bool) {
		if n.member != nil {
			n.member.Publish(e, gone)
		}
	})
	n.registry.Now = n.now
	n.router = router.New(router.Options{
		Log: n.log, Now: n.now, Accounts: n.db, Group: n.db, Registry: n.registry, Wheel: n.wheel, MaxAsks: 2 * cfg.Limits.Connections,
	})
	if err := n.addDomains(cfg, o); err != nil {
		return err
	}
	if o.Cluster != nil {
		n.member = o.Cluster.Join(n.registry.Node(), n.router)
		n.router.Join(n.member)
	}
	n.c2s = c2s.New(c2s.Options{
		Log: n.log, Config: n.cfg.Load, Router: n.router, Registry: n.registry, Auth: n.auth, Wheel: n.wheel,
		Store: n.db, Now: n.now, TLS: n.certs.config(), IdleSeconds: all.IdleSeconds(cfg),
	})
	if err := n.c2s.Restore(ctx); err != nil {
		return err
	}
	n.web = web.New(n.log, func() []netip.Prefix { return n.cfg.Load().HTTP.TrustedPrefixes() })
	n.c2s.Mount(n.web)
	for i, t := range n.tables {
		for _, r := range t.HTTP() {
			n.web.HandleHost(cfg.Domains[i], r.Pattern, r.Handler)
			if i == 0 {
				n.web.Handle(r.Pattern, r.Handler)
			}
		}
	}
	n.serve()
	return nil
}

// openDB opens the store that the configuration names.
func openDB(ctx context.Context, cfg *config.Config, log *slog.Logger) (all.DB, func() error, error) {
	o := cfg.DatabaseOptions
	if strings.HasPrefix(cfg.Database, "postgres") {
		db, err := postgres.Open(ctx, postgres.Options{
			URL: cfg.Database, Durability: o.Durability, CommitTimeout: o.CommitTimeout,
			StatementTimeout: o.StatementTimeout, MaxConnections: o.MaxConnections, Log: log,
		})
		if err != nil {
			return nil, nil, err
		}
		return db, db.Close, nil
	}
	db, err := sqlite.Open(ctx, sqlite.Options{
		Path: filepath.Join(cfg.DataDir, "xmppd.db"), Durability: o.Durability, CommitTimeout: o.CommitTimeout,
		StatementTimeout: o.StatementTimeout, Readers: min(o.MaxConnections, 2*runtime.GOMAXPROCS(0)), Log: log,
	})
	if err != nil {
		return nil, nil, err
	}
	return db, db.Close, nil
}

func (n *Node) authOptions(cfg *config.Config) (auth.Options, error) {
	a := cfg.Auth
	key, err := auth.LoadTokenKey(cfg.TokenKey())
	return auth.Options{
		Iterations: func() int { return n.cfg.Load().Auth.ScramIterations },
		Pair:       auth.Limit{Free: a.FailuresBeforeDelay, Base: a.FailureDelay, Max: a.FailureDelayMax, Forget: a.FailureMemory},
		Address:    auth.Limit{Free: a.FailuresPerAddress, Base: a.FailureDelay / 4, Max: a.FailureDelayMax / 6, Forget: a.FailureMemory},
		TableSize:  a.FailureTableEntries,
		Now:        n.now,

		TokenKey:         key,
		TokenLifetime:    func() time.Duration { return n.cfg.Load().Auth.TokenLifetime },
		TokenRotation:    func() time.Duration { return n.cfg.Load().Auth.TokenRotation },
		TokensPerAccount: func() int { return n.cfg.Load().Auth.TokensPerAccount },
	}, err
}

// addDomains makes one table of handlers for each domain.
func (n *Node) addDomains(cfg *config.Config, o Options) error {
	features := all.New(all.Deps{
		Config: n.cfg.Load, DB: n.db, Auth: n.auth, Router: n.router, Registry: n.registry,
		Wheel: n.wheel, Log: n.log, Now: n.now, Started: n.started, Version: n.version,
	})
	for _, name := range cfg.Domains {
		domain, err := jid.Parse(name)
		if err != nil {
			return fmt.Errorf("domains: %w", err)
		}
		t := modules.NewTables()
		if err := features.Attach(domain, t); err != nil {
			return err
		}
		if o.Tables != nil {
			o.Tables(t)
		}
		n.router.AddDomain(domain, t)
		n.tables = append(n.tables, t)
	}
	return nil
}

// listen opens all sockets before anything else is done, so that every address
// in use is reported at once.
func (n *Node) listen(cfg *config.Config) error {
	var errs []error
	// Keep-alive probes wake phones; module ping finds out who has vanished.
	lc := net.ListenConfig{KeepAlive: -1}
	for _, group := range cfg.Listen.All() {
		for _, addr := range group.Addresses {
			l, err := lc.Listen(context.Background(), "tcp", addr)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %q cannot be listened on: %w", group.Key, addr, bare(err)))
				continue
			}
			n.listeners[group.Key] = append(n.listeners[group.Key], l)
		}
	}
	return errors.Join(errs...)
}

// bare drops "listen tcp :5222: bind:" from an error that repeats the address.
func bare(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	for e := errors.Unwrap(err); e != nil; e = errors.Unwrap(e) {
		err = e
	}
	return err
}

func (n *Node) serve() {
	n.wheel.Add(newTidier(n.tune), 1, false)
	n.startTasks()
	for _, l := range n.listeners["listen.c2s"] {
		n.run(func() error { return n.c2s.Serve(l, false) })
	}
	for _, l := range n.listeners["listen.c2s_tls"] {
		n.run(func() error { return n.c2s.Serve(l, true) })
	}
	for _, l := range n.listeners["listen.http"] {
		n.run(func() error { return n.web.Serve(n.c2s.HTTPListener(l, nil), false) })
	}
	https := n.certs.config()
	https.NextProtos = []string{"http/1.1"} // RFC 7395 needs it; never h2
	https.DynamicRecordSizingDisabled = true
	for _, l := range n.listeners["listen.https"] {
		n.run(func() error { return n.web.Serve(n.c2s.HTTPListener(l, https), true) })
	}
}

func (n *Node) run(fn func() error) {
	n.serving.Go(func() {
		if err := fn(); err != nil && !errors.Is(err, net.ErrClosed) {
			n.serveErr <- err
		}
	})
}

// Failed delivers the error of a listener that ended by itself.
func (n *Node) Failed() <-chan error { return n.serveErr }

// Addrs are the addresses that are really listened on, by key of the configuration.
func (n *Node) Addrs(key string) []net.Addr {
	var out []net.Addr
	for _, l := range n.listeners[key] {
		out = append(out, l.Addr())
	}
	return out
}

// Listener hands out the sockets of a key that the node does not serve itself:
// listen.admin.
func (n *Node) Listener(key string) []net.Listener { return n.listeners[key] }

// Shutdown stops in order: no new connections, system-shutdown to the clients,
// queued writes to the disk. It returns the context's error if time ran out;
// the node has ended in any case.
func (n *Node) Shutdown(ctx context.Context) error {
	n.closeListeners()
	err := n.c2s.Shutdown(ctx)
	err = errors.Join(err, n.web.Shutdown(ctx))
	if n.member != nil {
		n.member.Leave()
	}
	for _, t := range n.tables {
		err = errors.Join(err, t.Stopping(ctx))
	}
	return errors.Join(err, n.close())
}

func (n *Node) closeListeners() {
	for _, list := range n.listeners {
		for _, l := range list {
			l.Close()
		}
	}
}

// close gives everything back.
func (n *Node) close() error {
	close(n.stop)
	n.closeListeners()
	n.serving.Wait()
	if n.db != nil {
		return n.closeDB()
	}
	return nil
}

// tlsConfig with the suites and versions that RFC 7590 and RFC 9325 ask for;
// Go's own choice of suites is modern, only the version has to be stated.
func tlsConfig(get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: get}
}
