package session

import (
	"testing"
	"time"
)

type ticker struct {
	at    []int64
	again []int
}

func (k *ticker) Tick(now int64) int {
	k.at = append(k.at, now)
	if len(k.again) == 0 {
		return 0
	}
	next := k.again[0]
	k.again = k.again[1:]
	return next
}

func TestWheelCallsWhenDue(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	w := NewWheel(start)
	once, far, again := new(ticker), new(ticker), &ticker{again: []int{600, 1}}
	w.Add(once, 3, false)
	w.Add(far, 2*wheelSlots, false)
	w.Add(again, 1, false)
	for i := 1; i <= 3*wheelSlots; i++ {
		w.Advance(start.Add(time.Duration(i) * time.Second))
	}
	check := func(name string, k *ticker, want ...int64) {
		t.Helper()
		if len(k.at) != len(want) {
			t.Fatalf("%s: called at %v, want %v", name, k.at, want)
		}
		for i := range want {
			if k.at[i] != 1000+want[i] {
				t.Errorf("%s: called at %v, want 1000 + %v", name, k.at, want)
			}
		}
	}
	check("once", once, 3)
	check("beyond a turn", far, 2*wheelSlots)
	check("again", again, 1, 601, 602)
}

func TestWheelJitterIsNeverLate(t *testing.T) {
	t.Parallel()
	w := NewWheel(time.Unix(0, 0))
	all := make([]*ticker, 100)
	for i := range all {
		all[i] = new(ticker)
		w.Add(all[i], 80, true)
	}
	for i := 1; i <= 80; i++ {
		w.Advance(time.Unix(int64(i), 0))
	}
	for _, k := range all {
		if len(k.at) != 1 || k.at[0] <= 70 {
			t.Fatalf("called at %v", k.at)
		}
	}
}
