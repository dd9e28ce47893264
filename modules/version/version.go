// Package version tells which software this is: XEP-0092, Software Version.
package version

import (
	"runtime"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

const ns = "jabber:iq:version"

// Options are modules.version.*.
type Options struct {
	ShowOS bool `key:"show_os" default:"false" doc:"Whether the operating system is named too."`
}

// Module is the feature; see New.
type Module struct {
	version string
	options Options
}

// New makes the module for a version of the program.
func New(version string) *Module { return &Module{version: version} }

// Info implements modules.Module.
func (m *Module) Info() modules.Info {
	return modules.Info{
		Name:     "version",
		Doc:      "Tells clients the name and version of the server.",
		XEPs:     []modules.XEP{{Number: 92, Version: "1.1"}},
		Features: []string{ns},
		Options:  &Options{},
	}
}

// Init implements modules.Module.
func (m *Module) Init(h *modules.Host) error {
	h.IQ(stanza.Get, modules.Server, ns, "query", m.answer)
	return h.Config(&m.options)
}

func (m *Module) answer(r *modules.Request) error {
	r.Reply.Open("query", ns).Text("name", "xmppd").Text("version", m.version)
	if m.options.ShowOS { // the admin decides (XEP-0092 §5)
		r.Reply.Text("os", runtime.GOOS)
	}
	r.Reply.Close()
	return nil
}
