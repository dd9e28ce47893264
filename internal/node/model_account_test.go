package node_test

import (
	"slices"

	"github.com/xmppd/xmppd/jid"
)

// account is what is true of an account: lists, and nothing that is derived from them.
type account struct {
	jid      jid.JID
	log      []*row          // the archive
	rows     map[int]*row    // all that ever were, by the number of their note
	read     map[jid.JID]int // read positions, by conversation
	stands   map[jid.JID]*row
	sessions []*sess // connected or waiting for their clients
	learned  int64   // up to where the ids of the archive are known
}

// row is the copy of a note that an account has.
type row struct {
	at       int // its position
	note     *note
	sent     bool // by the account, to another one
	chat     jid.JID
	archived bool
	corrects bool   // another row, by the same side (XEP-0308 §4)
	found    bool   // by its words
	tomb     string // what retracted it
	got      bool   // some client has seen it
	settled  bool   // and confirmed

	id, stamp, tombStamp string // as the server says; they never change
}

func newAccount(bare jid.JID) *account {
	return &account{jid: bare, rows: make(map[int]*row), read: make(map[jid.JID]int), stands: make(map[jid.JID]*row)}
}

// peer is the other side.
func (r *row) peer() jid.JID {
	if r.sent {
		return r.note.to
	}
	return r.note.from
}

// own: the account itself has written it.
func (r *row) own() bool { return r.sent || r.note.from.Bare() == r.note.to.Bare() }

// unread: it counts while it is behind the read position.
func (r *row) unread() bool {
	return !r.own() && r.tomb == "" && r.note.shown() && !r.corrects
}

// original is the name of what a correction corrects, else its own.
func (r *row) original() string {
	if r.corrects {
		return r.note.about
	}
	return r.note.name()
}

// canon is how it stands in the archive.
func (r *row) canon() string {
	if r.tomb != "" {
		return r.note.tombstone(r.tomb)
	}
	return r.note.canon
}

// newest is the newest row of a conversation that others call by that id, by the
// account itself or by the other side.
func (a *account) newest(chat jid.JID, sent bool, id string) *row {
	for _, r := range slices.Backward(a.log) {
		if id != "" && r.chat == chat && r.sent == sent && r.note.name() == id {
			return r
		}
	}
	return nil
}

// corrections are what corrects a row; they come from the same side (XEP-0308 §5).
func (a *account) corrections(of *row) (list []*row) {
	for _, r := range a.log {
		if r.at > of.at && r.chat == of.chat && r.sent == of.sent && r.corrects && r.note.about == of.note.name() {
			list = append(list, r)
		}
	}
	return list
}

// add puts a row behind the others.
func (a *account) add(r *row) {
	a.rows[r.note.n] = r
	r.at = len(a.rows)
	if !r.archived {
		return
	}
	r.found = r.note.searchable()
	of := a.newest(r.chat, r.sent, r.note.about)
	// Of what nobody sees nobody sees a correction.
	if r.corrects = r.note.has("replace") && of != nil && (of.note.shown() || !r.note.shown()); r.corrects {
		for _, old := range append(a.corrections(of), of) {
			old.found = false
		}
	}
	a.log = append(a.log, r)
	if !r.note.shown() {
		return
	}
	stands := a.stands[r.chat]
	if stands == nil || !r.corrects || stands.sent == r.sent && stands.original() == r.note.about {
		a.stands[r.chat] = r
	}
	if r.own() { // ADR 0010
		a.read[r.chat] = r.at
	}
}

// displayed moves the read position (XEP-0333 §4).
func (a *account) displayed(chat jid.JID, id string) {
	if r := a.newest(chat, false, id); r != nil {
		a.read[chat] = max(a.read[chat], r.at)
	}
}

// retract leaves tombstones (XEP-0424 §4).
func (a *account) retract(chat jid.JID, sent bool, id, by string) {
	r := a.newest(chat, sent, id)
	if r == nil {
		return
	}
	for _, r := range append(a.corrections(r), r) {
		if r.tomb == "" {
			r.tomb, r.found = by, false
		}
	}
}

// remove takes rows out of the archive. What no client has for sure waits on.
func (a *account) remove(gone func(*row) bool) {
	var left []*row
	for _, r := range a.log {
		if r.archived = !gone(r); r.archived {
			left = append(left, r)
		}
	}
	a.log = left
	for chat, r := range a.stands {
		if r != nil && !r.archived {
			a.stands[chat] = a.standing(chat)
		}
	}
}

// standing is what stands in the inbox for a conversation whose message has gone:
// the newest one or its newest correction, else the newest correction.
func (a *account) standing(chat jid.JID) (stands *row) {
	var correction *row
	for _, r := range a.log {
		switch {
		case r.chat != chat || !r.note.shown():
		case r.corrects:
			correction = r
		default:
			stands = r
		}
	}
	if stands == nil {
		return correction
	}
	for _, r := range a.corrections(stands) {
		if r.note.shown() {
			stands = r
		}
	}
	return stands
}
