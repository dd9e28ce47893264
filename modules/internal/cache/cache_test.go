package cache

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/jid"
)

// word is a value as large as it is long.
type word string

func (w word) Size() int { return len(w) }

func account(name string) jid.JID { return jid.MustParse(name + "@capulet.lit") }

// held are the values in the cache, by the names of their accounts.
func held(t *testing.T, c *Cache[word], names string) (all []string) {
	t.Helper()
	size := 0
	for _, name := range strings.Fields(names) {
		if v, ok := c.Get(account(name)); ok {
			all = append(all, name+"="+string(v))
			size += v.Size()
		}
	}
	if len(all) != len(c.values) || size != c.size || size > c.limit {
		t.Errorf("%q in memory, %d in %d of %d", slices.Collect(maps.Values(c.values)), size, c.size, c.limit)
	}
	return all
}

// Events are "a=xyz", which puts, "drop=a", "limit=2", and "mark", which takes the
// mark for what is put from then on; before them a mark was taken and a limit of 4
// set.
func TestCache(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		events string
		want   []string
	}{
		"nothing":                      {"", nil},
		"no limit was set":             {"limit=0 a=x", nil},
		"put":                          {"a=x b=yy", []string{"a=x", "b=yy"}},
		"put again":                    {"a=xxx a=y b=zz", []string{"a=y", "b=zz"}},
		"put again, as large as all":   {"a=xxxx a=yyyy", []string{"a=yyyy"}},
		"full":                         {"a=xx b=yy", []string{"a=xx", "b=yy"}},
		"room is made":                 {"a=xxx b=yy", []string{"b=yy"}},
		"room for the largest":         {"a=x b=y c=z d=zzzz", []string{"d=zzzz"}},
		"too large":                    {"a=xx b=yyyyy", []string{"a=xx"}},
		"too large, of one that is in": {"a=xx a=yyyyy", []string{"a=xx"}},
		"dropped":                      {"a=x b=y drop=a", []string{"b=y"}},
		"dropped, not there":           {"a=x drop=b", []string{"a=x"}},
		"dropped twice":                {"a=x drop=a drop=a mark b=yyyy", []string{"b=yyyy"}},
		"dropped while it was read":    {"drop=a a=x", nil},
		"another was":                  {"drop=b a=x", nil},
		"read since":                   {"drop=a mark a=x", []string{"a=x"}},
		"held while it is read again":  {"a=x drop=b a=y", []string{"a=x"}},
		"less room":                    {"a=xxx limit=2", nil},
		"less, and enough":             {"a=xx limit=2", []string{"a=xx"}},
		"more room":                    {"a=xx limit=6 b=yyyy", []string{"a=xx", "b=yyyy"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var c Cache[word]
			c.SetLimit(4)
			mark := c.Mark()
			for _, event := range strings.Fields(tt.events) {
				switch what, v, _ := strings.Cut(event, "="); what {
				case "limit":
					var limit int
					fmt.Sscan(v, &limit)
					c.SetLimit(limit)
				case "mark":
					mark = c.Mark()
				case "drop":
					c.Drop(account(v))
				default:
					c.Put(account(what), word(v), mark)
				}
			}
			if diff := cmp.Diff(tt.want, held(t, &c, "a b c d")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.events, diff)
			}
		})
	}
}

// revision is a value that says how often it was changed.
type revision struct{ n int64 }

func (*revision) Size() int { return 1 }

// Whoever asks behind a Drop never gets what was read before the change, whatever
// others read, change and squeeze out meanwhile.
func TestNothingOldIsHeld(t *testing.T) {
	t.Parallel()
	const rounds, readers = 2000, 4
	accounts := []jid.JID{account("a"), account("b"), account("c")}
	var (
		c       Cache[*revision]
		store   [3]atomic.Int64
		dropped [3]atomic.Int64 // what had been stored before the last Drop
		wg      sync.WaitGroup
	)
	c.SetLimit(2)
	for i := range accounts {
		wg.Go(func() {
			for range rounds {
				n := store[i].Add(1)
				c.Drop(accounts[i])
				dropped[i].Store(n)
				runtime.Gosched()
			}
		})
	}
	for range readers {
		wg.Go(func() {
			for round := range rounds {
				i := round % len(accounts)
				least := dropped[i].Load()
				v, ok := c.Get(accounts[i])
				if !ok {
					mark := c.Mark()
					v = &revision{store[i].Load()}
					runtime.Gosched() // a query takes its time
					c.Put(accounts[i], v, mark)
				}
				if v.n < least {
					t.Errorf("revision %d behind the drop of %d", v.n, least)
					return
				}
			}
		})
	}
	wg.Wait()
	for i := range accounts {
		if v, ok := c.Get(accounts[i]); ok && v.n != rounds {
			t.Errorf("revision %d is left, and there are %d", v.n, rounds)
		}
	}
	if c.size != len(c.values) || c.size > c.limit {
		t.Errorf("%d values of size %d, limit %d", len(c.values), c.size, c.limit)
	}
}

func TestGetAllocations(t *testing.T) {
	var c Cache[*revision]
	c.SetLimit(1)
	a, b := account("a"), account("b")
	c.Put(a, new(revision), c.Mark())
	if n := testing.AllocsPerRun(100, func() { c.Get(a); c.Get(b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
