package c2s

import (
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
)

// manage deals with an element of stream management (XEP-0198) outside of the
// login and reports whether to read on.
func (c *conn) manage(st *stanza.Stanza) bool {
	return c.quit(&stanza.StreamError{Condition: stanza.StreamUnsupportedStanzaType})
}

// enable switches stream management on for a session that is being opened, or
// is open, and returns <enabled/> or <failed/> for the client.
func (c *conn) enable(s *session.Session, e stanza.Elem) []byte { return nil }

// resume looks for the session that <resume/> names. If it can be resumed it
// belongs to this connection from then on: the caller has to call carryOn
// with what is to be sent before the stanzas that the client has missed, the
// answer in it. If not, answer is <failed/> and the client may bind.
func (c *conn) resume(e stanza.Elem) (answer []byte, ok bool) { return nil, false }

// carryOn continues the resumed session: first goes what head holds, then what
// the client has not got. It reports whether to read on.
func (c *conn) carryOn(head ...[]byte) bool { return true }
