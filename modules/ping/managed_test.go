package ping_test

import (
	"testing"
	"time"

	"github.com/xmppd/xmppd/modules/internal/moduletest"
	"github.com/xmppd/xmppd/modules/ping"
	"github.com/xmppd/xmppd/session"
)

// link is a client's connection that notes when it is cut.
type link struct {
	*moduletest.Client
	cut int
}

func (l *link) Abort(error) { l.cut++ }

// managed is a client with stream management.
func managed(t *testing.T) (*moduletest.World, *moduletest.Client, *link) {
	w := moduletest.New(t)
	w.InitWith(ping.New(w.Wheel), map[string]any{"interval": "60s", "timeout": "10s"})
	c := w.Login("juliet@capulet.lit/balcony")
	l := &link{Client: c}
	c.Outbox = session.NewOutbox(l, session.NewChunks(0), 1<<20)
	c.Outbox.Manage(session.Management{Limit: 1 << 20, Now: w.Wheel.Now, Asked: func() {}}, nil)
	return w, c, l
}

// A client with stream management may be looking for another network: its
// connection is cut, its session is not closed.
func TestSilentClientMayResume(t *testing.T) {
	t.Parallel()
	w, c, l := managed(t)
	w.Advance(time.Minute)
	if got := c.Received(); got != asked {
		t.Fatalf("after a minute of silence: %q", got)
	}
	w.Advance(10 * time.Second)
	w.Answer("")
	if got := c.Received(); got != "" || l.cut != 1 || c.Outbox.Closed() {
		t.Errorf("received %q, cut %d times, closed %v", got, l.cut, c.Outbox.Closed())
	}
}

// Nobody is asked while there is no connection; behind the resumption it begins
// again.
func TestDetachedClientIsNotAsked(t *testing.T) {
	t.Parallel()
	w, c, l := managed(t)
	c.Outbox.Detach()
	w.Advance(10 * time.Minute)
	if n := len(w.Asked); n != 0 || l.cut != 0 || c.Outbox.Closed() {
		t.Errorf("asked %d times, cut %d times, closed %v", n, l.cut, c.Outbox.Closed())
	}
	c.Outbox.Attach(l, nil)
	c.Touch(w.Now().Unix())
	if got := c.Received(); got != "" {
		t.Errorf("received %q", got)
	}
	w.Advance(61 * time.Second)
	if got := c.Received(); got != asked || len(w.Asked) != 1 {
		t.Errorf("after the resumption: %q", got)
	}
}
