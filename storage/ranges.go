package storage

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// MaxRanges is how many ranges above its cursor a log keeps. What is beyond is
// forgotten from the top: it is delivered a second time, with the same id.
const MaxRanges = 2048

// Ranges is a sorted set of seqs, without ranges that touch.
type Ranges []Range

// Has reports whether the set holds a seq.
func (r Ranges) Has(seq int64) bool {
	i, found := slices.BinarySearchFunc(r, seq, func(e Range, seq int64) int {
		switch {
		case e.Last < seq:
			return -1
		case e.First > seq:
			return 1
		}
		return 0
	})
	return found && i < len(r)
}

// Add returns the set with one more range; it may change r.
func (r Ranges) Add(n Range) Ranges {
	if n.First > n.Last {
		return r
	}
	i, _ := slices.BinarySearchFunc(r, n.First, func(e Range, first int64) int {
		if e.Last+1 < first {
			return -1
		}
		return 1
	})
	j := i
	for ; j < len(r) && r[j].First <= n.Last+1; j++ {
		n.First, n.Last = min(n.First, r[j].First), max(n.Last, r[j].Last)
	}
	return slices.Replace(r, i, j, n)
}

// Without returns the parts of n that the set does not hold.
func (r Ranges) Without(n Range) []Range {
	var rest []Range
	for _, e := range r {
		if e.Last < n.First {
			continue
		}
		if e.First > n.Last {
			break
		}
		if e.First > n.First {
			rest = append(rest, Range{n.First, e.First - 1})
		}
		n.First = e.Last + 1
	}
	if n.First <= n.Last {
		rest = append(rest, n)
	}
	return rest
}

// Encode makes a column of the set: the distances between its ends.
func (r Ranges) Encode() []byte {
	b, at := make([]byte, 0, 4*len(r)), int64(0)
	for _, e := range r {
		b = binary.AppendUvarint(b, uint64(e.First-at))
		b = binary.AppendUvarint(b, uint64(e.Last-e.First))
		at = e.Last
	}
	return b
}

// DecodeRanges is the reverse of Encode.
func DecodeRanges(b []byte) (Ranges, error) {
	var r Ranges
	at := int64(0)
	for len(b) > 0 {
		d, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, fmt.Errorf("decode ranges: %d bytes left", len(b))
		}
		l, k := binary.Uvarint(b[n:])
		if k <= 0 {
			return nil, fmt.Errorf("decode ranges: %d bytes left", len(b))
		}
		first := at + int64(d)
		at = first + int64(l)
		r, b = append(r, Range{first, at}), b[n+k:]
	}
	return r, nil
}
