// Package routertest runs modules in the real router over a real database, with
// clients that have no connection: what they send goes to the router as it does
// from a stream, what they get is kept. It is for tests only.
package routertest

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xmppd/xmppd/cluster"
	"github.com/xmppd/xmppd/command"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/router"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage/sqlite"
)

// World is a database and one or two nodes above it. The methods that Node
// lends it are those of the first node.
type World struct {
	*Node
	DB    *sqlite.DB
	Other *Node // nil unless Pair made the world
	Logs  *Logs
}

// Node is a router with its sessions.
type Node struct {
	t        testing.TB
	Router   *router.Router
	Registry *session.Registry
	tables   map[string]*modules.Tables
}

// List makes the modules of a node; one value serves all its domains.
type List func(*sqlite.DB, *router.Router) []modules.Module

// New makes a node with these domains, in which all modules of the list run.
func New(t testing.TB, list List, domains ...string) *World {
	t.Helper()
	w := open(t)
	w.Node = w.node(t, nil, 1, list, domains)
	return w
}

// Pair is New with two nodes that share the database.
func Pair(t testing.TB, list List, domains ...string) *World {
	t.Helper()
	w, hub := open(t), cluster.NewLocal()
	w.Node = w.node(t, hub, 1, list, domains)
	w.Other = w.node(t, hub, 2, list, domains)
	return w
}

func open(t testing.TB) *World {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "test.db"), Durability: "normal"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return &World{DB: db, Logs: &Logs{}}
}

func (w *World) node(t testing.TB, hub *cluster.Local, id uint64, list List, domains []string) *Node {
	t.Helper()
	n := &Node{t: t, tables: make(map[string]*modules.Tables)}
	var member cluster.Node
	n.Registry = session.NewRegistry(id, func(e session.Entry, gone bool) {
		if member != nil {
			member.Publish(e, gone)
		}
	})
	log := slog.New(slog.NewTextHandler(w.Logs, nil))
	n.Router = router.New(router.Options{
		Log: log, Now: time.Now, Accounts: w.DB, Group: w.DB, Registry: n.Registry,
		Wheel: session.NewWheel(time.Unix(0, 0)), MaxAsks: 100,
	})
	all := list(w.DB, n.Router)
	for _, d := range domains {
		domain, tables := jid.MustParse(d), modules.NewTables()
		n.tables[d] = tables
		for _, m := range all {
			info := m.Info()
			tables.Infos = append(tables.Infos, info)
			decode := func(into any) error { return config.DecodeModule(nil, into) }
			if err := m.Init(modules.NewHost(domain, tables, n.Router, info, decode, w.DB.KV(info.Name), log, time.Now)); err != nil {
				t.Fatal(err)
			}
		}
		n.Router.AddDomain(domain, tables)
	}
	if hub != nil {
		member = hub.Join(id, n.Router)
		n.Router.Join(member)
	}
	return n
}

// Account creates accounts.
func (w *World) Account(addresses ...string) {
	w.t.Helper()
	for _, a := range addresses {
		if err := w.DB.CreateAccount(w.t.Context(), jid.MustParse(a), nil); err != nil {
			w.t.Fatal(err)
		}
	}
}

// Remove removes an account, after the modules have been told.
func (w *World) Remove(address string) {
	w.t.Helper()
	user := jid.MustParse(address)
	if err := w.tables[user.Domain()].UserRemoved(w.t.Context(), user); err != nil {
		w.t.Fatal(err)
	}
	if err := w.DB.RemoveAccount(w.t.Context(), user); err != nil {
		w.t.Fatal(err)
	}
}

// Tables are those of a domain.
func (n *Node) Tables(domain string) *modules.Tables { return n.tables[domain] }

// Call runs an admin command as a command line would and returns what it prints.
func (n *Node) Call(words ...string) (string, error) {
	n.t.Helper()
	for _, tables := range n.tables {
		var set command.Set
		set.Add(tables.Commands()...)
		c, ok := set.Lookup(words[0])
		if !ok {
			n.t.Fatalf("no command %s", words[0])
		}
		args, err := c.ParseWords(words[1:])
		if err != nil {
			return "", err
		}
		_, v, err := set.Call(n.t.Context(), c.Name, args)
		if err != nil {
			return "", err
		}
		return c.Result.Format(v), nil
	}
	return "", nil
}

// Client is a bound session.
type Client struct {
	*session.Session
	n *Node

	mu      sync.Mutex
	written []byte
}

// Login binds a session.
func (n *Node) Login(full string) *Client {
	c := &Client{n: n}
	out := session.NewOutbox(c, session.NewChunks(0), 16<<20)
	c.Session = session.New(n.Registry.NewRef(), jid.MustParse(full), session.Info{Since: time.Unix(0, 0)}, out)
	n.Registry.Add(c.Session)
	n.Router.Fire(modules.Bound, c.Session)
	return c
}

// Send takes stanzas of the client through the router, in one burst.
func (c *Client) Send(xml ...string) {
	c.n.t.Helper()
	b := c.n.Router.Burst()
	defer b.End()
	for _, x := range xml {
		st := b.Next()
		if err := st.Parse([]byte(x), stanza.Limits{}); err != nil {
			c.n.t.Fatalf("parse %s: %v", x, err)
		}
		st.SetAttr(modules.Sent, "from", c.JID.String())
		b.Stanza(context.Background(), c.Session)
	}
}

// Close ends the session as a lost connection does.
func (c *Client) Close() {
	c.Outbox.Discard()
	c.n.Registry.Remove(c.Session)
	c.n.Router.Fire(modules.Closed, c.Session)
	c.End()
}

// Received is what the client got since the last call, one line for each
// stanza.
func (c *Client) Received() string {
	c.n.t.Helper()
	c.mu.Lock()
	xml := append(append([]byte("<all>"), c.written...), "</all>"...)
	c.written = nil
	c.mu.Unlock()
	var st stanza.Stanza
	if err := st.Parse(xml, stanza.Limits{Bytes: 16 << 20, Elements: 1 << 20}); err != nil {
		c.n.t.Fatalf("%s was sent %s: %v", c.JID, xml, err)
	}
	var lines strings.Builder
	for e := range st.Root().Children() {
		lines.Write(e.Raw())
		lines.WriteByte('\n')
	}
	return lines.String()
}

// AppendElement implements session.Link, as the following methods do.
func (c *Client) AppendElement(dst, xml []byte) []byte { return append(dst, xml...) }

// Framed reports that elements are written as they are.
func (c *Client) Framed() bool { return false }

// Write keeps what the client gets.
func (c *Client) Write(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.written = append(c.written, p...)
	return nil
}

// Pending reports that the client takes everything at once.
func (c *Client) Pending() int { return 0 }

// OnDrained is never needed.
func (c *Client) OnDrained(func()) {}

// Finish is the end of the stream.
func (c *Client) Finish(*stanza.StreamError) {}

// Abort is the end of the connection.
func (c *Client) Abort(error) {}

// Logs keeps what was logged.
type Logs struct {
	mu  sync.Mutex
	all strings.Builder
}

var _ io.Writer = (*Logs)(nil)

// Write implements io.Writer.
func (l *Logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

// String is all that was logged.
func (l *Logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}
