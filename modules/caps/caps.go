// Package caps announces the server's own capabilities in the stream features:
// XEP-0115, Entity Capabilities. Those of clients travel in their presence
// without help.
package caps

import (
	"sync"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/entity"
	"github.com/xmppd/xmppd/stanza"
)

const ns = "http://jabber.org/protocol/caps"

// Module is the feature; see New.
type Module struct{ ver func() string }

// New makes the module; domain is the answer of the domain to disco#info, which
// is asked for once, when the first client has logged in.
func New(domain func() entity.Info) *Module {
	return &Module{ver: sync.OnceValue(func() string { return domain().Ver() })}
}

// Info implements modules.Module.
func (m *Module) Info() modules.Info {
	return modules.Info{
		Name:     "caps",
		Doc:      "Announces a digest of the server's features, so that clients need not ask.",
		XEPs:     []modules.XEP{{Number: 115, Version: "1.6.0"}},
		Features: []string{ns},
	}
}

// Init implements modules.Module.
func (m *Module) Init(h *modules.Host) error {
	h.StreamFeature(modules.Authenticated, m.announce)
	return nil
}

func (m *Module) announce(b *stanza.Builder) {
	b.Open("c", ns).Attr("hash", "sha-1").Attr("node", entity.Node).Attr("ver", m.ver()).Close()
}
