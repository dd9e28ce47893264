// Package register lets people make an account, change its password and remove
// it without an admin: XEP-0077, In-Band Registration.
package register

import (
	"context"
	"errors"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const (
	ns        = "jabber:iq:register"
	nsFeature = "http://jabber.org/features/iq-register"
)

// Accounts is what the module does with accounts.
type Accounts struct {
	// Register makes an account; storage.ErrExists if the name is taken,
	// auth.ErrPassword if the password cannot be used.
	Register func(ctx context.Context, user jid.JID, password string) error
	// SetPassword changes a password; auth.ErrPassword as above.
	SetPassword func(ctx context.Context, user jid.JID, password string) error
	// Remove removes the account and all that is kept of it. It leaves the
	// sessions alone: one of them waits for the answer.
	Remove func(ctx context.Context, user jid.JID) error
}

// Options are what the configuration says at the moment.
type Options struct {
	Enabled           bool // whether anybody may make an account
	PerAddressPerHour int  // how many; 0: no limit
}

// Module is the feature; see New.
type Module struct {
	accounts Accounts
	options  func() Options
	host     *modules.Host
	limiter  *limiter
}

// New makes the module; options is asked each time, because a reload of the
// configuration may change them.
func New(a Accounts, options func() Options) *Module {
	return &Module{accounts: a, options: options, limiter: newLimiter(maxEntries)}
}

// Info implements modules.Module. The feature is always there: an account can
// always change its password and remove itself.
func (m *Module) Info() modules.Info {
	return modules.Info{
		Name:     "register",
		Doc:      "Changes passwords and removes accounts for their owners; makes accounts if registration.enabled is set.",
		XEPs:     []modules.XEP{{Number: 77, Version: "2.4"}},
		Features: []string{ns},
	}
}

// Init implements modules.Module.
func (m *Module) Init(h *modules.Host) error {
	m.host = h
	h.StreamFeature(modules.Unauthenticated, func(b *stanza.Builder) {
		if m.options().Enabled {
			b.Empty("register", nsFeature)
		}
	})
	h.IQ(stanza.Get, modules.Stranger, ns, "query", m.askStranger)
	h.IQ(stanza.Set, modules.Stranger, ns, "query", m.admit)
	h.IQ(stanza.Get, modules.Server|modules.Self, ns, "query", m.tellOwner)
	h.IQ(stanza.Set, modules.Server|modules.Self, ns, "query", m.change)
	return nil
}

// askStranger tells what is needed for an account.
func (m *Module) askStranger(r *modules.Request) error {
	if !m.options().Enabled {
		return stanza.ServiceUnavailable("registration is closed")
	}
	r.Reply.Open("query", ns).
		Text("instructions", "Choose a username and a password for your account on "+m.host.Domain.String()+".").
		Open("username", "").Close().Open("password", "").Close().Close()
	return nil
}

// admit makes an account.
func (m *Module) admit(r *modules.Request) error {
	o := m.options()
	if !o.Enabled {
		return stanza.ServiceUnavailable("registration is closed")
	}
	name, password := text(r, "username"), text(r, "password")
	if name == "" || password == "" {
		return stanza.NotAcceptable("username and password are needed")
	}
	user, err := jid.New(name, m.host.Domain.Domain(), "")
	if err != nil {
		return stanza.JIDMalformed("this username cannot be used")
	}
	slot, ok := m.limiter.take(prefix(r.Addr), o.PerAddressPerHour, m.host.Now())
	if !ok {
		return stanza.ResourceConstraint("too many accounts from this address, try again later")
	}
	switch err := m.accounts.Register(r.Ctx, user, password); {
	case err == nil:
		m.host.Log.Info("account registered", "account", user.String(), "address", r.Addr.String())
		return nil
	case errors.Is(err, storage.ErrExists):
		m.limiter.giveBack(slot)
		return stanza.Conflict("this username is taken")
	case errors.Is(err, auth.ErrPassword):
		m.limiter.giveBack(slot)
		return stanza.NotAcceptable("this password cannot be used")
	default:
		m.limiter.giveBack(slot)
		return err
	}
}

// tellOwner tells a client what is on file of its account.
func (m *Module) tellOwner(r *modules.Request) error {
	if r.From.Domain() != m.host.Domain.Domain() {
		return notHere()
	}
	r.Reply.Open("query", ns).Open("registered", "").Close().
		Text("username", r.From.Local()).Open("password", "").Close().Close()
	return nil
}

// change removes the own account or sets its password.
func (m *Module) change(r *modules.Request) error {
	if r.From.Domain() != m.host.Domain.Domain() {
		return notHere()
	}
	if remove := r.Payload.Child(ns, "remove"); remove.OK() {
		if r.Payload.First() != remove || remove.Next().OK() { // XEP-0077 §3.2
			return stanza.BadRequest("remove stands alone")
		}
		return m.remove(r)
	}
	name, password := text(r, "username"), text(r, "password")
	if name == "" || password == "" { // XEP-0077 §3.3: an empty password changes nothing
		return stanza.BadRequest("username and password are needed")
	}
	user, err := jid.New(name, m.host.Domain.Domain(), "")
	if err != nil || user != r.From.Bare() {
		return stanza.NotAllowed("only the own password can be changed")
	}
	err = m.accounts.SetPassword(r.Ctx, user, password)
	if errors.Is(err, auth.ErrPassword) {
		return stanza.NotAcceptable("this password cannot be used")
	}
	return err
}

// remove removes the account. The client learns that it worked; then all
// sessions of the account end (XEP-0077 §3.2).
func (m *Module) remove(r *modules.Request) error {
	user := r.From.Bare()
	if err := m.accounts.Remove(r.Ctx, user); err != nil {
		return err
	}
	m.host.Log.Info("account removed by its owner", "account", user.String())
	r.AfterReply(func() {
		for _, e := range m.host.Sessions(nil, user) {
			m.host.Kick(e.Ref, stanza.StreamNotAuthorized, "account removed")
		}
	})
	return nil
}

// notHere is for accounts of another domain of this server.
func notHere() error { return stanza.NotAllowed("not an account of this domain") }

func text(r *modules.Request, name string) string { return r.Payload.Child(ns, name).Text() }
