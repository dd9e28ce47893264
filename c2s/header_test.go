package c2s

import (
	"testing"

	"github.com/xmppd/xmppd/stanza"
)

// A stream header is due once for each stream: a second one is a mistake in
// every other state, and changes nothing (RFC 6120 §4.3.3).
func TestHeaderInEveryState(t *testing.T) {
	t.Parallel()
	for _, authenticated := range []bool{false, true} {
		for s := awaitHeader; s <= boundSession; s++ {
			m := machine{secure: true, required: true, state: s, authenticated: authenticated, domain: "localhost", hosted: func(string) bool { return true }}
			a, bad := m.header(&stanza.StreamHeader{To: "localhost", Version: "1.0"})
			next := beforeLogin
			if authenticated {
				next = afterLogin
			}
			switch {
			case s == awaitHeader && (bad != nil || a.do != doOpen || m.state != next):
				t.Errorf("authenticated %v: %v, state %d", authenticated, bad, m.state)
			case s != awaitHeader && (bad == nil || bad.Condition != stanza.StreamNotWellFormed || a.do != doNothing || m.state != s):
				t.Errorf("state %d: %v, action %d, state %d", s, bad, a.do, m.state)
			}
		}
	}
}
