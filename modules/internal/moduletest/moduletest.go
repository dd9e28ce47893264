// Package moduletest lets the tests of a module run it without a server: real
// tables, sessions and registry around it, and a small stand-in for the router.
package moduletest

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xmppd/xmppd/command"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// World is a domain with modules. It implements modules.Services; what modules
// ask of it is done, and noted in the fields below.
type World struct {
	T        testing.TB
	Domain   jid.JID
	Tables   *modules.Tables
	Registry *session.Registry
	Wheel    *session.Wheel
	KV       *KV

	mu       sync.Mutex
	now      time.Time
	accounts map[jid.JID]bool
	remote   []session.Entry

	Asked       []Ask
	Routed      []string
	Invalidated []string // "kind address"
}

// Ask is a question that a module had sent to a client.
type Ask struct {
	To      session.Ref
	IQ      string
	Timeout time.Duration
	Answer  func(*stanza.Stanza)
}

// New makes the domain capulet.lit, in the night of the balcony.
func New(t testing.TB) *World {
	w := &World{
		T: t, Domain: jid.MustParse("capulet.lit"), Tables: modules.NewTables(),
		Registry: session.NewRegistry(1, nil), KV: &KV{},
		now:      time.Date(2026, 7, 14, 23, 8, 25, 0, time.UTC),
		accounts: make(map[jid.JID]bool),
	}
	w.Wheel = session.NewWheel(w.now)
	return w
}

// Account makes accounts exist.
func (w *World) Account(addresses ...string) {
	for _, a := range addresses {
		w.accounts[jid.MustParse(a)] = true
	}
}

// Now is the clock of the world; it stands still.
func (w *World) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// Advance moves clock and wheel, second by second.
func (w *World) Advance(d time.Duration) {
	for range int(d / time.Second) {
		w.mu.Lock()
		w.now = w.now.Add(time.Second)
		now := w.now
		w.mu.Unlock()
		w.Wheel.Advance(now)
	}
}

// Host makes the host of a module; options are those of modules.<name>.
func (w *World) Host(m modules.Module, options map[string]any) *modules.Host {
	decode := func(into any) error { return config.DecodeModule(options, into) }
	return modules.NewHost(w.Domain, w.Tables, w, m.Info(), decode, w.KV, slog.New(slog.DiscardHandler), w.Now)
}

// Init enables a module with its default options.
func (w *World) Init(m modules.Module) { w.InitWith(m, nil) }

// InitWith enables a module with options.
func (w *World) InitWith(m modules.Module, options map[string]any) {
	w.T.Helper()
	w.Tables.Infos = append(w.Tables.Infos, m.Info())
	if err := m.Init(w.Host(m, options)); err != nil {
		w.T.Fatalf("init %s: %v", m.Info().Name, err)
	}
}

// Parse indexes XML, which must be well-formed.
func (w *World) Parse(xml string) *stanza.Stanza {
	w.T.Helper()
	st := new(stanza.Stanza)
	if err := st.Parse([]byte(xml), stanza.Limits{}); err != nil {
		w.T.Fatalf("parse %s: %v", xml, err)
	}
	return st
}

// IQ has the modules answer an IQ of a client and returns the answer. The
// sender is a session if one is logged in under that address.
func (w *World) IQ(from, xml string) string {
	w.T.Helper()
	f := w.flight(from, xml)
	target := modules.Self
	switch {
	case f.To.IsZero() || f.To == f.From.Bare():
	case f.To.Local() == "":
		target = modules.Server
	default:
		target, f.Owner = modules.Account, f.To
	}
	as := f.To.String()
	return w.serve(&modules.Request{Flight: f}, target, as)
}

// Stranger has the modules answer an IQ of a client that has not logged in.
func (w *World) Stranger(addr, xml string) string {
	w.T.Helper()
	f := &modules.Flight{Ctx: w.T.Context(), Stanza: w.Parse(xml), To: w.Domain, Owner: w.Domain, Arrived: w.Now(), Run: &Run{}}
	return w.serve(&modules.Request{Flight: f, Addr: netip.MustParseAddr(addr)}, modules.Stranger, w.Domain.String())
}

func (w *World) serve(r *modules.Request, target modules.Target, as string) string {
	w.T.Helper()
	st := r.Stanza
	r.Payload = st.Root().First()
	to := r.From.String()
	defer r.Replied()
	_, fn := w.Tables.IQHandler(st.Type, target, r.Payload.NS(), r.Payload.Name())
	if fn == nil {
		return string(st.BuildError(as, to, stanza.ServiceUnavailable("")).Bytes())
	}
	r.Reply = stanza.Build("iq").Attr("type", "result").Attr("id", string(st.ID()))
	if as != "" {
		r.Reply.Attr("from", as)
	}
	if to != "" {
		r.Reply.Attr("to", to)
	}
	err := fn(r)
	e, isStanzaError := err.(*stanza.Error)
	switch {
	case isStanzaError:
		return string(st.BuildError(as, to, e).Bytes())
	case err != nil:
		return "error: " + err.Error()
	}
	return string(r.Reply.Bytes())
}

// Payload is what stands inside an IQ, such as the result of IQ.
func (w *World) Payload(xml string) string {
	w.T.Helper()
	return string(w.Parse(xml).Root().Inner())
}

// Pass runs one stage of a stanza; the flight's Run is a *Run. change, if not
// nil, completes the flight before.
func (w *World) Pass(s modules.Side, st modules.Stage, from, xml string, change func(*modules.Flight)) (*modules.Flight, error) {
	w.T.Helper()
	f := w.flight(from, xml)
	if s == modules.Received {
		f.Owner = f.To.Bare()
	}
	if change != nil {
		change(f)
	}
	_, err := w.Tables.Pass(f.Stanza.Kind, s, st, f)
	return f, err
}

func (w *World) flight(from, xml string) *modules.Flight {
	w.T.Helper()
	f := &modules.Flight{
		Ctx: w.T.Context(), Stanza: w.Parse(xml), From: jid.MustParse(from), Arrived: w.Now(), Run: &Run{},
	}
	f.Owner = f.From.Bare()
	if to := f.Stanza.To(); to != nil {
		f.To = jid.MustParse(string(to))
	}
	for _, s := range w.Registry.Sessions(f.Owner) {
		if s.JID == f.From {
			f.Session = s
		}
	}
	return f
}

// Features is what the modules announce in a phase.
func (w *World) Features(p modules.Phase) string {
	b := stanza.NewBuilder(nil)
	w.Tables.StreamFeatures(p, b)
	return string(b.Bytes())
}

// Run is a modules.Runner that keeps what it is given.
type Run struct {
	Rows  []storage.Write
	After []func()
}

// Store implements modules.Runner.
func (r *Run) Store(_ *modules.Flight, w storage.Write) { r.Rows = append(r.Rows, w) }

// AfterCommit implements modules.Runner.
func (r *Run) AfterCommit(_ *modules.Flight, fn func()) { r.After = append(r.After, fn) }

// Send implements modules.Runner. No module that is tested with this one uses it.
func (r *Run) Send(session.Ref, []byte) bool { return false }

// SendRow implements modules.Runner.
func (r *Run) SendRow(session.Ref, []byte, int64) bool { return false }

// Call runs an admin command as a command line would and returns what it prints.
func (w *World) Call(words ...string) (string, error) {
	w.T.Helper()
	var set command.Set
	set.Add(w.Tables.Commands()...)
	c, ok := set.Lookup(words[0])
	if !ok {
		w.T.Fatalf("no command %s", words[0])
	}
	args, err := c.ParseWords(words[1:])
	if err != nil {
		return "", err
	}
	_, v, err := set.Call(w.T.Context(), c.Name, args)
	if err != nil {
		return "", err
	}
	return c.Result.Format(v), nil
}

// KV is a store in memory.
type KV struct {
	mu     sync.Mutex
	values map[[2]string][]byte
}

// Get implements storage.KV.
func (k *KV) Get(_ context.Context, account jid.JID, key string) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	v, ok := k.values[[2]string{account.String(), key}]
	if !ok {
		return nil, storage.ErrNotFound
	}
	return v, nil
}

// Put implements storage.KV.
func (k *KV) Put(_ context.Context, account jid.JID, key string, value []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.values == nil {
		k.values = make(map[[2]string][]byte)
	}
	k.values[[2]string{account.String(), key}] = []byte(strings.Clone(string(value)))
	return nil
}

// Delete implements storage.KV.
func (k *KV) Delete(_ context.Context, account jid.JID, key string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.values, [2]string{account.String(), key})
	return nil
}

// Keys implements storage.KV.
func (k *KV) Keys(context.Context, jid.JID) ([]string, error) { return nil, nil }
