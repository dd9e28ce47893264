package c2s

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/stanza"
)

func itoa(n int) string { return strconv.Itoa(n) }

// authConn is what a login depends on. Where TLS ends elsewhere there are no
// bindings.
func (c *conn) authConn() auth.Conn {
	if c.bindings == nil {
		if leaf := c.t.Certificate(); leaf != nil {
			c.bindings = auth.TLSBindings(c.t.TLS(), leaf)
		}
	}
	return auth.Conn{Domain: c.host, TLS: c.m.secure, Addr: c.addr, Bindings: c.bindings}
}

// authenticate runs one step of a login, by the profile of RFC 6120 §6.4 or by
// that of XEP-0388.
func (c *conn) authenticate(a action) bool {
	c.sasl2 = a.sasl2
	switch a.do {
	case doAbort:
		return c.fail(&auth.Failure{Condition: auth.Aborted}, 0)
	case doFail:
		return c.fail(&auth.Failure{Condition: a.condition}, 0)
	case doAuth:
		if c.sasl2 {
			return c.begin(a)
		}
		x, err := c.srv.Auth.Start(c.authConn(), a.mechanism)
		if err != nil {
			return c.fail(err, 0)
		}
		c.exchange = x
	case doResponse:
		if c.m.state != inSASL && c.m.state != inSASL2 {
			return c.task(a.st.Root())
		}
	}
	return c.step(a)
}

// step hands the client's data to the mechanism.
func (c *conn) step(a action) bool {
	response, err := a.response()
	if err != nil {
		return c.fail(err, 0)
	}
	x := c.exchange
	challenge, done, err := x.Step(context.Background(), response)
	switch {
	case err != nil:
		return c.refuse(err, x.Delay(), c.wishes != nil && c.wishes.use != nil)
	case !done:
		c.m.state = inSASL
		if c.sasl2 {
			c.m.state = inSASL2
		}
		c.out.Append(c.saslElement("challenge", challenge))
		return true
	}
	return c.after(x.Delay(), func() bool {
		if c.sasl2 {
			return c.proven(challenge)
		}
		c.enter()
		c.m.state = awaitHeader
		c.out.Append(c.saslElement("success", challenge))
		c.out.Flush()
		c.t.Restart()
		c.opened.Store(false)
		return true
	})
}

// response is the data of the element, nil if there is none at all.
func (a *action) response() ([]byte, error) {
	if !a.hasData {
		return nil, nil
	}
	data, err := auth.Decode(bytes.TrimSpace(a.data))
	if data == nil && err == nil && a.sasl2 {
		data = []byte{} // XEP-0388 §2.2: no data and empty data differ by the element
	}
	return data, err
}

// enter notes who has logged in.
func (c *conn) enter() {
	c.login, c.exchange = c.exchange, nil
	c.bindings, c.version = nil, ""
	c.user = c.login.User()
	c.m.authenticated, c.m.domain = true, c.user.Domain()
	c.srv.stats.Logins.Add(1)
	c.t.SetLimits(c.srv.limits(int(c.srv.Config().Limits.StanzaBytes)))
}

// saslElement is an element of the profile that the client uses.
func (c *conn) saslElement(name string, data []byte) []byte {
	ns := nsSASL
	if c.sasl2 {
		ns = nsSASL2
	}
	b := stanza.NewBuilder(nil).Open(name, ns)
	if data != nil {
		if text := base64.StdEncoding.EncodeToString(data); text != "" {
			b.Chars(text)
		} else if name == "success" {
			b.Chars("=")
		}
	}
	return b.Bytes()
}

// refuse answers a login that the mechanism did not take. An old token is no
// guess at a password.
func (c *conn) refuse(err error, delay time.Duration, token bool) bool {
	if token {
		return c.excuse(err, "")
	}
	return c.fail(err, delay)
}

// fail answers with <failure/> after the delay and closes the stream when
// there were too many (RFC 6120 §6.4.5).
func (c *conn) fail(err error, delay time.Duration) bool {
	f := c.failure(err)
	if f.Condition == auth.TemporaryAuthFailure || f.Condition == auth.MalformedRequest {
		return c.excused(f, "") // no guess: some clients try one mechanism after the other
	}
	c.attempts++
	c.srv.stats.LoginFailures.Add(1)
	return c.after(delay, func() bool {
		c.out.Append(c.failed(f, ""))
		return c.tryAgain(c.attempts, c.srv.Config().Auth.AttemptsPerConnection)
	})
}

// maxExcused is how often a connection is excused.
const maxExcused = 10

// excuse is fail for what is no guess at a password: it neither waits nor counts
// among those. app is an element of its own for <failure/>.
func (c *conn) excuse(err error, app string) bool {
	return c.excused(c.failure(err), app)
}

func (c *conn) excused(f *auth.Failure, app string) bool {
	c.out.Append(c.failed(f, app))
	if c.excuses++; c.excuses >= maxExcused && f.Condition == auth.TemporaryAuthFailure {
		return c.quit(busy()) // it has done nothing wrong
	}
	return c.tryAgain(c.excuses, maxExcused)
}

func (c *conn) tryAgain(failures, limit int) bool {
	if failures >= limit {
		return c.quit(&stanza.StreamError{Condition: stanza.StreamPolicyViolation, Text: "too many failed logins"})
	}
	return true
}

// failure ends the exchange for a reason that the client may know.
func (c *conn) failure(err error) *auth.Failure {
	c.exchange, c.wishes = nil, nil
	c.m.refused()
	f, ok := errors.AsType[*auth.Failure](err)
	switch {
	case errors.Is(err, auth.ErrMechanism):
		f = &auth.Failure{Condition: auth.InvalidMechanism}
	case !ok:
		f = &auth.Failure{Condition: auth.TemporaryAuthFailure}
	}
	if cause := errors.Unwrap(f); cause != nil && f.Condition == auth.TemporaryAuthFailure {
		c.srv.Log.Error("login failed for a reason of the server", "address", c.addr.String(), "error", cause)
	}
	return f
}

// failed is <failure/> (RFC 6120 §6.4.5, XEP-0388 §2.6.2).
func (c *conn) failed(f *auth.Failure, app string) []byte {
	if c.sasl2 {
		b := stanza.NewBuilder(nil).Open("failure", nsSASL2).Empty(f.Condition, nsSASL).Raw([]byte(app))
		if f.Text != "" {
			b.Text("text", f.Text)
		}
		return b.Bytes()
	}
	b := stanza.NewBuilder(nil).Open("failure", nsSASL).Empty(f.Condition, "")
	if f.Text != "" {
		b.Open("text", "").Attr("xml:lang", "en").Chars(f.Text).Close()
	}
	return b.Bytes()
}

// after goes on with fn once the delay has passed. Without one it goes on at
// once; else reading stops until then, and a timer exists as long.
func (c *conn) after(delay time.Duration, fn func() bool) bool {
	if delay <= 0 {
		return fn()
	}
	c.out.Flush()
	c.later = func() {
		c.delay.Store(time.AfterFunc(delay, func() {
			c.then = func() (on bool) {
				c.placed(returning, func() { on = c.late(fn) })
				return on
			}
			c.proceed()
		}))
	}
	return false
}

// late runs fn as if it were in a burst, of which it is the rest.
func (c *conn) late(fn func() bool) (on bool) {
	defer func() {
		if p := recover(); p != nil {
			c.srv.Log.Error("connection panicked", "address", c.addr.String(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			on = c.quit(&stanza.StreamError{Condition: stanza.StreamInternalServerError})
		}
	}()
	c.reading.Lock()
	defer c.reading.Unlock()
	if c.halted {
		return c.quit(errStopping)
	}
	return fn()
}
