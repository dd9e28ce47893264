package interop

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
)

func (p *phone) named() string  { return p.name }
func (p *phone) flows() []*flow { return p.streams }
func (p *phone) login(l *load)  { p.reconnect(l) }

func (p *phone) reconnect(l *load) outcome {
	o, err := p.connect(l.server, l.trust)
	if err != nil {
		l.Error(err)
	}
	return o
}

func (p *phone) awaitDown(l *load) {
	<-p.down
	if p.end != "lost" {
		l.Errorf("the stream of %s ended with: %s", p.name, p.end)
	}
}

func (p *phone) quiet(l *load) {
	id := p.ping()
	l.until("an answer to a ping", func() bool { return l.look(func() bool { return l.pongs[id] }) })
}

// library is a client that somebody else wrote, under load.
type library struct {
	*user
	streams []*flow
	down    chan struct{} // holds one thing for every connection that ended
	out     chan request
	waiting atomic.Int32 // requests in out or under way
}

// library makes an account with a client that talks to some others.
func (l *load) library(k kind, name string, streams ...*flow) *library {
	m := &library{user: newUser(l.T, l.server, managed(k), name), streams: streams, down: make(chan struct{}, 1), out: make(chan request, 4096)}
	m.resource = "library"
	return m
}

func (m *library) named() string  { return m.name }
func (m *library) flows() []*flow { return m.streams }

func (m *library) login(l *load) {
	m.user.login()
	m.do(request{Do: "presence"})
	go m.listen(l)
	spoken := make(chan struct{})
	go func() {
		m.speak(l)
		close(spoken)
	}()
	l.Cleanup(func() {
		m.client.kill() // ends a request that waits for a connection
		close(m.out)
		<-spoken
	})
}

// listen notes what the client receives until it ends.
func (m *library) listen(l *load) {
	for e := range m.client.events() {
		from, _, _ := strings.Cut(e.From, "@")
		switch e.Event {
		case "message":
			l.came(pair{m.name, from}, e.Body)
		case "presence":
			if e.Type == "subscribe" {
				m.send(request{Do: "presence", To: e.From, Type: "subscribed"})
			}
		case "acked":
			// The identifier is sender-recipient-number.
			if parts := strings.Split(e.ID, "-"); len(parts) == 3 && parts[0] == m.name {
				n, _ := strconv.Atoi(parts[2])
				l.change(func() {
					p := pair{parts[1], m.name}
					if l.acked[p] == nil {
						l.acked[p] = make(map[int]bool)
					}
					l.acked[p][n] = true
				})
			}
		case "stream-error", "closed":
			l.Errorf("%s (%s): %+v", m.name, m.kind.name, e)
		case "disconnected":
			m.down <- struct{}{}
		}
	}
}

func (m *library) send(r request) {
	m.waiting.Add(1)
	m.out <- r
}

// speak hands requests to the client one by one. A client that has no
// connection answers when it has one.
func (m *library) speak(l *load) {
	for r := range m.out {
		if _, err := m.try(r); err != nil && !l.Failed() {
			l.Errorf("%s (%s) %s %s: %v", m.name, m.kind.name, r.Do, r.To, err)
		}
		m.waiting.Add(-1)
		l.change(func() {})
	}
}

func (m *library) further(n int) {
	for range n {
		for _, f := range m.streams {
			f.n++
			m.send(request{Do: "message", To: f.to + "@localhost", Type: "chat", ID: fmt.Sprintf("%s-%s-%d", m.name, f.to, f.n), Body: strconv.Itoa(f.n)})
		}
	}
	for _, f := range m.streams {
		f.goal = f.n
	}
}

func (m *library) idle() bool { return m.waiting.Load() == 0 }

func (m *library) awaitDown(*load) { <-m.down }

func (m *library) reconnect(l *load) outcome {
	r := m.kind.connect(m.server)
	r.Do = "reconnect"
	a, err := m.try(r)
	if err == nil && !a.Resumed {
		m.full = cmp.Or(a.JID, m.full)
		_, err = m.try(request{Do: "presence"})
	}
	if err != nil {
		l.Errorf("%s (%s) reconnects: %v", m.name, m.kind.name, err)
	}
	return outcome{a.Resumed, a.H}
}

func (m *library) quiet(l *load) {
	if _, err := m.try(request{Do: "ping", To: "localhost"}); err != nil {
		l.Errorf("%s (%s): %v", m.name, m.kind.name, err)
	}
}
