package config

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
)

// listeners reports addresses that cannot be listened on, and two that are one.
func (r *reporter) listeners() {
	l := &r.config.Listen
	type place struct{ key, host, port string }
	var taken []place
	for _, group := range []struct {
		key  string
		list []string
	}{
		{"listen.c2s", l.C2S}, {"listen.c2s_tls", l.C2STLS}, {"listen.http", l.HTTP},
		{"listen.https", l.HTTPS}, {"listen.admin", l.Admin},
	} {
		for i, address := range group.list {
			key := fmt.Sprintf("%s[%d]", group.key, i)
			host, port, err := net.SplitHostPort(address)
			if n, e := strconv.ParseUint(port, 10, 16); err != nil || e != nil {
				r.one(key, address, "is not an address such as :5222 or 192.0.2.1:5222")
				continue
			} else if n == 0 {
				continue // a free port, never the same
			}
			host = normalHost(host)
			clash := slices.IndexFunc(taken, func(p place) bool {
				return p.port == port && (p.host == host || p.host == "" || host == "")
			})
			if clash >= 0 {
				r.one(key, address, "is already taken by "+taken[clash].key)
				continue
			}
			taken = append(taken, place{group.key, host, port})
		}
	}
}

// normalHost is empty for all addresses of the machine.
func normalHost(host string) string {
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Unmap().IsUnspecified() {
			return ""
		}
		return a.Unmap().String()
	}
	return host
}
