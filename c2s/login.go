package c2s

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"strconv"
	"time"

	"github.com/xmppd/xmppd/auth"
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
