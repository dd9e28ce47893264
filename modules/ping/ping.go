// Package ping answers pings of clients, and pings clients that have been silent
// for long to find out whether they are still there: XEP-0199, XMPP Ping.
package ping

import (
	"errors"
	"time"
	"weak"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
)

const ns = "urn:xmpp:ping"

var errSilent = errors.New("ping timeout")

// Options are modules.ping.*. A connection that died without a word is found
// after at most the sum of both.
type Options struct {
	Interval time.Duration `key:"interval" default:"4m" min:"0s" max:"24h" doc:"After how much silence a client is asked whether it is still there; 0s is never."`
	Timeout  time.Duration `key:"timeout" default:"30s" min:"5s" max:"1h" doc:"How long it has to answer, with anything, before its connection is closed."`
}

// Module is the feature; see New.
type Module struct {
	wheel             *session.Wheel
	host              *modules.Host
	interval, timeout int64 // seconds
}

// New makes the module; the wheel looks after the sessions.
func New(wheel *session.Wheel) *Module { return &Module{wheel: wheel} }

// Info implements modules.Module.
func (m *Module) Info() modules.Info {
	return modules.Info{
		Name:     "ping",
		Doc:      "Answers pings, and closes connections whose client has vanished.",
		XEPs:     []modules.XEP{{Number: 199, Version: "2.0.1"}},
		Features: []string{ns}, AccountFeatures: []string{ns},
		Options: &Options{},
	}
}

// Init implements modules.Module.
func (m *Module) Init(h *modules.Host) error {
	var o Options
	if err := h.Config(&o); err != nil {
		return err
	}
	m.host, m.interval, m.timeout = h, int64(o.Interval/time.Second), int64(o.Timeout/time.Second)
	h.IQ(stanza.Get, modules.Server|modules.Self, ns, "ping", func(*modules.Request) error { return nil })
	if m.interval > 0 {
		look := func(f *modules.Flight) { m.wheel.Add(&watch{m, weak.Make(f.Session)}, int(m.interval), true) }
		h.OnSession(modules.Bound, look)
		h.OnSession(modules.Restored, look)
	}
	return nil
}

// watch looks after one session. It does not keep it: a closed one must not
// stay in memory until the wheel comes round.
type watch struct {
	m *Module
	s weak.Pointer[session.Session]
}

// Tick implements session.Timed.
func (w *watch) Tick(now int64) int {
	s := w.s.Value()
	if s == nil || s.Outbox.Closed() {
		return 0
	}
	if silent := silence(s, now); silent < w.m.interval {
		return int(w.m.interval - silent)
	}
	if !s.Outbox.Attached() {
		return int(w.m.interval) // its client may resume it
	}
	iq := stanza.Build("iq").Attr("type", "get").Empty("ping", ns)
	w.m.host.Ask(s.Ref, iq, time.Duration(w.m.timeout)*time.Second, w.answered)
	return int(w.m.timeout) + 1 // when the answer has come or never will
}

func silence(s *session.Session, now int64) int64 { return now - s.Active().Unix() }

// answered ends a session that has not given any sign of life. A client that
// answers nothing but does talk is alive, and so may be one that could not be
// asked because too many questions are open.
func (w *watch) answered(st *stanza.Stanza) {
	const slack = 2 // seconds: both clocks are coarse
	s := w.s.Value()
	if st == nil && s != nil && silence(s, w.m.wheel.Now()) >= w.m.interval+w.m.timeout-slack {
		if s.Outbox.Managed() {
			s.Outbox.Cut(errSilent) // the client may be looking for another network
			return
		}
		w.m.host.Kick(s.Ref, stanza.StreamConnectionTimeout, "") // RFC 6120 §4.9.3.4
	}
}
