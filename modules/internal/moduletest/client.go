package moduletest

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
)

// Client is a logged-in session whose connection keeps what is written to it.
type Client struct {
	*session.Session
	w *World

	mu      sync.Mutex
	written []byte
	drained func()
	stalled bool
}

// Login binds a session and tells the modules.
func (w *World) Login(full string) *Client {
	c := &Client{w: w}
	out := session.NewOutbox(c, session.NewChunks(0), 1<<20)
	c.Session = session.New(w.Registry.NewRef(), jid.MustParse(full), session.Info{Since: w.Now()}, out)
	w.Registry.Add(c.Session)
	w.fire(modules.Bound, c)
	return c
}

// Presence sends presence as a client would: the modules see it in stage
// Check, and learn it if the session begins to take messages to the bare JID.
func (c *Client) Presence(xml string, priority int8) {
	c.w.T.Helper()
	was := c.Entry().TakesBareMessages()
	f, err := c.w.Pass(modules.Sent, modules.Check, c.JID.String(), xml, nil)
	if err != nil {
		c.w.T.Fatalf("presence of %s: %v", c.JID, err)
	}
	if f.Stanza.Type == stanza.Unavailable {
		c.w.Registry.SetPresence(c.Session, nil, 0)
		return
	}
	if priority >= 0 && !was {
		c.w.fire(modules.Available, c)
	}
	c.w.Registry.SetPresence(c.Session, []byte(xml), priority)
}

// Close ends the session and tells the modules.
func (c *Client) Close() {
	c.Outbox.Discard()
	c.w.Registry.Remove(c.Session)
	c.w.fire(modules.Closed, c)
	c.End()
}

func (w *World) fire(e modules.Event, c *Client) {
	w.Tables.Fire(e, &modules.Flight{
		Ctx: w.T.Context(), From: c.JID, Owner: c.JID.Bare(), Session: c.Session, Arrived: w.Now(), Run: &Run{},
	})
}

// Received is what the client was sent since the last call.
func (c *Client) Received() string {
	c.Outbox.Flush()
	c.mu.Lock()
	defer c.mu.Unlock()
	all := string(c.written)
	c.written = nil
	return all
}

// Stall makes the connection take no more bytes, or take them again.
func (c *Client) Stall(on bool) {
	c.mu.Lock()
	c.stalled = on
	drained := c.drained
	if !on {
		c.drained = nil
	}
	c.mu.Unlock()
	if !on && drained != nil {
		drained()
	}
}

// AppendElement implements session.Link.
func (c *Client) AppendElement(dst, xml []byte) []byte { return append(dst, xml...) }

// Framed implements session.Link.
func (c *Client) Framed() bool { return false }

// Write implements session.Link.
func (c *Client) Write(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.written = append(c.written, p...)
	return nil
}

// Pending implements session.Link.
func (c *Client) Pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stalled {
		return 1
	}
	return 0
}

// OnDrained implements session.Link.
func (c *Client) OnDrained(fn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drained = fn
}

// Finish implements session.Link.
func (c *Client) Finish(err *stanza.StreamError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.written = append(c.written, fmt.Sprintf("[%v]", err)...)
	}
	c.written = append(c.written, "[end]"...)
}

// Abort implements session.Link.
func (c *Client) Abort(error) {}

// Elsewhere makes a session of another node known.
func (w *World) Elsewhere(full string, available bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.remote = append(w.remote, session.Entry{
		Ref: session.Ref{Node: 2, ID: uint64(len(w.remote) + 1)}, JID: jid.MustParse(full), Available: available,
	})
}

// Sessions implements modules.Services.
func (w *World) Sessions(dst []session.Entry, bare jid.JID) []session.Entry {
	for _, s := range w.Registry.Sessions(bare) {
		dst = append(dst, s.Entry())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.remote {
		if e.JID.Bare() == bare {
			dst = append(dst, e)
		}
	}
	return dst
}

// Exists implements modules.Services.
func (w *World) Exists(_ context.Context, bare jid.JID) (bool, error) { return w.accounts[bare], nil }

// Send implements modules.Services.
func (w *World) Send(to session.Ref, xml []byte) bool {
	s := w.Registry.ByRef(to)
	if s == nil || !s.Outbox.Append(xml) {
		return false
	}
	s.Outbox.Flush()
	return true
}

// Route implements modules.Services.
func (w *World) Route(_ context.Context, xml []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Routed = append(w.Routed, string(xml))
	return nil
}

// Ask implements modules.Services: the IQ is sent and the question noted; the
// test answers it.
func (w *World) Ask(to session.Ref, iq *stanza.Builder, timeout time.Duration, fn func(*stanza.Stanza)) {
	xml := string(iq.Bytes())
	if !w.Send(to, []byte(xml)) {
		fn(nil)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Asked = append(w.Asked, Ask{to, xml, timeout, fn})
}

// Answer answers the oldest open question with XML, or lets it time out if xml
// is empty. It reports false if there is none.
func (w *World) Answer(xml string) bool {
	w.T.Helper()
	w.mu.Lock()
	if len(w.Asked) == 0 {
		w.mu.Unlock()
		return false
	}
	a := w.Asked[0]
	w.Asked = w.Asked[1:]
	w.mu.Unlock()
	if xml == "" {
		a.Answer(nil)
	} else {
		a.Answer(w.Parse(xml))
	}
	return true
}

// SetPresence implements modules.Services.
func (w *World) SetPresence(s *session.Session, presence []byte, priority int8) {
	w.Registry.SetPresence(s, presence, priority)
}

// SetCarbons implements modules.Services.
func (w *World) SetCarbons(s *session.Session, on bool) { w.Registry.SetCarbons(s, on) }

// SetInterested implements modules.Services.
func (w *World) SetInterested(s *session.Session) { w.Registry.SetInterested(s) }

// Kick implements modules.Services.
func (w *World) Kick(ref session.Ref, cond stanza.StreamCondition, text string) {
	if s := w.Registry.ByRef(ref); s != nil {
		s.Kick(cond, text)
	}
}

// Hosted implements modules.Services.
func (w *World) Hosted(domain string) bool { return domain == w.Domain.Domain() }

// Settled implements modules.Services: nothing is on its way.
func (w *World) Settled(jid.JID) (int64, error) { return math.MaxInt64, nil }

// Invalidate implements modules.Services.
func (w *World) Invalidate(kind string, key jid.JID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Invalidated = append(w.Invalidated, strings.TrimSpace(kind+" "+key.String()))
}
