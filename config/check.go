package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"golang.org/x/net/idna"
)

// check validates what types alone do not.
func (r *reporter) check() {
	c := r.config
	checkBounds(reflect.ValueOf(c).Elem(), r.fields, r.bad)
	r.domains()
	r.each("admins", c.Admins, badAdmin)
	r.listeners()
	r.each("http.trusted_proxies", c.HTTP.TrustedProxies, func(s string) string {
		if _, ok := parsePrefix(s); !ok {
			return "is neither an address nor a network such as 192.0.2.0/24"
		}
		return ""
	})
	r.one("database", c.Database, badDatabase(c.Database))
	r.one("data_dir", c.DataDir, when(c.DataDir == "", "is empty"))
	r.one("http.public_url", c.HTTP.PublicURL, badURL(c.HTTP.PublicURL, "https", "http"))
	r.one("websocket.public_url", c.WebSocket.PublicURL, badURL(c.WebSocket.PublicURL, "wss", "ws"))
	r.one("tls.cert_file", c.TLS.CertFile, when(c.TLS.CertFile != "" && c.TLS.KeyFile == "", "needs tls.key_file beside it"))
	r.one("tls.key_file", c.TLS.KeyFile, when(c.TLS.KeyFile != "" && c.TLS.CertFile == "", "needs tls.cert_file beside it"))
	r.one("auth.failure_delay", c.Auth.FailureDelay.String(),
		when(c.Auth.FailureDelay > c.Auth.FailureDelayMax, "is longer than auth.failure_delay_max"))
	r.one("limits.outbox_bytes", c.Limits.OutboxBytes.String(),
		when(c.Limits.OutboxBytes < c.Limits.StanzaBytes, "is less than limits.stanza_bytes"))
	for name := range c.Modules {
		var m struct{ Enabled bool }
		if raw, ok := c.Modules[name]["enabled"]; ok {
			r.decoded("modules."+name+".enabled", decode(raw, &m.Enabled))
		}
	}
}

// domains puts the names into the form in which addresses are compared.
func (r *reporter) domains() {
	c := r.config
	r.one("domains", "", when(len(c.Domains) == 0, "is empty; at least one domain is needed"))
	for i, name := range c.Domains {
		key := fmt.Sprintf("domains[%d]", i)
		domain, ok := normalDomain(name)
		switch {
		case !ok:
			r.one(key, name, "is not a domain name")
		case slices.Contains(c.Domains[:i], domain):
			r.one(key, name, "is listed twice")
		default:
			c.Domains[i] = domain
		}
	}
}

// normalDomain is s in lower case with Unicode labels (RFC 7622 §3.2).
func normalDomain(s string) (string, bool) {
	s = strings.TrimSuffix(s, ".")
	if inside, ok := strings.CutPrefix(s, "["); ok { // an IPv6 address
		a, err := netip.ParseAddr(strings.TrimSuffix(inside, "]"))
		return "[" + a.String() + "]", err == nil && a.Is6()
	}
	profile := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.VerifyDNSLength(true), idna.StrictDomainName(true))
	if _, err := profile.ToASCII(s); err != nil {
		return "", false
	}
	u, err := profile.ToUnicode(s)
	return u, err == nil
}

func badAdmin(s string) string {
	local, domain, ok := strings.Cut(s, "@")
	if _, valid := normalDomain(domain); !ok || local == "" || !valid || strings.ContainsAny(local, " \"&'/:<>") {
		return "is not an address such as admin@example.org"
	}
	return ""
}

func badDatabase(s string) string {
	if s == "sqlite" {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return "is neither sqlite nor a postgres:// URL"
	}
	return ""
}

func badURL(s string, schemes ...string) string {
	if s == "" {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || !slices.Contains(schemes, u.Scheme) || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "is not a URL such as " + schemes[0] + "://example.org/path"
	}
	return ""
}

func parsePrefix(s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err == nil
}
