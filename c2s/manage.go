package c2s

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const nsStanzas = "urn:ietf:params:xml:ns:xmpp-stanzas"

// manage deals with an element of stream management (XEP-0198) outside of the
// login and reports whether to read on.
func (c *conn) manage(st *stanza.Stanza) bool {
	root := st.Root()
	s := c.session
	switch name := string(root.Name()); {
	case name == "r" && s != nil && s.Stream != nil:
		c.asked++ // answered behind the burst: <a/> must not pass a stanza that is not durable
		return true
	case name == "a" && s != nil && s.Stream != nil:
		c.touch()
		return c.acknowledged(root)
	case name == "enable" && s != nil && (s.Stream == nil || c.stream.inline):
		m, enabled := c.management(s, root)
		c.out.Manage(m, enabled)
		return true
	case name == "resume" && s == nil:
		answer, ok, bad := c.resume(root)
		switch {
		case bad != nil:
			return c.quit(bad)
		case ok:
			return c.carryOn(answer)
		}
		c.out.Append(answer)
		return true
	case name == "r" || name == "a" || name == "enable" || name == "resume":
		c.out.Append(smFailed("unexpected-request", nil)) // XEP-0198 §6
		return true
	}
	return c.quit(&stanza.StreamError{Condition: stanza.StreamUnsupportedStanzaType})
}

// smFailed is <failed/> with a stanza error condition; h tells how much of the
// former stream was handled, nil: not known.
func smFailed(condition string, h *uint32) []byte {
	b := stanza.NewBuilder(nil).Open("failed", nsSM)
	if h != nil {
		b.Attr("h", utoa(*h))
	}
	return b.Empty(condition, nsStanzas).Bytes()
}

func utoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// count reads an h attribute.
func count(e stanza.Elem) (uint32, bool) {
	text, _ := e.Attr("h")
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err == nil
}

// acknowledged takes an <a/> of the client.
func (c *conn) acknowledged(e stanza.Elem) bool {
	h, ok := count(e)
	if !ok {
		return c.quit(&stanza.StreamError{Condition: stanza.StreamPolicyViolation, Text: "<a/> without a valid 'h'"})
	}
	if bad := c.out.Ack(h); bad != nil {
		return c.quit(bad)
	}
	c.session.SetResponsive(true)
	return true
}

// acknowledge answers the requests of the burst, which has been settled.
func (c *conn) acknowledge() {
	if c.stream == nil || c.session == nil {
		return
	}
	c.stream.renew()
	if c.asked == 0 {
		return
	}
	a := handled(c.session)
	for ; c.asked > 0; c.asked-- {
		c.out.Append(a)
	}
}

// handled is <a/> with what was taken from the client.
func handled(s *session.Session) []byte {
	return []byte("<a xmlns='" + nsSM + "' h='" + utoa(s.Stream.H) + "'/>")
}

// enable switches stream management on for a session that is being opened, of
// which nobody else knows yet, and returns <enabled/> for the client.
func (c *conn) enable(s *session.Session, e stanza.Elem) []byte {
	m, enabled := c.management(s, e)
	s.Outbox.Manage(m, nil)
	c.stream.inline = true
	return enabled
}

// management prepares stream management for a session and the answer.
func (c *conn) management(s *session.Session, e stanza.Elem) (session.Management, []byte) {
	b := stanza.NewBuilder(nil).Open("enabled", nsSM)
	cfg := c.srv.Config().Streams
	limit := seconds(cfg.ResumeTimeout)
	if text, ok := e.Attr("max"); ok {
		if n, err := strconv.ParseUint(text, 10, 31); err == nil && n > 0 {
			limit = min(limit, int64(n))
		}
	}
	if c.stream != nil {
		// Some clients enable it with Bind 2 and once more when they see it among the
		// features; they have begun to count anew.
		c.stream.forget()
	}
	s.Stream = new(session.Stream)
	r := &stream{srv: c.srv, session: s, conn: c}
	if resume, _ := e.Attr("resume"); limit > 0 && (resume == "true" || resume == "1") {
		s.Stream.ID, r.max = newStreamID(), limit
		c.srv.streams.add(r)
		r.remember(0, streamMemory)
		b.Attr("id", s.Stream.ID).Attr("resume", "true").Attr("max", strconv.FormatInt(limit, 10))
		if cfg.Location != "" {
			b.Attr("location", cfg.Location)
		}
	}
	c.stream = r
	return r.management(), b.Bytes()
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// resume looks for the session that <resume/> names. With ok it belongs to this
// connection from then on: the caller has to call carryOn with what is to be sent
// before the stanzas that the client has missed, the answer in it. Without,
// answer is <failed/> and the client may bind; bad closes the stream.
func (c *conn) resume(e stanza.Elem) (answer []byte, ok bool, bad *stanza.StreamError) {
	id, _ := e.Attr("previd")
	h, valid := count(e)
	if id == "" || !valid {
		return smFailed("bad-request", nil), false, nil
	}
	r := c.srv.streams.get(id)
	if r == nil {
		return c.unknownStream(id), false, nil
	}
	if r.session.JID.Bare() != c.user {
		return smFailed("item-not-found", nil), false, nil // as if there were none
	}
	if !r.take(c) {
		c.aside(r.ended) // its count is being written
		return c.unknownStream(id), false, nil
	}
	s := r.session
	if bad := s.Outbox.Ack(h); bad != nil {
		r.giveUp(c) // as it was
		return nil, false, bad
	}
	c.stream, c.session = r, s
	resumed := stanza.NewBuilder(nil).Open("resumed", nsSM).Attr("previd", id).Attr("h", utoa(s.Stream.H))
	return resumed.Bytes(), true, nil
}

// unknownStream tells how much of a stream that is over was handled, if that is
// still known (XEP-0198 §5).
func (c *conn) unknownStream(id string) []byte {
	const longest = 64 // ours are shorter
	if len(id) > longest {
		return smFailed("item-not-found", nil)
	}
	row, err := c.srv.Store.Stream(context.Background(), id)
	switch {
	case err == nil && row.Owner == c.user && row.Until.After(c.srv.Now()):
		return smFailed("item-not-found", &row.H)
	case err != nil && !errors.Is(err, storage.ErrNotFound):
		c.srv.Log.Error("stream not looked up", "account", c.user.String(), "error", err)
	}
	return smFailed("item-not-found", nil)
}

// carryOn continues the resumed session: first goes what head holds, then what
// the client has not got. It reports whether to read on.
func (c *conn) carryOn(head ...[]byte) bool {
	s := c.session
	c.srv.mu.Lock()
	if c.srv.closing {
		// The connection is told to go; the session stays for the next start.
		c.srv.mu.Unlock()
		r := c.stream
		c.stream, c.session = nil, nil
		r.giveUp(c)
		return c.quit(&stanza.StreamError{Condition: stanza.StreamSystemShutdown})
	}
	first := c.out.Surrender()
	for _, xml := range head {
		first = c.t.AppendElement(first, xml)
	}
	c.out = s.Outbox
	c.loggedIn = true
	c.srv.strange.Add(-1)
	c.srv.mu.Unlock()
	c.m.state = boundSession
	c.bound.Store(true)
	s.Moved(netip.AddrPortFrom(c.addr, c.t.RemoteAddr().Port()), c.kind)
	s.SetResponsive(true)
	c.touch()
	c.out.SetLimit(int(c.srv.Config().Limits.OutboxBytes))
	c.out.Attach(c.t, first)
	c.srv.Router.Fire(modules.Resumed, s)
	c.out.Flush()
	c.srv.stats.Resumed.Add(1)
	c.srv.Log.Info("session resumed", "account", s.JID.Bare().String(), "resource", s.JID.Resource(), "session", s.Ref.ID, "address", c.addr.String(), "transport", c.kind)
	return c.stillAllowed()
}

// stillAllowed looks at the account again now that whoever closes it can find
// the session, and reports whether to read on.
func (c *conn) stillAllowed() bool {
	err := c.login.Still(context.Background())
	c.login = nil
	if f, bad := errors.AsType[*auth.Failure](err); bad {
		return c.quit(c.expelled(f))
	}
	return true
}
