package sqlite_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/storagetest"
)

// readable opens a new database with messages of romeo's to himself that the search is
// to find.
func readable(t *testing.T, n int) (database, storagetest.Store) {
	t.Helper()
	d := newDatabase(t).(database)
	s, err := d.Open(t.Context(), storagetest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.CreateAccount(t.Context(), romeo, nil); err != nil {
		t.Fatal(err)
	}
	r := &storage.Run{}
	for i := range n {
		r.Writes = append(r.Writes, &storage.Message{Owner: romeo, Peer: romeo, Chat: romeo, Flags: storage.Archived, ID: fmt.Sprint(i),
			Text: new(storage.Text), Arrived: time.Now(), XML: fmt.Appendf(nil, "<message>word %d</message>", i)})
	}
	s.Join(r)
	r.Wait()
	for _, err := range r.Errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return d, s
}

func wordsOf(xml []byte) []string { return strings.Fields(string(xml[9 : len(xml)-10])) }

// TestIndexSegments: a batch makes one segment of the index, whose cost is that of
// merging it with others.
func TestIndexSegments(t *testing.T) {
	t.Parallel()
	d, s := readable(t, 60)
	for batch := 1; batch <= 3; batch++ {
		if n, err := s.IndexTexts(t.Context(), 20, wordsOf); n != 20 || err != nil {
			t.Fatal(n, err)
		}
		db := d.raw(t)
		defer db.Close()
		var segments int
		if err := db.QueryRow("SELECT count(DISTINCT segid) FROM word_idx").Scan(&segments); err != nil {
			t.Fatal(err)
		}
		if segments != batch {
			t.Errorf("%d segments behind %d batches", segments, batch)
		}
	}
}

// TestIndexGoneMeanwhile: what leaves the archive between being read and being
// written is not put into the index.
func TestIndexGoneMeanwhile(t *testing.T) {
	t.Parallel()
	d, s := readable(t, 5)
	removed := false
	n, err := s.IndexTexts(t.Context(), 10, func(xml []byte) []string {
		if !removed {
			removed = true
			if n, err := s.RemoveArchive(t.Context(), romeo, jid.JID{}, 2); n != 2 || err != nil {
				t.Error(n, err)
			}
		}
		return wordsOf(xml)
	})
	if n != 5 || err != nil {
		t.Errorf("indexed %d, %v", n, err)
	}
	db := d.raw(t)
	defer db.Close()
	var texts int
	if err := db.QueryRow("SELECT count(*) FROM word WHERE word MATCH 'word'").Scan(&texts); texts != 3 || err != nil {
		t.Errorf("the index has %d texts, %v", texts, err)
	}
}
