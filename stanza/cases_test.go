package stanza_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/internal/streamcase"
	"github.com/xmppd/xmppd/stanza"
)

func limits(c streamcase.Case) stanza.Limits {
	return stanza.Limits{
		Bytes: c.Limits["bytes"], Depth: c.Limits["depth"], Attrs: c.Limits["attrs"], Elements: c.Limits["elements"],
	}
}

// cut runs in through c, giving it sizes(i) bytes more at each step, and
// returns the tokens as the case files write them.
func cut(tb testing.TB, c *stanza.Cutter, in []byte, more func() int) []string {
	tb.Helper()
	var out []string
	var st stanza.Stanza
	var buf []byte
	for {
		tok, n, err := c.Next(buf, &st)
		var se *stanza.StreamError
		if errors.As(err, &se) {
			return append(out, "error "+string(se.Condition))
		} else if err != nil {
			tb.Fatalf("%T is no stream error", err)
		}
		if tok == stanza.NeedMore && n != 0 || tok != stanza.NeedMore && n == 0 {
			tb.Fatalf("token %d consumed %d bytes", tok, n)
		}
		switch tok {
		case stanza.NeedMore:
			if len(in) == 0 {
				if len(buf) > 0 {
					out = append(out, "more")
				}
				return out
			}
			k := min(len(in), max(1, more()))
			buf = append(bytes.Clone(buf), in[:k]...) // bytes move in memory
			in = in[k:]
		case stanza.Header:
			out = append(out, "header")
		case stanza.Element:
			out = append(out, "element "+streamcase.Escape(st.Raw()))
		case stanza.End:
			out = append(out, "end")
		}
		buf = buf[n:]
	}
}

func runCase(tb testing.TB, c streamcase.Case, more func() int) []string {
	tb.Helper()
	if c.Mode == streamcase.Frame {
		var st stanza.Stanza
		err := st.Parse(bytes.Clone(c.In), limits(c))
		var se *stanza.StreamError
		if errors.As(err, &se) {
			return []string{"error " + string(se.Condition)}
		}
		return []string{"element " + streamcase.Escape(st.Raw())}
	}
	cutter := new(stanza.Cutter)
	if c.Mode == streamcase.Stream {
		cutter = opened(tb, streamcase.Header)
		cutter.SetLimits(limits(c))
	} else {
		cutter.Reset(limits(c))
	}
	return cut(tb, cutter, c.In, more)
}

func TestStreams(t *testing.T) {
	t.Parallel()
	for _, c := range streamcase.Load(t) {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			for _, step := range []int{1 << 20, 1, 2, 3, 7} {
				if diff := cmp.Diff(c.Want, runCase(t, c, func() int { return step })); diff != "" {
					t.Errorf("%d bytes at a time (-want +got):\n%s", step, diff)
				}
			}
		})
	}
}

// TestCanonicalStays proves that what came out goes in again unchanged.
func TestCanonicalStays(t *testing.T) {
	t.Parallel()
	for _, c := range streamcase.Load(t) {
		for _, w := range c.Want {
			xml, ok := bytes.CutPrefix([]byte(w), []byte("element "))
			if !ok || bytes.Contains(xml, []byte(`\`)) {
				continue
			}
			var st stanza.Stanza
			if err := st.Parse(bytes.Clone(xml), stanza.Limits{}); err != nil {
				t.Errorf("%s: %v", c.Name, err)
			} else if !bytes.Equal(st.Raw(), xml) {
				t.Errorf("%s: %s became %s", c.Name, xml, st.Raw())
			}
		}
	}
}
