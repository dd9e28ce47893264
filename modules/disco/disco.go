// Package disco answers what the domain and its accounts are and can do:
// XEP-0030, Service Discovery, with the forms of XEP-0128.
package disco

import (
	"context"
	"slices"
	"sync"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/dataform"
	"github.com/xmppd/xmppd/modules/internal/entity"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const (
	nsInfo  = "http://jabber.org/protocol/disco#info"
	nsItems = "http://jabber.org/protocol/disco#items"
)

// Roster tells who may know of an account.
type Roster interface {
	// Subscription is the state of the owner's item for the contact.
	Subscription(ctx context.Context, owner, contact jid.JID) (storage.Subscription, error)
}

// Form is what another module says in the domain's answer; it reports false
// when there is nothing to say.
type Form func() (dataform.Form, bool)

// Node is what another module says of a node of the account that asks. Each writes
// the children of the answer.
type Node struct{ Info, Items modules.IQHandler }

// Module is the feature; see New.
type Module struct {
	nodes   map[string]Node
	roster  Roster
	forms   []Form
	host    *modules.Host
	domain  func() description
	account func() entity.Info
}

// description is the domain's answer and the node that stands for it.
type description struct {
	info entity.Info
	node string
}

// New makes the module.
func New(roster Roster, forms ...Form) *Module {
	m := &Module{roster: roster, forms: forms, nodes: make(map[string]Node)}
	// The tables are complete when the first client asks, and do not change then.
	m.domain = sync.OnceValue(m.describeDomain)
	m.account = sync.OnceValue(m.describeAccount)
	return m
}

// AccountNode has a node of accounts answered by another module, to the account
// alone. Only before the first client asks.
func (m *Module) AccountNode(name string, n Node) { m.nodes[name] = n }

// Info implements modules.Module.
func (m *Module) Info() modules.Info {
	return modules.Info{
		Name:            "disco",
		Doc:             "Tells clients what the domain and its accounts can do.",
		XEPs:            []modules.XEP{{Number: 30, Version: "2.5.0"}, {Number: 128, Version: "1.0.1"}},
		Features:        []string{nsInfo, nsItems},
		AccountFeatures: []string{nsInfo, nsItems},
	}
}

// Init implements modules.Module.
func (m *Module) Init(h *modules.Host) error {
	m.host = h
	h.IQ(stanza.Get, modules.Server, nsInfo, "query", m.domainInfo)
	h.IQ(stanza.Get, modules.Server, nsItems, "query", m.domainItems)
	h.IQ(stanza.Get, modules.Self|modules.Account, nsInfo, "query", m.accountInfo)
	h.IQ(stanza.Get, modules.Self|modules.Account, nsItems, "query", m.accountItems)
	return nil
}

// Domain is what the domain answers. It may be called when all modules have
// been initialised.
func (m *Module) Domain() entity.Info { return m.domain().info }

func (m *Module) describeDomain() description {
	info := entity.Info{Identities: []entity.Identity{{Category: "server", Type: "im", Name: "xmppd"}}}
	for _, i := range m.host.Tables().Infos {
		info.Features = append(info.Features, i.Features...)
	}
	info.Features = sortedSet(info.Features)
	for _, form := range m.forms {
		if f, ok := form(); ok {
			info.Forms = append(info.Forms, f)
		}
	}
	return description{info, entity.Node + "#" + info.Ver()}
}

func (m *Module) describeAccount() entity.Info {
	info := entity.Info{Identities: []entity.Identity{{Category: "account", Type: "registered"}}}
	for _, i := range m.host.Tables().Infos {
		info.Features = append(info.Features, i.AccountFeatures...)
	}
	info.Features = sortedSet(info.Features)
	return info
}

func sortedSet(features []string) []string {
	slices.Sort(features)
	return slices.Compact(features)
}

func (m *Module) domainInfo(r *modules.Request) error {
	d := m.domain()
	node, asked := r.Payload.Attr("node")
	if asked && node != d.node { // XEP-0115 §6.2: the node of the caps stands for the whole
		return stanza.ItemNotFound("")
	}
	open(r, nsInfo)
	d.info.Write(r.Reply)
	r.Reply.Close()
	return nil
}

func (m *Module) accountInfo(r *modules.Request) error {
	allowed, err := m.mayKnow(r)
	if err != nil {
		return err
	}
	if !allowed { // XEP-0030 §8: the same whether the account exists or not
		return stanza.ServiceUnavailable("")
	}
	if node, asked := r.Payload.Attr("node"); asked {
		return m.answerNode(r, nsInfo, m.nodes[node].Info)
	}
	open(r, nsInfo)
	m.account().Write(r.Reply)
	r.Reply.Close()
	return nil
}

// domainItems lists nothing: the domain has no services of its own yet.
func (m *Module) domainItems(r *modules.Request) error {
	if _, asked := r.Payload.Attr("node"); asked {
		return stanza.ItemNotFound("")
	}
	open(r, nsItems)
	r.Reply.Close()
	return nil
}

// accountItems lists the available resources.
func (m *Module) accountItems(r *modules.Request) error {
	allowed, err := m.mayKnow(r)
	if err != nil {
		return err
	}
	if node, asked := r.Payload.Attr("node"); asked && allowed {
		return m.answerNode(r, nsItems, m.nodes[node].Items)
	}
	open(r, nsItems)
	if allowed { // XEP-0030 §8: who may not know gets an empty list
		for _, e := range m.host.Sessions(nil, r.Owner) {
			if e.Available {
				r.Reply.Open("item", "").Attr("jid", e.JID.String()).Close()
			}
		}
	}
	r.Reply.Close()
	return nil
}

// answerNode answers for a node of the account that asks.
func (m *Module) answerNode(r *modules.Request, ns string, fn modules.IQHandler) error {
	switch {
	case fn == nil:
		return stanza.ItemNotFound("")
	case r.From.Bare() != r.Owner:
		return stanza.Forbidden("")
	}
	open(r, ns)
	if err := fn(r); err != nil {
		return err
	}
	r.Reply.Close()
	return nil
}

// mayKnow reports whether the asker may see the account's presence.
func (m *Module) mayKnow(r *modules.Request) (bool, error) {
	asker := r.From.Bare()
	if asker == r.Owner {
		return true, nil
	}
	sub, err := m.roster.Subscription(r.Ctx, r.Owner, asker)
	return sub&storage.SubFrom != 0, err
}

// open begins the answer; it repeats the node that was asked for (XEP-0030 §3.2).
func open(r *modules.Request, ns string) {
	r.Reply.Open("query", ns)
	if node, asked := r.Payload.Attr("node"); asked {
		r.Reply.Attr("node", node)
	}
}
