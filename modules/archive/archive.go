// Package archive keeps what accounts send and receive, and lets them read it:
// XEP-0313 (Message Archive Management) with its extended fields, XEP-0441 (its
// preferences), and the ids of XEP-0359 (Unique and Stable Stanza IDs), by which
// clients name what is in it.
//
// A message is written once for each side before it is delivered. The row's id goes
// with it, to the side whose archive it is.
package archive

import (
	"context"
	"time"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/archived"
	"github.com/xmppd/xmppd/modules/internal/cache"
	"github.com/xmppd/xmppd/modules/internal/resultset"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const (
	name  = "archive" // also the kind in Services.Invalidate that Module.Invalidated is for
	nsSID = "urn:xmpp:sid:0"
)

// Store is what the archive needs of the database.
type Store interface {
	archived.Store
	// TrimArchives deletes at most limit of the oldest rows that are beyond the
	// bounds, in the archives of owners from number `from` on. next is where to go
	// on; 0: all have been looked at.
	TrimArchives(ctx context.Context, t storage.Trim, from int64, limit int) (deleted int, next int64, err error)
	// RemoveArchive deletes at most limit rows of an archive, those with a peer, or
	// all if it is zero.
	RemoveArchive(ctx context.Context, owner, with jid.JID, limit int) (deleted int, err error)
}

// Roster tells who is a contact of an account.
type Roster interface {
	// Has reports whether a contact, bare, stands in the owner's roster.
	Has(ctx context.Context, owner, contact jid.JID) (bool, error)
}

// Options are the options modules.archive.* with their defaults.
type Options struct {
	DefaultPolicy string        `key:"default_policy" default:"always" oneof:"always never roster" doc:"What is archived of an account that has not said it itself: all its messages, none, or those from and to its contacts."`
	Keep          time.Duration `key:"keep" default:"0s" min:"0s" max:"876000h" doc:"For how long messages stay in the archives; 0s is for ever."`
	MaxBytes      config.Size   `key:"max_bytes" default:"0" min:"0" max:"1024GiB" unit:"bytes" doc:"Largest archive of one account; beyond it the oldest messages go. 0 is no limit."`
	PageDefault   int           `key:"page_default" default:"50" min:"1" max:"1000" unit:"messages" doc:"Messages that a query returns if it does not say how many."`
	PageMax       int           `key:"page_max" default:"250" min:"1" max:"1000" unit:"messages" doc:"Messages that a query returns at most."`
	PageBytes     config.Size   `key:"page_bytes" default:"512KiB" min:"64KiB" max:"64MiB" unit:"bytes" doc:"Bytes of messages that a query returns at most, if these are more than one; never more than half of what may wait for a session."`
}

// Module is the feature in one domain; see New.
type Module struct {
	store   Store
	roster  Roster
	search  archived.Search
	queried func(*session.Session)
	limits  func() config.Limits
	host    *modules.Host
	opts    Options
	reader  *archived.Reader
	prefs   cache.Cache[*preferences]
	none    *preferences // of who has none
	batches batches
}

// New makes the module. search, if not nil, finds messages by their words; queried,
// if not nil, is told of sessions that read their archive. limits is asked each time,
// because a reload of the configuration may change them.
func New(store Store, roster Roster, search archived.Search, queried func(*session.Session), limits func() config.Limits) *Module {
	return &Module{store: store, roster: roster, search: search, queried: queried, limits: limits}
}

// Info implements modules.Module.
func (m *Module) Info() modules.Info {
	return modules.Info{
		Name: name,
		Doc:  "Keeps the messages of accounts in archives, which they can page through.",
		XEPs: []modules.XEP{
			{Number: 59, Version: "1.0"}, {Number: 297, Version: "1.0"}, {Number: 313, Version: "1.1.3"},
			{Number: 334, Version: "1.0.0"}, {Number: 359, Version: "0.7.0"}, {Number: 441, Version: "0.2.0"},
		},
		AccountFeatures: []string{archived.NS, archived.NSExtended, archived.NSGroupchat, nsSID, resultset.NS},
		Options:         new(Options),
	}
}

// Init implements modules.Module.
func (m *Module) Init(h *modules.Host) error {
	m.host = h
	if err := h.Config(&m.opts); err != nil {
		return err
	}
	if m.opts.PageDefault > m.opts.PageMax {
		return h.UserError("page_default", "is more than page_max")
	}
	m.none = &preferences{policy: m.opts.DefaultPolicy}
	m.prefs.SetLimit(cachedBytes)
	m.reader = &archived.Reader{
		Store: m.store, Search: m.search,
		PageDefault: m.opts.PageDefault, PageMax: m.opts.PageMax, PageBytes: m.pageBytes,
	}
	for _, s := range []modules.Side{modules.Sent, modules.Received} {
		h.Message(s, modules.Amend, cutForged(s))
		h.Message(s, modules.Stamp, stamp(s))
	}
	h.Message(modules.Sent, modules.Archive, m.keepSent)
	h.Message(modules.Received, modules.Archive, m.keepReceived)
	m.answerQueries()
	h.OnUserRemoved(m.userRemoved)
	h.OnExport(m.export)
	if m.opts.Keep > 0 || m.opts.MaxBytes > 0 {
		h.Every("retention", time.Hour, m.trim)
	}
	h.Every("batches", batchEvery, m.runBatches)
	m.declareCommands()
	return nil
}

// answerQueries attaches what accounts may ask. Nobody else may (XEP-0313 §9.1).
func (m *Module) answerQueries() {
	h := m.host
	for _, q := range []struct {
		t    stanza.Type
		name string
		fn   modules.IQHandler
	}{
		{stanza.Set, "query", m.query},
		{stanza.Get, "query", m.form},
		{stanza.Get, "metadata", m.metadata},
		{stanza.Get, "prefs", m.sendPreferences},
		{stanza.Set, "prefs", m.setPreferences},
	} {
		h.IQ(q.t, modules.Self, archived.NS, q.name, q.fn)
		h.IQ(q.t, modules.Account, archived.NS, q.name, func(*modules.Request) error {
			return stanza.Forbidden("this is not your archive")
		})
	}
	h.Bound(func(f *modules.Flight, bound *stanza.Builder) { // XEP-0386 §3.2
		if err := m.reader.Metadata(f.Ctx, f.Owner, bound); err != nil {
			h.Log.Error("metadata of the archive not told", "account", f.Owner.String(), "error", err)
		}
	})
}

func (m *Module) query(r *modules.Request) error {
	if m.queried != nil && r.Session != nil {
		m.queried(r.Session)
	}
	return m.reader.Query(r, r.Owner)
}

func (m *Module) form(r *modules.Request) error {
	m.reader.Form(r.Reply)
	return nil
}

func (m *Module) metadata(r *modules.Request) error {
	return m.reader.Metadata(r.Ctx, r.Owner, r.Reply)
}

// pageBytes leaves room in the outbox for what comes meanwhile, after the pages that
// are there already.
func (m *Module) pageBytes(asker *session.Session) int {
	l, queued := m.limits(), 0
	if asker != nil {
		queued = asker.Outbox.Queued()
	}
	free := (int(l.OutboxBytes) - queued) / 2
	if free < int(l.OutboxBytes)/8 {
		return 0
	}
	return min(int(min(m.opts.PageBytes, l.OutboxBytes/2, l.UnackedBytes/2)), free)
}
