package sqlite_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/sqlite"
)

var (
	juliet = jid.MustParse("juliet@example.org")
	nurse  = jid.MustParse("nurse@example.org")
	tybalt = jid.MustParse("tybalt@example.org")
)

// erasure is a store whose file is read for words.
type erasure struct {
	*testing.T
	*sqlite.DB
	d database
}

func newErasure(t *testing.T, accounts ...jid.JID) *erasure {
	e := &erasure{T: t, d: newDatabase(t).(database)}
	e.open()
	t.Cleanup(func() { e.Close() })
	for _, j := range accounts {
		e.must(e.CreateAccount(t.Context(), j, nil))
	}
	return e
}

func (e *erasure) must(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

func (e *erasure) open() {
	e.Helper()
	var err error
	e.DB, err = sqlite.Open(e.Context(), sqlite.Options{Path: e.d.path})
	e.must(err)
}

// exec runs a statement on a connection of its own.
func (e *erasure) exec(statement string) {
	e.Helper()
	db := e.d.raw(e.T)
	defer db.Close()
	_, err := db.Exec(statement)
	e.must(err)
}

// write adds messages of an owner to himself.
func (e *erasure) write(owner jid.JID, bodies ...string) {
	e.Helper()
	r := &storage.Run{}
	for i, body := range bodies {
		id := fmt.Sprintf("%s-%d", owner.Local(), i)
		r.Writes = append(r.Writes, &storage.Message{Owner: owner, Peer: owner, Chat: owner, Flags: storage.Archived | storage.FromOwner, ID: id,
			Text: new(storage.Text), Arrived: time.Now(), XML: fmt.Appendf(nil, "<message id='%s'><body>%s</body></message>", id, body)})
	}
	e.Join(r)
	r.Wait()
	for _, err := range r.Errs {
		e.must(err)
	}
}

// say is write into a segment of the index.
func (e *erasure) say(owner jid.JID, bodies ...string) {
	e.Helper()
	e.write(owner, bodies...)
	if n := e.index(); n != len(bodies) {
		e.Fatalf("indexed %d of %d", n, len(bodies))
	}
}

func (e *erasure) index() int {
	e.Helper()
	n, err := e.IndexTexts(e.Context(), 1000, func(xml []byte) []string {
		_, rest, _ := bytes.Cut(xml, []byte("<body>"))
		body, _, _ := bytes.Cut(rest, []byte("</body>"))
		return strings.Fields(string(body))
	})
	e.must(err)
	return n
}

// chatter makes sentences of which no two have much in common.
func chatter(r *rand.Rand, n int) []string {
	sentences := make([]string, n)
	for i := range sentences {
		words := make([]string, 20)
		for k := range words {
			words[k] = fmt.Sprintf("w%x", r.Uint32())
		}
		sentences[i] = strings.Join(words, " ")
	}
	return sentences
}

func (e *erasure) remove(owner jid.JID) {
	e.Helper()
	_, err := e.RemoveArchive(e.Context(), owner, jid.JID{}, 1000)
	e.must(err)
}

func (e *erasure) step(after time.Duration) (more bool) {
	e.Helper()
	more, err := e.EraseTexts(e.Context(), time.Now().Add(after))
	e.must(err)
	return more
}

// erase does what is due two minutes from now.
func (e *erasure) erase() {
	e.Helper()
	e.eraseWhile(0, nil)
}

// eraseWhile is erase, with something else behind a step. It returns how many pages a
// step has written at most.
func (e *erasure) eraseWhile(step int, fn func()) (steps int, most int64) {
	e.Helper()
	for more := true; more && steps < 10_000; {
		before := e.logged()
		more = e.step(2 * time.Minute)
		most = max(most, e.logged()-before)
		if steps++; steps == step {
			fn()
		}
	}
	return steps, most
}

// logged is the size of the write-ahead log in pages.
func (e *erasure) logged() int64 {
	e.Helper()
	info, err := os.Stat(e.d.path + "-wal")
	e.must(err)
	return info.Size() / 4096
}

// reads reports which of some words stand in the files, as they are.
func (e *erasure) reads(words ...string) (found []string) {
	e.Helper()
	for _, name := range []string{e.d.path, e.d.path + "-wal"} {
		b, err := os.ReadFile(name)
		e.must(err)
		for _, w := range words {
			if bytes.Contains(b, []byte(w)) {
				found = append(found, w)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func (e *erasure) want(words ...string) {
	e.Helper()
	e.exec("PRAGMA wal_checkpoint(TRUNCATE)")
	if found := e.reads("plugh", "frotz", "quux"); !slices.Equal(found, words) {
		e.Errorf("the file has %q, want %q", found, words)
	}
}

// finds counts the messages of an owner with a word.
func (e *erasure) finds(owner jid.JID, word string) (n int) {
	e.Helper()
	q := storage.ArchiveQuery{Owner: owner, Words: []string{word}, Limit: 1000,
		Match: func(m *storage.Message) bool { return bytes.Contains(m.XML, []byte(word)) }}
	e.must(e.Archive(e.Context(), q, func(*storage.Message) error { n++; return nil }))
	return n
}

// TestEraseTexts: the words of a removed archive leave the file, in steps that are
// small next to the index, and those of others stay.
func TestEraseTexts(t *testing.T) {
	t.Parallel()
	e := newErasure(t, romeo, juliet, tybalt, nurse)
	r := rand.New(rand.NewPCG(1, 2))
	for batch := range 50 {
		e.say(romeo, append(chatter(r, 78), fmt.Sprint("rose quux", batch))...)
		e.say(juliet, fmt.Sprint("rose plugh", batch))
		e.say(tybalt, fmt.Sprint("rose afrotz", batch), "hear", "hear")
	}
	e.write(nurse, "is not in the index")
	e.remove(nurse)
	if e.step(48*time.Hour) || e.logged() == 0 {
		t.Error("something is to erase, or the log has been emptied for nothing")
	}
	e.must(e.RemoveAccount(t.Context(), juliet))
	e.want("frotz", "plugh", "quux") // only the index has plugh
	if e.step(0) {
		t.Error("does not wait for the rest of a removal")
	}

	steps, most := e.eraseWhile(5, func() {
		e.write(romeo, "a new rose")
		before := e.logged()
		e.remove(tybalt) // a step has passed these words
		if pages := e.logged() - before; pages > 200 {
			t.Errorf("deleting 150 messages wrote %d pages", pages)
		}
		if n := e.index(); n != 0 {
			t.Errorf("indexed %d in the midst of it", n)
		}
	})
	if steps < 20 || most > 100 {
		t.Errorf("%d steps with up to %d pages", steps, most)
	}
	if found := e.reads("plugh"); found != nil {
		t.Errorf("the file has %q", found)
	}
	e.want("frotz", "quux")
	e.erase()
	if n := e.logged(); n != 0 {
		t.Errorf("the log has %d pages", n)
	}
	e.want("quux")
	if e.step(48*time.Hour) || e.logged() != 0 {
		t.Error("there is more to erase")
	}
	if n := e.finds(romeo, "rose"); n != 51 {
		t.Errorf("%d messages are found", n)
	}
	if n := e.index(); n != 1 || e.finds(romeo, "rose") != 51 {
		t.Errorf("indexed %d behind it", n)
	}
	var segments int
	db := e.d.raw(t)
	defer db.Close()
	e.must(db.QueryRow("SELECT v FROM word_config WHERE k = 'automerge'").Scan(&segments))
	if segments != 4 {
		t.Errorf("merges %d segments", segments)
	}
	if n := e.finds(romeo, "quux7"); n != 1 {
		t.Errorf("%d messages are found", n)
	}
}

// TestEraseAfterRestart: what a stop has interrupted goes on, and what was deleted
// meanwhile has its turn behind it.
func TestEraseAfterRestart(t *testing.T) {
	t.Parallel()
	e := newErasure(t, romeo, juliet, tybalt)
	e.say(romeo, append(chatter(rand.New(rand.NewPCG(1, 2)), 700), "quux")...)
	e.say(juliet, "plugh")
	e.remove(juliet)
	e.say(tybalt, "afrotz") // what is indexed now does not put it off
	for range 4 {
		if !e.step(2 * time.Minute) {
			t.Fatal("it is too little")
		}
	}
	e.remove(tybalt)
	e.must(e.Close())
	e.open()
	if n := e.index(); n != 0 {
		t.Errorf("indexed %d in the midst of it", n)
	}
	e.erase()
	e.want("frotz", "quux")
	e.erase()
	e.want("quux")
	e.say(romeo, "a", "b", "quux")
	if n := e.finds(romeo, "quux"); n != 2 {
		t.Errorf("%d messages are found", n)
	}
}

// TestEraseBehindMerge: a merge that FTS5 has begun by itself does not count, as it
// may have passed words that were deleted later.
func TestEraseBehindMerge(t *testing.T) {
	t.Parallel()
	e := newErasure(t, romeo, juliet)
	e.say(romeo, append(chatter(rand.New(rand.NewPCG(1, 2)), 700), "quux")...)
	e.say(juliet, "aplugh")
	e.exec("INSERT INTO word (word, rank) VALUES ('merge', -16)")
	e.remove(juliet)
	e.erase()
	e.want("quux")
}

// TestEraseInTime: what is deleted one by one is erased within a day.
func TestEraseInTime(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(*erasure){
		"retracted": func(e *erasure) {
			r := &storage.Run{Writes: []storage.Write{&storage.Retraction{Owner: romeo, Chat: romeo, FromOwner: true, ID: "romeo-0", Element: []byte("<gone/>")}}}
			e.Join(r)
			r.Wait()
		},
		"too old": func(e *erasure) {
			_, _, err := e.TrimArchives(e.Context(), storage.Trim{Before: time.Now()}, 0, 1)
			e.must(err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newErasure(t, romeo)
			e.say(romeo, "plugh", "quux")
			remove(e)
			if e.want("plugh", "quux"); e.step(30 * time.Minute) {
				t.Error("does not wait for more")
			}
			for e.step(24*time.Hour + time.Minute) {
				continue
			}
			e.want("quux")
		})
	}
}
