// Package search finds messages of an archive by their words: XEP-0431: Full Text
// Search in MAM (0.2.0). The index is filled behind the messages; what is not in it
// yet is looked at by each query itself.
package search

import (
	"context"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/words"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const (
	ns       = "urn:xmpp:fulltext:0"
	interval = time.Second
	// batch is how many messages are put into the index at once. Other writers wait
	// meanwhile, for a few milliseconds.
	batch = 256
)

// Store keeps the index. Its queries are storage.ArchiveQuery with Words.
type Store interface {
	// IndexTexts puts the oldest texts that are not in the index into it, at most
	// limit, and returns how many; fewer: there are no more. words returns those of a
	// stored message.
	IndexTexts(ctx context.Context, limit int, words func(xml []byte) []string) (int, error)
}

// Module serves all domains.
type Module struct {
	store    Store
	attached bool
}

// New makes the module.
func New(store Store) *Module { return &Module{store: store} }

// Info implements modules.Module.
func (m *Module) Info() modules.Info {
	return modules.Info{
		Name:            "search",
		Doc:             "Finds messages of an archive by their words.",
		XEPs:            []modules.XEP{{Number: 431, Version: "0.2.0"}},
		AccountFeatures: []string{ns},
	}
}

// Init implements modules.Module.
func (m *Module) Init(h *modules.Host) error {
	h.Message(modules.Sent, modules.Archive, m.sent)
	h.Message(modules.Received, modules.Archive, m.received)
	if !m.attached { // one index for all domains
		m.attached = true
		h.Every("index", interval, m.index)
	}
	return nil
}

// sent has the sender's copy found, unless there is only one, the recipient's.
func (m *Module) sent(f *modules.Flight) error {
	if f.To.Bare() != f.Owner && readable(f) {
		f.Row.Text = new(storage.Text)
	}
	return nil
}

// received has the recipient's copy found, by the same entry of the index.
func (m *Module) received(f *modules.Flight) error {
	if !readable(f) {
		return nil
	}
	if sent := f.Rows[modules.Sent]; sent != nil && sent.Text != nil {
		f.Row.Text = sent.Text
	} else {
		f.Row.Text = new(storage.Text)
	}
	return nil
}

// readable reports whether a message has words. The body of an encrypted one says
// that it is encrypted, that of a retraction that it is one. A correction stands for
// itself: the store takes the place of the message that it corrects.
func readable(f *modules.Flight) bool {
	st := f.Stanza
	return !f.Owed && (st.Type == stanza.None || st.Type == stanza.Chat) &&
		st.Class.Has(stanza.Body) && !st.Class.Has(stanza.Encrypted|stanza.Retraction)
}

// index puts what is new into the index. The first runs after a start may have much
// to do; other writers get their turn between the batches.
func (m *Module) index(ctx context.Context) error {
	for {
		n, err := m.batch(ctx)
		if err != nil || n < batch {
			return err
		}
	}
}

// batch returns how many messages it has put into the index.
func (m *Module) batch(ctx context.Context) (int, error) {
	var st stanza.Stanza
	return m.store.IndexTexts(ctx, batch, func(xml []byte) []string {
		return words.Index(storage.Bodies(&st, xml)...)
	})
}

// Query returns the words that the index knows messages by in which a text occurs,
// and a function that tells which of these have it really; it must not be called
// concurrently. There are no words if the text has no letters and no digits; then
// nothing is found.
func (m *Module) Query(text string) (list []string, match func(*storage.Message) bool) {
	q := words.Parse(text)
	var st stanza.Stanza
	return q.Words(), func(row *storage.Message) bool {
		return q.Match(storage.Bodies(&st, row.XML)...)
	}
}
