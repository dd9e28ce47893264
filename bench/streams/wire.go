package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

const (
	firstBuffer = 4 << 10
	maxBuffer   = 1 << 20
)

// wire is the client's end of one XML stream. One goroutine reads, any may
// write whole elements.
type wire struct {
	tcp  net.Conn
	conn net.Conn // tcp, or TLS above it
	tls  *tls.Conn
	cut  stanza.Cutter
	st   stanza.Stanza
	buf  []byte
	r, w int
}

// dial connects; which one of the source addresses is used depends on i.
func (o *options) dial(ctx context.Context, i int) (*wire, error) {
	d := net.Dialer{Timeout: o.timeout, KeepAlive: -1}
	if o.sources > 0 {
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%o.sources))}
		d.Control = latePort
	}
	c, err := d.DialContext(ctx, "tcp4", o.addr)
	if err != nil {
		return nil, err
	}
	w := &wire{tcp: c, conn: c, buf: make([]byte, firstBuffer)}
	w.within(o.timeout)
	if o.security == "direct" {
		if err := w.secure(o.tls); err != nil {
			w.close()
			return nil, err
		}
	}
	return w, nil
}

// within limits everything that follows; 0 ends the limit.
func (w *wire) within(d time.Duration) {
	var until time.Time
	if d > 0 {
		until = time.Now().Add(d)
	}
	_ = w.tcp.SetDeadline(until)
}

func (w *wire) secure(cfg *tls.Config) error {
	w.tls = tls.Client(w.tcp, cfg)
	if err := w.tls.Handshake(); err != nil {
		return err
	}
	w.conn = w.tls
	w.r, w.w = 0, 0
	w.restart()
	return nil
}

// restart expects the header of a new stream.
func (w *wire) restart() { w.cut.Reset(stanza.Limits{Bytes: maxBuffer / 2}) }

func (w *wire) send(xml string) error {
	_, err := io.WriteString(w.conn, xml)
	return err
}

// close cuts the connection: neither the stream nor TLS is ended.
func (w *wire) close() { _ = w.tcp.Close() }

var (
	errEnd   = errors.New("stream ended by the server")
	errLarge = errors.New("element larger than the buffer may be")
)

// element returns the next first-level element; it is valid until the next call.
func (w *wire) element() (*stanza.Stanza, error) {
	for {
		if w.r < w.w {
			tok, n, err := w.cut.Next(w.buf[w.r:w.w], &w.st)
			w.r += n
			switch {
			case err != nil:
				return nil, err
			case tok == stanza.End:
				return nil, errEnd
			case tok == stanza.Element:
				if root := w.st.Root(); root.Is(stanza.NSStream, "error") {
					return nil, refusal("stream error " + string(root.First().Name()))
				}
				return &w.st, nil
			case tok != stanza.NeedMore:
				continue
			}
		}
		if err := w.fill(); err != nil {
			return nil, err
		}
	}
}

func (w *wire) fill() error {
	if w.r > 0 {
		w.w = copy(w.buf, w.buf[w.r:w.w])
		w.r = 0
	}
	if w.w == len(w.buf) {
		if w.w >= maxBuffer {
			return errLarge
		}
		w.buf = append(w.buf, make([]byte, len(w.buf))...)
	}
	n, err := w.conn.Read(w.buf[w.w:])
	w.w += n
	if n > 0 {
		return nil
	}
	return err
}

// refusal is a no of the server, in the words in which reports count it.
type refusal string

func (r refusal) Error() string { return string(r) }

// reason names an error in few words, so that equal ones can be counted.
func reason(err error) string {
	var r refusal
	var timeout net.Error
	switch {
	case errors.As(err, &r):
		return string(r)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, errEnd):
		return "connection closed"
	}
	return err.Error()
}
