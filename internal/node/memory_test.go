package node

import "testing"

func TestMemoryIsGivenBackInQuietTimesOnly(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	k := &tidier{}
	allocated := uint64(0)
	for i, c := range []struct {
		more uint64 // allocated in this second
		want bool
	}{
		{100 * mib, false}, {50 * mib, false}, // work
		{0, false}, {0, true}, // two quiet seconds
		{0, false}, {0, false}, {0, false}, // nothing to gain
		{100 * mib, false}, {mib / 2, false}, {2 * mib, false}, // not quiet for long enough
		{mib / 2, false}, {mib / 2, true},
	} {
		allocated += c.more
		if got := k.step(allocated, 10*mib); got != c.want {
			t.Errorf("second %d: %v, want %v", i, got, c.want)
		}
	}
}

func TestCollectorFollowsTheHeap(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]int{0: 400, 4 << 20: 400, 8 << 20: 200, 16 << 20: 100, 32 << 20: 50, 1 << 30: 50} {
		if got := gcPercent(live); got != want {
			t.Errorf("%d MiB: %d, want %d", live>>20, got, want)
		}
	}
}
