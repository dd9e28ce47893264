package c2s

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/c2s/transport"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/router"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
)

// conn is one client connection. Its fields belong to the goroutine that
// reads, which is a new one after each wait, except where said otherwise.
type conn struct {
	srv  *Server
	t    transport.Conn
	out  *session.Outbox // any goroutine; guarded by srv.mu when it changes
	kind string          // as in session.Info.Transport
	addr netip.Addr

	m        machine
	host     jid.JID
	lang     string
	exchange *auth.Exchange
	attempts int
	user     jid.JID
	login    *auth.Exchange // that made it; nil once bound
	session  *session.Session
	stream   *stream                    // with stream management
	asked    int                        // acknowledgements that are due behind the burst
	began    time.Time                  // when it was accepted
	queued   atomic.Int64               // nanoseconds that it has waited for the gate
	queuing  atomic.Int64               // since when it waits there, Unix nanoseconds; 0: it does not
	inside   bool                       // it holds a place of the gate
	released atomic.Bool                // the session goes on without this connection
	reading  sync.Mutex                 // held for a burst
	halted   bool                       // guarded by reading: no more bursts
	loggedIn bool                       // guarded by srv.mu
	opened   atomic.Bool                // our stream header has been queued
	bound    atomic.Bool                // the login timeout is over
	gone     chan struct{}              // closed when everything has been cleaned up
	delay    atomic.Pointer[time.Timer] // of a failed login

	content content           // of the burst
	half    router.Unfinished // an element that has not arrived in full
	over    bool              // the connection is to be finished after the burst
	cause   error             // of that; nil: the client ended the stream
	then    func() bool       // what follows the burst, before reading on
	later   func()            // what starts a timer that will go on instead

	// SASL2
	sasl2   bool    // the login that is under way is by XEP-0388, else by RFC 6120
	wishes  *wishes // of that login; nil: none
	excuses int     // refusals that were no failed logins
	version string  // of the features (XEP-0509)

	bindings []auth.Binding // of TLS; kept until the login
}

// maxLang is how long a language tag may be that is put on the stanzas of a
// stream; RFC 5646 §4.4.1 asks for 35 bytes. Without a bound a small stanza
// would become as large as the header was.
const maxLang = 64

var errUnbound = errors.New("the resource was bound by another connection")

// serve takes over an accepted connection; it returns when the first wait begins.
func (s *Server) serve(t transport.Conn, kind string, addr netip.Addr, secure, direct bool) {
	c := &conn{srv: s, t: t, kind: kind, addr: addr, began: time.Now(), gone: make(chan struct{})}
	cfg := s.Config()
	t.SetLimits(s.strangerLimits())
	c.out = session.NewOutbox(t, s.chunks, int(cfg.Limits.OutboxBytes))
	c.m = machine{
		secure: secure, startTLS: kind == "c2s" && !direct, required: cfg.TLS.Required,
		hosted: func(domain string) bool {
			j, err := jid.Parse(domain)
			return err == nil && s.Router.Hosted(j.String())
		},
	}
	if err := s.admit(c); err != nil {
		s.stats.Refused.Add(1)
		if err == errTooMany && !direct {
			c.greet(nil)
			c.out.Shut(busy())
		} else {
			t.Abort(err)
		}
		return
	}
	s.stats.Accepted.Add(1)
	s.Wheel.Add(&patience{weak.Make(c)}, int(cfg.Limits.LoginTimeout/time.Second), false)
	if direct {
		// The hello has to come before a handshake takes a place in the pool.
		c.then = func() bool { return c.handshake(true) }
		t.Park(c.proceed)
		return
	}
	t.Park(c.read)
}

// patience ends a connection that does not log in. It does not keep one that
// has ended meanwhile.
type patience struct{ c weak.Pointer[conn] }

// Tick implements session.Timed: the time for logging in is over.
func (p *patience) Tick(int64) int {
	if c := p.c.Value(); c != nil && !c.bound.Load() {
		if left := seconds(c.srv.Config().Limits.LoginTimeout) - c.spent(time.Now()); left > 0 {
			return int(left)
		}
		c.end(&stanza.StreamError{Condition: stanza.StreamConnectionTimeout, Text: "not logged in in time"})
	}
	return 0
}

// outbox is out for other goroutines than the reader.
func (c *conn) outbox() *session.Outbox {
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	return c.out
}

// end closes the stream from any goroutine; the reader cleans up.
func (c *conn) end(e *stanza.StreamError) {
	if c.opened.Load() {
		c.outbox().Shut(e)
	} else {
		c.t.Abort(e)
	}
	if d := c.delay.Load(); d != nil && d.Stop() {
		d.Reset(0) // nobody waits for the answer any more
	}
}

// read is the whole life of the connection, one burst at a time. Between the
// bursts of a conversation it waits where it is, on a stack that has grown to
// what a message needs and that the collector shrinks when the client falls
// silent; after anything deeper it goes on in a new goroutine.
func (c *conn) read() {
	for {
		c.content = 0
		var err error
		if c.bound.Load() {
			err = c.burst()
		} else {
			c.placed(c.stage(), func() { err = c.burst() })
		}
		switch err {
		case nil:
			c.proceed()
			return
		case transport.ErrAgain:
			if c.content.deep() {
				c.t.Park(c.read)
				return
			}
			c.t.Wait()
		default:
			c.finish(err)
			return
		}
	}
}

// burst works through what has arrived and returns why it ended; nil: it was
// broken off, see proceed. A panic is a mistake of ours that this client has
// found; the others must not pay for it.
func (c *conn) burst() (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.srv.Log.Error("connection panicked", "address", c.addr.String(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = &stanza.StreamError{Condition: stanza.StreamInternalServerError}
		}
	}()
	c.reading.Lock()
	defer c.reading.Unlock()
	if c.halted {
		return errStopping
	}
	b := c.srv.Router.Burst()
	b.Attach(c.half)
	c.half = router.Unfinished{}
	if cause := c.out.Ended(); cause != nil {
		// Who has been told to go says nothing more, even if he does not read that.
		c.t.Release()
		b.End()
		return cause
	}
	for {
		st := b.Next()
		tok, err := c.t.Next(st)
		if err == nil {
			c.holds(tok, st)
			if c.token(b, tok, st) {
				continue
			}
		}
		b.Settle()
		c.acknowledge()
		if c.t.Release() && err != nil {
			c.half = b.Detach()
		}
		b.End()
		if err != nil {
			c.out.Flush()
		}
		return err
	}
}

// content is what a burst held.
type content uint8

const (
	conversation    content = 1 << iota // messages
	acknowledgement                     // <r/> and <a/>
	anything                            // else
)

// holds notes what an element adds to the burst.
func (c *conn) holds(tok stanza.Token, st *stanza.Stanza) {
	switch {
	case tok != stanza.Element:
		c.content |= anything
	case st.Kind == stanza.Message:
		c.content |= conversation
	case st.Kind == stanza.Other && c.session != nil && string(st.Root().NS()) == nsSM:
		c.content |= acknowledgement
	default:
		c.content |= anything
	}
}

// deep reports whether the stack is larger than a conversation needs, or the
// client so busy that it pays to look a moment later, when more has arrived: who
// sends messages and acknowledges others in one breath.
func (k content) deep() bool {
	return k&anything != 0 || k == conversation|acknowledgement
}

// proceed goes on behind a burst that was broken off: with what follows it,
// with the end of the connection, or not at all when a timer will do so.
func (c *conn) proceed() {
	on := false
	if then := c.then; then != nil {
		c.then = nil
		on = then()
	}
	switch later := c.later; {
	case c.over:
		c.finish(c.cause)
	case later != nil:
		c.later = nil
		later() // from here on the connection belongs to the timer
	case on:
		c.read()
	}
}

// quit breaks the burst off and ends the connection behind it.
func (c *conn) quit(cause error) bool {
	c.over, c.cause = true, cause
	return false
}

// token deals with one token and reports whether to read on.
func (c *conn) token(b *router.Burst, tok stanza.Token, st *stanza.Stanza) bool {
	var (
		a   action
		bad *stanza.StreamError
	)
	switch tok {
	case stanza.Space:
		if bad = c.m.space(); bad == nil {
			c.touch()
			return true
		}
	case stanza.End:
		return c.quit(nil)
	case stanza.Header:
		a, bad = c.m.header(c.t.Header())
	case stanza.Element:
		switch {
		case c.session != nil && st.Kind == stanza.IQ && st.Type == stanza.Set && st.Root().First().Is(nsSession, "session"):
			a.do = doNoSession // clients of RFC 3921 ask behind the binding
		case c.session != nil && st.Kind != stanza.Other:
			return c.stanza(b, st)
		default:
			a, bad = c.m.element(st)
		}
	}
	if bad != nil {
		return c.quit(bad)
	}
	return c.act(b, a, st)
}

func (c *conn) touch() {
	if c.session != nil {
		c.session.Touch(c.srv.Wheel.Now())
	}
}

// stanza stamps the sender's address and hands the stanza to the router.
func (c *conn) stanza(b *router.Burst, st *stanza.Stanza) bool {
	c.touch()
	full := c.session.JID
	if from := st.From(); from != nil && !full.EqualBytes(from) && !c.own(from) {
		return c.quit(&stanza.StreamError{Condition: stanza.StreamInvalidFrom}) // RFC 6120 §8.1.2.1
	}
	st.SetAttr(modules.Sent, "from", full.String())
	if c.lang != "" {
		if _, ok := st.Attr("xml:lang"); !ok {
			st.SetAttr(modules.Sent, "xml:lang", c.lang) // RFC 6120 §8.1.5
		}
	}
	b.Stanza(context.Background(), c.session)
	return true
}

// own reports whether the address is the session's, bare or full.
func (c *conn) own(from []byte) bool {
	j, err := jid.Parse(string(from))
	return err == nil && (j == c.session.JID || j == c.session.JID.Bare())
}

// act does what the negotiation decided and reports whether to read on.
func (c *conn) act(b *router.Burst, a action, st *stanza.Stanza) bool {
	switch a.do {
	case doOpen:
		return c.open()
	case doStartTLS:
		return c.startTLS()
	case doAuth, doResponse, doAbort, doFail:
		if l := a.line(); a.do == doAuth && l != returning && c.srv.gate.crowded() {
			c.sasl2 = a.sasl2
			return c.excuse(&auth.Failure{Condition: auth.TemporaryAuthFailure, Text: busy().Text}, "")
		}
		if a.do == doAuth || a.do == doResponse {
			c.yield(a.line())
		}
		return c.authenticate(a)
	case doStranger:
		c.srv.Router.Stranger(context.Background(), c.host, c.addr, st, func(xml []byte) { c.out.Append(xml) })
	case doBind:
		return c.bind(st, string(a.data))
	case doNoSession:
		c.out.Append(result(st).Bytes())
	case doManage:
		return c.manage(st)
	case doNonza:
		return c.nonza(b)
	}
	return true
}

// nonza hands an element that is no stanza to the module that knows it.
func (c *conn) nonza(b *router.Burst) bool {
	c.touch()
	if !b.Nonza(context.Background(), c.session) {
		return c.quit(&stanza.StreamError{Condition: stanza.StreamUnsupportedStanzaType}) // RFC 6120 §4.9.3.24
	}
	return true
}

func result(st *stanza.Stanza) *stanza.Builder {
	return stanza.Build("iq").Attr("type", "result").Attr("id", string(st.ID()))
}

// open answers the client's stream header and offers what comes next.
func (c *conn) open() bool {
	h := c.t.Header()
	c.host, _ = jid.Parse(h.To)
	if c.lang = h.Lang; len(c.lang) > maxLang {
		c.lang = ""
	}
	c.greet(h)
	if !c.m.authenticated && (c.m.startTLS && !c.m.secure || c.kind == "websocket") && c.srv.gate.crowded() {
		return c.quit(busy())
	}
	if c.m.required && !c.m.secure && !c.m.startTLS {
		// Over a WebSocket nothing can be made secure any more (RFC 7395 §3.9).
		if url := c.srv.Config().WebSocketURL(); strings.HasPrefix(url, "wss:") {
			return c.quit(&stanza.StreamError{Condition: stanza.StreamSeeOtherHost, See: url})
		}
		return c.quit(&stanza.StreamError{Condition: stanza.StreamPolicyViolation, Text: "TLS is required; use wss"})
	}
	c.out.Append(c.features())
	return true
}

// greet queues our stream header (RFC 6120 §4.7).
func (c *conn) greet(h *stanza.StreamHeader) {
	var id [12]byte
	rand.Read(id[:])
	reply := transport.OpenHeader{From: c.host.String(), ID: hex.EncodeToString(id[:]), Lang: "en"}
	if h != nil {
		if from, err := jid.Parse(h.From); err == nil {
			reply.To = from.String()
		}
	}
	c.out.AppendRaw(c.t.AppendOpen(nil, reply))
	c.opened.Store(true)
}

// startTLS answers <starttls/> and runs the handshake (RFC 6120 §5.4.2).
func (c *conn) startTLS() bool {
	c.out.Append([]byte("<proceed xmlns='" + nsTLS + "'/>"))
	c.out.Flush()
	c.then = func() bool { return c.handshake(false) }
	return false
}

// handshake runs TLS on this goroutine.
func (c *conn) handshake(direct bool) bool {
	cfg := c.srv.tlsPlain
	if direct {
		if cfg = c.srv.tlsDirect; c.srv.gate.crowded() {
			return c.quit(errBusy) // nothing can be said before the handshake
		}
	}
	if err := c.t.StartTLS(cfg, &turn{c: c}); err != nil {
		return c.quit(err)
	}
	c.m.secure = true
	c.opened.Store(false) // nothing may be said before the new stream's header
	if !direct {
		c.m.state = awaitHeader
		c.t.Restart()
	}
	return true
}

// finish ends the connection; called once, by the reader. A nil error is the
// client's end of the stream.
func (c *conn) finish(err error) {
	c.srv.stats.count(closeReason(err))
	s := c.session
	switch {
	case c.released.Load():
	case s == nil:
		c.hangUp(err)
		c.srv.Log.Debug("connection closed", "address", c.addr.String(), "reason", reason(err))
	case lost(err) && c.stream != nil && c.stream.detach(c):
		c.placed(departures, func() { c.waits(err) })
	case c.stream == nil || c.stream.finish():
		c.placed(parting(err), func() { c.ends(err) })
	}
	c.bound.Store(true)
	c.srv.forget(c)
	close(c.gone)
}

// ends is what follows when the session is over with its connection.
func (c *conn) ends(err error) {
	c.hangUp(err)
	c.srv.close(c.session, c.stream, err)
	if lost(err) {
		c.out.Discard()
	}
}

// waits is what follows when the client of a session has lost its connection and
// may come back.
func (c *conn) waits(err error) {
	s := c.session
	c.t.Abort(err)
	c.srv.Router.Fire(modules.Detached, s)
	c.srv.Log.Info("session waits for its client", "account", s.JID.Bare().String(), "resource", s.JID.Resource(), "session", s.Ref.ID, "reason", reason(err))
}

// hangUp says what there is to say to the client at the end.
func (c *conn) hangUp(err error) {
	bad, _ := errors.AsType[*stanza.StreamError](err)
	switch {
	case err == nil:
		c.out.Shut(nil) // RFC 6120 §4.4: answer the close, then close
	case bad != nil:
		if !c.opened.Load() {
			c.greet(c.t.Header()) // RFC 6120 §4.9.1.2: the error needs a stream
		}
		c.out.Shut(bad)
	default:
		c.t.Abort(err)
	}
}

// lost reports whether the connection ended without either side having closed
// the stream (XEP-0198 §6).
func lost(err error) bool {
	_, bad := errors.AsType[*stanza.StreamError](err)
	return err != nil && !bad
}

// reason is why a connection or session ended, for the log.
func reason(err error) string {
	bad, ok := errors.AsType[*stanza.StreamError](err)
	switch {
	case err == nil:
		return "closed by client"
	case ok:
		return string(bad.Condition)
	case err == io.EOF:
		return "connection lost"
	}
	return err.Error()
}

// closeReason is the metric label of an end: one of a few words.
func closeReason(err error) string {
	bad, ok := errors.AsType[*stanza.StreamError](err)
	switch {
	case err == nil:
		return "client-close"
	case ok:
		return string(bad.Condition)
	case err == io.EOF:
		return "connection-lost"
	case errors.Is(err, session.ErrSlowConsumer), errors.Is(err, transport.ErrWriteStall):
		return "slow-consumer"
	}
	return "transport-error"
}
