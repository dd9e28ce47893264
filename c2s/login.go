package c2s

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
)

func itoa(n int) string { return strconv.Itoa(n) }

func (c *conn) authConn() auth.Conn {
	return auth.Conn{Domain: c.host, TLS: c.m.secure, Addr: c.addr}
}

// authenticate runs one step of SASL (RFC 6120 §6.4).
func (c *conn) authenticate(a action) bool {
	switch a.do {
	case doAbort:
		c.exchange = nil
		return c.fail(&auth.Failure{Condition: auth.Aborted}, 0)
	case doFail:
		c.exchange = nil
		return c.fail(&auth.Failure{Condition: a.condition}, 0)
	case doAuth:
		x, err := c.srv.Auth.Start(c.authConn(), a.mechanism)
		if err != nil {
			return c.fail(&auth.Failure{Condition: auth.InvalidMechanism}, 0)
		}
		c.exchange = x
	}
	var response []byte
	if a.hasData || a.do == doResponse {
		var err error
		if response, err = auth.Decode(bytes.TrimSpace(a.data)); err != nil {
			c.exchange = nil
			return c.fail(err, 0)
		}
	}
	x := c.exchange
	challenge, done, err := x.Step(context.Background(), response)
	switch {
	case err != nil:
		c.exchange = nil
		return c.fail(err, x.Delay())
	case !done:
		c.m.state = inSASL
		c.out.Append(saslElement("challenge", challenge))
		return true
	}
	c.exchange = nil
	return c.after(x.Delay(), func() bool {
		c.user, c.login = x.User(), x
		c.m.authenticated, c.m.domain, c.m.state = true, c.user.Domain(), awaitHeader
		c.out.Append(saslElement("success", challenge))
		c.out.Flush()
		c.srv.stats.Logins.Add(1)
		c.t.SetLimits(c.srv.limits(int(c.srv.Config().Limits.StanzaBytes)))
		c.t.Restart()
		c.opened.Store(false)
		return true
	})
}

func saslElement(name string, data []byte) []byte {
	b := stanza.NewBuilder(nil).Open(name, nsSASL)
	if data != nil {
		if text := base64.StdEncoding.EncodeToString(data); text != "" {
			b.Chars(text)
		} else if name == "success" {
			b.Chars("=")
		}
	}
	return b.Bytes()
}

// fail answers with <failure/> after the delay and closes the stream when
// there were too many (RFC 6120 §6.4.5).
func (c *conn) fail(err error, delay time.Duration) bool {
	f, ok := errors.AsType[*auth.Failure](err)
	if !ok {
		f = &auth.Failure{Condition: auth.TemporaryAuthFailure}
	}
	if cause := errors.Unwrap(f); cause != nil && f.Condition == auth.TemporaryAuthFailure {
		c.srv.Log.Error("login failed for a reason of the server", "address", c.addr.String(), "error", cause)
	}
	c.m.state = beforeLogin
	c.attempts++
	c.srv.stats.LoginFailures.Add(1)
	return c.after(delay, func() bool {
		b := stanza.NewBuilder(nil).Open("failure", nsSASL).Empty(f.Condition, "")
		if f.Text != "" {
			b.Open("text", "").Attr("xml:lang", "en").Chars(f.Text).Close()
		}
		c.out.Append(b.Bytes())
		if c.attempts >= c.srv.Config().Auth.AttemptsPerConnection {
			return c.quit(&stanza.StreamError{Condition: stanza.StreamPolicyViolation, Text: "too many failed logins"})
		}
		return true
	})
}

// after goes on with fn once the delay has passed. Without one it goes on at
// once; else reading stops until then, and a timer exists as long.
func (c *conn) after(delay time.Duration, fn func() bool) bool {
	if delay <= 0 {
		return fn()
	}
	c.out.Flush()
	c.then = func() bool {
		c.delay.Store(time.AfterFunc(delay, func() {
			c.then = fn
			c.proceed()
		}))
		return false
	}
	return false
}

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
	s := session.New(c.srv.Registry.NewRef(), full, session.Info{
		Addr: netip.AddrPortFrom(c.addr, c.t.RemoteAddr().Port()), Transport: c.kind, Since: time.Unix(c.srv.Wheel.Now(), 0),
	}, c.out)
	c.displace(full)
	// From Add on anybody may send to the session: the answer has to be first.
	c.out.Append(result(st).Open("bind", nsBind).Text("jid", full.String()).Bytes())
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
	err = c.login.Still(context.Background())
	c.login = nil
	if f, bad := errors.AsType[*auth.Failure](err); bad {
		return c.quit(c.expelled(f))
	}
	c.srv.Log.Info("session opened", "account", full.Bare().String(), "resource", resource, "session", s.Ref.ID, "address", c.addr.String(), "transport", c.kind)
	return true
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
// whatever node it is (RFC 6120 §7.7.2.2), and beyond sessions_per_account the
// least recently active one.
func (c *conn) displace(full jid.JID) {
	all := c.srv.Router.Sessions(nil, full.Bare())
	limit := c.srv.Config().Limits.SessionsPerAccount
	n := 0
	for _, e := range all {
		switch {
		case e.JID != full:
			all[n] = e
			n++
		case e.Local == nil:
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
	t := time.NewTimer(2 * time.Second)
	defer t.Stop()
	select {
	case <-old.Done():
	case <-t.C:
		old.Outbox.Abort(errUnbound)
		<-old.Done()
	}
}
