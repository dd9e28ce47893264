package c2s_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/internal/xmpptest"
)

// A client that does not acknowledge within streams.ack_timeout counts as
// unresponsive until it does, or resumes.
func TestResponsive(t *testing.T) {
	t.Parallel()
	const timeout = 30 * time.Second
	message := []byte("<message id='1'/>")
	for name, back := range map[string]func(*hall, *xmpptest.Client) *xmpptest.Client{
		"acknowledges": func(_ *hall, c *xmpptest.Client) *xmpptest.Client { c.Ack(0); return c },
		"resumes": func(h *hall, c *xmpptest.Client) *xmpptest.Client {
			next := h.enter("")
			if answer := next.TryResume(c); answer.Name != "resumed" {
				t.Errorf("%s", answer)
			}
			return next
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cfg := config.Defaults()
				cfg.Streams.AckTimeout = timeout
				h := open(t, cfg, new(one), nil)
				c := h.enter("home")
				c.EnableSM(true)
				s := h.session("home")
				responsive := func(want bool, when string) {
					t.Helper()
					synctest.Wait()
					if s.Responsive() != want {
						t.Errorf("%s: responsive %v", when, !want)
					}
				}
				send := func() {
					s.Outbox.Append(message)
					s.Outbox.Flush()
				}
				for range 2 { // it may happen again
					c.AnswerAcks(false)
					send()
					time.Sleep(timeout - 3*time.Second)
					c.Expect(string(message))
					send() // does not begin the time anew
					responsive(true, "in time")
					time.Sleep(5 * time.Second)
					c.Expect(string(message))
					responsive(false, "too late")
					c.AnswerAcks(true)
					c = back(h, c)
					c.ExpectAck()
					responsive(true, "afterwards")
					time.Sleep(2 * timeout)
					responsive(true, "much later")
				}
			})
		})
	}
}

// The time begins with the first request that is not answered, not with the
// first request.
func TestResponsiveWhileItAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := open(t, config.Defaults(), new(one), nil)
		c := h.enter("home")
		c.EnableSM(true)
		s := h.session("home")
		for range 20 {
			s.Outbox.Append([]byte("<message/>"))
			s.Outbox.Flush()
			time.Sleep(20 * time.Second)
			c.Asked(true)
			if !s.Responsive() {
				t.Fatal("a client that answers within 20 s is found unresponsive")
			}
		}
	})
}
