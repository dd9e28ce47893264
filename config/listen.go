package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
)

// Listener is one kind of listener: its key and its addresses.
type Listener struct {
	Key       string
	Addresses []string
}

// All lists every kind of listener in the order of the documentation.
func (l *Listen) All() []Listener {
	return []Listener{
		{"listen.c2s", l.C2S}, {"listen.c2s_tls", l.C2STLS}, {"listen.http", l.HTTP},
		{"listen.https", l.HTTPS}, {"listen.admin", l.Admin},
	}
}

// Occupied listens on every address for a moment and reports those on which
// nobody can: they are taken, not of this machine, or not allowed. Only what is
// about to serve asks, for the addresses of a running server are its own.
func (c *Config) Occupied() []Problem {
	var problems Problems
	for _, group := range c.Listen.All() {
		for i, address := range group.Addresses {
			if _, _, err := net.SplitHostPort(address); err != nil {
				continue // Load has reported it
			}
			l, err := net.Listen("tcp", address)
			if err != nil {
				key := fmt.Sprintf("%s[%d]", group.Key, i)
				problems = append(problems, c.problem(key, &badValue{address, "cannot be listened on: " + cause(err).Error()}, nil))
				continue
			}
			l.Close() // at once: two that are one have been reported by Load too
		}
	}
	return problems.sorted()
}

// cause is the innermost error, without what net says of the address.
func cause(err error) error {
	for e := err; e != nil; e = errors.Unwrap(e) {
		err = e
	}
	return err
}

// listeners reports addresses that cannot be listened on, and two that are one.
func (r *reporter) listeners() {
	l := &r.config.Listen
	type place struct{ key, host, port string }
	var taken []place
	for _, group := range l.All() {
		for i, address := range group.Addresses {
			key := fmt.Sprintf("%s[%d]", group.Key, i)
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
			taken = append(taken, place{group.Key, host, port})
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
