package archive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/archived"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const (
	preferencesKey = "prefs"  // in the key-value store; see encode
	maxAddresses   = 1000     // in the lists of an account
	cachedBytes    = 32 << 20 // of all accounts
)

// The policies of XEP-0441 §2.1.1.
const (
	always     = "always"
	never      = "never"
	fromRoster = "roster"
)

// preferences say what is archived of an account (XEP-0441). They do not change.
type preferences struct {
	policy string // for addresses without a rule
	rules  []rule // by address, no duplicates
}

// rule is an entry of one of the lists.
type rule struct {
	address jid.JID
	keep    bool
}

// Size implements cache.Value; it is in bytes, roughly.
func (p *preferences) Size() int {
	n := 128
	for _, r := range p.rules {
		n += 64 + len(r.address.String())
	}
	return n
}

// find returns the rule for an address.
func (p *preferences) find(address jid.JID) (keep, ok bool) {
	i, ok := slices.BinarySearchFunc(p.rules, address, func(r rule, j jid.JID) int {
		return strings.Compare(r.address.String(), j.String())
	})
	return ok && p.rules[i].keep, ok
}

// add makes a rule. If both lists hold an address the one that keeps less counts.
func (p *preferences) add(address jid.JID, keep bool) {
	i, ok := slices.BinarySearchFunc(p.rules, address, func(r rule, j jid.JID) int {
		return strings.Compare(r.address.String(), j.String())
	})
	if ok {
		p.rules[i].keep = p.rules[i].keep && keep
		return
	}
	p.rules = slices.Insert(p.rules, i, rule{address, keep})
}

// wanted reports whether an account wants messages from or to a peer archived
// (XEP-0441 §2.3). The more specific rule counts. Whoever archives what contacts write
// keeps his own notes, too.
func (m *Module) wanted(ctx context.Context, owner, peer jid.JID) (bool, error) {
	p, err := m.preferences(ctx, owner)
	if err != nil {
		return false, err
	}
	if len(p.rules) > 0 {
		if keep, ok := p.find(peer); ok {
			return keep, nil
		}
		if keep, ok := p.find(peer.Bare()); ok {
			return keep, nil
		}
	}
	if p.policy != fromRoster || peer.Bare() == owner {
		return p.policy != never, nil
	}
	return m.roster.Has(ctx, owner, peer.Bare())
}

func (m *Module) preferences(ctx context.Context, owner jid.JID) (*preferences, error) {
	if p, ok := m.prefs.Get(owner); ok {
		return p, nil
	}
	mark := m.prefs.Mark()
	value, err := m.host.KV.Get(ctx, owner, preferencesKey)
	p := m.none
	switch {
	case err == nil:
		if p, err = decode(string(value)); err != nil {
			return nil, fmt.Errorf("read preferences of the archive: %w", err)
		}
	case !errors.Is(err, storage.ErrNotFound):
		return nil, fmt.Errorf("read preferences of the archive: %w", err)
	}
	m.prefs.Put(owner, p, mark)
	return p, nil
}

// Invalidated forgets preferences that another node has changed.
func (m *Module) Invalidated(owner jid.JID) { m.prefs.Drop(owner) }

func (m *Module) dropPreferences(owner jid.JID) {
	m.prefs.Drop(owner)
	m.host.Invalidate(name, owner)
}

// userRemoved forgets the preferences of an account that goes: from then on nothing
// of it can be read and cached, and be taken for that of a later account.
func (m *Module) userRemoved(ctx context.Context, owner jid.JID) error {
	if err := m.host.KV.Delete(ctx, owner, preferencesKey); err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	m.dropPreferences(owner)
	return nil
}

func (m *Module) sendPreferences(r *modules.Request) error {
	p, err := m.preferences(r.Ctx, r.Owner)
	if err != nil {
		return err
	}
	p.write(r.Reply)
	return nil
}

func (m *Module) setPreferences(r *modules.Request) error {
	p, err := parsePreferences(r.Payload)
	if err != nil {
		return err
	}
	if err := m.host.KV.Put(r.Ctx, r.Owner, preferencesKey, p.encode()); err != nil {
		return err
	}
	m.dropPreferences(r.Owner)
	p.write(r.Reply)
	return nil
}

func parsePreferences(prefs stanza.Elem) (*preferences, error) {
	p := &preferences{}
	if p.policy, _ = prefs.Attr("default"); !slices.Contains([]string{always, never, fromRoster}, p.policy) {
		return nil, stanza.BadRequest("default is always, never or roster")
	}
	for list := range prefs.Children() {
		keep := list.Is(archived.NS, always)
		if !keep && !list.Is(archived.NS, never) {
			continue
		}
		for e := range list.Children() {
			if !e.Is(archived.NS, "jid") {
				continue
			}
			address, err := jid.Parse(e.Text())
			if err != nil {
				return nil, stanza.BadRequest("not an address")
			}
			if p.add(address, keep); len(p.rules) > maxAddresses {
				return nil, stanza.ResourceConstraint(fmt.Sprintf("at most %d addresses", maxAddresses))
			}
		}
	}
	return p, nil
}

func (p *preferences) write(b *stanza.Builder) {
	b.Open("prefs", archived.NS).Attr("default", p.policy)
	for _, list := range []string{always, never} {
		b.Open(list, "")
		for _, r := range p.rules {
			if r.keep == (list == always) {
				b.Text("jid", r.address.String())
			}
		}
		b.Close()
	}
	b.Close()
}

// encode makes lines: the policy, then the addresses, behind a + or a -.
func (p *preferences) encode() []byte {
	b := []byte(p.policy)
	for _, r := range p.rules {
		sign := byte('-')
		if r.keep {
			sign = '+'
		}
		b = append(append(b, '\n', sign), r.address.String()...)
	}
	return b
}

func decode(value string) (*preferences, error) {
	lines := strings.Split(value, "\n")
	p := &preferences{policy: lines[0]}
	for _, l := range lines[1:] {
		if l == "" {
			return nil, errors.New("an empty line")
		}
		address, err := jid.Parse(l[1:])
		if err != nil {
			return nil, err
		}
		p.add(address, l[0] == '+')
	}
	return p, nil
}
