package stanza_test

import (
	"bytes"
	"encoding/xml"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/internal/streamcase"
	"github.com/xmppd/xmppd/stanza"
)

// small limits, so that the fuzzer meets them.
var small = stanza.Limits{Bytes: 2048, Depth: 8, Attrs: 8, Elements: 32}

// FuzzCutter proves that tokens and errors do not depend on how the bytes
// arrive, and checks every element that comes out.
func FuzzCutter(f *testing.F) {
	for _, c := range streamcase.Load(f) {
		in := c.In
		if c.Mode == streamcase.Stream {
			in = append([]byte(streamcase.Header), in...)
		}
		f.Add(in, uint64(1))
	}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		cutter := func() *stanza.Cutter {
			c := new(stanza.Cutter)
			c.Reset(small)
			return c
		}
		whole := cut(t, cutter(), in, func() int { return len(in) })
		single := cut(t, cutter(), in, func() int { return 1 })
		if diff := cmp.Diff(whole, single); diff != "" {
			t.Fatalf("byte by byte (-whole +single):\n%s", diff)
		}
		rnd := rand.New(rand.NewPCG(seed, 1))
		pieces := cut(t, cutter(), in, func() int { return rnd.IntN(24) })
		if diff := cmp.Diff(whole, pieces); diff != "" {
			t.Fatalf("in pieces (-whole +pieces):\n%s", diff)
		}
		c, buf := cutter(), bytes.Clone(in)
		var st stanza.Stanza
		for {
			tok, n, err := c.Next(buf, &st)
			if err != nil || tok == stanza.NeedMore {
				return
			}
			if tok == stanza.Element {
				checkStanza(t, &st)
			}
			buf = buf[n:]
		}
	})
}

// FuzzParse does the same for frames and stored rows.
func FuzzParse(f *testing.F) {
	for _, c := range streamcase.Load(f) {
		f.Add(c.In)
	}
	f.Add([]byte(chat))
	f.Fuzz(func(t *testing.T, in []byte) {
		in = bytes.Clone(in)
		var st stanza.Stanza
		if st.Parse(in, small) != nil {
			return
		}
		checkStanza(t, &st)
		var again stanza.Stanza
		if err := again.Parse(in, small); err != nil {
			t.Fatalf("parsed once: %v", err)
		}
		if diff := cmp.Diff(string(st.Raw()), string(again.Raw())); diff != "" {
			t.Fatalf("parsed twice:\n%s", diff)
		}
	})
}

// checkStanza tests everything that must hold for whatever comes out.
func checkStanza(t *testing.T, st *stanza.Stanza) {
	t.Helper()
	raw := string(st.Raw())
	again := parse(t, raw)
	if string(again.Raw()) != raw {
		t.Fatalf("canonical %q became %q", raw, again.Raw())
	}
	if again.Kind != st.Kind || again.Type != st.Type || again.Class != st.Class {
		t.Fatalf("%q: %v %v %b became %v %v %b", raw, st.Kind, st.Type, st.Class, again.Kind, again.Type, again.Class)
	}
	want := treeOf(st.Root())
	if diff := cmp.Diff(want, treeOf(again.Root())); diff != "" {
		t.Fatalf("%q parsed again:\n%s", raw, diff)
	}
	if diff := cmp.Diff(treeByEncodingXML(t, raw), want); diff != "" {
		t.Fatalf("%q (-encoding/xml +stanza):\n%s", raw, diff)
	}
	checkAppendTo(t, st.Root())
	checkEdits(t, st)
}

func parse(t *testing.T, raw string) *stanza.Stanza {
	t.Helper()
	st := new(stanza.Stanza)
	if err := st.Parse([]byte(raw), stanza.Limits{}); err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	return st
}

// checkAppendTo takes every element out of its place.
func checkAppendTo(t *testing.T, e stanza.Elem) {
	t.Helper()
	alone := string(e.AppendTo(nil))
	if diff := cmp.Diff(treeOf(e), treeOf(parse(t, alone).Root())); diff != "" {
		t.Fatalf("%q of its own is %q:\n%s", e.Raw(), alone, diff)
	}
	for c := range e.Children() {
		checkAppendTo(t, c)
	}
}

// checkEdits makes some of every kind.
func checkEdits(t *testing.T, st *stanza.Stanza) {
	t.Helper()
	st.SetAttr(stanza.Sent, "from", "a'&b")
	st.SetAttr(stanza.Received, "type", "x")
	st.RemoveAttr(stanza.Received, "id")
	st.Cut(stanza.Sent, st.Root().First())
	st.Append(stanza.Received, []byte("<added/>"))
	sent := parse(t, string(st.Emit(nil, stanza.Sent)))
	received := parse(t, string(st.Emit(nil, stanza.Received)))
	if diff := cmp.Diff(string(st.Emit(nil, stanza.Received)), string(st.Clone().Emit(nil, stanza.Received))); diff != "" {
		t.Fatalf("clone:\n%s", diff)
	}
	forwarded := parse(t, string(st.EmitForwarded(nil, stanza.Received)))
	if diff := cmp.Diff(treeOf(received.Root()), treeOf(forwarded.Root())); diff != "" {
		t.Fatalf("forwarded:\n%s", diff)
	}
	n := len(treeOf(st.Root()).Children)
	cuts := min(n, 1)
	if got := treeOf(sent.Root()); len(got.Children) != n-cuts || got.Attrs["from"] != "a'&b" {
		t.Fatalf("sent %q as %q", st.Raw(), sent.Raw())
	}
	got := treeOf(received.Root())
	_, id := got.Attrs["id"]
	if len(got.Children) != n-cuts+1 || got.Attrs["from"] != "a'&b" || got.Attrs["type"] != "x" || id {
		t.Fatalf("received %q as %q", st.Raw(), received.Raw())
	}
}

// tree is what an element means.
type tree struct {
	NS, Name, Text string
	Attrs          map[string]string
	Children       []tree
}

var blank = strings.NewReplacer("\t", " ", "\n", " ", "\r", " ")

func treeOf(e stanza.Elem) tree {
	t := tree{NS: string(e.NS()), Name: string(e.Name()), Text: e.Text(), Attrs: map[string]string{}}
	if t.Name == "xmlns" {
		t.NS = "" // encoding/xml does not know better
	}
	for name, value := range e.Attrs() {
		t.add(name, string(value))
	}
	for c := range e.Children() {
		t.Children = append(t.Children, treeOf(c))
	}
	return t
}

// add leaves prefixed attributes out: their prefixes are not part of what they
// mean. encoding/xml does not normalise white space in values.
func (t *tree) add(name, value string) {
	if name != "xmlns" && !strings.Contains(name, ":") {
		t.Attrs[name] = blank.Replace(value)
	}
}

func treeByEncodingXML(t *testing.T, raw string) tree {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader("<r xmlns='jabber:client'>" + raw + "</r>"))
	stack := []tree{{}}
	for {
		tok, err := d.Token()
		if err == io.EOF {
			return stack[0].Children[0].Children[0]
		}
		if err != nil {
			t.Fatalf("%q: encoding/xml: %v", raw, err)
		}
		top := &stack[len(stack)-1]
		switch tok := tok.(type) {
		case xml.StartElement:
			n := tree{NS: tok.Name.Space, Name: tok.Name.Local, Attrs: map[string]string{}}
			for _, a := range tok.Attr {
				if a.Name.Space == "" {
					n.add(a.Name.Local, a.Value)
				}
			}
			stack = append(stack, n)
		case xml.EndElement:
			n := *top
			stack = stack[:len(stack)-1]
			stack[len(stack)-1].Children = append(stack[len(stack)-1].Children, n)
		case xml.CharData:
			top.Text += string(tok)
		}
	}
}
