// Package resultset reads and writes what XEP-0059 (Result Set Management, 1.0)
// says about pages of a result.
package resultset

import (
	"math"
	"strconv"

	"github.com/xmppd/xmppd/stanza"
)

// NS is the namespace of result sets.
const NS = "http://jabber.org/protocol/rsm"

// Page is what a client asks for.
type Page struct {
	// Max is how many items it wants; 0: only their number; -1: it leaves that to
	// the server.
	Max int
	// After and Before are ids that are not in the page; "" where there is none.
	// XEP-0059 leaves open what both together mean: here they are the ends of the
	// set, and the page is the last one in it.
	After, Before string
	Backward      bool // the page is the last one that there is: <before/> was given
}

// Parse reads the element <set/> inside parent; without one the page is the first.
// A number that is none is a bad-request; a page by its index is not implemented,
// because to find it takes longer the more there is (XEP-0059 §2.6).
func Parse(parent stanza.Elem) (Page, error) {
	p := Page{Max: -1}
	for e := range parent.Child(NS, "set").Children() {
		if string(e.NS()) != NS {
			continue
		}
		switch string(e.Name()) {
		case "max":
			var ok bool
			if p.Max, ok = number(e.Text()); !ok {
				return p, stanza.BadRequest("max is not a number")
			}
		case "after":
			p.After = e.Text()
		case "before":
			p.Before, p.Backward = e.Text(), true
		case "index":
			return p, stanza.FeatureNotImplemented("a page is asked for by an id")
		}
	}
	return p, nil
}

// number reads a number that is not negative; what is too large for an int32 is
// the largest of them.
func number(s string) (n int, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = min(10*n+int(s[i]-'0'), math.MaxInt32)
	}
	return n, s != ""
}

// Result is what the answer says of a page.
type Result struct {
	First, Last string // ids; "": the page is empty
	Count       int64  // items of the whole set; -1: unknown
	Index       int64  // of the first one in the set; -1: unknown
}

// Write writes the element <set/>.
func (r Result) Write(b *stanza.Builder) {
	b.Open("set", NS)
	if r.First != "" {
		b.Open("first", "")
		if r.Index >= 0 {
			b.Attr("index", strconv.FormatInt(r.Index, 10))
		}
		b.Chars(r.First).Close()
		b.Text("last", r.Last)
	}
	if r.Count >= 0 {
		b.Text("count", strconv.FormatInt(r.Count, 10))
	}
	b.Close()
}
