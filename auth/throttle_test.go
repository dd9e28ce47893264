package auth

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/xmppd/xmppd/jid"
)

func openThrottled(t *testing.T, o Options) (*Backend, *clock) {
	t.Helper()
	c := &clock{time.Unix(1e9, 0)}
	o.Now = c.now
	o.Iterations = func() int { return 16 }
	b, err := New(t.Context(), newMemory(), o)
	if err != nil {
		t.Fatal(err)
	}
	return b, c
}

// never is a limit that delays nothing.
var never = Limit{Free: 1 << 30, Max: time.Second, Forget: time.Hour}

// A client that waits for its answers is delayed by 1, 2, 4 … seconds.
func TestDelaySequence(t *testing.T) {
	t.Parallel()
	b, c := openThrottled(t, Options{})
	var got []time.Duration
	for range 10 {
		b.Failed(home, romeo)
		d := b.Delay(home, romeo)
		got = append(got, d)
		c.t = c.t.Add(d)
	}
	if want := "[0s 0s 1s 2s 4s 8s 16s 30s 30s 30s]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	if d := b.Delay(home, romeo); d != 0 {
		t.Errorf("%v after waiting", d)
	}
	c.t = c.t.Add(15*time.Minute + 1)
	b.Failed(home, romeo)
	if d := b.Delay(home, romeo); d != 0 {
		t.Errorf("%v after a quiet time", d)
	}
}

// Attempts at a time wait behind each other, up to the limit.
func TestDelayParallel(t *testing.T) {
	t.Parallel()
	b, _ := openThrottled(t, Options{Address: never})
	var got []time.Duration
	for range 8 {
		b.Failed(home, romeo)
		got = append(got, b.Delay(home, romeo))
	}
	if want := "[0s 0s 1s 3s 7s 15s 30s 30s]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}

// Failures from elsewhere never delay the owner, however many they are.
func TestOwnerIsNotDelayed(t *testing.T) {
	t.Parallel()
	b, _ := openThrottled(t, Options{})
	for i := range 5000 {
		b.Failed(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), romeo)
		b.Failed(netip.MustParseAddr("198.51.100.7"), romeo)
	}
	if d := b.Delay(home, romeo); d != 0 {
		t.Errorf("owner waits %v", d)
	}
	if d := b.Delay(netip.MustParseAddr("198.51.100.7"), romeo); d != 30*time.Second {
		t.Errorf("guesser waits %v", d)
	}
}

// One address that tries many accounts is delayed as such, and its neighbours
// at the same address no longer than Address.Max.
func TestDelayByAddress(t *testing.T) {
	t.Parallel()
	b, c := openThrottled(t, Options{})
	for i := range 40 {
		if d := b.Delay(home, romeo); (d > 0) != (i > 20) {
			t.Fatalf("%v after %d failures", d, i)
		}
		b.Failed(home, jid.MustParse(fmt.Sprintf("u%d@example.org", i)))
	}
	if d := b.Delay(home, romeo); d != 5*time.Second {
		t.Errorf("%v", d)
	}
	b.Succeeded(home, romeo)
	if d := b.Delay(home, romeo); d != 5*time.Second {
		t.Errorf("an own account resets the address: %v", d)
	}
	c.t = c.t.Add(5 * time.Second)
	if d := b.Delay(home, romeo); d != 0 {
		t.Errorf("%v later", d)
	}
}

func TestSuccessClearsPair(t *testing.T) {
	t.Parallel()
	b, _ := openThrottled(t, Options{Address: never})
	other := netip.MustParseAddr("192.0.2.2")
	for range 5 {
		b.Failed(home, romeo)
		b.Failed(home, banned)
		b.Failed(other, romeo)
	}
	b.Succeeded(home, romeo)
	if b.Delay(home, romeo) != 0 || b.Delay(home, banned) == 0 || b.Delay(other, romeo) == 0 {
		t.Error(b.Delay(home, romeo), b.Delay(home, banned), b.Delay(other, romeo))
	}
}

func TestAddressForms(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		failed, asked string
		same          bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"2001:db8::1", "2001:db8::ffff:0:1", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"fe80::1%eth0", "fe80::2%eth1", true},
	} {
		b, _ := openThrottled(t, Options{})
		for range 5 {
			b.Failed(netip.MustParseAddr(tc.failed), romeo)
		}
		if got := b.Delay(netip.MustParseAddr(tc.asked), romeo) > 0; got != tc.same {
			t.Errorf("%s, %s: %v", tc.failed, tc.asked, got)
		}
	}
	b, _ := openThrottled(t, Options{})
	b.Failed(netip.Addr{}, jid.JID{}) // unknown on both sides: no panic
}

// A flood of keys cannot grow the tables; the oldest entries go.
func TestTablesAreBounded(t *testing.T) {
	t.Parallel()
	b, _ := openThrottled(t, Options{TableSize: 100})
	for range 5 {
		b.Failed(home, romeo)
	}
	for i := range 99 {
		b.Failed(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), romeo)
	}
	if b.Delay(home, romeo) == 0 {
		t.Error("evicted too soon")
	}
	for i := range 10_000 {
		b.Failed(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), jid.MustParse(fmt.Sprintf("u%d@example.org", i)))
	}
	for name, tb := range map[string]*table{"pair": &b.throttle.pair, "address": &b.throttle.address} {
		if len(tb.entries) != 100 || tb.order.Len() != 100 {
			t.Errorf("%s: %d entries, %d in order", name, len(tb.entries), tb.order.Len())
		}
	}
	if b.Delay(home, romeo) != 0 {
		t.Error("the oldest is still there")
	}
}

// Exchanges count for themselves, and the same for accounts that do not exist.
func TestExchangeDelays(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"romeo", "nobody"} {
		b, c := openThrottled(t, Options{})
		if name == "romeo" {
			if err := b.Register(t.Context(), romeo, password); err != nil {
				t.Fatal(err)
			}
		}
		var got []time.Duration
		for _, m := range mechs {
			x, err := login(t, b, tlsConn, m, name, "wrong")
			wantFailure(t, err, NotAuthorized)
			got = append(got, x.Delay())
		}
		if fmt.Sprint(got) != "[0s 0s 1s 3s]" {
			t.Errorf("%s: %v", name, got)
		}
		if name == "nobody" {
			continue
		}
		// A right guess among wrong ones is told no sooner than they are.
		x, err := login(t, b, tlsConn, "PLAIN", name, password)
		if err != nil || x.Delay() != 3*time.Second {
			t.Errorf("delay %v, %v", x.Delay(), err)
		}
		if x, _ = login(t, b, tlsConn, "PLAIN", name, password); x.Delay() != 0 {
			t.Errorf("delay %v after success", x.Delay())
		}
		c.t = c.t.Add(time.Hour)
	}
}

// Only what could have been a guess is counted.
func TestNotCounted(t *testing.T) {
	t.Parallel()
	b, store := open(t)
	for range 10 {
		for _, message := range []string{"", "x", "juliet@example.org\x00romeo\x00x"} {
			x, _ := b.Start(tlsConn, "PLAIN")
			x.Step(t.Context(), []byte(message))
		}
		_, err := login(t, b, tlsConn, "PLAIN", "tybalt", password)
		wantFailure(t, err, AccountDisabled)
	}
	store.change(func() { store.err = errBroke })
	for range 10 {
		_, err := login(t, b, tlsConn, "PLAIN", "romeo", "wrong")
		wantFailure(t, err, TemporaryAuthFailure)
	}
	if n := len(b.throttle.address.entries); n != 0 {
		t.Errorf("%d entries", n)
	}
}
