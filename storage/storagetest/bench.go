package storagetest

import (
	"bytes"
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// Benchmark measures a store that is open and empty; ns/op is per row.
func Benchmark(b *testing.B, s Store) {
	owners := make([]jid.JID, 1000)
	for i := range owners {
		owners[i] = jid.MustParse(fmt.Sprintf("user%d@example.org", i))
		if err := s.CreateAccount(context.Background(), owners[i], credentials("salt")); err != nil {
			b.Fatal(err)
		}
	}
	for _, c := range []struct{ group, owners int }{{1, 1}, {10, 10}, {100, 1}, {100, 10}, {100, 100}, {100, 1000}} {
		b.Run(fmt.Sprintf("Group/rows=%d/owners=%d", c.group, c.owners), func(b *testing.B) {
			benchmarkGroup(b, s, owners[:c.owners], c.group)
		})
	}
	b.Run("Pending/rows=50", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if m, err := s.PendingMessages(context.Background(), owners[i%len(owners)], 0, 50); err != nil || len(m) == 0 {
				b.Fatal(len(m), err)
			}
		}
	})
	b.Run("Account", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if _, err := s.Account(context.Background(), owners[i%len(owners)]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// benchmarkGroup writes groups of rows of 300 bytes, the owners in turn.
func benchmarkGroup(b *testing.B, s Store, owners []jid.JID, size int) {
	xml := bytes.Repeat([]byte("x"), 300)
	messages := make([]storage.Message, size)
	var r storage.Run
	b.ReportAllocs()
	next := 0
	start := cpu()
	for rows := 0; rows < b.N; rows += size {
		r.Reset()
		for i := range messages {
			messages[i] = storage.Message{Owner: owners[next%len(owners)], Peer: romeo, Arrived: noon, XML: xml}
			r.Writes = append(r.Writes, &messages[i])
			next++
		}
		s.Join(&r)
		r.Wait()
		for _, err := range r.Errs {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64((cpu()-start).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// Allocations returns how many allocations a store makes for each row of a run
// that it adds to one log. Nothing else may run meanwhile.
func Allocations(t *testing.T, d Database) float64 {
	s := openWith(t, d, Options{}, romeo)
	var r storage.Run
	const size = 64
	for range size {
		r.Writes = append(r.Writes, message(romeo, "body"))
	}
	return testing.AllocsPerRun(20, func() {
		s.Join(&r)
		r.Wait()
		for _, err := range r.Errs {
			must(t, err)
		}
	}) / size
}

// cpu is what this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
