package offline

import (
	"context"
	"slices"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const (
	highWater = 64 << 10      // bytes in the outbox from which on nothing is added
	brim      = 4 * highWater // the same, for what later messages must not overtake
	window    = 1 << 20       // bytes out of the log that a client may leave unconfirmed
	stuck     = 2 * time.Minute
	recheck   = 10 * time.Millisecond
)

// has reports whether somebody has the row.
func (h *held) has(seq int64) bool {
	if _, ok := slices.BinarySearch(h.seqs, seq); ok {
		return true
	}
	return slices.ContainsFunc(h.ranges, func(n storage.Ranges) bool { return n.Has(seq) })
}

// held are the rows that the account's sessions on this node have and may still
// confirm.
func (a *account) held() *held {
	h := new(held)
	for _, r := range a.all() {
		h.add(r)
	}
	slices.Sort(h.seqs)
	return h
}

// send sends what nobody has got yet. With wait it goes on until there is nothing
// left, at the pace of the client; the caller must be the goroutine that reads from
// the client. Without, what does not fit follows when the client has confirmed
// something; but a session that was up to date gets at once what was stored as it
// became available, unless that is very much, because later messages come to it
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
	for again := true; again; again = r.again && !r.more.Load() {
		r.again = false
		most := highWater
		if r.uptodate {
			most = brim
		}
		r.mu.Unlock()
		full, err := r.replay(wait, most)
		r.more.Store(full)
		r.mu.Lock()
		switch {
		case err != nil:
			r.m.host.Log.Error("stored messages not delivered", "account", r.account.owner.String(), "error", err)
			r.due = r.m.wheel.Now() + retry
		case !full:
			r.uptodate = true
		}
	}
	again := r.due != 0 || r.more.Load()
	r.running = nil
	close(running)
	r.mu.Unlock()
	if again {
		r.watch()
	}
	r.proveNow()
}

// from is the row behind which the session gets what waits.
func (r *receiver) from() (after int64) {
	r.account.hold.Lock()
	if r.account.flexible > 0 {
		after = r.account.floor
	}
	r.account.hold.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.due != 0 {
		after = max(after, r.floor)
	}
	return after
}

// replay sends what waits and is not on its way to somebody, while the outbox holds
// less than most bytes. It reports whether it held more.
func (r *receiver) replay(wait bool, most int) (full bool, err error) {
	ctx, after := context.Background(), r.from()
	if after == never {
		return false, nil
	}
	// A look first: to ask what is settled costs a commit.
	rows, next, err := r.m.pending(ctx, r.account, after, 0)
	if err != nil || len(rows) == 0 && next == 0 {
		return false, err
	}
	upTo, err := r.m.host.Settled(r.account.owner)
	if err != nil || upTo <= after {
		return false, err
	}
	held := r.account.held()
	for {
		rows, next, err = r.m.pending(ctx, r.account, after, upTo)
		if err != nil {
			return false, err
		}
		for _, row := range rows {
			if held.has(row.Seq) {
				continue
			}
			if !r.room(wait, most) {
				return true, nil
			}
			if taken, err := r.give(row); err != nil || !taken {
				return false, err
			}
		}
		r.session.Outbox.Flush()
		if next == 0 {
			return false, nil
		}
		after = next
	}
}

// give queues a message; taken is false if the outbox takes no more. One by
// somebody whom the owner has blocked since (XEP-0191 §3.3) counts as delivered, and
// so does what is left of a retracted one: nobody has seen more.
func (r *receiver) give(row storage.Message) (taken bool, err error) {
	drop := row.Flags.Has(storage.Tombstone)
	if !drop && r.m.blocks != nil {
		if drop, err = r.m.blocks.Blocked(context.Background(), r.account.owner, row.Peer); err != nil {
			return false, err
		}
	}
	if drop {
		r.m.confirmed(r.account, []int64{row.Seq})
		return !r.session.Outbox.Closed(), nil
	}
	return r.session.Outbox.AppendStored(r.m.stamped(row, nil), row.Seq), nil
}

// stamped is a row as it is sent: with its id if it is archived (XEP-0359), with
// extra, and with when it arrived (XEP-0203).
func (m *Module) stamped(row storage.Message, extra []byte) []byte {
	var st stanza.Stanza
	if st.Reparse(row.XML) != nil {
		return row.XML
	}
	if row.Flags.Has(storage.Archived) {
		id := stanza.NewBuilder(nil).Open("stanza-id", nsStanzaID)
		st.Append(modules.Received, id.Attr("by", row.Owner.String()).Attr("id", row.StanzaID()).Bytes())
	}
	if extra != nil {
		st.Append(modules.Received, extra)
	}
	st.Append(modules.Received, stanza.AppendDelay(nil, m.host.Domain, row.Arrived))
	return st.Emit(make([]byte, 0, st.Size()), modules.Received)
}

const nsStanzaID = "urn:xmpp:sid:0"

// room reports whether the outbox holds less than most bytes. With wait it waits for
// that, as long as the client reads: whoever waits here does not notice that it has
// gone.
func (r *receiver) room(wait bool, most int) bool {
	out := r.session.Outbox
	if out.Stored() >= window {
		return false // its acknowledgement goes on
	}
	least, since := out.Queued(), time.Now()
	for out.Queued() >= most {
		out.Flush()
		n := out.Queued()
		if n < most {
			break
		}
		if n < least {
			least, since = n, time.Now()
		}
		if !wait || out.Closed() || !out.Attached() || time.Since(since) > stuck {
			return false
		}
		time.Sleep(recheck)
	}
	return true
}
