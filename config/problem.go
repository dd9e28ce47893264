package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Problem is one thing wrong with the configuration.
type Problem struct {
	Source string // file or environment variable; empty for a default
	Line   int    // counted from 1; 0 outside a file
	Key    string // levels joined by dots; empty where the file is no YAML
	Value  string // as written; empty for secrets, lists and sections
	Reason string // what is wrong, to be read after the value
}

// String is one line such as
//
//	xmppd.yml:7: limits.stanza_bytes: "abc" is not a number of bytes
func (p Problem) String() string {
	var b strings.Builder
	if p.Source != "" {
		b.WriteString(printable(p.Source))
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		b.WriteString(": ")
	}
	if p.Key != "" {
		b.WriteString(printable(p.Key) + ": ")
	}
	if p.Value != "" {
		fmt.Fprintf(&b, "%q ", p.Value)
	}
	b.WriteString(printable(p.Reason))
	return b.String()
}

// printable keeps s on one line and control characters out of the terminal.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// Problems is a list of problems as an error, one line each.
type Problems []Problem

// Error joins the lines of all problems.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Sorted puts what has a line first, in the order of the file, and keeps one of
// what was found twice: problems come from several checks.
func Sorted(ps []Problem) Problems { return slices.Compact(Problems(ps).sorted()) }

// sorted puts what has a line first, in the order of the file.
func (ps Problems) sorted() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		if (a.Line == 0) != (b.Line == 0) {
			return cmp.Compare(b.Line, a.Line)
		}
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Key, b.Key))
	})
	return ps
}

// unknown is the reason for a key that is not among the known ones.
func unknown(key string, known []string) string {
	if s := nearest(key, known); s != "" {
		return "unknown key; did you mean " + s + "?"
	}
	return "unknown key"
}

// nearest is the known key that somebody who wrote key probably meant: one that
// differs by few letters, or has the same last level in another section.
func nearest(key string, known []string) string {
	flat := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, ".", "_")) }
	last := func(s string) string { return s[strings.LastIndexByte(s, '.')+1:] }
	best, least := "", 1+min(len(key)/4, 3)
	for _, k := range known {
		if d := distance(flat(key), flat(k)); d < least {
			best, least = k, d
		}
	}
	if best != "" {
		return best
	}
	for _, k := range known {
		if last(k) == strings.ToLower(last(key)) {
			return k
		}
	}
	return ""
}

// distance is the number of single letters to change, add or drop between a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}
