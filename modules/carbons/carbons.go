// Package carbons copies what an account sends and receives to those of its
// sessions that want to see all of its conversations: XEP-0280, Message Carbons.
//
// A copy is made after the message has been delivered, and only for sessions
// that did not get the message itself. What the recipient's side refused or
// consumed is not copied.
package carbons

import (
	"sync"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

const (
	ns      = "urn:xmpp:carbons:2"
	nsRules = "urn:xmpp:carbons:rules:0"
)

// Module is the feature; see New.
type Module struct {
	host    *modules.Host
	scratch sync.Pool // of *scratch
}

// New makes the module.
func New() *Module {
	return &Module{scratch: sync.Pool{New: func() any { return new(scratch) }}}
}

// Info implements modules.Module.
func (m *Module) Info() modules.Info {
	return modules.Info{
		Name:     "carbons",
		Doc:      "Copies messages to all sessions of an account that want it.",
		XEPs:     []modules.XEP{{Number: 280, Version: "1.0.1"}},
		Features: []string{ns, nsRules},
	}
}

// Init implements modules.Module.
func (m *Module) Init(h *modules.Host) error {
	m.host = h
	for name, on := range map[string]bool{"enable": true, "disable": false} {
		h.IQ(stanza.Set, modules.Self, ns, name, func(r *modules.Request) error {
			m.set(r.Flight, on)
			return nil
		})
		h.IQ(stanza.Set, modules.Account, ns, name, func(*modules.Request) error {
			return stanza.NotAllowed("") // XEP-0280 §4.1, §5.1
		})
	}
	h.Inline(modules.Inline{Feature: ns, NS: ns, Name: "enable", Fn: m.enableInline})
	h.Message(modules.Sent, modules.Check, refuseForged)
	h.Message(modules.Received, modules.Check, refuseForged)
	h.Message(modules.Sent, modules.Copy, m.copySent)
	h.Message(modules.Received, modules.Copy, m.copyReceived)
	return nil
}

// set switches copies on or off. Asking twice is no error (XEP-0280 §10.1), nor
// worth telling the other nodes.
func (m *Module) set(f *modules.Flight, on bool) {
	if f.Session.Entry().Carbons != on {
		m.host.SetCarbons(f.Session, on)
	}
}

// enableInline switches copies on while the session is bound (XEP-0386 §3.2). That
// needs no answer, but there are clients that look for one.
func (m *Module) enableInline(f *modules.Flight, _ stanza.Elem, bound *stanza.Builder) {
	m.set(f, true)
	bound.Empty("enabled", ns)
}

// refuseForged refuses what looks like a copy. Nobody but the server makes them,
// and clients that do not look at the sender would show a conversation that
// never took place (XEP-0280 §11).
func refuseForged(f *modules.Flight) error {
	if f.Stanza.Class.Has(stanza.Carbon) {
		return stanza.NotAllowed("only the server copies messages")
	}
	return nil
}
