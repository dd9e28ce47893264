package offline

import (
	"testing"

	"github.com/xmppd/xmppd/storage"
)

// A client that answers no pings makes nothing grow without end.
func TestUnprovenIsBounded(t *testing.T) {
	t.Parallel()
	r := new(receiver)
	for seq := int64(1); seq < 4*storage.MaxRanges; seq += 2 {
		r.unproven(storage.Range{First: seq, Last: seq})
	}
	if len(r.next) != storage.MaxRanges || !r.next.Has(1) {
		t.Errorf("%d ranges from %d on", len(r.next), r.next[0].First)
	}
}
