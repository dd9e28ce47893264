// Package transport carries one client connection: elements come in, bytes go
// out. A TCP connection speaks an XML stream (RFC 6120), a WebSocket one framed
// elements (RFC 7395); above this package they are the same.
//
// Reading never blocks. Next hands out what has arrived; when it says ErrAgain
// the caller ends its burst with Release and waits with Park, which costs one
// small goroutine and no buffer. Writing never blocks either: what the socket
// does not take at once is kept as pending, and one goroutine exists while, and
// only while, something is.
package transport

import (
	"crypto/tls"
	"errors"
	"net/netip"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

// Conn is one client connection. Next, Release, Park, Header, Restart, SetLimits
// and StartTLS belong to the goroutine that reads; everything else may be called
// from any goroutine.
type Conn interface {
	// Next returns the next token of the burst and fills st for an element. The
	// stanza stays valid until Release, together with all others of the burst,
	// for which the caller passes other ones.
	// Errors: ErrAgain when nothing more is there or the burst has had its share;
	// *stanza.StreamError when the peer broke the rules; io.EOF when it left; the
	// cause when this side closed the connection.
	Next(st *stanza.Stanza) (stanza.Token, error)
	// Release ends the burst: its stanzas are invalid from here on and the
	// buffers go back to their pools, except for an unfinished element. If it
	// reports one, the stanza that was passed last holds the index so far: the
	// caller keeps it and passes it again.
	Release() (unfinished bool)
	// Wait returns when there is something to read or the connection has been
	// closed. It is Park without its new goroutine: quicker, but the stack of the
	// caller waits too.
	Wait()
	// Park waits in a new goroutine until there is something to read or the
	// connection has been closed, then calls ready there, exactly once. It may
	// also be called before the first Next and before StartTLS, to wait for the
	// peer's first bytes.
	Park(ready func())
	// Header is the stream header or <open/> that the peer sent last, empty
	// before. It is valid until Restart.
	Header() *stanza.StreamHeader
	// SetLimits changes what the following elements may cost.
	SetLimits(l stanza.Limits)
	// Restart begins a new stream on the same connection (RFC 6120 §4.3.3). Bytes
	// that the peer has sent already are kept.
	Restart()

	// AppendOpen appends the answer to the peer's header in the form of the transport.
	AppendOpen(dst []byte, h OpenHeader) []byte
	// AppendElement frames one top-level element that is given in the canonical
	// form of the TCP stream: stanzas without namespace, others with their own,
	// and <stream:features> and <stream:error> with that prefix.
	AppendElement(dst, xml []byte) []byte
	// AppendClose appends the end of the stream. A WebSocket client is pointed to
	// seeOther when it is not empty (RFC 7395 §3.6.1).
	AppendClose(dst []byte, seeOther string) []byte
	// Framed reports whether AppendElement does more than copy.
	Framed() bool

	// Write takes framed bytes and never waits. Over TLS one call makes one record
	// as long as p has at most 16 KiB and the configuration sets
	// DynamicRecordSizingDisabled. While Pending is not zero the caller should
	// hold back. p is not kept.
	Write(p []byte) error
	// Pending is the number of bytes that Write took and the kernel has not.
	Pending() int
	// OnDrained calls fn once, on another goroutine, when Pending has fallen to
	// zero (at once if it is), or when the connection has failed: then Write says
	// so.
	OnDrained(fn func())
	// Finish sends the stream error (nil: none) and the end of the stream and
	// closes. It returns at once; what is pending is still sent if the peer reads
	// it within Options.Linger, and the peer's last bytes are read and thrown
	// away so that no reset destroys the error on its way.
	Finish(err *stanza.StreamError)
	// Cut is Finish without a word: the peer may continue its stream on another
	// connection (XEP-0198 §5).
	Cut(cause error)
	// Abort closes at once and without a word. Next reports cause (net.ErrClosed
	// when nil). Only the first of Finish and Abort sets the cause.
	Abort(cause error)

	// StartTLS runs the server's side of the handshake and blocks until it has
	// ended, at most Options.HandshakeTimeout; the caller provides the goroutine
	// and bounds their number with turn, unless that is nil. It is used for STARTTLS, behind the written
	// <proceed/>, and at the beginning of a direct TLS connection. On error the
	// connection is closed.
	StartTLS(cfg *tls.Config, turn Turn) error
	// TLS describes the TLS connection, nil when there is none.
	TLS() *tls.ConnectionState
	// Certificate is the one that the peer was given by that TLS connection, in
	// DER. It is nil where TLS does not end here, or the configuration has no
	// GetCertificate.
	Certificate() []byte
	// RemoteAddr is the peer's address.
	RemoteAddr() netip.AddrPort
	// Secure reports whether the path to the peer is encrypted, as far as known.
	Secure() bool
}

// Turn bounds how many handshakes are computed at a time. Enter waits for a
// place; while a handshake waits for its peer it holds none.
type Turn interface {
	Enter()
	Leave()
}

// OpenHeader holds the attributes of the server's stream header (RFC 6120 §4.7).
// Empty ones are not written.
type OpenHeader struct {
	From, To, ID, Lang string
}

// Options are shared by all connections of a listener. They are not changed
// after the first use.
type Options struct {
	// Buffers is the pool of read buffers; required.
	Buffers *Buffers
	// Limits hold for the first stream, before anybody calls SetLimits.
	Limits stanza.Limits
	// Burst is the number of bytes after which Next ends a burst although more
	// has arrived; 0: 64 KiB.
	Burst int
	// WriteStall is how long a peer may take nothing of what is pending before
	// the connection is closed with ErrWriteStall; 0: 30 s.
	WriteStall time.Duration
	// HTTPS bounds the handshakes of connections that NewListener accepts; nil: they
	// are not bounded.
	HTTPS Turn
	// HandshakeTimeout limits a TLS handshake; 0: 10 s.
	HandshakeTimeout time.Duration
	// Linger is how long Finish waits for the peer to read and to close; 0: 2 s.
	Linger time.Duration

	certifiers certifiers
}

const (
	defaultBurst      = 64 << 10
	defaultWriteStall = 30 * time.Second
	defaultHandshake  = 10 * time.Second
	defaultLinger     = 2 * time.Second
)

// Why a connection was closed, or refused to do something.
var (
	// ErrAgain is returned by Next when there is nothing to read now. It is a
	// temporary net.Error, which crypto/tls survives.
	ErrAgain error = againError{}
	// ErrWriteStall closes a connection whose peer read nothing for WriteStall.
	ErrWriteStall = errors.New("write stalled: the peer does not read")
	// ErrClearText closes a connection that sent something in clear behind
	// <starttls/>; it must never be read as if TLS had protected it.
	ErrClearText = errors.New("start tls: unencrypted bytes behind starttls")
	// ErrNoTLS is returned by StartTLS where TLS lies below the transport
	// (RFC 7395 §3.9) or runs already.
	ErrNoTLS = errors.New("start tls: not possible here")
	// ErrHandshaking is returned by Write during a TLS handshake.
	ErrHandshaking = errors.New("write: tls handshake in progress")
)

type againError struct{}

func (againError) Error() string   { return "nothing to read now" }
func (againError) Timeout() bool   { return true }
func (againError) Temporary() bool { return true }

func or(d, standard time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return standard
}
