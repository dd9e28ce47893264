// Package csi lets clients say that nobody is looking at them, and holds back
// from them what can wait: XEP-0352, Client State Indication.
package csi

import (
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

const ns = "urn:xmpp:csi:0"

// Module is the feature; see New.
type Module struct{ limit func() int }

// New makes the module; limit is how many bytes may be held back for a client
// that becomes inactive, 0: nothing is.
func New(limit func() int) *Module { return &Module{limit: limit} }

// Info implements modules.Module.
func (m *Module) Info() modules.Info {
	return modules.Info{
		Name: "csi",
		Doc:  "Holds back what can wait while nobody looks at a client.",
		XEPs: []modules.XEP{{Number: 352, Version: "1.0.0"}},
	}
}

// Init implements modules.Module.
func (m *Module) Init(h *modules.Host) error {
	h.StreamFeature(modules.Authenticated, func(b *stanza.Builder) { b.Empty("csi", ns) })
	for name, fn := range map[string]func(*modules.Flight){"active": active, "inactive": m.inactive} {
		h.Nonza(ns, name, fn)
		h.Inline(modules.Inline{Feature: ns, NS: ns, Name: name, Fn: func(f *modules.Flight, _ stanza.Elem, _ *stanza.Builder) { fn(f) }})
	}
	h.OnSession(modules.Resumed, active) // XEP-0352 §5.2
	return nil
}

func (m *Module) inactive(f *modules.Flight) {
	if limit := m.limit(); limit > 0 {
		f.Session.Outbox.Quiet(verdict, limit)
	}
}

// active queues what was held, and so before the answer to whatever the client
// sends next (XEP-0352 §5.1).
func active(f *modules.Flight) { f.Session.Outbox.Wake() }
