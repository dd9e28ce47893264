package c2s

import (
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// features is what the client may do now (RFC 6120 §4.3.2).
func (c *conn) features() []byte {
	b := stanza.NewBuilder(make([]byte, 0, 1024)).Open("stream:features", "")
	tables := c.srv.Router.Tables(c.host.String())
	switch {
	case c.m.authenticated:
		b.Empty("bind", nsBind)
		b.Open("session", nsSession).Empty("optional", "").Close()
		tables.StreamFeatures(modules.Authenticated, b)
		c.announceLimits(b, int(c.srv.Config().Limits.StanzaBytes))
	default:
		if c.m.startTLS && !c.m.secure {
			b.Open("starttls", nsTLS)
			if c.m.required {
				b.Empty("required", "")
			}
			b.Close()
		}
		if c.m.secure || !c.m.required {
			b.Open("mechanisms", nsSASL)
			for _, name := range c.srv.Auth.Mechanisms(c.authConn()) {
				b.Text("mechanism", name)
			}
			b.Close()
			tables.StreamFeatures(modules.Unauthenticated, b)
		}
		c.announceLimits(b, int(c.srv.Config().Limits.StanzaBytesBeforeLogin))
	}
	return b.Bytes()
}

// announceLimits is XEP-0478.
func (c *conn) announceLimits(b *stanza.Builder, bytes int) {
	b.Open("limits", nsLimits).Text("max-bytes", itoa(bytes))
	if c.srv.IdleSeconds > 0 {
		b.Text("idle-seconds", itoa(c.srv.IdleSeconds))
	}
	b.Close()
}
