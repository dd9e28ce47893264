package postgres_test

import (
	"testing"

	"github.com/xmppd/xmppd/internal/pgtest"
	"github.com/xmppd/xmppd/storage/postgres"
	"github.com/xmppd/xmppd/storage/storagetest"
)

func BenchmarkStore(b *testing.B) {
	s, err := postgres.Open(b.Context(), postgres.Options{URL: pgtest.Start(b, pgtest.Options{Durable: true}).URL(b)})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	storagetest.Benchmark(b, s)
}

// TestAllocations is not parallel: the count is of the whole process.
func TestAllocations(t *testing.T) {
	if n := storagetest.Allocations(t, newDatabase(t)); n > 11 {
		t.Errorf("%.1f allocations for each row", n)
	}
}
