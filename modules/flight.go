package modules

import (
	"context"
	"net/netip"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// Flight is one stanza on its way. It and everything it points to belong to
// the handlers only until they return: keep nothing, Clone what must be kept.
type Flight struct {
	Ctx     context.Context
	Stanza  *stanza.Stanza   // nil in events that no stanza caused
	From    jid.JID          // the sender: full for a client
	To      jid.JID          // the addressee; zero: none was given
	Owner   jid.JID          // bare: the account for which the present pass runs
	Session *session.Session // the sender's session; nil if the server itself sends
	Arrived time.Time

	// Planned is who will get a message; known from stage Archive of the
	// Received side on. In stage Copy it is who got it, in stage Missed who
	// vanished before.
	Planned []session.Entry
	// Delivered is how many sessions got the message; known from stage Missed and
	// Copy on.
	Delivered int
	// Owed: the sender was told long ago that the message has been taken. Limits of
	// the account do not apply any more.
	Owed bool
	// Absent: nobody gets the message now and it may be stored for later.
	Absent bool

	// Row is the copy of the message that the account of the pass may keep. In stage
	// Archive handlers set flags, and what else they know; the router fills in the
	// owner, the peer, the time and the XML, and stores a row that is Archived or
	// Waiting.
	Row *storage.Message
	// Rows are the copies that are kept, by side: known from stage Stamp on, when
	// they are durable. Who writes to himself has one row, on both sides. nil: none.
	Rows [2]*storage.Message
	// Stored: the recipient gets the message later, or is not to; nobody is told
	// that it is absent.
	Stored bool

	Run Runner // the router's end
}

// Runner is what a Flight needs of the router.
type Runner interface {
	// Store adds a row to the transaction of the flight's run.
	Store(f *Flight, w storage.Write)
	// AfterCommit calls fn, in order, when the rows of the flight are durable and
	// the stanza has been delivered.
	AfterCommit(f *Flight, fn func())
	// Send queues an element for one session; it is flushed at the end of the burst.
	Send(to session.Ref, xml []byte) bool
	// SendRow is Send for an element that delivers a row of the session's account; 0:
	// it does not.
	SendRow(to session.Ref, xml []byte, seq int64) bool
}

// Store adds a change that depends on the message, beside Row; it joins the run's
// transaction. Archive handlers only. It may point into the stanza.
func (f *Flight) Store(w storage.Write) { f.Run.Store(f, w) }

// AfterCommit calls fn when the flight's rows are durable and it has been
// delivered; not if they could not be written.
func (f *Flight) AfterCommit(fn func()) { f.Run.AfterCommit(f, fn) }

// Send queues a stanza for one session, without stages; it leaves at the end
// of the burst. It reports false if the session is known to be gone.
func (f *Flight) Send(to session.Ref, st *stanza.Builder) bool {
	return f.Run.Send(to, st.Bytes())
}

// SendCopy is Send for a copy of the message, for a session of the account that
// keeps the row of this side: the session confirms that too.
func (f *Flight) SendCopy(s Side, to session.Ref, st *stanza.Builder) bool {
	seq := int64(0)
	if row := f.Rows[s]; row != nil && !row.Flags.Has(storage.FromOwner) {
		seq = row.Seq
	}
	return f.Run.SendRow(to, st.Bytes(), seq)
}

// Request is an IQ get or set that a module answers.
type Request struct {
	*Flight
	Payload stanza.Elem     // the only child of the IQ
	Reply   *stanza.Builder // inside the result; what is written is dropped if the handler fails
	Addr    netip.Addr      // of the client, for Target Stranger
	after   []func()
}

// Before sends a stanza to the asker ahead of the result; seq is the row of its
// account that it delivers; 0: none. It reports false if the asker is gone.
func (r *Request) Before(st *stanza.Builder, seq int64) bool {
	return r.Session != nil && r.Run.SendRow(r.Session.Ref, st.Bytes(), seq)
}

// AfterReply calls fn after the answer has been queued.
func (r *Request) AfterReply(fn func()) { r.after = append(r.after, fn) }

// Replied runs what AfterReply took; the router calls it.
func (r *Request) Replied() {
	for _, fn := range r.after {
		fn()
	}
}
