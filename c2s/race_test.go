package c2s

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/c2s/transport"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/router"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// ledger is a store that notes what is written of streams and messages, in order.
type ledger struct {
	mu    sync.Mutex
	notes []string
	delay time.Duration // of a commit
}

func (l *ledger) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notes = append(l.notes, fmt.Sprintf(format, args...))
}

func (l *ledger) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.notes, " ")
}

func (l *ledger) Join(r *storage.Run) {
	r.Begin()
	for _, w := range r.Writes {
		switch w := w.(type) {
		case *storage.Stream:
			l.note("h=%d", w.H)
		case *storage.Message:
			var st stanza.Stanza
			st.Parse(w.XML, stanza.Limits{})
			l.note("m=%s", st.ID())
		}
	}
	if l.delay == 0 {
		r.End()
		return
	}
	time.AfterFunc(l.delay, r.End)
}

func (l *ledger) Stream(context.Context, string) (storage.Stream, error) {
	return storage.Stream{}, storage.ErrNotFound
}

func (l *ledger) SaveSnapshots(_ context.Context, all []storage.Snapshot) error {
	for range all {
		l.note("snapshot")
	}
	return nil
}

func (l *ledger) TakeSnapshots(context.Context, int) ([]storage.Snapshot, error) { return nil, nil }

func (l *ledger) DeleteStreams(context.Context, time.Time, int) (int, error) { return 0, nil }

// mute is a transport whose peer says nothing.
type mute struct {
	transport.Conn
	mu       sync.Mutex
	got      []byte
	finished int
	aborted  int
}

func (*mute) AppendElement(dst, xml []byte) []byte { return append(dst, xml...) }
func (*mute) Framed() bool                         { return false }
func (*mute) Pending() int                         { return 0 }
func (*mute) RemoteAddr() netip.AddrPort           { return netip.AddrPort{} }
func (m *mute) Write(p []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got = append(m.got, p...)
	return nil
}
func (m *mute) Finish(*stanza.StreamError) { m.mu.Lock(); defer m.mu.Unlock(); m.finished++ }
func (m *mute) Cut(error)                  { m.mu.Lock(); defer m.mu.Unlock(); m.aborted++ }
func (m *mute) Abort(error)                { m.mu.Lock(); defer m.mu.Unlock(); m.aborted++ }

// hall is a server with one place in its gate and an account romeo@localhost.
func hall(t *testing.T) (*Server, *ledger) {
	s, store := newServer(), new(ledger)
	s.Store, s.Now = store, time.Now
	s.Router = router.New(router.Options{Log: s.Log, Now: time.Now, Registry: s.Registry, Wheel: s.Wheel, Group: store, Accounts: everybody{}})
	tables := modules.NewTables()
	domain := jid.MustParse("localhost")
	s.Router.AddDomain(domain, tables)
	h := modules.NewHost(domain, tables, s.Router, modules.Info{Name: "keeper"}, nil, nil, s.Log, time.Now)
	h.Message(modules.Received, modules.Archive, func(f *modules.Flight) error {
		if f.Absent {
			f.Store(&storage.Message{Owner: f.Owner, XML: f.Stanza.Emit(nil, modules.Received)})
		}
		return nil
	})
	s.gate = newGate(1, func() int { return 100 })
	return s, store
}

type everybody struct{}

func (everybody) AccountExists(context.Context, jid.JID) (bool, error) { return true, nil }

// enter makes a connection with a session that can be resumed.
func (s *Server) enter(t *testing.T) (*conn, *mute) {
	link := new(mute)
	c := &conn{srv: s, t: link, gone: make(chan struct{}), began: time.Now(), user: jid.MustParse("romeo@localhost")}
	c.out = session.NewOutbox(link, s.chunks, 1<<20)
	if err := s.admit(c); err != nil {
		t.Fatal(err)
	}
	return c, link
}

func (c *conn) open1(t *testing.T) *stream {
	full, _ := c.user.WithResource("home")
	c.session = session.New(c.srv.Registry.NewRef(), full, session.Info{}, c.out)
	m, _ := c.management(c.session, element(t, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"))
	c.out.Manage(m, nil)
	c.srv.Registry.Add(c.session)
	c.bound.Store(true)
	c.srv.mu.Lock()
	c.loggedIn = true
	c.srv.strange.Add(-1)
	c.srv.mu.Unlock()
	return c.stream
}

func element(t *testing.T, xml string) stanza.Elem {
	var st stanza.Stanza
	if err := st.Parse([]byte(xml), stanza.Limits{}); err != nil {
		t.Fatal(err)
	}
	return st.Root()
}

// A session that is told to go while a client resumes it goes.
func TestKickedWhileResumed(t *testing.T) {
	t.Parallel()
	for _, h := range []string{"0", "7"} { // 7 is too high: the resumption fails
		synctest.Test(t, func(t *testing.T) {
			s, _ := hall(t)
			c, _ := s.enter(t)
			r := c.open1(t)
			next, link := s.enter(t)
			go func() {
				_, ok, _ := next.resume(element(t, "<resume xmlns='urn:xmpp:sm:3' h='"+h+"' previd='"+r.session.Stream.ID+"'/>"))
				if ok {
					next.session.Outbox.Attach(link, []byte("<resumed/>"))
					next.session.Outbox.Flush()
					if link.finished == 1 {
						next.finish(next.out.Ended())
					}
				}
			}()
			synctest.Wait() // it waits for the former connection
			r.session.Kick(stanza.StreamConflict, "")
			synctest.Wait()
			c.finish(io.EOF)
			synctest.Wait()
			select {
			case <-r.session.Done():
			default:
				t.Errorf("h=%s: the session goes on, %d in the registry", h, s.Registry.Len())
			}
		})
	}
}

// A session that ends under a flood loses nothing.
func TestEndUnderAFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, store := hall(t)
		store.delay = 100 * time.Millisecond
		c, _ := s.enter(t)
		r := c.open1(t)
		taken := 0
		stop := make(chan struct{})
		flood := make(chan struct{})
		go func() {
			defer close(flood)
			for {
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Millisecond):
					xml := fmt.Sprintf("<message from='juliet@localhost/a' to='romeo@localhost/home' type='chat' id='%d'><body>x</body></message>", taken)
					if c.session.Outbox.Append([]byte(xml)) {
						taken++
					}
				}
			}
		}()
		time.Sleep(100 * time.Millisecond)
		c.finish(io.EOF)
		r.end(errTimeOver)
		close(stop)
		<-flood
		kept := strings.Count(" "+store.String(), " m=")
		if kept != taken {
			t.Errorf("%d messages taken, %d kept", taken, kept)
		}
		if n := s.chunks.Total(); n != 0 {
			t.Errorf("%d bytes left", n)
		}
	})
}

// One client whose burst does not end keeps nobody else's session from being
// saved in time.
func TestShutdownWaitsForNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, store := hall(t)
		var all []*conn
		for i := range 3 {
			c, _ := s.enter(t)
			c.user = jid.MustParse(fmt.Sprintf("user%d@localhost", i))
			c.open1(t)
			all = append(all, c)
		}
		stuck := all[0]
		stuck.reading.Lock()
		go func() { // its client reads slowly
			for !stuck.out.Closed() {
				time.Sleep(time.Second)
			}
			stuck.reading.Unlock()
			stuck.finish(errStopping)
		}()
		silent, _ := s.enter(t) // logs in, and does not read the end of its stream
		for _, c := range all[1:] {
			go func() {
				<-time.After(21 * time.Second)
				c.finish(errStopping)
			}()
		}
		go func() {
			<-time.After(25 * time.Second)
			silent.finish(errStopping)
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		began := time.Now()
		s.Shutdown(ctx)
		if n := strings.Count(store.String(), "snapshot"); n != 2 {
			t.Errorf("%d sessions saved: %s", n, store)
		}
		if took := time.Since(began); took > 24*time.Second {
			t.Errorf("after %v", took)
		}
		<-silent.gone
	})
}
