package offline

import (
	"context"
	"sync"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const (
	page      = 20              // rows read at a time; each may be as large as a stanza
	highWater = 64 << 10        // bytes in the outbox from which on nothing is added
	patience  = 2 * time.Minute // for the answer to a ping behind the messages
	recheck   = 10 * time.Millisecond
)

// receiver is a session that gets, or got, the messages of its account.
type receiver struct {
	m       *Module
	session *session.Session
	owner   jid.JID

	mu        sync.Mutex
	running   chan struct{} // somebody is sending; closed at the end
	paced     bool          // at the pace of the client
	again     bool          // and has to look once more
	uptodate  bool          // all that was stored has been sent
	opening   bool          // the session takes messages as soon as stage Available is over
	asked     bool          // a ping is on its way
	restored  bool          // by a start, and not resumed since; the reader's
	skipped   int64         // seq of the last message that was not to be sent, see skips; the sender's
	sent      int64         // seq of the last message sent
	confirmed int64         // and of the last that the client has for sure
}

// takes reports whether the session may get messages now.
func (r *receiver) takes() bool {
	if r.session.Outbox.Closed() {
		return false
	}
	r.mu.Lock()
	opening := r.opening
	r.mu.Unlock()
	return opening || r.session.Entry().TakesBareMessages()
}

// presenceChanges ends what available began: what the session takes now is for
// its new presence to say.
func (m *Module) presenceChanges(f *modules.Flight) error {
	if f.Session == nil || !f.To.IsZero() {
		return nil
	}
	if r := m.slot.Load(f.Session); r != nil {
		r.mu.Lock()
		r.opening = false
		r.mu.Unlock()
	}
	return nil
}

// available delivers what waits before the first new message can reach the
// session. Until it returns, new messages are stored, and come in their turn.
func (m *Module) available(f *modules.Flight) {
	for _, e := range m.host.Sessions(nil, f.Owner) {
		if e.Local == nil && e.TakesBareMessages() {
			return // XEP-0160 §2: the first one got them, on another node
		}
	}
	r := m.receiver(f.Session, f.Owner)
	r.mu.Lock()
	r.opening, r.uptodate = true, false
	r.mu.Unlock()
	if m.hold(r) {
		r.send(true)
	}
}

func (m *Module) receiver(s *session.Session, owner jid.JID) *receiver {
	r := m.slot.Load(s)
	if r == nil {
		r = &receiver{m: m, session: s, owner: owner}
		m.slot.Store(s, r)
	}
	return r
}

// hold makes r the one who gets the account's messages, unless another session
// is that and still can.
func (m *Module) hold(r *receiver) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if h := m.holders[r.owner]; h != nil && h != r && h.takes() {
		return false
	}
	m.holders[r.owner] = r
	return true
}

// closed passes on what the session did not confirm.
func (m *Module) closed(f *modules.Flight) {
	r := m.slot.Load(f.Session)
	if r == nil {
		return
	}
	m.mu.Lock()
	held := m.holders[r.owner] == r
	if held {
		delete(m.holders, r.owner)
	}
	m.mu.Unlock()
	r.mu.Lock()
	open := r.sent > r.confirmed || !r.uptodate
	r.mu.Unlock()
	if held && open {
		m.stored(r.owner)
	}
}

// Invalidated is called when another node has stored messages for an account, or
// could not deliver them.
func (m *Module) Invalidated(owner jid.JID) {
	if owner.Domain() == m.host.Domain.Domain() { // all domains of a node are told
		m.deliver(owner)
	}
}

// deliver has the messages of an account delivered if a session on this node
// can take them.
func (m *Module) deliver(owner jid.JID) {
	for r := m.taker(owner); r != nil; r = m.taker(owner) {
		r.send(false)
		if !r.session.Outbox.Closed() {
			return
		}
	}
}

// taker is the session that gets the messages of an account.
func (m *Module) taker(owner jid.JID) *receiver {
	m.mu.Lock()
	r := m.holders[owner]
	m.mu.Unlock()
	if r != nil && r.takes() {
		return r
	}
	for _, e := range m.host.Sessions(nil, owner) {
		if e.Local == nil || !e.TakesBareMessages() {
			continue
		}
		if r := m.receiver(e.Local, owner); r.takes() {
			if m.hold(r) {
				return r
			}
			return nil
		}
	}
	return nil
}

// send sends what the session has not got yet. With wait it goes on until
// there is nothing left, at the pace of the client; the caller must be the
// goroutine that reads from the client. Without, what does not fit follows when
// the client answers the ping; but a session that was up to date gets at once
// what was stored as it became available, because later messages come to it
// directly and must not overtake.
func (r *receiver) send(wait bool) {
	r.mu.Lock()
	if running := r.running; running != nil {
		r.again = true
		paced := r.paced
		r.mu.Unlock()
		if !paced {
			<-running // the caller's next message may go to the session directly
		}
		return
	}
	running := make(chan struct{})
	r.running, r.paced = running, wait
	managed := r.session.Outbox.Managed()
	if managed {
		r.session.Outbox.OnConfirmed(r.confirm)
	}
	full := false
	for again := true; again; again = r.again && !full {
		r.again = false
		after, all := r.sent, r.uptodate
		r.mu.Unlock()
		sent, stopped, err := r.sendFrom(after, wait, all)
		if err != nil {
			r.m.host.Log.Error("stored messages not delivered", "account", r.owner.String(), "error", err)
		}
		r.mu.Lock()
		r.sent, r.uptodate, full = sent, !stopped && err == nil, stopped
	}
	r.running = nil
	close(running)
	ask := (r.sent > r.confirmed || full) && !r.asked && (!managed || r.skipped == r.sent)
	r.asked = r.asked || ask
	upTo := r.sent
	r.mu.Unlock()
	if ask {
		r.ask(upTo)
	}
}

// sendFrom sends the messages behind a seq, and returns that of the last one;
// full if the outbox took no more. With all only its limit counts.
func (r *receiver) sendFrom(after int64, wait, all bool) (sent int64, full bool, err error) {
	sent = after
	for {
		rows, err := r.m.store.PendingMessages(context.Background(), r.owner, sent, page)
		if err != nil {
			return sent, false, err
		}
		for _, row := range rows {
			if !all && !r.room(wait) {
				return sent, true, nil
			}
			if taken, err := r.give(row); err != nil || !taken {
				return sent, err == nil, err
			}
			sent = row.Seq
		}
		r.session.Outbox.Flush()
		if len(rows) < page {
			return sent, false, nil
		}
	}
}

// give queues a message, unless it is to be skipped; taken is false if the outbox
// takes no more.
func (r *receiver) give(row storage.Message) (taken bool, err error) {
	skip, err := r.skips(row)
	if err != nil {
		return false, err
	}
	if skip {
		r.skipped = row.Seq
		return !r.session.Outbox.Closed(), nil
	}
	return r.session.Outbox.AppendStored(stanza.WithDelay(row.XML, r.m.host.Domain, row.Arrived), row.Seq), nil
}

// skips reports whether a message counts as delivered without being sent: the
// session got it as a carbon when it arrived, or the owner has blocked its sender
// since then (XEP-0191 §3.3).
func (r *receiver) skips(row storage.Message) (bool, error) {
	var st stanza.Stanza
	if st.Parse(row.XML, stanza.Limits{}) == nil && r.session.Entry().HasCopy(&st, row.Arrived.UnixNano()) {
		return true, nil
	}
	if r.m.blocks == nil {
		return false, nil
	}
	return r.m.blocks.Blocked(context.Background(), r.owner, row.Peer)
}

// room reports whether there is room in the outbox. With wait it waits for it, as
// long as the client reads: whoever waits here does not notice that it has gone.
func (r *receiver) room(wait bool) bool {
	out := r.session.Outbox
	least, since := out.Queued(), time.Now()
	for out.Queued() >= highWater {
		out.Flush()
		n := out.Queued()
		if n < highWater {
			break
		}
		if n < least {
			least, since = n, time.Now()
		}
		if !wait || out.Closed() || !out.Attached() || time.Since(since) > patience {
			return false
		}
		time.Sleep(recheck)
	}
	return true
}

// ask pings the client behind the messages, where stream management does not tell
// that they arrived. The answer proves it, because a stream keeps the order (RFC
// 6120 §10.1).
func (r *receiver) ask(upTo int64) {
	iq := stanza.Build("iq").Attr("type", "get").Empty("ping", "urn:xmpp:ping")
	r.m.host.Ask(r.session.Ref, iq, patience, func(answer *stanza.Stanza) {
		r.mu.Lock()
		r.asked = false
		r.mu.Unlock()
		if answer != nil { // else they stay, and come again
			r.confirm(upTo)
		}
	})
}

// confirm removes the messages that the client has for sure, and goes on.
func (r *receiver) confirm(upTo int64) {
	if err := r.m.store.ConfirmMessages(context.Background(), r.owner, upTo); err != nil {
		r.m.host.Log.Error("delivered messages not removed", "account", r.owner.String(), "error", err)
		return
	}
	r.mu.Lock()
	r.confirmed = max(r.confirmed, upTo)
	r.mu.Unlock()
	if r.takes() {
		r.send(false)
	}
}

// restored goes on behind the messages that the session was being sent when the
// process was restarted.
func (m *Module) restored(f *modules.Flight) {
	r := m.receiver(f.Session, f.Owner)
	r.sent = f.Session.Outbox.LastStored()
	r.restored = true
	if r.sent > 0 && m.hold(r) {
		f.Session.Outbox.OnConfirmed(r.confirm)
	}
}

// resumed looks for what was stored while the process was being restarted.
func (m *Module) resumed(f *modules.Flight) {
	if r := m.slot.Load(f.Session); r != nil && r.restored {
		r.restored = false
		m.deliver(r.owner)
	}
}
