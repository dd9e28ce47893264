// Package roster keeps the contacts of each account and the subscriptions
// between accounts: RFC 6121 §2 and §3, with roster versioning (XEP-0237: Roster
// Versioning, 1.3) and pre-approval.
//
// Every change is one transaction of the store on one roster, in which the pure
// functions outbound and inbound (RFC 6121 Appendix A) decide; what follows from
// it is sent afterwards.
package roster

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/cache"
	"github.com/xmppd/xmppd/modules/internal/visible"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const (
	ns            = "jabber:iq:roster"
	nsVersioning  = "urn:xmpp:features:rosterver"
	nsPreApproval = "urn:xmpp:features:pre-approval"
)

// Invalidates is the kind in Services.Invalidate that Module.Invalidated is for.
const Invalidates = "roster"

// Store is what the roster needs of the database. Owners are accounts: methods
// return storage.ErrNotFound for others where a read has no other answer.
type Store interface {
	// Roster returns all items, also those that are not Listed, in the order of
	// their addresses.
	Roster(ctx context.Context, owner jid.JID) (items []storage.RosterItem, version uint64, err error)
	// RosterSince returns the changes since a version; known is false if the
	// version is too old or not of this account.
	RosterSince(ctx context.Context, owner jid.JID, since uint64) (changed []storage.RosterItem, removed []storage.RosterRemoval, version uint64, known bool, err error)
	// UpdateRoster changes one item in one transaction; see the stores for the
	// rules. fn may be called again if the transaction has to be repeated.
	UpdateRoster(ctx context.Context, owner, contact jid.JID, maxItems int, fn func(*storage.RosterItem) error) (storage.RosterChange, error)
	// CountRoster counts the listed items.
	CountRoster(ctx context.Context, owner jid.JID) (int, error)
}

// Options are the options modules.roster.* with their defaults.
type Options struct {
	NameBytes     int `key:"name_bytes" default:"1023" min:"1" max:"65536" unit:"bytes" doc:"Longest name of a contact."`
	GroupBytes    int `key:"group_bytes" default:"255" min:"1" max:"65536" unit:"bytes" doc:"Longest name of a group."`
	Groups        int `key:"groups" default:"16" min:"1" max:"10000" unit:"groups" doc:"Groups of one contact."`
	RequestBytes  int `key:"request_bytes" default:"8192" min:"512" max:"1048576" unit:"bytes" doc:"Largest subscription request that is kept until it is answered."`
	CacheContacts int `key:"cache_contacts" default:"200000" min:"0" max:"100000000" unit:"contacts" doc:"Contacts of all accounts together that are held in memory, at about 100 bytes each."`
}

// Module is the feature. One value serves all domains of a node: what it caches
// of a roster is asked for by other domains as well.
type Module struct {
	// Blocks tells whose stanzas and presence an account is to be kept from
	// (XEP-0191); nil: nobody has blocked anybody. It is set before Init.
	Blocks visible.Blocks

	store  Store
	limits func() config.Limits
	cache  cache.Cache[*contacts]
	lines  [64]sync.Mutex // by owner, see change
	seed   maphash.Seed
	ids    atomic.Uint64 // of stanzas of the server
}

// New makes the module; limits is asked each time, so that a reloaded
// configuration counts at once.
func New(store Store, limits func() config.Limits) *Module {
	return &Module{store: store, limits: limits, seed: maphash.MakeSeed()}
}

// Info implements modules.Module.
func (m *Module) Info() modules.Info {
	return modules.Info{
		Name:     "roster",
		Doc:      "Contacts and presence subscriptions (RFC 6121 §2, §3), with roster versions and pre-approval.",
		XEPs:     []modules.XEP{{Number: 237, Version: "1.3"}},
		Features: []string{ns},
		Options:  new(Options),
	}
}

// domain is the module in one domain.
type domain struct {
	*Module
	h    *modules.Host
	opts Options
}

// Init implements modules.Module.
func (m *Module) Init(h *modules.Host) error {
	d := &domain{Module: m, h: h}
	if err := h.Config(&d.opts); err != nil {
		return err
	}
	m.cache.SetLimit(d.opts.CacheContacts)

	h.IQ(stanza.Get, modules.Self, ns, "query", d.get)
	h.IQ(stanza.Set, modules.Self, ns, "query", d.set)
	// RFC 6121 §2.3.3: nobody but the account itself.
	h.IQ(stanza.Get, modules.Account, ns, "query", refuse)
	h.IQ(stanza.Set, modules.Account, ns, "query", refuse)
	h.Presence(modules.Sent, modules.Amend, d.sent)
	h.Presence(modules.Received, modules.Amend, d.received)
	h.StreamFeature(modules.Authenticated, func(b *stanza.Builder) {
		b.Empty("ver", nsVersioning)  // RFC 6121 §2.6.1
		b.Empty("sub", nsPreApproval) // RFC 6121 §3.4
	})
	h.OnUserRemoved(d.userRemoved)
	h.OnExport(d.export)
	d.commands()
	return nil
}

func refuse(*modules.Request) error { return stanza.Forbidden("this is not your roster") }
