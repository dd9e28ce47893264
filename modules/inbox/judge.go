package inbox

import (
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/chat"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const nsMarkers = "urn:xmpp:chat-markers:0"

// sent says what a message is for its sender's inbox.
func (m *Module) sent(f *modules.Flight) error {
	if f.To.Bare() == f.Owner { // there is one copy: that which is received
		return nil
	}
	f.Row.Flags |= m.flags(f.Stanza, true)
	if id := marked(f.Stanza); id != "" {
		f.Store(&storage.Read{By: f.Row, Owner: f.Owner, Chat: chat.Of(f.Stanza, f.To), ID: id})
	}
	return nil
}

// received says what a message is for its recipient's inbox.
func (m *Module) received(f *modules.Flight) error {
	if !f.Owed {
		f.Row.Flags |= m.flags(f.Stanza, f.From.Bare() == f.Owner)
	}
	return nil
}

// flags says what a message is for the inbox of its owner; own: he has sent it.
func (m *Module) flags(st *stanza.Stanza, own bool) storage.Flags {
	switch {
	case !shown(st):
		return 0
	case !own: // a correction, too: only the store knows whether there is an original
		return storage.Shown | storage.Unread
	case m.opts.ReadByAnswer:
		return storage.Shown | storage.ReadsChat
	}
	return storage.Shown
}

// shown reports whether a person finds the message in a conversation: an instant
// message in the words of XEP-0430. What refers to another message is none, even
// with a text for clients that do not understand it (XEP-0428), but a correction is,
// because it takes the other's place. So is nothing that has no text: markers,
// receipts, chat states, invitations, calls; a subject alone, which clients do not
// show in a conversation of two.
func shown(st *stanza.Stanza) bool {
	switch {
	case !chatty(st), st.Class.Has(stanza.Reaction | stanza.Retraction):
		return false
	case st.Class.Has(stanza.Body) && !silent(st):
		return true
	}
	return st.Class.Has(stanza.Encrypted) && !empty(st)
}

// silent reports whether no body has any text.
func silent(st *stanza.Stanza) bool {
	for e := range st.Root().Children() {
		if e.Is(stanza.NSClient, "body") && len(e.Inner()) > 0 {
			return false
		}
	}
	return true
}

func chatty(st *stanza.Stanza) bool { return st.Type == stanza.None || st.Type == stanza.Chat }

// empty reports whether what is encrypted has no content: an OMEMO message that only
// carries keys (XEP-0384, Sending a message).
func empty(st *stanza.Stanza) bool {
	for e := range st.Root().Children() {
		if string(e.Name()) != "encrypted" {
			continue
		}
		switch ns := string(e.NS()); ns {
		case "eu.siacs.conversations.axolotl", "urn:xmpp:omemo:1", "urn:xmpp:omemo:2":
			return !e.Child(ns, "payload").OK()
		}
	}
	return false
}

// marked is the id of the message up to which its sender has read the conversation,
// "" if the message is no marker. The old acknowledged says more than displayed;
// received says nothing about persons.
func marked(st *stanza.Stanza) string {
	if !st.Class.Has(stanza.Marker) || !chatty(st) {
		return ""
	}
	for e := range st.Root().Children() {
		if e.Is(nsMarkers, "displayed") || e.Is(nsMarkers, "acknowledged") {
			id, _ := e.Attr("id")
			return id
		}
	}
	return ""
}

// judge says what a stored row is for the inbox.
func (m *Module) judge(row *storage.Message) (j storage.Judgement) {
	j.Chat = row.Peer.Bare()
	var st stanza.Stanza
	if st.Reparse(row.XML) != nil {
		return j
	}
	fromOwner := row.Flags.Has(storage.FromOwner)
	j.Chat, j.Flags = chat.Of(&st, row.Peer), m.flags(&st, fromOwner || row.Peer.Bare() == row.Owner)
	if fromOwner {
		j.Read = marked(&st)
	}
	return j
}
