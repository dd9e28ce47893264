// Package blocking keeps stanzas of those whom an account has blocked from it,
// and its own from them: XEP-0191, Blocking Command (1.3). What a client reports
// with a block is kept for the operator: XEP-0377, Blocking Command Reports.
//
// Stanzas between clients are refused in stage Check of either side. Presence
// inside the server is no stanza (modules/presence, modules/roster): there
// Blocked is asked.
package blocking

import (
	"context"
	"hash/maphash"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/cache"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const (
	name     = "blocking" // also the kind in Services.Invalidate that Module.Invalidated is for
	ns       = "urn:xmpp:blocking"
	nsErrors = "urn:xmpp:blocking:errors"
	nsReport = "urn:xmpp:reporting:1"
)

// Store is what blocking needs of the database.
type Store interface {
	// Blocklists returns the items of several accounts, in the order of owners and
	// addresses.
	Blocklists(ctx context.Context, owners []jid.JID) ([]storage.Blocked, error)
	// Block adds items and stores reports; see the stores for the rules.
	Block(ctx context.Context, b storage.Block) (before []jid.JID, reports int, err error)
	// Unblock takes items off the list, all of them if items is nil.
	Unblock(ctx context.Context, owner jid.JID, items []jid.JID) (before []jid.JID, err error)
	// Reports are those behind an id, in the order of their ids.
	Reports(ctx context.Context, state storage.ReportState, after int64, limit int) ([]storage.Report, error)
	// CloseReport returns storage.ErrNotFound if there is no such open report.
	CloseReport(ctx context.Context, id int64, at time.Time, comment string) error
}

// Roster is what blocking needs to know of rosters.
type Roster interface {
	// Contacts goes through the contacts that have at least these bits of a
	// subscription.
	Contacts(ctx context.Context, owner jid.JID, want storage.Subscription) (iter.Seq[jid.JID], error)
	// Subscription is the state of the owner's item for a contact.
	Subscription(ctx context.Context, owner, contact jid.JID) (storage.Subscription, error)
}

// Options are the options modules.blocking.* with their defaults.
type Options struct {
	Items           int         `key:"items" default:"1000" min:"1" max:"100000" unit:"addresses" doc:"Addresses that an account may block."`
	CacheItems      int         `key:"cache_items" default:"200000" min:"1000" max:"100000000" unit:"addresses" doc:"Blocked addresses of all accounts together that are held in memory, at about 100 bytes each; an account that blocks nobody counts as one."`
	ReportsPerDay   int         `key:"reports_per_day" default:"20" min:"0" max:"100000" unit:"reports" doc:"Reports of one account that are kept within 24 hours. What is reported beyond that is blocked only."`
	ReportTextBytes int         `key:"report_text_bytes" default:"4096" min:"0" max:"65536" unit:"bytes" doc:"Longest text of a report, in all languages together; the rest is cut off."`
	ReportMessages  int         `key:"report_messages" default:"50" min:"0" max:"1000" unit:"messages" doc:"Messages that one report may name; the rest is left out."`
	ReportCopyBytes config.Size `key:"report_copy_bytes" default:"64KiB" min:"0" max:"16MiB" unit:"bytes" doc:"Size of the messages, out of the archive of whoever reports them, that are kept with one report; what does not fit is left out."`
}

// Module is the feature. One value serves all domains of a node: whether
// somebody is blocked is asked across domains.
type Module struct {
	// Archive has what is reported; nil: no report has copies. It is set before Init.
	Archive Archive

	store    Store
	roster   Roster
	services modules.Services // nil: the module is switched off
	log      *slog.Logger
	cache    cache.Cache[*list]
	lines    [64]sync.Mutex // by owner, see change
	seed     maphash.Seed
	ids      atomic.Uint64        // of pushes
	told     *session.Slot[*list] // what a session that has asked for the list knows of it; nil: it has not
}

// New makes the module.
func New(store Store, roster Roster) *Module {
	return &Module{store: store, roster: roster, seed: maphash.MakeSeed(), told: session.NewSlot[*list]()}
}

// Info implements modules.Module.
func (m *Module) Info() modules.Info {
	return modules.Info{
		Name:     name,
		Doc:      "Lets accounts block addresses, and report them to the operator.",
		XEPs:     []modules.XEP{{Number: 191, Version: "1.3"}, {Number: 377, Version: "0.4.1"}},
		Features: []string{ns, nsReport},
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
	m.services, m.log = h, h.Log
	m.cache.SetLimit(d.opts.CacheItems)

	h.IQ(stanza.Get, modules.Self, ns, "blocklist", d.get)
	h.IQ(stanza.Set, modules.Self, ns, "block", d.block)
	h.IQ(stanza.Set, modules.Self, ns, "unblock", d.unblock)
	h.Check(modules.Sent, d.refuseSent)
	h.Check(modules.Received, d.refuseReceived)
	h.OnSession(modules.Restored, d.restored)
	h.OnUserRemoved(d.userRemoved)
	h.OnExport(d.export)
	d.commands()
	return nil
}
