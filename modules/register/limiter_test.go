package register

import (
	"net/netip"
	"testing"
	"time"
)

func TestLimiterIsBounded(t *testing.T) {
	t.Parallel()
	l := newLimiter(100)
	now := time.Unix(0, 0)
	a := netip.MustParseAddr("192.0.2.0")
	for range 1000 {
		a = a.Next()
		if _, ok := l.take(prefix(a), 1, now); !ok {
			t.Fatalf("%v refused", a)
		}
	}
	if len(l.windows) != 100 {
		t.Errorf("%d entries", len(l.windows))
	}
}
