package jid

import (
	"strings"
	"testing"

	mellium "mellium.im/xmpp/jid"
)

func TestParse(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 1023)
	for _, c := range []struct{ in, local, domain, resource, text string }{
		{"juliet@example.org/balcony", "juliet", "example.org", "balcony", ""},
		{"JULIET@Example.ORG/Balcony", "juliet", "example.org", "Balcony", "juliet@example.org/Balcony"},
		{"example.org", "", "example.org", "", ""},
		{"example.org/foo@bar/baz", "", "example.org", "foo@bar/baz", ""},
		{long + "@example.org", long, "example.org", "", ""},
		{"a@127.0.0.1", "a", "127.0.0.1", "", ""},
		{"σ@example.org", "σ", "example.org", "", ""},
		{"a@xn--bcher-kva.example", "a", "bücher.example", "", "a@bücher.example"},
	} {
		j, err := Parse(c.in)
		if err != nil {
			t.Errorf("%q: %v", c.in, err)
			continue
		}
		if c.text == "" {
			c.text = c.in
		}
		if j.Local() != c.local || j.Domain() != c.domain || j.Resource() != c.resource || j.String() != c.text {
			t.Errorf("%q: got %q %q %q %q", c.in, j.Local(), j.Domain(), j.Resource(), j.String())
		}
		if j.Bare().IsFull() || j.Bare().Local() != c.local || j.IsFull() != (c.resource != "") {
			t.Errorf("%q: bare form %q", c.in, j.Bare())
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"", "@", "/", "@example.org", "a@", "a@/r", "a@b/", "example.org/", "a b@example.org", "a\"b@example.org",
		"a&b@example.org", "a'b@example.org", "a:b@example.org", "a<b@example.org", "a@b@c", "a@example.org/\x00",
		"a@-x.org", "a@x-.org", "a@" + strings.Repeat("b", 64) + ".org", strings.Repeat("a", 1024) + "@example.org",
		"a@example.org/" + strings.Repeat("r", 1024), "\xff@example.org", "a@example.org/\xff", "a@..", "a@.x",
	} {
		if j, err := Parse(in); err == nil {
			t.Errorf("%q was accepted as %q", in, j)
		}
	}
}

func TestPartsDoNotAllocate(t *testing.T) {
	j := MustParse("juliet@example.org/balcony")
	n := testing.AllocsPerRun(100, func() {
		_, _, _, _, _ = j.Bare(), j.Local(), j.Domain(), j.Resource(), j.DomainJID()
		if k, err := Parse("romeo@example.org/orchard"); err != nil || k == j {
			panic(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"a@b/c", "A@B.c/ d", "xn--a@b", "σς@ß.example/ﬁ", "[::1]", "a@[::1]/r", "a@b./c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		j, err := Parse(s)
		if err != nil {
			return
		}
		again, err := Parse(j.String())
		if err != nil || again != j {
			t.Fatalf("%q became %q, which becomes %q (%v)", s, j, again, err)
		}
		if fast, ok := parseASCII(s); ok {
			m, err := mellium.Parse(s)
			if err != nil || m.String() != fast.String() {
				t.Fatalf("fast path says %q, mellium %q (%v)", fast, m, err)
			}
		}
	})
}
