package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/xmppd/xmppd/storage/sqlite"
	"github.com/xmppd/xmppd/storage/storagetest"
)

func BenchmarkStore(b *testing.B) {
	for _, durability := range []string{"full", "normal"} {
		b.Run(durability, func(b *testing.B) {
			s, err := sqlite.Open(b.Context(), sqlite.Options{Path: filepath.Join(b.TempDir(), "bench.db"), Durability: durability})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			storagetest.Benchmark(b, s)
		})
	}
}

// TestAllocations is not parallel: the count is of the whole process. The race
// detector has one more, because pools lose some of what they are given.
func TestAllocations(t *testing.T) {
	if n := storagetest.Allocations(t, newDatabase(t)); n > 16 {
		t.Errorf("%.1f allocations for each row", n)
	}
}
