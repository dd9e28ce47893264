package main

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	const tail = " 4194304 100 0 3 0 150 50 7 3 20 0 9 0 12345 1000000 250"
	for _, c := range []struct {
		line string
		want stat
		ok   bool
	}{
		{"42 (xmppd) S 7 42 42 0 -1" + tail, stat{7, 2100 * time.Millisecond}, true},
		{"42 (a) R 9 (b) S 7 42 42 0 -1" + tail, stat{7, 2100 * time.Millisecond}, true},
		{"42 (xmppd) S 7 42", stat{}, false},
		{"42 xmppd S 7", stat{}, false},
		{"42 (xmppd) S x 42 42 0 -1" + tail, stat{}, false},
		{"", stat{}, false},
	} {
		got, err := parseStat([]byte(c.line))
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("%q: %v, %v", c.line, got, err)
		}
	}
}

func TestParseMachine(t *testing.T) {
	t.Parallel()
	busy, steal := parseMachine([]byte("cpu  100 20 30 4000 500 6 7 80 0 0\ncpu0 1 2 3\n"))
	if busy != 1630*time.Millisecond || steal != 800*time.Millisecond {
		t.Errorf("busy %v, steal %v", busy, steal)
	}
}

func TestParseField(t *testing.T) {
	t.Parallel()
	text := []byte("55d0-7ffd ---p 00000000 00:00 0 [rollup]\nRss:      1234 kB\nPss:       99 kB\nPss_Dirty:  5 kB\n")
	for name, want := range map[string]int64{"Rss": 1234 << 10, "Pss": 99 << 10, "Swap": 0} {
		if got := parseField(text, name); got != want {
			t.Errorf("%s: %d", name, got)
		}
	}
}

func TestDescend(t *testing.T) {
	t.Parallel()
	got := descend([]int{2, 4}, map[int][]int{1: {2, 3}, 2: {4, 5}, 4: {6}, 6: {2}})
	if slices.Sort(got); !slices.Equal(got, []int{2, 4, 5, 6}) {
		t.Errorf("%v", got)
	}
}

func TestParsePIDs(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("no /proc here")
	}
	me := strconv.Itoa(os.Getpid())
	file := t.TempDir() + "/pid"
	if err := os.WriteFile(file, []byte(me+"\nmore\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := parsePIDs("@" + file + "," + me); err != nil || len(got) != 2 || got[0] != os.Getpid() {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"x", "-1", "0", "@" + file + "x", strings.Repeat("9", 15)} {
		if got, err := parsePIDs(bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
	if u := sample([]int{os.Getpid()}, true); u.rss == 0 || u.files == 0 || u.self == 0 && u.server != 0 {
		t.Errorf("%+v", u)
	}
}

func TestParseMetric(t *testing.T) {
	t.Parallel()
	text := []byte("# HELP a_b x\n# TYPE a_b gauge\na_bc 7\na_b 1.5e+06\n")
	if v, ok := parseMetric(text, "a_b"); !ok || v != 1_500_000 {
		t.Errorf("%d, %v", v, ok)
	}
	if _, ok := parseMetric(text, "a"); ok {
		t.Error("found what is not there")
	}
}
