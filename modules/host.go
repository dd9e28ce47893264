package modules

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/xmppd/xmppd/command"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// Services is what the router does for modules at any time, outside of a flight.
type Services interface {
	// Sessions appends the account's sessions on all nodes to dst.
	Sessions(dst []session.Entry, bare jid.JID) []session.Entry
	// Exists reports whether there is such an account.
	Exists(ctx context.Context, bare jid.JID) (bool, error)
	// Send queues an element for one session and flushes it.
	Send(to session.Ref, xml []byte) bool
	// Route takes a stanza of the server through the full passes.
	Route(ctx context.Context, xml []byte) error
	// Ask sends an IQ to a session of this node.
	Ask(to session.Ref, iq *stanza.Builder, timeout time.Duration, fn func(*stanza.Stanza))
	// SetPresence, SetInterested and SetCarbons change a session of this node.
	SetPresence(s *session.Session, presence []byte, priority int8)
	SetInterested(s *session.Session)
	// SetCarbons switches copies for a session of this node on or off (XEP-0280).
	SetCarbons(s *session.Session, on bool)
	// Kick ends a session on any node.
	Kick(ref session.Ref, cond stanza.StreamCondition, text string)
	// Hosted reports whether the domain is one of this server's.
	Hosted(domain string) bool
	// Invalidate drops a cached value on all other nodes.
	Invalidate(kind string, key jid.JID)
	// Settled returns a seq up to which all messages of an account's log have been
	// delivered to whom they were planned for; those that join later are above it.
	// It waits for a commit, so no handler of a message may call it.
	Settled(account jid.JID) (seq int64, err error)
}

// Host is one domain as a module sees it. Its registering methods may only be
// called in Init; tables are read without locks afterwards.
type Host struct {
	Domain jid.JID
	Log    *slog.Logger     // carries the module's name
	Now    func() time.Time // the clock
	KV     storage.KV       // private to the module, over all domains
	Services

	tables *Tables
	module Info
	decode func(into any) error
}

// NewHost makes the host of one module in one domain; modules/all calls it. kv
// is the module's own store, decode reads its options.
func NewHost(domain jid.JID, t *Tables, srv Services, m Info, decode func(into any) error, kv storage.KV, log *slog.Logger, now func() time.Time) *Host {
	return &Host{
		Domain: domain, Log: log.With("module", m.Name), Now: now, KV: kv, Services: srv,
		tables: t, module: m, decode: decode,
	}
}

// Config decodes modules.<name>.* into a struct that holds the defaults. An
// unknown key or a wrong type is an error that names the key.
func (h *Host) Config(into any) error { return h.decode(into) }

// Message attaches a handler to a stage of messages.
func (h *Host) Message(s Side, st Stage, fn Handler) {
	h.tables.add(stanza.Message, s, st, h.module.Name, fn)
}

// Presence attaches a handler to stage Check or Amend of presence.
func (h *Host) Presence(s Side, st Stage, fn Handler) {
	h.tables.add(stanza.Presence, s, st, h.module.Name, fn)
}

// Check attaches a handler to stage Check of messages, presence and IQs
// between clients.
func (h *Host) Check(s Side, fn Handler) {
	for _, k := range []stanza.Kind{stanza.Message, stanza.Presence, stanza.IQ} {
		h.tables.add(k, s, Check, h.module.Name, fn)
	}
}

// IQ attaches the handler of IQs of type Get or Set whose payload is the
// element of that namespace and name. Two handlers for one kind are a
// programming error and panic.
func (h *Host) IQ(t stanza.Type, to Target, ns, name string, fn IQHandler) {
	for target := Server; target <= Stranger; target <<= 1 {
		if to&target != 0 {
			h.tables.addIQ(iqKey{t, target, ns, name}, h.module.Name, fn)
		}
	}
}

// Nonza attaches the handler of a top-level element that is no stanza, from
// clients that have bound a resource. The flight's Stanza is the element; it is
// valid until the handler returns. Two handlers for one element panic.
func (h *Host) Nonza(ns, name string, fn func(*Flight)) {
	k := [2]string{ns, name}
	if _, ok := h.tables.nonzas[k]; ok {
		panic("two modules handle " + name + " of " + ns)
	}
	h.tables.nonzas[k] = fn
}

// Inline offers a feature during resource binding (XEP-0386).
func (h *Host) Inline(in Inline) { h.tables.inline = append(h.tables.inline, in) }

// Bound attaches a function that writes what every client learns that binds its
// resource by XEP-0386, whatever it asks for. As for Inline, nobody can send to the
// session yet.
func (h *Host) Bound(fn func(f *Flight, bound *stanza.Builder)) {
	h.tables.bound = append(h.tables.bound, fn)
}

// OnSession attaches a handler to an event of sessions. The flight has no
// stanza; its Session is the one.
func (h *Host) OnSession(e Event, fn func(*Flight)) {
	h.tables.events[e] = append(h.tables.events[e], fn)
}

// StreamFeature adds a stream feature; the session is nil in phase
// Unauthenticated. The function may write nothing.
func (h *Host) StreamFeature(p Phase, fn func(*stanza.Builder)) {
	h.tables.features[p] = append(h.tables.features[p], fn)
}

// OnUserRemoved attaches a handler that is called before an account and all
// its rows are removed.
func (h *Host) OnUserRemoved(fn func(context.Context, jid.JID) error) {
	h.tables.removed = append(h.tables.removed, fn)
}

// OnExport attaches a function that writes what the module keeps of an account, for
// the person whose account it is: whole children of <user/> (XEP-0227 §4), each
// with its namespace, and no secrets. They stand in the file in the order of the
// modules. It reads and writes a few rows at a time, so that neither memory nor the
// database is held.
func (h *Host) OnExport(fn func(ctx context.Context, account jid.JID, w io.Writer) error) {
	h.tables.exports = append(h.tables.exports, fn)
}

// Every has fn called every d, at least a second, for work that is nobody's
// request; never twice at a time. The context ends when the server stops. An error
// is logged.
func (h *Host) Every(name string, d time.Duration, fn func(context.Context) error) {
	h.tables.tasks = append(h.tables.tasks, Task{Name: h.module.Name + "." + name, Every: d, Run: fn})
}

// OnStop attaches a handler that is called at a planned stop, when there are no
// sessions any more.
func (h *Host) OnStop(fn func(context.Context) error) {
	h.tables.stops = append(h.tables.stops, fn)
}

// Command declares an admin command. It is called for every domain and counts
// once; a command that concerns a domain has it among its arguments.
func (h *Host) Command(c command.Command) { h.tables.commands = append(h.tables.commands, c) }

// Account is the address that two arguments of an admin command make. Its
// domain must be one of this server's: a misspelt one would look like an account
// without anything.
func (h *Host) Account(a command.Args, user, host string) (jid.JID, error) {
	account, err := a.Account(user, host)
	if err == nil && !h.Hosted(account.Domain()) {
		err = command.Errorf(command.UnknownHost, "Unknown virtual host")
	}
	return account, err
}

// HTTP serves a pattern of net/http.ServeMux on the HTTP listeners.
func (h *Host) HTTP(pattern string, hd http.Handler) {
	h.tables.http = append(h.tables.http, HTTPRoute{pattern, hd})
}

// Tables of this domain, for the module that describes them (service discovery).
func (h *Host) Tables() *Tables { return h.tables }

// UserError is an error for the operator about a module's options.
func (h *Host) UserError(key, format string, args ...any) error {
	return fmt.Errorf("modules.%s.%s: %s", h.module.Name, key, fmt.Sprintf(format, args...))
}
