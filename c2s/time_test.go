package c2s_test

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/internal/xmpptest"
)

// These tests run in virtual time (testing/synctest): an hour passes at once when
// everybody waits.

// pipes is a listener whose connections are pipes.
type pipes struct {
	c    chan net.Conn
	done chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.c:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { close(p.done); return nil }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// serve runs a server with a listener until the test ends; dial connects.
func serve(t *testing.T, cfg *config.Config) (dial func() *xmpptest.Client) {
	s := open(t, cfg, new(one), nil)
	l := &pipes{make(chan net.Conn), make(chan struct{})}
	go s.Serve(l, false)
	t.Cleanup(func() { l.Close() })
	return func() *xmpptest.Client {
		client, server := net.Pipe()
		l.c <- server
		t.Cleanup(func() { client.Close() })
		return xmpptest.Over(t, client)
	}
}

// about reports whether a time is in a range of seconds; the wheel ticks once a
// second.
func about(t *testing.T, since time.Time, from, to int) {
	t.Helper()
	if s := time.Since(since).Seconds(); s < float64(from) || s > float64(to) {
		t.Errorf("after %.1f s, not %d to %d s", s, from, to)
	}
}

// Ten thousand connections that say nothing keep nobody from logging in, and
// are gone after limits.login_timeout.
func TestSilentCrowd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dial := serve(t, config.Defaults())
		start := time.Now()
		crowd := make([]*xmpptest.Client, 10_000)
		for i := range crowd {
			crowd[i] = dial()
		}
		c := dial()
		c.Open()
		c.Authenticate("romeo", xmpptest.Password)
		c.Bind("orchard")
		about(t, start, 0, 1)
		for _, silent := range crowd {
			silent.ExpectLost()
		}
		about(t, start, 29, 31)
		c.ExpectNothing()
	})
}

// Who does not log in in time has to go, however far he came; sending does not help.
func TestLoginTimeout(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(c *xmpptest.Client){
		"stream only": func(c *xmpptest.Client) { c.Open() },
		"not bound":   func(c *xmpptest.Client) { c.Open(); c.Authenticate("romeo", xmpptest.Password) },
		"in the login": func(c *xmpptest.Client) {
			c.Open()
			c.Send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'/>")
			c.Next()
		},
		"half a message": func(c *xmpptest.Client) { c.Open(); c.Raw("<auth xmlns='urn:ietf:params") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := serve(t, config.Defaults())()
				start := time.Now()
				begin(c)
				about(t, start, 0, 1)
				c.ExpectEnd("connection-timeout")
				about(t, start, 29, 31) // limits.login_timeout is 30 s
			})
		})
	}
	t.Run("nothing at all", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := serve(t, config.Defaults())()
			start := time.Now()
			c.ExpectLost()
			about(t, start, 29, 31)
		})
	})
	t.Run("a byte now and then", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := serve(t, config.Defaults())()
			start := time.Now()
			c.Open()
			for time.Since(start) < 28*time.Second {
				time.Sleep(time.Second)
				c.Raw(" ")
			}
			c.ExpectEnd("connection-timeout")
			about(t, start, 29, 31)
		})
	})
}

// A client that falls silent is asked, and found dead when it does not answer;
// one that answers stays for as long as it likes.
func TestSilentClients(t *testing.T) {
	t.Parallel()
	options := func() *config.Config {
		cfg := config.Defaults()
		cfg.Modules = map[string]map[string]any{"ping": {"interval": "60s", "timeout": "10s"}}
		return cfg
	}
	bound := func(t *testing.T) *xmpptest.Client {
		c := serve(t, options())()
		c.AnswerPings(false)
		c.Open()
		c.Authenticate("romeo", xmpptest.Password)
		c.Bind("home")
		return c
	}
	const question = "<iq type='get' id='{id}' from='localhost' to='romeo@localhost/home'><ping xmlns='urn:xmpp:ping'/></iq>"
	t.Run("dead", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := bound(t)
			start := time.Now()
			c.ExpectVars(question, xmpptest.Vars{})
			about(t, start, 52, 62) // the first question comes up to an eighth earlier or later
			c.ExpectEnd("connection-timeout")
			about(t, start, 68, 75)
		})
	})
	t.Run("alive", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := bound(t)
			for range 60 {
				start, vars := time.Now(), xmpptest.Vars{}
				c.ExpectVars(question, vars)
				about(t, start, 40, 75)
				time.Sleep(5 * time.Second) // slow, but in time
				c.Send("<iq type='result' id='" + vars["id"] + "' to='localhost'/>")
			}
			c.ExpectNothing()
		})
	})
	t.Run("not able to answer", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := bound(t)
			for range 10 {
				vars := xmpptest.Vars{}
				c.ExpectVars(question, vars)
				c.Send("<iq type='error' id='" + vars["id"] + "' to='localhost'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
			}
			c.ExpectNothing()
		})
	})
	t.Run("talking", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := bound(t)
			for range 100 {
				time.Sleep(50 * time.Second)
				c.Send(" ") // white space is a sign of life (RFC 6120 §4.6.1)
			}
			c.ExpectNothing()
		})
	})
}

// The answer to a wrong password comes later each time; who then knows the right
// one has waited already. The time for logging in goes on meanwhile.
func TestFailedLoginsAreDelayed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := config.Defaults()
		cfg.Limits.LoginTimeout, cfg.Auth.AttemptsPerConnection = time.Minute, 100
		dial := serve(t, cfg)
		c := dial()
		c.Open()
		try := func(password string, seconds int, condition string) {
			t.Helper()
			start, got := time.Now(), ""
			if err := c.Login(sasl.ScramSha1, "romeo", password); err != nil {
				got = err.Error()
			}
			if got != condition {
				t.Fatalf("%q, want %q", got, condition)
			}
			about(t, start, seconds, seconds+1)
		}
		for _, seconds := range []int{0, 0, 4, 8} {
			try("wrong", seconds, "not-authorized")
		}
		try(xmpptest.Password, 0, "")
		c.Open()
		c.Bind("home")
		// A success has cleared the pair.
		c = dial()
		c.Open()
		for _, seconds := range []int{0, 0, 4, 8, 16} {
			try("wrong", seconds, "not-authorized")
		}
		start := time.Now()
		c.Send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>!</auth>")
		c.Next()
		c.ExpectEnd("connection-timeout")
		about(t, start, 31, 33)
	})
}
