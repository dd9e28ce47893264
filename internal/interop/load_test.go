package interop

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// load is a server with people who talk all the time.
type load struct {
	*testing.T
	server *server
	trust  *tls.Config
	// lossy is set where messages in memory may be lost, and what nobody has
	// confirmed comes again: then no order is checked.
	lossy bool
	all   []member

	mu    sync.Mutex
	wake  chan struct{}         // closed at every change, and then another
	last  map[pair]int          // the highest number that came
	kept  map[pair][]int        // all numbers that came
	acked map[pair]map[int]bool // what the server acknowledged to libraries
	total int                   // messages that came
	pongs map[string]bool
	seen  map[string][]string // presences that phones got
}

// pair is a recipient and a sender.
type pair struct{ to, from string }

// member is a client under load.
type member interface {
	login(l *load)
	further(n int)     // sends n more messages to everybody it talks to
	idle() bool        // all of them are sent and acknowledged
	awaitDown(l *load) // the connection is gone, and the stream was not closed
	reconnect(l *load) outcome
	quiet(l *load) // returns when everything that was sent to it has come
	flows() []*flow
	named() string
}

func newLoad(t *testing.T, database string, more ...string) *load {
	l := &load{T: t, server: serve(t, database, more...), wake: make(chan struct{}), pongs: make(map[string]bool), seen: make(map[string][]string),
		last: make(map[pair]int), kept: make(map[pair][]int), acked: make(map[pair]map[int]bool)}
	pem, err := os.ReadFile(l.server.certificate())
	if err != nil {
		t.Fatal(err)
	}
	l.trust = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost", NextProtos: []string{"xmpp-client"}}
	l.trust.RootCAs.AppendCertsFromPEM(pem)
	return l
}

// phone makes an account with a phone that talks to some others.
func (l *load) phone(name string, streams ...*flow) *phone {
	l.server.register(l.T, name)
	p := &phone{name: name, streams: streams, fresh: func() {}}
	p.received = func(e *element) {
		from, _, _ := strings.Cut(e.attr("from"), "@")
		switch body := e.child("body"); {
		case e.XMLName.Local == "message" && body != nil && e.attr("type") == "chat":
			l.came(pair{name, from}, body.Text)
		case e.XMLName.Local == "iq":
			l.change(func() { l.pongs[e.attr("id")] = true })
		case e.XMLName.Local == "presence" && e.attr("type") == "subscribe":
			p.presence(from, "subscribed")
		case e.XMLName.Local == "presence":
			l.change(func() { l.seen[name] = append(l.seen[name], e.attr("from")+" "+e.attr("type")) })
		default:
			l.change(func() {})
		}
	}
	return p
}

// change does something under the lock and lets everybody look who waits.
func (l *load) change(fn func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fn()
	close(l.wake)
	l.wake = make(chan struct{})
}

// look asks something under the lock.
func (l *load) look(cond func() bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return cond()
}

// until waits for a condition, which is asked after every change.
func (l *load) until(what string, done func() bool) {
	l.Helper()
	timeout := time.After(patience)
	for {
		l.mu.Lock()
		wake := l.wake
		l.mu.Unlock()
		if done() {
			return
		}
		select {
		case <-wake:
		case <-timeout:
			l.mu.Lock()
			defer l.mu.Unlock()
			l.Fatalf("waited for %s in vain; the last numbers are %v", what, l.last)
		}
	}
}

// came notes a message: the next of its sender. After a crash the log repeats what
// nobody has confirmed, and what comes live may overtake that.
func (l *load) came(p pair, body string) {
	n, err := strconv.Atoi(body)
	l.change(func() {
		last := l.last[p]
		switch {
		case err != nil:
			l.Errorf("%s received %q from %s", p.to, body, p.from)
		case !l.lossy && n != last+1:
			l.Errorf("%s received number %d of %s after number %d", p.to, n, p.from, last)
		}
		l.last[p] = max(last, n)
		l.kept[p] = append(l.kept[p], n)
		l.total++
	})
}

// befriend lets a phone see the presence of everybody else.
func (l *load) befriend(watcher *phone) {
	want := 1 // its own
	for _, m := range l.all {
		if m.named() != watcher.name {
			watcher.presence(m.named(), "subscribe")
			want++
		}
	}
	l.until("presence of everybody", func() bool {
		return l.look(func() bool {
			n := 0
			for _, s := range l.seen[watcher.name] {
				if strings.HasSuffix(s, " ") {
					n++
				}
			}
			return n == want
		})
	})
}

// presences are what a phone has seen.
func (l *load) presences(p *phone) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.seen[p.name])
}

// each runs fn for all members at the same time.
func (l *load) each(fn func(member)) {
	var wg sync.WaitGroup
	for _, m := range l.all {
		wg.Go(func() { fn(m) })
	}
	wg.Wait()
	if l.Failed() {
		l.FailNow()
	}
}

// further lets everybody send n messages more, and waits until all together
// have received some more.
func (l *load) further(n, some int) {
	l.mu.Lock()
	want := l.total + some
	l.mu.Unlock()
	for _, m := range l.all {
		m.further(n)
	}
	l.until(fmt.Sprint(some, " messages"), func() bool { return l.look(func() bool { return l.total >= want }) })
}

// settle waits until everything was sent and the last message of everybody to
// everybody has come.
func (l *load) settle() {
	l.until("the rest of the messages", func() bool {
		for _, m := range l.all {
			if !m.idle() {
				return false
			}
		}
		return l.look(func() bool {
			for _, m := range l.all {
				for _, f := range m.flows() {
					if !f.stored && l.last[pair{f.to, m.named()}] != f.goal {
						return false
					}
				}
			}
			return true
		})
	})
}
