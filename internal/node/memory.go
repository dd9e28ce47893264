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

// tidier is looked after by the wheel, once a second.
type tidier struct {
	sample []metrics.Sample
	last   uint64 // bytes allocated until the last tick
	base   uint64 // bytes allocated until the last time memory was given back
	quiet  int
	free   func()
}

func newTidier() *tidier {
	t := &tidier{
		sample: []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}},
		free:   giveBack,
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
	if t.step(allocated, live) {
		go t.free() // takes a whole collection
	}
	return 1
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
