package node_test

import (
	"slices"
	"strconv"
	"strings"

	"github.com/xmppd/xmppd/internal/xmpptest"
	"github.com/xmppd/xmppd/jid"
)

const resumeTimeout = 120 // seconds

// device is a client of an account: what it can do does not change.
type device struct {
	account *account
	name    string
	way     xmpptest.Way
	manage  bool // stream management
	carbons bool
	bind2   bool
	queries bool  // it reads the archive
	s       *sess // nil: offline
}

// sess is a session of a device, connected or waiting for it.
type sess struct {
	*device
	c         *xmpptest.Client
	full      jid.JID
	takes     bool // messages to the bare address
	connected bool
	left      int  // seconds, while it is not connected
	restored  bool // it has survived a restart

	expect  []due        // what is on its way
	got     map[int]bool // notes, by number
	answers map[string]*xmpptest.Element
	results []*xmpptest.Element // of the archive or the inbox
}

// due is a note that a session has to get, or a copy of it.
type due struct {
	note *note
	copy string // "", "sent" or "received"
}

// connect logs a device in. A session that still waits for it ends if the new one
// takes its address, else with time.
func (w *world) connect(d *device) *sess {
	c := w.s.Dial(w.t, d.way)
	c.Secure()
	if d.bind2 {
		q := xmpptest.Request{User: d.account.jid.Local(), Bind: &xmpptest.Bind{Tag: d.name, Manage: d.manage, Carbons: d.carbons}}
		if _, err := c.SASL2(q); err != nil {
			w.fail("log in: %v", err)
		}
	} else {
		c.Authenticate(d.account.jid.Local(), xmpptest.Password)
		c.Bind(d.name)
		if d.s != nil {
			w.over(d.s, true)
		}
		if d.manage {
			c.EnableSM(true)
		}
		if d.carbons {
			c.Send("<iq type='set' id='carbons'><enable xmlns='" + nsCopies + "'/></iq>")
		}
	}
	d.s = &sess{device: d, c: c, full: c.JID, connected: true, got: make(map[int]bool), answers: make(map[string]*xmpptest.Element)}
	d.account.sessions = append(d.account.sessions, d.s)
	w.sync(d.s)
	return d.s
}

// announce sends presence.
func (w *world) announce(s *sess, available bool, priority int) {
	s.takes = available && priority >= 0
	if available {
		s.c.Send("<presence><priority>" + strconv.Itoa(priority) + "</priority></presence>")
	} else {
		s.c.Send("<presence type='unavailable'/>")
	}
	w.sync(s)
}

// lose cuts the connection.
func (w *world) lose(s *sess) {
	if s.manage {
		s.c.DropDetached()
		s.connected, s.left = false, resumeTimeout
		return
	}
	s.c.Drop()
	w.over(s, false)
}

// resume brings a session back, over any way. The client sends again what the
// server had not handled.
func (w *world) resume(s *sess) {
	way := pick(w.r, []xmpptest.Way{xmpptest.TCP, xmpptest.WebSocket})
	if s.bind2 {
		c := w.s.Dial(w.t, way)
		c.Secure()
		q := xmpptest.Request{User: s.account.jid.Local(), Resume: s.c, Bind: &xmpptest.Bind{}}
		if answer, err := c.SASL2(q); err != nil || !answer.Resumed {
			w.fail("%s cannot resume: %v", s.full, err)
		}
		s.c = c
	} else {
		s.c = w.s.Resume(w.t, way, s.c)
	}
	s.connected = true
}

// close ends a session in order.
func (w *world) close(s *sess) {
	w.sync(s)
	s.c.AnswerPings(false) // what comes now is not read
	if s.manage {
		s.c.AnswerAcks(false)
	}
	s.c.End()
	s.c.Ended()
	w.over(s, false)
}

// closeAll ends all sessions of an account that have a client.
func (w *world) closeAll(s *sess) {
	for _, e := range w.connected() {
		if e.account == s.account {
			w.close(e)
		}
	}
}

// over waits for the end of a session on the server. replaced: another one has its
// address.
func (w *world) over(s *sess, replaced bool) {
	s.account.sessions = slices.DeleteFunc(s.account.sessions, func(e *sess) bool { return e == s })
	if s.device.s == s {
		s.device.s = nil
	}
	if !s.restored { // else its server has gone
		s.c.Gone()
	}
	w.until("the session ends", func() bool {
		return replaced || !slices.Contains(strings.Fields(w.run("user_resources", s.full.Local(), xmpptest.Domain)), s.full.Resource())
	})
}

// connected are the sessions with a client, waiting those without.
func (w *world) connected() []*sess { return w.which(true) }
func (w *world) waiting() []*sess   { return w.which(false) }

func (w *world) which(connected bool) (list []*sess) {
	for _, a := range w.order {
		for _, s := range a.sessions {
			if s.connected == connected {
				list = append(list, s)
			}
		}
	}
	return list
}
