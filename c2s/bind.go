package c2s

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
)

// bind makes the session (RFC 6120 §7).
func (c *conn) bind(st *stanza.Stanza, resource string) bool {
	if resource == "" {
		resource = randomResource()
	}
	full, err := c.user.WithResource(resource)
	if err != nil {
		c.out.Append(st.BuildError("", "", stanza.BadRequest("this is no resource")).Bytes()) // RFC 6120 §7.7.2.1
		return true
	}
	return c.openSession(full, session.Info{}, func(*session.Session) []byte {
		return result(st).Open("bind", nsBind).Text("jid", full.String()).Bytes()
	})
}

// openSession makes the session of a full JID and reports whether to read on.
// answer returns what the client gets first; it is called before anybody else
// can reach the session. info holds what only the caller knows.
func (c *conn) openSession(full jid.JID, info session.Info, answer func(*session.Session) []byte) bool {
	info.Addr, info.Transport = netip.AddrPortFrom(c.addr, c.t.RemoteAddr().Port()), c.kind
	info.Since = time.Unix(c.srv.Wheel.Now(), 0)
	s := session.New(c.srv.Registry.NewRef(), full, info, c.out)
	c.displace(full, info.Agent)
	// From Add on anybody may send to the session: the answer has to be first.
	c.out.Append(answer(s))
	if old := c.srv.Registry.Add(s); old != nil {
		c.evict(old)
	}
	c.session = s
	c.m.state = boundSession
	c.bound.Store(true)
	c.srv.mu.Lock()
	c.loggedIn = true
	c.srv.strange.Add(-1)
	c.srv.mu.Unlock()
	c.srv.Router.Fire(modules.Bound, s)
	c.srv.Log.Info("session opened", "account", full.Bare().String(), "resource", full.Resource(), "session", s.Ref.ID, "address", c.addr.String(), "transport", c.kind)
	return c.stillAllowed()
}

// expelled is the error for a client whose account was closed, or whose
// password was changed, between login and bind.
func (c *conn) expelled(f *auth.Failure) *stanza.StreamError {
	if f.Condition == auth.TemporaryAuthFailure {
		c.srv.Log.Error("bind failed for a reason of the server", "account", c.user.String(), "error", errors.Unwrap(f))
		return &stanza.StreamError{Condition: stanza.StreamInternalServerError}
	}
	return &stanza.StreamError{Condition: stanza.StreamNotAuthorized, Text: "the account has been closed or has another password"}
}

func randomResource() string {
	var b [10]byte
	rand.Read(b[:])
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

// displace makes room for a session: the holder of the resource goes, on
// whatever node it is (RFC 6120 §7.7.2.2), so do earlier sessions of the same
// installation (XEP-0386 §3.2), and beyond sessions_per_account the least
// recently active one.
func (c *conn) displace(full jid.JID, agent string) {
	all := c.srv.Router.Sessions(nil, full.Bare())
	limit := c.srv.Config().Limits.SessionsPerAccount
	n := 0
	for _, e := range all {
		switch {
		case e.JID != full && (agent == "" || e.Agent != agent):
			all[n] = e
			n++
		case e.Local == nil || e.JID != full: // the local holder of the resource: see evict
			c.srv.Router.Kick(e.Ref, stanza.StreamConflict, "")
		}
	}
	all = all[:n]
	for ; len(all) >= limit; all = all[:len(all)-1] {
		oldest := 0
		for i, e := range all {
			if idleSince(e).Before(idleSince(all[oldest])) {
				oldest = i
			}
		}
		c.srv.Router.Kick(all[oldest].Ref, stanza.StreamPolicyViolation, "too many sessions of this account: the least recently active one was closed")
		all[oldest] = all[len(all)-1]
	}
}

// idleSince is when the session was last active; what is known of another
// node's counts as just active.
func idleSince(e session.Entry) time.Time {
	if e.Local == nil {
		return time.Unix(1<<40, 0)
	}
	return e.Local.Active()
}

// evict ends the session that held the resource and waits until its
// unavailable presence has been sent, so that it cannot overtake the available
// presence of the new one.
func (c *conn) evict(old *session.Session) {
	old.Kick(stanza.StreamConflict, "")
	c.aside(func() {
		t := time.NewTimer(2 * time.Second)
		defer t.Stop()
		select {
		case <-old.Done():
		case <-t.C:
			old.Outbox.Abort(errUnbound)
			<-old.Done()
		}
	})
}
