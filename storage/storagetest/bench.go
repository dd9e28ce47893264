package storagetest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
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
	for _, streams := range []bool{false, true} {
		b.Run(fmt.Sprintf("Counted/rows=64/streams=%v", streams), func(b *testing.B) {
			benchmarkCounted(b, s, owners, streams)
		})
	}
	for _, c := range []struct{ messages, pairs int }{{1, 1}, {100, 1}, {100, 10}, {100, 100}, {500, 100}, {500, 500}} {
		b.Run(fmt.Sprintf("Archive/messages=%d/pairs=%d", c.messages, c.pairs), func(b *testing.B) {
			benchmarkArchive(b, s, owners[:2*c.pairs], c.messages)
		})
	}
	for _, batch := range []int{64, 256, 1024} {
		b.Run(fmt.Sprintf("Index/rows=%d", batch), func(b *testing.B) { benchmarkIndex(b, s, owners, batch) })
	}
	for _, with := range []jid.JID{{}, owners[1]} {
		b.Run(fmt.Sprintf("Page/rows=50/with=%v", !with.IsZero()), func(b *testing.B) {
			q := storage.ArchiveQuery{Owner: owners[0], With: with, Limit: 50, Backward: true}
			benchmarkPage(b, s, q)
		})
	}
	b.Run("Snapshots/rows=5000", func(b *testing.B) { benchmarkSnapshots(b, s) })
	b.Run("Pending/rows=50", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if m, err := s.PendingMessages(context.Background(), owners[i%len(owners)], 0, 0, 50); err != nil || len(m) == 0 {
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
			messages[i] = storage.Message{Owner: owners[next%len(owners)], Flags: storage.Waiting, Peer: romeo, Arrived: noon, XML: xml}
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

// benchmarkCounted writes groups of 64 messages of 64 senders, with their streams
// or without; ns/op is per message.
func benchmarkCounted(b *testing.B, s Store, owners []jid.JID, streams bool) {
	const size = 64
	xml := bytes.Repeat([]byte("x"), 300)
	var r storage.Run
	b.ReportAllocs()
	next := 0
	start := cpu()
	for rows := 0; rows < b.N; rows += size {
		r.Reset()
		for range size {
			from, to := owners[next%len(owners)], owners[(next+1)%len(owners)]
			r.Writes = append(r.Writes, &storage.Message{Owner: to, Flags: storage.Waiting, Peer: from, Arrived: noon, XML: xml})
			if streams {
				r.Writes = append(r.Writes, &storage.Stream{ID: from.String(), Owner: from, H: uint32(next), Until: noon})
			}
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

// benchmarkArchive writes groups of archived messages, of pairs who talk to each
// other. ns/op is per row, of which a message has two.
func benchmarkArchive(b *testing.B, s Store, owners []jid.JID, size int) {
	var r storage.Run
	b.ReportAllocs()
	next := 0
	start := cpu()
	for rows := 0; rows < b.N; rows += 2 * size {
		r.Reset()
		for range size {
			from, to := owners[next%len(owners)], owners[next%len(owners)^1]
			for _, m := range exchange(from, to, fmt.Sprintf("%d-%d", time.Now().UnixNano(), next), "a few words of no importance", noon) {
				r.Writes = append(r.Writes, m)
			}
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

// benchmarkIndex puts texts of ten words into the index; ns/op is per text.
func benchmarkIndex(b *testing.B, s Store, owners []jid.JID, batch int) {
	random := rand.New(rand.NewPCG(1, 2))
	words := rand.NewZipf(random, 1.15, 6, 60_000)
	for n := batch; n == batch; { // those of others
		var err error
		if n, err = s.IndexTexts(context.Background(), batch, wordsOf); err != nil {
			b.Fatal(err)
		}
	}
	for i := 0; i < b.N; {
		var r storage.Run
		for ; i < b.N && len(r.Writes) < 800; i++ {
			body := fmt.Sprint("w", words.Uint64())
			for range 9 {
				body += fmt.Sprint(" w", words.Uint64())
			}
			from := random.IntN(len(owners))
			for _, m := range exchange(owners[from], owners[from^1], fmt.Sprintf("%d-%d", time.Now().UnixNano(), i), body, noon) {
				r.Writes = append(r.Writes, m)
			}
		}
		s.Join(&r)
		r.Wait()
		for _, err := range r.Errs {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ResetTimer()
	start := cpu()
	for n := batch; n == batch; {
		var err error
		if n, err = s.IndexTexts(context.Background(), batch, wordsOf); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu()-start).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// benchmarkPage reads pages of an archive.
func benchmarkPage(b *testing.B, s Store, q storage.ArchiveQuery) {
	b.ReportAllocs()
	start := cpu()
	for b.Loop() {
		n := 0
		err := s.Archive(context.Background(), q, func(*storage.Message) error { n++; return nil })
		if n != q.Limit || err != nil {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64((cpu()-start).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// benchmarkSnapshots saves and takes the sessions of a server that restarts.
func benchmarkSnapshots(b *testing.B, s Store) {
	if err := s.CreateAccount(context.Background(), romeo, nil); err != nil {
		b.Fatal(err)
	}
	all := many(romeo, 5000, 2048)
	var saving time.Duration
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		if err := s.SaveSnapshots(context.Background(), all); err != nil {
			b.Fatal(err)
		}
		saving += time.Since(start)
		for left := len(all); left > 0; {
			some, err := s.TakeSnapshots(context.Background(), 256)
			if err != nil || len(some) == 0 {
				b.Fatal(len(some), err)
			}
			left -= len(some)
		}
	}
	b.ReportMetric(saving.Seconds()*1000/float64(b.N), "save-ms/op")
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
