// Package entitytime tells the server's time and its offset from UTC: XEP-0202,
// Entity Time.
package entitytime

import (
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

const ns = "urn:xmpp:time"

// Module is the feature; see New.
type Module struct{ now func() time.Time }

// New makes the module.
func New() *Module { return &Module{} }

// Info implements modules.Module.
func (m *Module) Info() modules.Info {
	return modules.Info{
		Name:     "time",
		Doc:      "Tells clients the server's time.",
		XEPs:     []modules.XEP{{Number: 202, Version: "2.0"}},
		Features: []string{ns}, AccountFeatures: []string{ns},
	}
}

// Init implements modules.Module.
func (m *Module) Init(h *modules.Host) error {
	m.now = h.Now
	h.IQ(stanza.Get, modules.Server|modules.Self, ns, "time", m.answer)
	return nil
}

func (m *Module) answer(r *modules.Request) error {
	t := m.now()
	r.Reply.Open("time", ns)
	r.Reply.Text("tzo", t.Format("-07:00")) // XEP-0082 §3.3
	r.Reply.Text("utc", t.UTC().Format(time.RFC3339))
	r.Reply.Close()
	return nil
}
