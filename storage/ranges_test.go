package storage_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/storage"
)

// TestRanges compares sets with maps.
func TestRanges(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	const most = 60
	for range 500 {
		var set storage.Ranges
		naive := make([]bool, most+2)
		for range r.IntN(20) {
			n := storage.Range{First: 1 + r.Int64N(most)}
			n.Last = min(most, n.First+r.Int64N(8)-1)
			want := missing(naive, n)
			if got := set.Without(n); !slices.Equal(got, want) {
				t.Fatalf("%v.Without(%v) = %v, want %v", set, n, got, want)
			}
			before := set.Encode()
			set = set.Add(n)
			for seq := n.First; seq <= n.Last; seq++ {
				naive[seq] = true
			}
			if n.Last < n.First && string(before) != string(set.Encode()) {
				t.Fatalf("an empty range changed the set to %v", set)
			}
		}
		for seq := range int64(most + 2) {
			if set.Has(seq) != naive[seq] {
				t.Fatalf("%v.Has(%d) = %v", set, seq, set.Has(seq))
			}
		}
		for i := 1; i < len(set); i++ {
			if set[i].First <= set[i-1].Last+1 {
				t.Fatalf("ranges of %v touch", set)
			}
		}
		got, err := storage.DecodeRanges(set.Encode())
		if diff := cmp.Diff(set, got); diff != "" || err != nil {
			t.Fatalf("decoded, %v (-want +got):\n%s", err, diff)
		}
	}
}

// missing are the parts of n that are not in a set.
func missing(naive []bool, n storage.Range) (parts []storage.Range) {
	for seq := n.First; seq <= n.Last; seq++ {
		switch {
		case naive[seq]:
		case len(parts) > 0 && parts[len(parts)-1].Last == seq-1:
			parts[len(parts)-1].Last = seq
		default:
			parts = append(parts, storage.Range{First: seq, Last: seq})
		}
	}
	return parts
}

// TestDecodeRanges: what was not written by Encode is an error, or a set.
func TestDecodeRanges(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"\x01", "\x01\x02\x03", "\x80", "\x01\x80", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01"} {
		if r, err := storage.DecodeRanges([]byte(bad)); err == nil {
			t.Errorf("%q is %v", bad, r)
		}
	}
}
