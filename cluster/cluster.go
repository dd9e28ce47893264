// Package cluster connects the nodes of one server: which sessions exist
// elsewhere, and how bytes reach them. Local joins nodes inside one process;
// with one member it is what a server on its own uses.
package cluster

import (
	"sync"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
)

// Delivery is one top-level element for a session of another node.
type Delivery struct {
	To  session.Ref
	XML []byte // canonical, with its final addresses; owned by the delivery
	Seq int64  // the row of the session's account that it delivers; 0: none
	Tag int    // the sender's own mark
}

// Receiver is the local end of a node: what others may ask of it.
type Receiver interface {
	// Receive queues the deliveries for local sessions, flushes them, and returns
	// those whose session is gone.
	Receive([]Delivery) (gone []Delivery)
	// Invalidated drops a cached value.
	Invalidated(kind string, key jid.JID)
	// Kick ends a local session (see session.Session.Kick).
	Kick(ref session.Ref, cond stanza.StreamCondition, text string)
}

// Node is one server's view of the cluster. All methods are safe for
// concurrent use.
type Node interface {
	// ID is this node's number.
	ID() uint64
	// Publish tells the other nodes of a session of this node.
	Publish(e session.Entry, gone bool)
	// Lookup appends the account's sessions on other nodes to dst.
	Lookup(dst []session.Entry, bare jid.JID) []session.Entry
	// All appends every session on other nodes to dst.
	All(dst []session.Entry) []session.Entry
	// Deliver hands elements to sessions of other nodes. It does not wait for
	// them; gone is called, on any goroutine, for those that no session took.
	Deliver(ds []Delivery, gone func(Delivery))
	// Kick ends a session on another node.
	Kick(ref session.Ref, cond stanza.StreamCondition, text string)
	// Invalidate drops a cached value on all other nodes.
	Invalidate(kind string, key jid.JID)
	// Leave takes the node and its sessions out of the cluster.
	Leave()
}

// Local joins nodes that live in one process.
type Local struct {
	mu      sync.RWMutex
	nodes   map[uint64]*local
	entries map[jid.JID][]session.Entry // by bare JID; Local is nil; copied on write
}

// NewLocal makes a cluster without members.
func NewLocal() *Local {
	return &Local{nodes: make(map[uint64]*local), entries: make(map[jid.JID][]session.Entry)}
}

// Join adds a node with that number.
func (l *Local) Join(id uint64, r Receiver) Node {
	n := &local{hub: l, id: id, receiver: r}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nodes[id] = n
	return n
}

type local struct {
	hub      *Local
	id       uint64
	receiver Receiver
}

func (n *local) ID() uint64 { return n.id }

func (n *local) Publish(e session.Entry, gone bool) {
	e.Local = nil
	bare := e.JID.Bare()
	n.hub.mu.Lock()
	defer n.hub.mu.Unlock()
	if n.hub.nodes[n.id] != n {
		return
	}
	old := n.hub.entries[bare]
	next := make([]session.Entry, 0, len(old)+1)
	for _, o := range old {
		if o.Ref != e.Ref {
			next = append(next, o)
		}
	}
	if !gone {
		next = append(next, e)
	}
	if len(next) == 0 {
		delete(n.hub.entries, bare)
	} else {
		n.hub.entries[bare] = next
	}
}

func (n *local) Lookup(dst []session.Entry, bare jid.JID) []session.Entry {
	n.hub.mu.RLock()
	defer n.hub.mu.RUnlock()
	if len(n.hub.nodes) < 2 {
		return dst
	}
	for _, e := range n.hub.entries[bare] {
		if e.Ref.Node != n.id {
			dst = append(dst, e)
		}
	}
	return dst
}

func (n *local) All(dst []session.Entry) []session.Entry {
	n.hub.mu.RLock()
	defer n.hub.mu.RUnlock()
	for _, entries := range n.hub.entries {
		for _, e := range entries {
			if e.Ref.Node != n.id {
				dst = append(dst, e)
			}
		}
	}
	return dst
}

func (n *local) peer(id uint64) Receiver {
	n.hub.mu.RLock()
	defer n.hub.mu.RUnlock()
	if p := n.hub.nodes[id]; p != nil && p != n {
		return p.receiver
	}
	return nil
}

func (n *local) Deliver(ds []Delivery, gone func(Delivery)) {
	byNode := make(map[uint64][]Delivery)
	for _, d := range ds {
		byNode[d.To.Node] = append(byNode[d.To.Node], d)
	}
	for id, part := range byNode {
		if p := n.peer(id); p != nil {
			part = p.Receive(part)
		}
		for _, d := range part {
			gone(d)
		}
	}
}

func (n *local) Kick(ref session.Ref, cond stanza.StreamCondition, text string) {
	if p := n.peer(ref.Node); p != nil {
		p.Kick(ref, cond, text)
	}
}

func (n *local) Invalidate(kind string, key jid.JID) {
	n.hub.mu.RLock()
	var others []Receiver
	for _, p := range n.hub.nodes {
		if p != n {
			others = append(others, p.receiver)
		}
	}
	n.hub.mu.RUnlock()
	for _, r := range others {
		r.Invalidated(kind, key)
	}
}

func (n *local) Leave() {
	n.hub.mu.Lock()
	defer n.hub.mu.Unlock()
	delete(n.hub.nodes, n.id)
	for bare, old := range n.hub.entries {
		next := make([]session.Entry, 0, len(old))
		for _, e := range old {
			if e.Ref.Node != n.id {
				next = append(next, e)
			}
		}
		if len(next) == 0 {
			delete(n.hub.entries, bare)
		} else {
			n.hub.entries[bare] = next
		}
	}
}
