package storagetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// trim sweeps with steps of a size and returns how many rows went.
func trim(t *testing.T, s Store, by storage.Trim, limit int) (total int) {
	t.Helper()
	from := int64(0)
	for range 1000 {
		n, next, err := s.TrimArchives(t.Context(), by, from, limit)
		must(t, err)
		if n > limit {
			t.Errorf("a step of %d rows, at most %d", n, limit)
		}
		total += n
		if next == 0 {
			return total
		}
		if next < from {
			t.Fatalf("a sweep goes back from %d to %d", from, next)
		}
		from = next
	}
	t.Fatal("a sweep does not come to an end")
	return total
}

func wantArchive(t *testing.T, s Store, owner jid.JID, want ...int64) {
	t.Helper()
	got := selected(t, s, storage.ArchiveQuery{Owner: owner})
	if !slices.Equal(seqs(got), append([]int64{}, want...)) {
		t.Errorf("the archive of %s is %v, want %v", owner, seqs(got), want)
	}
	if n, err := s.CountArchive(t.Context(), storage.ArchiveQuery{Owner: owner}); n != int64(len(want)) || err != nil {
		t.Errorf("CountArchive(%s) = %d, %v; want %d", owner, n, err, len(want))
	}
}

// trimByAge: the oldest rows go in steps, of one domain or of all.
func trimByAge(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo, juliet, nurse)
	for i := range 6 {
		for _, pair := range [][2]jid.JID{{romeo, juliet}, {nurse, romeo}} {
			for _, m := range exchange(pair[0], pair[1], fmt.Sprint(pair[0], i), "x", noon.Add(time.Duration(i)*time.Minute)) {
				must(t, store(s, m))
			}
		}
	}
	for _, owner := range []jid.JID{romeo, juliet} {
		confirm(t, s, owner, 1, 100)
	}
	for by, want := range map[storage.Trim]int{
		{}:             0,
		{Before: noon}: 0,
		{Domain: "example.net", Before: noon.Add(time.Hour)}: 0,
	} {
		if n := trim(t, s, by, 3); n != want {
			t.Errorf("%+v: %d rows, want %d", by, n, want)
		}
	}
	half := storage.Trim{Domain: "example.com", Before: noon.Add(3 * time.Minute)}
	if n := trim(t, s, half, 2); n != 3 {
		t.Errorf("%d rows of the nurse went", n)
	}
	wantArchive(t, s, nurse, 4, 5, 6)
	half.Domain = ""
	for _, want := range []int{9, 0} { // six of romeo, three of juliet
		if n := trim(t, s, half, 2); n != want {
			t.Errorf("%d rows went, want %d", n, want)
		}
	}
	wantArchive(t, s, romeo, 7, 8, 9, 10, 11, 12)
	wantArchive(t, s, juliet, 4, 5, 6)
	if n := trim(t, s, storage.Trim{Before: noon.Add(time.Hour)}, 100); n != 12 {
		t.Errorf("%d rows went at last", n)
	}
	if tables := d.Tables(t); tables["message"] != 0 || tables["text"] != 0 {
		t.Errorf("rows are left: %v", tables)
	}
}

// trimBySize: an archive is cut back to so many bytes of XML, also after rows have
// changed.
func trimBySize(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo, juliet)
	size := int64(0)
	for i := range 10 {
		m := archived(juliet, fmt.Sprint(i), "0123456789")
		m.Flags |= storage.FromOwner
		size = int64(len(m.XML))
		must(t, store(s, m))
	}
	element := []byte("<retracted xmlns='urn:xmpp:message-retract:1'/>")
	must(t, write(s, &storage.Retraction{Owner: romeo, Chat: juliet, FromOwner: true, ID: "9", Element: element})[0])
	tombstone := int64(len("<message id='9'></message>") + len(element))
	for _, c := range []struct {
		bytes int64
		want  int
	}{{9*size + tombstone, 0}, {9*size + tombstone - 1, 1}, {4*size + tombstone, 4}, {4*size + tombstone - 1, 1}, {tombstone, 3}, {1, 1}} {
		if n := trim(t, s, storage.Trim{Bytes: c.bytes}, 3); n != c.want {
			t.Errorf("%d bytes: %d rows went, want %d", c.bytes, n, c.want)
		}
	}
	wantArchive(t, s, romeo)
}

// trimUndelivered: what its owner has not got yet leaves the archive and is
// delivered all the same.
func trimUndelivered(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo, juliet)
	var want []storage.Message
	for i := range 8 {
		m := archived(juliet, fmt.Sprint(i), "x")
		m.Text, m.Flags = new(storage.Text), storage.Archived|storage.Shown|storage.Unread
		if i%2 == 0 {
			m.Flags |= storage.Waiting
		}
		must(t, store(s, m))
		if i >= 2 && i < 6 {
			want = append(want, *m)
		}
	}
	confirm(t, s, romeo, 1, 2)
	confirm(t, s, romeo, 7, 8)
	if n := trim(t, s, storage.Trim{Before: noon.Add(time.Hour)}, 3); n != 8 {
		t.Errorf("%d rows left the archive", n)
	}
	wantArchive(t, s, romeo)
	wantCount(t, s, romeo, 4) // all of them wait now
	for i, m := range pending(t, s, romeo, 0, 10) {
		w := want[i]
		if m.Seq != w.Seq || m.Tag != w.Tag || string(m.XML) != string(w.XML) || m.Flags != storage.Waiting {
			t.Errorf("pending: %+v, want %+v", m, w)
		}
	}
	if tables := d.Tables(t); tables["message"] != 4 || tables["text"] != 0 || tables["chat"] != 1 {
		t.Errorf("rows: %v", tables)
	}
	if n := trim(t, s, storage.Trim{Before: noon.Add(time.Hour), Bytes: 1}, 3); n != 0 {
		t.Errorf("%d rows left the archive once more", n)
	}
	confirm(t, s, romeo, 1, 8)
	wantCount(t, s, romeo, 0)
	if n := d.Tables(t)["message"]; n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

// removeWith: what was exchanged with one address goes.
func removeWith(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo, juliet)
	peers := []jid.JID{juliet, resource(juliet, "balcony"), nurse, romeo}
	for i := range 12 {
		m := archived(peers[i%4], fmt.Sprint(i), "x")
		m.Flags |= storage.FromOwner
		must(t, store(s, m))
	}
	remove := func(owner, with jid.JID, want int) {
		t.Helper()
		total := 0
		for {
			n, err := s.RemoveArchive(t.Context(), owner, with, 2)
			must(t, err)
			if total += n; n < 2 {
				break
			}
		}
		if total != want {
			t.Errorf("%d rows of %s went, want %d", total, with, want)
		}
	}
	remove(romeo, jid.MustParse("mercutio@example.com"), 0)
	remove(nurse, juliet, 0)
	remove(juliet, romeo, 0)
	remove(resource(romeo, "orchard"), resource(juliet, "balcony"), 3)
	wantArchive(t, s, romeo, 1, 3, 4, 5, 7, 8, 9, 11, 12)
	remove(romeo, juliet, 3)
	remove(romeo, romeo, 3)
	wantArchive(t, s, romeo, 3, 7, 11)
	remove(romeo, jid.JID{}, 3)
	wantArchive(t, s, romeo)
}
