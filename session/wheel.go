package session

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const wheelSlots = 512 // seconds before an entry is looked at again for nothing

// Timed is something the wheel looks after.
type Timed interface {
	// Tick is called about when it was due; it returns after how many seconds it
	// wants to be called again, 0 for never. It must not wait.
	Tick(now int64) (seconds int)
}

// Wheel is the server's one timer: 1 s ticks, hashed slots, a coarse clock. An
// entry costs two words; there is no removal, an entry leaves by returning 0.
type Wheel struct {
	now atomic.Int64 // Unix seconds

	mu    sync.Mutex
	tick  uint64
	slots [wheelSlots][]timed
}

type timed struct {
	t      Timed
	rounds int32
}

// NewWheel makes a wheel that stands at now.
func NewWheel(now time.Time) *Wheel {
	w := &Wheel{}
	w.now.Store(now.Unix())
	return w
}

// Now is the coarse clock in Unix seconds.
func (w *Wheel) Now() int64 { return w.now.Load() }

// Add has t looked at after so many seconds (at least 1). With jitter it may be
// up to an eighth earlier, so that what began together does not stay together.
func (w *Wheel) Add(t Timed, seconds int, jitter bool) {
	if jitter && seconds >= 8 {
		seconds -= rand.IntN(seconds / 8)
	}
	w.mu.Lock()
	w.add(t, seconds)
	w.mu.Unlock()
}

func (w *Wheel) add(t Timed, seconds int) {
	seconds = max(seconds, 1)
	slot := (w.tick + uint64(seconds)) % wheelSlots
	w.slots[slot] = append(w.slots[slot], timed{t, int32((seconds - 1) / wheelSlots)})
}

// Run ticks once a second until stop is closed.
func (w *Wheel) Run(stop <-chan struct{}) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			w.Advance(now)
		case <-stop:
			return
		}
	}
}

// Advance moves the wheel by one tick to now.
func (w *Wheel) Advance(now time.Time) {
	w.now.Store(now.Unix())
	w.mu.Lock()
	w.tick++
	slot := &w.slots[w.tick%wheelSlots]
	due := *slot
	*slot = nil
	kept := due[:0]
	var stay []timed
	for _, e := range due {
		if e.rounds > 0 {
			stay = append(stay, timed{e.t, e.rounds - 1})
		} else {
			kept = append(kept, e)
		}
	}
	*slot = stay
	w.mu.Unlock()
	for _, e := range kept {
		if again := e.t.Tick(now.Unix()); again > 0 {
			w.Add(e.t, again, false)
		}
	}
}
