package storage_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/storage"
)

// TestStanzaID: an id tells its row and nothing else is an id.
func TestStanzaID(t *testing.T) {
	t.Parallel()
	for _, row := range [][2]int64{{1, 0}, {1, 1}, {math.MaxInt64, math.MaxInt64}, {1, math.MaxInt64}, {1 << 32, 1 << 62}} {
		m := storage.Message{Seq: row[0], Tag: row[1]}
		id := m.StanzaID()
		seq, tag, ok := storage.ParseStanzaID(id)
		if !ok || seq != m.Seq || tag != m.Tag {
			t.Errorf("%v: %q is %d, %d, %v", row, id, seq, tag, ok)
		}
	}
	if id := new(storage.Message).StanzaID(); id != "" {
		t.Errorf("a row that is not stored has the id %q", id)
	}
	id := (&storage.Message{Seq: 5, Tag: 1 << 61}).StanzaID()
	for name, bad := range map[string]string{
		"empty":         "",
		"short":         id[1:],
		"long":          id + "A",
		"padded":        id + "==",
		"another digit": id[:21] + string(id[21]+1), // the last one holds four bits that must be 0
		"foreign digit": "+" + id[1:],
		"line break":    "\n" + id[1:],
		"line breaks":   strings.Repeat("\n", 22),
		"short of 64":   id[:6] + strings.Repeat("\r", 16),
		"negative tag":  string(storage.AppendStanzaID(nil, 5, -1)),
		"no seq":        string(storage.AppendStanzaID(nil, 0, 7)),
		"negative seq":  string(storage.AppendStanzaID(nil, -5, 7)),
	} {
		if seq, tag, ok := storage.ParseStanzaID(bad); ok {
			t.Errorf("%s: %q is %d, %d", name, bad, seq, tag)
		}
	}
}

// TestStanzaIDHides: neighbours in a log have nothing in common but the tag's bits.
func TestStanzaIDHides(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	seen := map[string]bool{}
	for seq := int64(1); seq <= 1000; seq++ {
		id := string(storage.AppendStanzaID(nil, seq, r.Int64()))
		for _, part := range []string{id[:8], id[8:16], id[14:]} {
			if seen[part] {
				t.Fatalf("%q is in two ids", part)
			}
			seen[part] = true
		}
	}
}

func FuzzParseStanzaID(f *testing.F) {
	f.Add(string(storage.AppendStanzaID(nil, 1, 2)))
	f.Add(strings.Repeat("A", 22))
	f.Add(strings.Repeat("_", 22))
	f.Fuzz(func(t *testing.T, id string) {
		seq, tag, ok := storage.ParseStanzaID(id)
		if !ok {
			return
		}
		if seq <= 0 || tag < 0 {
			t.Errorf("%q is %d, %d", id, seq, tag)
		}
		if back := string(storage.AppendStanzaID(nil, seq, tag)); back != id {
			t.Errorf("%q is the same row as %q", id, back)
		}
	})
}

func TestStanzaIDAllocations(t *testing.T) {
	var buf [32]byte
	id := string(storage.AppendStanzaID(nil, 1, 2))
	if n := testing.AllocsPerRun(100, func() {
		storage.AppendStanzaID(buf[:0], 77, 1<<60)
		storage.ParseStanzaID(id)
	}); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]bool{"": false, "a": true, "b": true} {
		theirs, own := storage.Key(id, storage.Archived), storage.Key(id, storage.Archived|storage.FromOwner)
		if own != -theirs || theirs > 0 != want {
			t.Errorf("%q has the keys %d and %d", id, theirs, own)
		}
	}
	if storage.Key("a", 0) == storage.Key("b", 0) {
		t.Error("two ids have one key")
	}
}
