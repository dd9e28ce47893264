package cluster

import (
	"testing"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
)

// node remembers what it is asked.
type node struct {
	got     []string
	kicked  []session.Ref
	dropped []string
	full    bool
}

func (n *node) Receive(ds []Delivery) (gone []Delivery) {
	for _, d := range ds {
		if n.full {
			gone = append(gone, d)
			continue
		}
		n.got = append(n.got, string(d.XML))
	}
	return gone
}
func (n *node) Invalidated(kind string, key jid.JID) {
	n.dropped = append(n.dropped, kind+" "+key.String())
}
func (n *node) Kick(ref session.Ref, _ stanza.StreamCondition, _ string) {
	n.kicked = append(n.kicked, ref)
}

func TestLocalJoinsNodes(t *testing.T) {
	t.Parallel()
	hub := NewLocal()
	one, two := new(node), new(node)
	a := hub.Join(1, one)
	u := jid.MustParse("u@d")
	entry := session.Entry{Ref: session.Ref{Node: 1, ID: 5}, JID: jid.MustParse("u@d/r"), Available: true}
	a.Publish(entry, false)
	if len(a.Lookup(nil, u)) != 0 {
		t.Error("a node alone sees sessions elsewhere")
	}
	b := hub.Join(2, two)
	if got := b.Lookup(nil, u); len(got) != 1 || got[0].Ref != entry.Ref || got[0].Local != nil {
		t.Errorf("the other node sees %v", got)
	}
	if got := a.Lookup(nil, u); len(got) != 0 {
		t.Errorf("the own session is seen as remote: %v", got)
	}

	b.Deliver([]Delivery{{To: entry.Ref, XML: []byte("x")}}, func(Delivery) { t.Error("gone") })
	if len(one.got) != 1 {
		t.Errorf("delivered %v", one.got)
	}
	gone := 0
	one.full = true
	b.Deliver([]Delivery{{To: entry.Ref}, {To: session.Ref{Node: 9, ID: 1}}}, func(Delivery) { gone++ })
	if gone != 2 {
		t.Errorf("%d deliveries are gone, want one refused and one without node", gone)
	}
	b.Kick(entry.Ref, stanza.StreamConflict, "")
	a.Invalidate("roster", u)
	if len(one.kicked) != 1 || len(two.dropped) != 1 || len(one.dropped) != 0 {
		t.Errorf("kicked %v, dropped %v and %v", one.kicked, one.dropped, two.dropped)
	}

	a.Publish(entry, true)
	if len(b.Lookup(nil, u)) != 0 {
		t.Error("a closed session is seen")
	}
	a.Publish(entry, false)
	a.Leave()
	a.Publish(entry, false)
	if len(b.Lookup(nil, u)) != 0 {
		t.Error("the sessions of a node that has left are seen")
	}
}
