package xmpptest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"testing"

	"github.com/xmppd/xmppd/jid"
)

// Numbered messages from one client with stream management to another arrive
// exactly once and in order, although the connections of both are cut at any
// byte, again and again, in the middle of TLS, of a login or of a stanza.
func TestResumedManyTimes(t *testing.T) {
	t.Parallel()
	for _, way := range []Way{TCP, WebSocket} {
		t.Run(string(way), func(t *testing.T) {
			t.Parallel()
			const messages, cuts = 10_000, 100 // of each side
			seed := seed()
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("XMPPD_TEST_SEED=%d cuts at the same places again", seed)
				}
			})
			s := Start(t, Options{})
			from := newPhone(t, s, way, "romeo@localhost/phone", rand.New(rand.NewPCG(seed, 1)), cuts)
			to := newPhone(t, s, way, "juliet@localhost/phone", rand.New(rand.NewPCG(seed, 2)), cuts)
			// What is on its way comes again after each cut: not too much of it.
			ahead, stop := make(chan struct{}, 300), make(chan struct{})
			sent := make(chan error, 1)
			go func() { sent <- from.send(to.c.JID, messages, ahead, stop) }()
			if err := to.receive(messages, ahead); err != nil {
				t.Error(err)
			}
			close(stop)
			if err := <-sent; err != nil {
				t.Error(err)
			}
			for _, p := range []*phone{from, to} {
				if p.cuts > 0 {
					t.Errorf("%s was cut off %d times less than it should", p.c, p.cuts)
				} else if !t.Failed() {
					p.c.Ack(0)
					p.c.Sync()
					p.c.Close()
				}
			}
		})
	}
}

// phone is a client on a bad network. It belongs to one goroutine.
type phone struct {
	c    *Client
	s    *Server
	addr string
	way  Way
	rand *rand.Rand
	cuts int // still to come
	// link is what the present connection may still carry.
	link *fragile
}

func newPhone(t *testing.T, s *Server, way Way, full string, r *rand.Rand, cuts int) *phone {
	s.Account(t, full)
	key := map[Way]string{TCP: "c2s", WebSocket: "http", SecureWebSocket: "https"}[way]
	p := &phone{s: s, way: way, addr: s.Addr(t, key), rand: r, cuts: cuts}
	p.c = p.fresh(t, jid.MustParse(full))
	if err := p.c.connect(p.addr, p.wrap); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.c.w.conn().Close() })
	p.c.Secure()
	p.c.Authenticate(p.c.JID.Local(), Password)
	p.c.Bind(p.c.JID.Resource())
	p.c.EnableSM(true)
	p.weaken()
	return p
}

// fresh is a client without a connection.
func (p *phone) fresh(t testing.TB, full jid.JID) *Client {
	return &Client{t: t, way: p.way, domain: Domain, lang: "en", JID: full, from: full.Bare().String()}
}

func (p *phone) wrap(c net.Conn) net.Conn {
	p.link = &fragile{c, unbroken}
	return p.link
}

// weaken decides after how many bytes the connection breaks.
func (p *phone) weaken() {
	if p.cuts > 0 {
		p.link.left = p.rand.Int64N(16_000)
	}
}

// again comes back, until that has worked.
func (p *phone) again() error {
	for {
		if p.cuts--; p.cuts < -10 {
			return errors.New("the server does not let the client resume")
		}
		old := p.c
		c := p.fresh(old.t, old.JID)
		err := p.resume(c, old)
		if c.sm != nil { // although it may have been cut off at once
			p.c = c
		}
		if err == nil {
			return nil
		}
		if !errors.Is(err, errCut) {
			return fmt.Errorf("%s, h %d: %w", old, old.sm.in, err)
		}
	}
}

// resume takes over the stream inside SASL2 or behind SASL, by chance.
func (p *phone) resume(c, old *Client) error {
	if err := c.connect(p.addr, p.wrap); err != nil {
		return err
	}
	if p.cuts > 0 && p.rand.IntN(3) == 0 {
		p.link.left = p.rand.Int64N(5000) // it may break before the login is complete
	}
	if err := c.secure(); err != nil {
		return err
	}
	r := Request{User: old.JID.Local()}
	if p.rand.IntN(2) == 0 {
		r.Resume, r.Bind = old, &Bind{}
		s, err := c.SASL2(r)
		if err == nil && !s.Resumed {
			err = fmt.Errorf("not resumed:\n%s", s.Element)
		}
		p.weaken()
		return err
	}
	if _, err := c.SASL(r); err != nil {
		return err
	}
	if _, err := c.open(); err != nil {
		return err
	}
	p.weaken()
	if err := c.send(old.resume()); err != nil {
		return err
	}
	e, err := c.read()
	if err == nil && e.Name != "resumed" {
		err = fmt.Errorf("not resumed:\n%s", e)
	}
	if err == nil {
		err = c.carryOn(old, e)
	}
	return err
}

// send sends the numbers and has all of them acknowledged.
func (p *phone) send(to jid.JID, n int, ahead chan<- struct{}, stop <-chan struct{}) error {
	for i := 1; i <= n; i++ {
		select {
		case ahead <- struct{}{}:
		case <-stop:
			return nil
		}
		err := p.c.send("<message to='" + to.String() + "' type='chat'><body>" + strconv.Itoa(i) + "</body></message>")
		for err == nil && (p.c.sm.out-p.c.sm.acked > 50 || i == n && p.c.sm.acked != p.c.sm.out) {
			err = p.c.askAck()
		}
		for err != nil { // what was not handled is sent again by carryOn
			if !errors.Is(err, errCut) {
				return err
			}
			if err = p.again(); err != nil {
				return err
			}
			if i == n && p.c.sm.acked != p.c.sm.out {
				err = p.c.askAck()
			}
		}
	}
	return nil
}

// receive reads them.
func (p *phone) receive(n int, ahead <-chan struct{}) error {
	for i := 1; i <= n; {
		e, err := p.next()
		if err != nil {
			if !errors.Is(err, errCut) {
				return fmt.Errorf("after message %d: %w", i-1, err)
			}
			if err := p.again(); err != nil {
				return fmt.Errorf("after message %d: %w", i-1, err)
			}
			continue
		}
		if got := childText(e, nsClient, "body"); e.Name != "message" || got != strconv.Itoa(i) {
			return fmt.Errorf("instead of message %d came\n%s", i, e)
		}
		<-ahead
		i++
	}
	return nil
}

func (p *phone) next() (*Element, error) {
	if q := p.c.queue; len(q) > 0 {
		p.c.queue = q[1:]
		return q[0], nil
	}
	return p.c.read()
}

var errCut = errors.New("cut off")

const unbroken = 1 << 40

// fragile is a connection that breaks after so many bytes, in either direction.
type fragile struct {
	net.Conn
	left int64
}

func (f *fragile) Read(p []byte) (int, error) {
	return f.carry(p, f.Conn.Read)
}

func (f *fragile) Write(p []byte) (int, error) {
	n, err := f.carry(p, f.Conn.Write)
	if err == nil && n < len(p) {
		var more int
		more, err = f.Write(p[n:])
		n += more
	}
	return n, err
}

func (f *fragile) carry(p []byte, do func([]byte) (int, error)) (int, error) {
	if f.left <= 0 {
		f.Conn.Close()
		return 0, errCut
	}
	n, err := do(p[:min(int64(len(p)), f.left)])
	f.left -= int64(n)
	return n, err
}
