package postgres_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/xmppd/xmppd/internal/pgtest"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/postgres"
)

// BenchmarkMessages writes messages as the archives of their senders and recipients
// take them, in groups. It measures the CPU time of the database server, which
// storagetest cannot, and what a row takes on its disk.
func BenchmarkMessages(b *testing.B) {
	url := pgtest.Start(b, pgtest.Options{Durable: true}).URL(b)
	db, err := postgres.Open(b.Context(), postgres.Options{URL: url})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	conn, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(b.Context())
	owners := make([]jid.JID, 1000)
	for i := range owners {
		owners[i] = jid.MustParse(fmt.Sprintf("user%d@example.org", i))
		if err := db.CreateAccount(b.Context(), owners[i], nil); err != nil {
			b.Fatal(err)
		}
	}
	next := 0
	for _, c := range []struct{ group, owners int }{{1, 2}, {8, 100}, {64, 2}, {64, 100}, {64, 1000}, {512, 1000}} {
		b.Run(fmt.Sprintf("group=%d/owners=%d", c.group, c.owners), func(b *testing.B) {
			var r storage.Run
			self, server := processCPU(b, os.Getpid()), serverCPU(b, conn)
			for n := 0; n < b.N; n += c.group {
				r.Reset()
				for range c.group {
					from, to := owners[next%c.owners], owners[(next+1)%c.owners]
					for _, m := range copies(from, to, next) {
						r.Writes = append(r.Writes, m)
					}
					next++
				}
				db.Join(&r)
				r.Wait()
				for _, err := range r.Errs {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64((processCPU(b, os.Getpid())-self).Nanoseconds())/float64(b.N), "self-ns/op")
			b.ReportMetric(float64((serverCPU(b, conn)-server).Nanoseconds())/float64(b.N), "server-ns/op")
		})
	}
	var size, rows int64
	if err := conn.QueryRow(b.Context(), "SELECT pg_total_relation_size('message'), (SELECT count(*) FROM message)").Scan(&size, &rows); err != nil {
		b.Fatal(err)
	}
	b.Logf("%d rows, %d bytes for each", rows, size/rows)
}

// copies are the rows of one message, about 400 bytes each.
func copies(from, to jid.JID, n int) [2]*storage.Message {
	id := fmt.Sprintf("b7a3c5f0-1111-4222-8333-%012d", n)
	xml := fmt.Appendf(nil, "<message type='chat' from='%s/balcony' to='%s' id='%s'><body>Neither, fair maid, if either thee dislike %d.</body>"+
		"<origin-id xmlns='urn:xmpp:sid:0' id='%s'/><active xmlns='http://jabber.org/protocol/chatstates'/><markable xmlns='urn:xmpp:chat-markers:0'/></message>", from, to, id, n, id)
	text, now := new(storage.Text), time.Now()
	const flags = storage.Archived | storage.Unique | storage.Shown
	sender, _ := from.WithResource("balcony")
	return [2]*storage.Message{
		{Owner: from, Peer: to, Chat: to, Flags: flags | storage.FromOwner | storage.ReadsChat, ID: id, Text: text, Arrived: now, XML: xml},
		{Owner: to, Peer: sender, Chat: from, Flags: flags | storage.Unread, ID: id, Text: text, Arrived: now, XML: xml},
	}
}

// serverCPU is what the processes of the database server have used that there are.
func serverCPU(b *testing.B, conn *pgx.Conn) (sum time.Duration) {
	parent := field(b, int(conn.PgConn().PID()), 3)
	tasks, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		b.Fatal(err)
	}
	for _, t := range tasks {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(t)))
		if stat, err := os.ReadFile(t); err == nil && fields(stat)[1] == strconv.Itoa(parent) {
			sum += processCPU(b, pid)
		}
	}
	return sum
}

func processCPU(b *testing.B, pid int) time.Duration {
	return time.Duration(field(b, pid, 13)+field(b, pid, 14)) * time.Second / 100
}

func field(b *testing.B, pid, n int) int {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	v, _ := strconv.Atoi(fields(stat)[n-2])
	return v
}

// fields are those of /proc/pid/stat behind the name.
func fields(stat []byte) []string {
	return strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
}
