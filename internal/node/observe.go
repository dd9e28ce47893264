package node

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/xmppd/xmppd/admin"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/stanza"
)

// Observe serves metrics, health and profiles of the node.
func (n *Node) Observe() http.Handler {
	reg := admin.NewRegistry()
	reg.MustRegister(collector{n})
	return admin.Observe(reg, []admin.Check{
		{Name: "database", Run: n.db.Ping},
		{Name: "listeners", Run: func(context.Context) error { return n.failed() }},
	})
}

// failed is the error of a listener that ended by itself, if one did.
func (n *Node) failed() error {
	select {
	case err := <-n.serveErr:
		n.serveErr <- err
		return err
	default:
		return nil
	}
}

// SelfSigned reports whether the server made its certificate itself.
func (n *Node) SelfSigned() bool { return n.certs.selfSigned.Load() }

// Empty reports whether there is no account yet.
func (n *Node) Empty() bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, d := range n.cfg.Load().Domains {
		if some, err := n.db.Accounts(ctx, d, jid.JID{}, 1); err != nil || len(some) > 0 {
			return false
		}
	}
	return true
}

// collector reads the counters of the node when it is asked.
type collector struct{ n *Node }

var (
	descSessions  = prometheus.NewDesc("xmppd_sessions", "Bound sessions on this node.", nil, nil)
	descConns     = prometheus.NewDesc("xmppd_connections", "Open client connections.", nil, nil)
	descStrangers = prometheus.NewDesc("xmppd_connections_unbound", "Open client connections without a session.", nil, nil)
	descAccepted  = prometheus.NewDesc("xmppd_connections_accepted_total", "Client connections accepted.", nil, nil)
	descRefused   = prometheus.NewDesc("xmppd_connections_refused_total", "Client connections refused by a limit.", nil, nil)
	descClosed    = prometheus.NewDesc("xmppd_connections_closed_total", "Client connections that ended, by reason.", []string{"reason"}, nil)
	descLogins    = prometheus.NewDesc("xmppd_logins_total", "Logins, by result.", []string{"result"}, nil)
	descStanzas   = prometheus.NewDesc("xmppd_stanzas_total", "Stanzas routed, by kind.", []string{"kind"}, nil)
	descBounced   = prometheus.NewDesc("xmppd_stanzas_bounced_total", "Stanzas answered with an error.", nil, nil)
	descOutbox    = prometheus.NewDesc("xmppd_outbox_bytes", "Bytes that wait for clients.", nil, nil)
)

// Describe implements prometheus.Collector.
func (m collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, ch) }

// Collect implements prometheus.Collector.
func (m collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	counter := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	open, strangers := m.n.c2s.Connections()
	gauge(descSessions, float64(m.n.registry.Len()))
	gauge(descConns, float64(open))
	gauge(descStrangers, float64(strangers))
	gauge(descOutbox, float64(m.n.c2s.Queued()))
	s := m.n.c2s.Stats()
	counter(descAccepted, s.Accepted.Load())
	counter(descRefused, s.Refused.Load())
	counter(descLogins, s.Logins.Load(), "success")
	counter(descLogins, s.LoginFailures.Load(), "failure")
	for reason, count := range s.ClosedBy() {
		counter(descClosed, count, reason)
	}
	r := m.n.router.Stats()
	counter(descStanzas, r.Messages.Load(), stanza.Message.String())
	counter(descStanzas, r.Presences.Load(), stanza.Presence.String())
	counter(descStanzas, r.IQs.Load(), stanza.IQ.String())
	counter(descBounced, r.Bounces.Load())
}
