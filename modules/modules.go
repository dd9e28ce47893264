// Package modules is the contract between the server and its features: a
// feature is a folder below this one whose Module attaches handlers to the
// Host of each domain once, at start-up.
//
// A stanza from a client passes two sides: Sent, for the account of the
// sender, and Received, for the account of the recipient. On each side the
// stages run in the order of their declaration below; handlers of one stage do
// not depend on each other's order.
package modules

import (
	"errors"

	"github.com/xmppd/xmppd/stanza"
)

// Module is one feature.
type Module interface {
	// Info describes the feature; it is usable before Init and does not change.
	Info() Info
	// Init attaches the handlers, reads the options and returns an error if the
	// options are wrong. It is called once for each domain, in the order of
	// modules/all, and must not do any work that outlives it.
	Init(*Host) error
}

// Info is what a module says of itself: configuration, docs/MODULES.md and
// service discovery are made out of it.
type Info struct {
	Name            string   // section modules.<name> of the configuration, log attribute, metric label
	Doc             string   // one sentence for docs/MODULES.md
	XEPs            []XEP    // what it implements
	Features        []string // disco features of the domain
	AccountFeatures []string // disco features of a bare JID
	Options         any      // pointer to a struct with the defaults of modules.<name>.*, or nil
}

// XEP names a specification and the version that was implemented.
type XEP struct {
	Number  int
	Version string
}

// Side is the account for which a pass runs.
type Side = stanza.Side

// The two sides, in their order.
const (
	Sent     = stanza.Sent     // the sender's account
	Received = stanza.Received // the recipient's account
)

// Stage is a step of a pass. Between Amend and Archive of the Received side
// the router plans who gets a message; between Archive and Stamp it commits, and
// between Stamp and Copy it delivers.
type Stage uint8

// The stages, in their order.
const (
	Check   Stage = iota // refuse; all handlers run and the strictest verdict wins
	Amend                // change the stanza, or consume it (Stop)
	Archive              // say what is kept, in Flight.Row; messages only
	Stamp                // after the commit: append what it has decided; messages only
	Copy                 // after the commit and the delivery, for further sessions; messages only
	Missed               // Received only: planned sessions vanished before they got it
	Stages  = int(iota)
)

// Stop is returned by a handler that has dealt with the stanza: it goes no
// further and nobody gets an error.
//
//lint:ignore ST1012 control flow, like io.EOF
var Stop = errors.New("stanza consumed")

// Handler is one step of a stage. It returns nil (go on), Stop, a
// *stanza.Error (the sender gets it) or another error (logged once, the sender
// gets internal-server-error).
type Handler func(*Flight) error

// IQHandler answers an IQ get or set: it writes the payload into
// Request.Reply and returns nil, or returns an error like Handler. Exactly one
// answer is sent, whatever happens.
type IQHandler func(*Request) error

// Target is where an IQ is addressed.
type Target uint8

// The targets; they may be combined.
const (
	Server   Target = 1 << iota // the domain
	Self                        // the sender's own account: no 'to' or the own bare JID
	Account                     // the bare JID of another account of this domain
	Stranger                    // the domain, before authentication
)

// Event is something that happens to a session.
type Event uint8

// The events of a session, in the order in which they may happen.
const (
	// Bound: the client has a resource. Nothing has been sent to it since.
	Bound Event = iota
	// Available: initial presence with non-negative priority arrived (or the
	// priority became non-negative). Bare messages do not reach the session yet;
	// they do as soon as the handlers have returned.
	Available
	// Detached: the connection is lost; the session waits for its client to resume
	// it (XEP-0198 §5) and takes stanzas as before.
	Detached
	// Resumed: the client is back. What it had not confirmed has been queued again.
	Resumed
	// Restored: the process has been restarted and the session was kept (DESIGN §5).
	// It is detached. The handlers of a session's earlier events have not run in
	// this process.
	Restored
	// Closed: the session has ended and is out of the registry; Outbox is closed.
	Closed
	Events = int(iota)
)

// Inline is a feature that a client may ask for while it binds a resource
// (XEP-0386 §3.1).
type Inline struct {
	Feature  string // as announced; handlers of one feature may share it
	NS, Name string // of the element in <bind/>
	// Fn does what the element asks for. The session is not in the registry yet:
	// nobody can send to it. What Fn writes stands in <bound/>.
	Fn func(f *Flight, request stanza.Elem, bound *stanza.Builder)
}

// Phase says when a stream feature is offered.
type Phase uint8

// The phases of a stream.
const (
	Unauthenticated Phase = iota
	Authenticated
)
