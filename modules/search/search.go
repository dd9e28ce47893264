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
	// meanwhile, for a few milliseconds: fewer if they are long, and more again by and
	// by.
	batch      = 256
	batchBytes = 128 << 10 // of words
	batchGrows = 8
	// rest is how long others have the store to themselves between two steps of
	// erasing, which nobody waits for.
	rest = 20 * time.Millisecond
)

// Store keeps the index. Its queries are storage.ArchiveQuery with Words.
type Store interface {
	// IndexTexts puts the oldest texts that are not in the index into it, at most
	// limit, and returns how many; fewer: there are no more, or EraseTexts is at work.
	// words returns those of a stored message.
	IndexTexts(ctx context.Context, limit int, words func(xml []byte) []string) (int, error)
	// EraseTexts takes a small step to make the words of deleted texts unreadable, if
	// the store finds that due at now, and reports whether there are more to take.
	EraseTexts(ctx context.Context, now time.Time) (more bool, err error)
}

// Module serves all domains.
type Module struct {
	store Store
	now   func() time.Time // nil: not attached yet
	limit int              // of the next batch
}

// New makes the module.
func New(store Store) *Module { return &Module{store: store, limit: batch} }

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
	if m.now == nil { // one index for all domains
		m.now = h.Now
		h.Every("index", interval, m.update)
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
// that it is encrypted, those of retractions and reactions are for clients that do not
// understand them. A correction stands for
// itself: the store takes the place of the message that it corrects.
func readable(f *modules.Flight) bool {
	st := f.Stanza
	return !f.Owed && (st.Type == stanza.None || st.Type == stanza.Chat) &&
		st.Class.Has(stanza.Body) && !st.Class.Has(stanza.Encrypted|stanza.Retraction|stanza.Reaction)
}

// update brings the index up to date with the archives. Both parts keep the index for
// themselves, so they take turns.
func (m *Module) update(ctx context.Context) error {
	if err := m.index(ctx); err != nil {
		return err
	}
	return m.erase(ctx)
}

// index puts what is new into the index. The first runs after a start may have much
// to do; other writers get their turn between the batches.
func (m *Module) index(ctx context.Context) error {
	for {
		if more, err := m.batch(ctx); err != nil || !more {
			return err
		}
	}
}

// erase has the words of deleted messages leave the index. What a stop leaves undone is
// done after the next start.
func (m *Module) erase(ctx context.Context) error {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		more, err := m.store.EraseTexts(ctx, m.now())
		if err != nil || !more {
			return err
		}
		t.Reset(rest)
	}
}

// batch puts some messages into the index and reports whether there may be more.
func (m *Module) batch(ctx context.Context) (more bool, err error) {
	var st stanza.Stanza
	limit, size := m.limit, 0
	n, err := m.store.IndexTexts(ctx, limit, func(xml []byte) []string {
		list := words.Index(storage.Bodies(&st, xml)...)
		for _, w := range list {
			size += len(w)
		}
		return list
	})
	if m.limit = min(batch, limit+batchGrows); size > batchBytes {
		m.limit = max(1, n*batchBytes/size)
	}
	return err == nil && n == limit, err
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
