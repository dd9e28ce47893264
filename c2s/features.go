package c2s

import (
	"crypto/sha256"
	"encoding/base64"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// features is what the client may do now (RFC 6120 §4.3.2).
func (c *conn) features() []byte {
	if c.m.authenticated {
		return c.loggedInFeatures(false)
	}
	b := stanza.NewBuilder(make([]byte, 0, 1024))
	if c.m.startTLS && !c.m.secure {
		b.Open("starttls", nsTLS)
		if c.m.required {
			b.Empty("required", "")
		}
		b.Close()
	}
	if c.m.secure || !c.m.required {
		c.announceLogin(b)
		c.srv.Router.Tables(c.host.String()).StreamFeatures(modules.Unauthenticated, b)
	}
	c.announceLimits(b, int(c.srv.Config().Limits.StanzaBytesBeforeLogin))
	if c.m.secure {
		// Whoever has seen these features may log in before seeing them again (XEP-0509).
		sum := sha256.Sum256(b.Bytes())
		c.version = base64.StdEncoding.EncodeToString(sum[:12])
		b.Open("config-version", nsPipelining).Attr("scheme", "opaque").Attr("value", c.version).Close()
	}
	return stanza.NewBuilder(make([]byte, 0, b.Len()+40)).Open("stream:features", "").Raw(b.Bytes()).Bytes()
}

// loggedInFeatures are the features behind a login.
func (c *conn) loggedInFeatures(bound bool) []byte {
	b := stanza.NewBuilder(make([]byte, 0, 1024)).Open("stream:features", "")
	if !bound {
		b.Empty("bind", nsBind)
		b.Open("session", nsSession).Empty("optional", "").Close()
	}
	b.Empty("sm", nsSM)
	c.srv.Router.Tables(c.host.String()).StreamFeatures(modules.Authenticated, b)
	c.announceLimits(b, int(c.srv.Config().Limits.StanzaBytes))
	return b.Bytes()
}

// announceLogin offers both profiles of SASL, the newer only under TLS (XEP-0388 §3).
func (c *conn) announceLogin(b *stanza.Builder) {
	conn := c.authConn()
	mechanisms := c.srv.Auth.Mechanisms(conn)
	list(b.Open("mechanisms", nsSASL), mechanisms).Close()
	if c.m.secure {
		list(b.Open("authentication", nsSASL2), mechanisms)
		c.announceInline(b.Open("inline", ""))
		if tokens := c.srv.Auth.TokenMechanisms(conn); len(tokens) > 0 {
			list(b.Open("fast", nsFAST), tokens).Close()
		}
		b.Close()
		for _, task := range c.srv.Auth.Upgrades() {
			b.Open("upgrade", nsUpgrade).Chars(task).Close()
		}
		b.Close()
	}
	if types := c.srv.Auth.BindingTypes(conn); len(types) > 0 {
		b.Open("sasl-channel-binding", nsBinding)
		for _, name := range types {
			b.Open("channel-binding", "").Attr("type", name).Close()
		}
		b.Close()
	}
}

func list(b *stanza.Builder, mechanisms []string) *stanza.Builder {
	for _, name := range mechanisms {
		b.Text("mechanism", name)
	}
	return b
}

// announceInline lists what may be done together with a login.
func (c *conn) announceInline(b *stanza.Builder) {
	b.Empty("sm", nsSM) // XEP-0198 §9.2
	b.Open("bind", nsBind2).Open("inline", "")
	b.Open("feature", "").Attr("var", nsSM).Close()
	all := c.srv.Router.Tables(c.host.String()).Inline()
	for i := range all {
		if first(all, i) {
			b.Open("feature", "").Attr("var", all[i].Feature).Close()
		}
	}
	b.Close().Close()
}

// first reports whether nothing before the i-th has its feature.
func first(all []modules.Inline, i int) bool {
	for j := range i {
		if all[j].Feature == all[i].Feature {
			return false
		}
	}
	return true
}

// announceLimits is XEP-0478.
func (c *conn) announceLimits(b *stanza.Builder, bytes int) {
	b.Open("limits", nsLimits).Text("max-bytes", itoa(bytes))
	if c.srv.IdleSeconds > 0 {
		b.Text("idle-seconds", itoa(c.srv.IdleSeconds))
	}
	b.Close()
}
