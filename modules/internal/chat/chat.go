// Package chat says which conversation of an account a message belongs to.
package chat

import (
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/stanza"
)

// Of is the conversation of a message with a peer: its bare JID, or its full JID
// if it is the occupant of a room who talks in private (XEP-0045 §7.5).
func Of(st *stanza.Stanza, peer jid.JID) jid.JID {
	if st.Class.Has(stanza.MUCUser) && !st.Class.Has(stanza.Invite) {
		return peer
	}
	return peer.Bare()
}
