package auth

import (
	"container/list"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/xmppd/xmppd/jid"
)

// Limit says how failed logins of one key are delayed. After Free failures each
// further one adds a penalty, Base at first and twice the last from then on.
// Penalties of attempts at a time add up, so that connecting more often is not
// faster, but no answer waits longer than Max. After Forget without a failure
// the key starts anew.
type Limit struct {
	Free   int
	Base   time.Duration
	Max    time.Duration
	Forget time.Duration
}

// Many people may share an address, so that earns its delays later and they
// stay shorter.
func defaultPair() Limit {
	return Limit{Free: 2, Base: time.Second, Max: 30 * time.Second, Forget: 15 * time.Minute}
}

func defaultAddress() Limit {
	return Limit{Free: 20, Base: 250 * time.Millisecond, Max: 5 * time.Second, Forget: 15 * time.Minute}
}

const defaultTableSize = 16384

// throttle remembers failures by address and account, and by address. There is
// none by account alone: it would let anybody keep the owner waiting.
type throttle struct {
	now  func() time.Time
	seed maphash.Seed

	mu      sync.Mutex
	pair    table
	address table
}

func newThrottle(o Options) *throttle {
	t := &throttle{
		now:     o.Now,
		seed:    maphash.MakeSeed(),
		pair:    table{limit: o.Pair, size: o.TableSize},
		address: table{limit: o.Address, size: o.TableSize},
	}
	if o.Pair == (Limit{}) {
		t.pair.limit = defaultPair()
	}
	if o.Address == (Limit{}) {
		t.address.limit = defaultAddress()
	}
	for _, tb := range []*table{&t.pair, &t.address} {
		if tb.size <= 0 {
			tb.size = defaultTableSize
		}
		tb.entries = make(map[failureKey]*list.Element)
	}
	return t
}

// Delay is how long an answer to a login attempt at an account from an address
// has to wait. Exchange.Delay has the one for an exchange that has ended.
func (b *Backend) Delay(addr netip.Addr, user jid.JID) time.Duration {
	t := b.throttle
	pair, address := t.keys(addr, user)
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	return max(t.pair.wait(pair, now), t.address.wait(address, now))
}

// Failed counts a failed login. Exchanges do so themselves; it is exported for
// proofs that are checked elsewhere.
func (b *Backend) Failed(addr netip.Addr, user jid.JID) {
	t := b.throttle
	pair, address := t.keys(addr, user)
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.pair.fail(pair, now)
	t.address.fail(address, now)
}

// Succeeded forgets the failures of an address at an account. Those of the
// address stay: else a guesser could wipe them with an account of his own.
func (b *Backend) Succeeded(addr netip.Addr, user jid.JID) {
	t := b.throttle
	pair, _ := t.keys(addr, user)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pair.remove(pair)
}

// failureKey is of a fixed size, however long the names are that clients send.
type failureKey struct {
	addr netip.Addr
	user uint64 // a seeded hash; 0 in the table of addresses
}

func (t *throttle) keys(addr netip.Addr, user jid.JID) (pair, address failureKey) {
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		// Whoever has one address of a /64 has them all.
		p, _ := addr.Prefix(64)
		addr = p.Addr()
	}
	return failureKey{addr, maphash.String(t.seed, user.String())}, failureKey{addr: addr}
}

// table is a bounded set of entries in the order of their last failure.
type table struct {
	limit   Limit
	size    int
	entries map[failureKey]*list.Element // of *failures
	order   list.List                    // newest first
}

type failures struct {
	key   failureKey
	count int
	last  time.Time
	until time.Time // when the penalties are over
}

func (t *table) wait(key failureKey, now time.Time) time.Duration {
	if e := t.entries[key]; e != nil {
		return max(0, e.Value.(*failures).until.Sub(now))
	}
	return 0
}

func (t *table) fail(key failureKey, now time.Time) {
	e := t.entries[key]
	if e == nil {
		if len(t.entries) >= t.size {
			t.remove(t.order.Back().Value.(*failures).key)
		}
		e = t.order.PushFront(&failures{key: key})
		t.entries[key] = e
	} else {
		t.order.MoveToFront(e)
	}
	f := e.Value.(*failures)
	if now.Sub(f.last) > t.limit.Forget {
		f.count = 0
	}
	f.count++
	f.last = now
	if f.until.Before(now) {
		f.until = now
	}
	f.until = f.until.Add(t.limit.penalty(f.count))
	if latest := now.Add(t.limit.Max); f.until.After(latest) {
		f.until = latest
	}
}

func (t *table) remove(key failureKey) {
	if e := t.entries[key]; e != nil {
		t.order.Remove(e)
		delete(t.entries, key)
	}
}

// penalty is what the count-th failure costs.
func (l Limit) penalty(count int) time.Duration {
	if count <= l.Free {
		return 0
	}
	p := l.Base
	for i := l.Free + 1; i < count && p < l.Max; i++ {
		p *= 2
	}
	return min(p, l.Max)
}
