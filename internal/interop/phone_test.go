package interop

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
)

// phone is a client that keeps stream management (XEP-0198) to the letter: what
// was not acknowledged it sends again, and of a failed resumption it uses h.
type phone struct {
	name string
	// received gets every stanza and acknowledgement, in order; fresh is called
	// before the first one of a new session.
	received func(*element)
	fresh    func()
	resource string // "": phone
	silent   bool   // acknowledges nothing
	plain    bool   // has no stream management, and sends no messages
	careless bool   // sends again all that was not acknowledged, whatever h of <failed/> says
	asks     bool   // pages through its archive before it is available, and once more then

	mu      sync.Mutex
	conn    *tls.Conn
	online  bool
	down    chan struct{} // closed when the connection has ended
	end     string        // how: lost, closed or the condition of a stream error
	id      string        // SM-ID
	in      uint32        // stanzas received
	sent    uint32
	acked   uint32
	durable uint32  // the last acknowledged stanza that was for a store
	queue   []outgo // from acked+1 to sent
	streams []*flow // what it sends
	latest  string  // the stanza-id of the last message that came
	greeted bool    // the session has been available
}

// outgo is a stanza that was sent.
type outgo struct {
	xml    string
	stored bool // for an account that is not online
}

// flow is a sequence of numbered messages to one account.
type flow struct {
	to     string
	stored bool // the account is not online
	extra  bool // goes on only when told to by itself
	n      int  // the last number that was sent
	goal   int  // the number to go to
}

// outcome of a reconnection.
type outcome struct {
	resumed bool
	h       string // of <failed/>; empty if it had none
}

// window is how many stanzas may be unacknowledged: enough to keep the server
// busy, few enough that a crash finds messages in every state.
const window = 8

// acknowledge removes what the server has handled from the queue.
func (p *phone) acknowledge(h uint32) {
	for ; len(p.queue) > 0 && p.acked < h; p.queue = p.queue[1:] {
		p.acked++
		if p.queue[0].stored {
			p.durable = p.acked
		}
	}
}

// write sends bytes; a failure shows when the reader meets it.
func (p *phone) write(s string) {
	if p.online {
		_, _ = io.WriteString(p.conn, s)
	}
}

// send sends a stanza, now or when there is a connection.
func (p *phone) send(o outgo) {
	p.sent++
	if !p.plain {
		p.queue = append(p.queue, o)
	}
	p.write(o.xml)
}

// pump sends as much as the window allows.
func (p *phone) pump() {
	sent := false
	for more := true; more && p.online; {
		more = false
		for _, f := range p.streams {
			if f.n < f.goal && len(p.queue) < window {
				f.n++
				p.send(outgo{fmt.Sprintf("<message to='%s@localhost' type='chat' id='%s-%[1]s-%[3]d'><body>%[3]d</body><origin-id xmlns='urn:xmpp:sid:0' id='%[2]s-%[1]s-%[3]d'/></message>", f.to, p.name, f.n), f.stored})
				more, sent = true, true
			}
		}
	}
	if sent {
		p.write("<r xmlns='" + nsSM + "'/>")
	}
}

// further lets every flow go on by n messages.
func (p *phone) further(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.streams {
		if !f.extra {
			f.goal += n
		}
	}
	p.pump()
}

// advance lets one flow go on by n messages.
func (p *phone) advance(f *flow, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.goal += n
	p.pump()
}

// idle reports whether all was sent and acknowledged.
func (p *phone) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue) == 0 && !slices.ContainsFunc(p.streams, func(f *flow) bool { return f.n < f.goal })
}

// read handles what the server sends until the connection ends.
func (p *phone) read(w *wire, down chan<- struct{}) {
	end := "lost"
	for {
		e, err := w.next()
		if errors.Is(err, errClosed) {
			end = "closed"
		}
		if err != nil {
			break
		}
		switch e.XMLName.Local {
		case "error":
			end = e.Children[0].XMLName.Local
		case "r":
			if !p.silent {
				p.mu.Lock()
				p.write(p.answer())
				p.mu.Unlock()
			}
		case "a":
			p.mu.Lock()
			h, err := strconv.ParseUint(e.attr("h"), 10, 32)
			if err != nil || uint32(h) > p.sent || uint32(h) < p.acked {
				end = fmt.Sprintf("wrong acknowledgement %+v", e)
			}
			p.acknowledge(uint32(h))
			p.pump()
			p.mu.Unlock()
			p.received(e)
		default:
			p.mu.Lock()
			p.in++
			p.note(e)
			p.mu.Unlock()
			p.received(e)
		}
	}
	p.mu.Lock()
	p.online, p.end = false, end
	p.mu.Unlock()
	_ = w.Close()
	close(down)
}

func (p *phone) answer() string { return fmt.Sprintf("<a xmlns='%s' h='%d'/>", nsSM, p.in) }

// cut ends the connection without a word, as a network does.
func (p *phone) cut() {
	_ = p.conn.NetConn().Close()
	<-p.down
}

// ping asks the server; the answer comes to received.
func (p *phone) ping() (id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id = fmt.Sprintf("%s-%d", p.name, p.sent)
	p.send(outgo{xml: "<iq type='get' to='localhost' id='" + id + "'><ping xmlns='urn:xmpp:ping'/></iq>"})
	return id
}

func (p *phone) presence(to, kind string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.send(outgo{xml: fmt.Sprintf("<presence to='%s@localhost' type='%s'/>", to, kind)})
}

// leave acknowledges everything and ends the session.
func (p *phone) leave() {
	p.mu.Lock()
	if !p.plain {
		p.write(p.answer())
	}
	p.write("</stream:stream>")
	p.id = ""
	p.mu.Unlock()
	<-p.down
}
