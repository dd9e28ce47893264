// Package visible lets sessions see the presence of an account that is on this
// server, or see it go. No stanza travels for that: what the account's sessions
// last sent is known (session.Entry), only the addressee has to be put in.
package visible

import (
	"bytes"
	"context"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
)

const head = "<presence"

// AppendTo appends a presence stanza that has no addressee, in canonical form,
// and gives it one. It allocates nothing if dst has room.
func AppendTo(dst, presence []byte, to jid.JID) []byte {
	dst = append(dst, head...)
	dst = append(dst, " to='"...)
	dst = stanza.AppendEscaped(dst, to.String())
	dst = append(dst, '\'')
	return append(dst, presence[len(head):]...)
}

// Gone is the unavailable presence that the server sends for a session, without
// addressee (RFC 6121 §4.5.2).
func Gone(full jid.JID) []byte {
	return stanza.Build("presence").Attr("from", full.String()).Attr("type", "unavailable").Bytes()
}

// Sender queues a copy of a stanza for a session: modules.Runner and
// modules.Services are Senders.
type Sender interface {
	Send(to session.Ref, xml []byte) bool
}

// Blocks tells who has blocked whom (XEP-0191). Where an argument of that type
// is nil nobody has.
type Blocks interface {
	// Blocked reports whether the owner, an account, has blocked an address.
	Blocked(ctx context.Context, owner, other jid.JID) (bool, error)
}

// Apart reports whether presence must not pass between two sessions because the
// account of one has blocked the other.
func Apart(ctx context.Context, b Blocks, one, other jid.JID) (bool, error) {
	if b == nil || one.Bare() == other.Bare() {
		return false, nil
	}
	blocked, err := b.Blocked(ctx, one.Bare(), other)
	if err != nil || blocked {
		return blocked, err
	}
	return b.Blocked(ctx, other.Bare(), one)
}

// Available keeps the available ones of sessions, in place.
func Available(sessions []session.Entry) []session.Entry {
	kept := sessions[:0]
	for _, e := range sessions {
		if e.Available {
			kept = append(kept, e)
		}
	}
	return kept
}

// Show sends the present presence of all available sessions of owner to the
// viewers, addressed to the viewer's account as it would be if it had come from
// elsewhere; a viewer is not shown to itself, nor are sessions that are Apart.
//
// Another goroutine may change that presence meanwhile. It makes the change
// known first and tells the viewers then; Show looks again after sending until
// nothing has changed, so that no viewer is left with an older state behind a
// newer one.
func Show(ctx context.Context, out Sender, srv modules.Services, b Blocks, owner, viewer jid.JID, viewers []session.Entry) error {
	if len(viewers) == 0 {
		return nil
	}
	t := telling{out: out, blocks: b, viewer: viewer, viewers: viewers}
	shown := Available(srv.Sessions(nil, owner))
	for _, e := range shown {
		t.tell(ctx, e.JID, e.Presence)
	}
	var now []session.Entry
	for again := len(shown) > 0; again; {
		again = false
		now = Available(srv.Sessions(now[:0], owner))
		for i := range shown {
			old := &shown[i]
			presence := presenceOf(now, old.JID)
			if bytes.Equal(presence, old.Presence) {
				continue
			}
			if old.Presence, again = presence, true; presence == nil {
				presence = Gone(old.JID)
			}
			t.tell(ctx, old.JID, presence)
		}
	}
	return t.err
}

// telling sends presence of one account to sessions of another.
type telling struct {
	out     Sender
	blocks  Blocks
	viewer  jid.JID
	viewers []session.Entry
	buf     []byte
	err     error // the first one; who was concerned got nothing
}

func (t *telling) tell(ctx context.Context, who jid.JID, presence []byte) {
	t.buf = AppendTo(t.buf[:0], presence, t.viewer)
	for _, v := range t.viewers {
		if v.JID == who {
			continue
		}
		apart, err := Apart(ctx, t.blocks, who, v.JID)
		if err != nil && t.err == nil {
			t.err = err
		}
		if err == nil && !apart {
			t.out.Send(v.Ref, t.buf)
		}
	}
}

// presenceOf is the presence of a resource; nil if it is not available.
func presenceOf(sessions []session.Entry, full jid.JID) []byte {
	for _, e := range sessions {
		if e.JID == full {
			return e.Presence
		}
	}
	return nil
}

// Hide sends unavailable presence of all available sessions of owner to the
// viewers, who see it no more from now on; but not of those that are Apart.
func Hide(ctx context.Context, out Sender, srv modules.Services, b Blocks, owner, viewer jid.JID, viewers []session.Entry) error {
	if len(viewers) == 0 {
		return nil
	}
	t := telling{out: out, blocks: b, viewer: viewer, viewers: viewers}
	for _, e := range Available(srv.Sessions(nil, owner)) {
		t.tell(ctx, e.JID, Gone(e.JID))
	}
	return t.err
}
