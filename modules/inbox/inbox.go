// Package inbox keeps what an account has read, and lists its conversations with
// their last message and the number of unread ones: XEP-0430, Inbox (0.2.0), with
// the markers of XEP-0333, Displayed Markers (1.0.0).
//
// It says of each message what it is for the inbox; the stores count in the
// transaction that writes the message.
package inbox

import (
	"context"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const ns = "urn:xmpp:inbox:1"

// Store is what the inbox needs of the database.
type Store interface {
	// Inbox calls fn for the chats that the query selects, until it returns an error,
	// which is returned.
	Inbox(ctx context.Context, q storage.InboxQuery, fn func(*storage.InboxEntry) error) error
	InboxTotals(ctx context.Context, owner jid.JID) (storage.InboxTotals, error)
	// RebuildInbox takes one step behind that of before, of at most limit rows.
	RebuildInbox(ctx context.Context, owner jid.JID, at storage.InboxRebuild, limit int,
		judge func(*storage.Message) storage.Judgement) (storage.InboxRebuild, error)
	// Accounts are those of a domain behind one, in order.
	Accounts(ctx context.Context, domain string, after jid.JID, limit int) ([]jid.JID, error)
	CountAccounts(ctx context.Context, domain string) (int, error)
}

// Options are the options modules.inbox.* with their defaults.
type Options struct {
	ReadByAnswer bool        `key:"read_by_answer" default:"true" doc:"Whether a message of one's own marks what came before it in that conversation as read."`
	Page         int         `key:"page" default:"100" min:"1" max:"1000" unit:"conversations" doc:"What a client gets at once that does not say how many it wants."`
	PageMax      int         `key:"page_max" default:"250" min:"1" max:"1000" unit:"conversations" doc:"What a client gets at once at most."`
	PageBytes    config.Size `key:"page_bytes" default:"256KiB" min:"4KiB" max:"16MiB" unit:"bytes" doc:"Bytes of what a client gets at once, if it is more than one conversation; never more than half of what may wait for a session."`
}

// Module is the feature; see New.
type Module struct {
	store  Store
	limits func() config.Limits
	host   *modules.Host
	opts   Options
	jobs   jobs
}

// New makes the module of a domain.
func New(store Store, limits func() config.Limits) *Module {
	return &Module{store: store, limits: limits}
}

// Info implements modules.Module.
func (m *Module) Info() modules.Info {
	return modules.Info{
		Name:            "inbox",
		Doc:             "Lists conversations with their last message and the number of unread ones, and keeps what has been read.",
		XEPs:            []modules.XEP{{Number: 430, Version: "0.2.0"}, {Number: 333, Version: "1.0.0"}},
		AccountFeatures: []string{ns},
		Options:         new(Options),
	}
}

// Init implements modules.Module.
func (m *Module) Init(h *modules.Host) error {
	if err := h.Config(&m.opts); err != nil {
		return err
	}
	m.host = h
	h.Message(modules.Sent, modules.Archive, m.sent)
	h.Message(modules.Received, modules.Archive, m.received)
	h.IQ(stanza.Get, modules.Self, ns, "inbox", m.list)
	h.IQ(stanza.Get, modules.Account, ns, "inbox", func(*modules.Request) error {
		return stanza.Forbidden("an inbox is its owner's")
	})
	h.OnStop(m.jobs.stop)
	h.OnExport(m.export)
	m.commands()
	return nil
}
