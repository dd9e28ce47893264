package offline_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/session"
)

// What somebody wrote who has been blocked since is not delivered, and goes with
// what is.
func TestBlockedSince(t *testing.T) {
	t.Parallel()
	nurse := strings.ReplaceAll(message("hers"), romeo, "nurse@capulet.lit")
	for name, stored := range map[string][]string{
		"between others": {"one", nurse, "two"},
		"behind others":  {"one", nurse},
		"alone":          {nurse},
	} {
		for _, managed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, managed: %v", name, managed), func(t *testing.T) {
				t.Parallel()
				s := newScene(t)
				s.blocked = jid.MustParse("nurse@capulet.lit")
				var want []string
				for _, text := range stored {
					if text == nurse {
						s.storeFrom("nurse@capulet.lit", nurse)
						continue
					}
					s.store(message(text))
					want = append(want, delivered(text))
				}
				c := s.Login(juliet + "/balcony")
				if managed {
					c.Outbox.Manage(session.Management{Limit: 1 << 20, Now: func() int64 { return 1 }, Asked: func() {}}, nil)
				}
				c.Presence(available, 0)
				n := len(want)
				switch {
				case n == 0:
				case managed:
					want = append(want, `<r xmlns='urn:xmpp:sm:3'/>`)
				default:
					want = append(want, asked)
				}
				s.expect(c, want...)
				if managed {
					c.Outbox.Ack(uint32(n))
				} else if n > 0 {
					s.Answer(pong)
				}
				s.expectWaiting(0)
				s.blocked = jid.JID{}
				c.Presence(available, 0)
				s.expect(c)
			})
		}
	}
}

// As long as it cannot be known who is blocked, nothing is delivered or lost.
func TestBlockedUnknown(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.store(message("one"))
	s.unknown = errors.New("gone")
	c := s.Login(juliet + "/balcony")
	c.Presence(available, 0)
	s.expect(c)
	s.expectWaiting(1)
	s.unknown = nil
	s.store(message("two"))
	s.expect(c, delivered("one"), delivered("two"), asked)
	s.Answer(pong)
	c.Close()

	s.store(message("three"))
	s.unknown = errors.New("gone")
	c = s.Login(juliet + "/balcony")
	c.Presence(available, 0)
	s.pass(9)
	s.unknown = nil
	s.expect(c)
	s.pass(1) // it tries again by itself
	s.expect(c, delivered("three"), asked)
}
