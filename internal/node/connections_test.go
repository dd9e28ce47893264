package node_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/internal/xmpptest"
)

// One connection too many is closed at once, and the others do not notice.
func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		limits   string
		loggedIn int // connections that log in first
		silent   int // and that do not
	}{
		"in all":              {"connections: 3", 2, 1},
		"before login":        {"connections_before_login: 2", 3, 2},
		"the loopback is not": {"connections_per_address: 1, connections: 5", 5, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := xmpptest.Start(t, xmpptest.Options{Config: "limits: {" + tt.limits + "}"})
			var users []*xmpptest.Client
			for i := range tt.loggedIn {
				users = append(users, s.Login(t, xmpptest.TCP, fmt.Sprintf("romeo@localhost/%d", i)))
			}
			for range tt.silent {
				s.Dial(t, xmpptest.TCP).Open() // it has been let in
			}
			s.Dial(t, xmpptest.TCP).ExpectLost()
			for _, c := range users {
				c.ExpectNothing()
			}
		})
	}
}

// What counts is the address of the client, which a trusted proxy tells; a proxy
// that tells nothing stands for many clients.
func TestConnectionsPerAddress(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{Config: "http: {trusted_proxies: [127.0.0.1, 192.0.2.9]}\nlimits: {connections_per_address: 2}"})
	from := func(addr string) *xmpptest.Client {
		h := http.Header{"X-Forwarded-Proto": {"https"}}
		if addr != "" {
			h.Set("X-Forwarded-For", addr)
		}
		return s.Upgrade(t, "/ws", h)
	}
	for _, addr := range strings.Fields("192.0.2.1 192.0.2.1 192.0.2.2 2001:db8::1 2001:db8::1 192.0.2.9 192.0.2.9 192.0.2.9") {
		from(addr).Open()
	}
	for range 4 {
		from("").Open()
	}
	for _, addr := range strings.Fields("192.0.2.1 2001:db8::1") {
		from(addr).ExpectLost()
	}
	from("192.0.2.2").Open()
}
