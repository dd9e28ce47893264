// Package retraction replaces what has been retracted by a tombstone, in the
// archives of both sides: XEP-0424, Message Retraction (0.4.2).
//
// The retraction itself is a message like others: it is delivered and archived, and
// tells clients that were away.
package retraction

import (
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/chat"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const (
	ns       = "urn:xmpp:message-retract:1"
	nsBefore = "urn:xmpp:message-retract:0" // before 0.4
	nsFasten = "urn:xmpp:fasten:0"          // XEP-0422, before 0.4, too
)

// Module is the feature; see New.
type Module struct{}

// New makes the module.
func New() *Module { return new(Module) }

// Info implements modules.Module.
func (m *Module) Info() modules.Info {
	features := []string{ns, ns + "#tombstone"}
	return modules.Info{
		Name:            "retraction",
		Doc:             "Leaves a tombstone in the archives in place of a message that was retracted.",
		XEPs:            []modules.XEP{{Number: 424, Version: "0.4.2"}},
		Features:        features[:1],
		AccountFeatures: features,
	}
}

// Init implements modules.Module.
func (m *Module) Init(h *modules.Host) error {
	h.Message(modules.Sent, modules.Archive, retractSent)
	h.Message(modules.Received, modules.Archive, retractReceived)
	return nil
}

// retractSent puts the tombstone into the archive of who retracts.
func retractSent(f *modules.Flight) error {
	if f.To.Bare() != f.Owner { // else there is one copy: that which is received
		retract(f, true)
	}
	return nil
}

// retractReceived puts it into the archive of the other side. What is retracted came
// from the same address: it is looked for in the conversation with that.
func retractReceived(f *modules.Flight) error {
	if !f.Owed {
		retract(f, false)
	}
	return nil
}

func retract(f *modules.Flight, sent bool) {
	st := f.Stanza
	if !st.Class.Has(stanza.Retraction) || st.Type != stanza.None && st.Type != stanza.Chat {
		return
	}
	id, own := target(st), string(st.ID())
	if id == "" || own == "" || id == own { // a tombstone names the retraction (XEP-0424, Tombstones)
		return
	}
	peer := f.From
	if sent {
		peer = f.To
	}
	f.Store(&storage.Retraction{
		By: f.Row, Owner: f.Owner, Chat: chat.Of(st, peer), FromOwner: sent, ID: id,
		Element: tombstone(own, f.Arrived),
	})
}

// target is the id of the message that is retracted, "" if none is named.
func target(st *stanza.Stanza) string {
	for e := range st.Root().Children() {
		switch {
		case e.Is(ns, "retract"), e.Is(nsBefore, "retract"),
			e.Is(nsFasten, "apply-to") && e.Child(nsBefore, "retract").OK():
			id, _ := e.Attr("id")
			return id
		}
	}
	return ""
}

func tombstone(id string, at time.Time) []byte {
	b := stanza.NewBuilder(nil)
	b.Open("retracted", ns).Attr("id", id)
	b.Attr("stamp", at.UTC().Format("2006-01-02T15:04:05.000Z")) // XEP-0082 §3.2
	return b.Bytes()
}
