package node

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// When the server falls quiet after work, what the work allocated is given back
// to the system at once instead of by and by: a thousand logins leave as much
// garbage as sessions, and nobody wants to pay for it overnight.
const (
	quietSeconds = 2       // without noteworthy allocation
	quietBytes   = 1 << 20 // allocated in a second that still counts as quiet
	worthBytes   = 8 << 20 // allocated since the last time that make it worthwhile
)

// A small heap is collected after so many bytes however little is in use, because
// a login allocates a lot for its size; a large one, mostly of sessions that live
// long, at half the usual growth, which makes each a tenth smaller.
const (
	leastGrowth  = 16 << 20
	leastPercent = 50
	mostPercent  = 400
)

// gcPercent is the GOGC for a heap of so many bytes.
func gcPercent(live uint64) int {
	return int(min(max(leastPercent, leastGrowth*100/max(live, 1)), mostPercent))
}

// tidier is looked after by the wheel, once a second.
type tidier struct {
	sample  []metrics.Sample
	last    uint64 // bytes allocated until the last tick
	base    uint64 // bytes allocated until the last time memory was given back
	quiet   int
	free    func()
	percent int               // set by tune
	tune    func(percent int) // nil: the collector is somebody else's
}

// newTidier makes one; with tune it also sets how often the process collects.
func newTidier(tune bool) *tidier {
	t := &tidier{
		sample: []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}},
		free:   giveBack,
	}
	if tune {
		t.tune = func(percent int) { debug.SetGCPercent(percent) }
	}
	t.last, _ = t.read()
	t.base = t.last
	return t
}

// giveBack collects twice, because what lies in a sync.Pool survives the first
// time, and returns the free pages to the system.
func giveBack() {
	runtime.GC()
	debug.FreeOSMemory()
}

// read returns the bytes allocated since the start and those in use.
func (t *tidier) read() (allocated, live uint64) {
	metrics.Read(t.sample)
	return t.sample[0].Value.Uint64(), t.sample[1].Value.Uint64()
}

// Tick implements session.Timed.
func (t *tidier) Tick(int64) int {
	allocated, live := t.read()
	t.adjust()
	if t.step(allocated, live) {
		go t.free() // takes a whole collection
	}
	return 1
}

// adjust sets how often the process collects, if that differs much from before:
// every change stops the world for a moment.
func (t *tidier) adjust() {
	if t.tune == nil {
		return
	}
	marked := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(marked)
	if p := gcPercent(marked[0].Value.Uint64()); max(p, t.percent) >= min(p, t.percent)*9/8 {
		t.percent = p
		t.tune(p)
	}
}

// step decides whether now is the time.
func (t *tidier) step(allocated, live uint64) bool {
	rate := allocated - t.last
	t.last = allocated
	if rate > quietBytes {
		t.quiet = 0
		return false
	}
	// A large heap costs more to collect, so more has to be gained.
	if t.quiet++; t.quiet < quietSeconds || allocated-t.base < max(worthBytes, live/8) {
		return false
	}
	t.quiet, t.base = 0, allocated
	return true
}
