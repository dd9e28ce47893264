// Package streamcase loads the raw-byte cases of testdata/streams: what a
// client sends, byte by byte, and what the server has to make of it. Several
// packages test against them, so that they agree.
//
// A file holds any number of cases:
//
//	# A remark.
//	=== a name
//	stream bytes=100
//	<message><body>one</body>
//	</message>
//	---
//	element <message><body>one</body></message>
//
// The line below the name says how the bytes arrive: "bytes" from the beginning
// of a stream, "stream" behind Header, "frame" as one WebSocket message; after
// it, limits (bytes, depth, attrs, elements). The lines up to --- are the
// bytes; line breaks of the file do not count, \n, \r, \t, \\ and \xNN stand for
// bytes. What is expected follows, one token a line: "header", "element" with
// the canonical bytes, "end", "error" with the condition of the stream error,
// and "more" when the bytes end inside of something. White space between
// elements is not listed.
package streamcase

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Header is the stream header that stands before the bytes of a Stream case.
const Header = "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xml:lang='en'" +
	" xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"

// Mode says how the bytes of a case arrive.
type Mode string

// The modes.
const (
	Bytes  Mode = "bytes"  // the beginning of a TCP stream
	Stream Mode = "stream" // a TCP stream behind Header
	Frame  Mode = "frame"  // one WebSocket message
)

// Case is one case. In is not shared between cases and may be changed.
type Case struct {
	Name   string // file and name
	Mode   Mode
	Limits map[string]int
	In     []byte
	Want   []string // lines, with bytes escaped by Escape
}

// Load reads all cases. It finds testdata/streams from any folder of the
// module.
func Load(tb testing.TB) []Case {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if up := filepath.Dir(dir); up != dir {
			dir = up
			continue
		}
		tb.Fatal("no go.mod above the working directory")
	}
	files, _ := filepath.Glob(filepath.Join(dir, "testdata", "streams", "*.txt"))
	if len(files) == 0 {
		tb.Fatal("no stream cases")
	}
	var all []Case
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			tb.Fatal(err)
		}
		cases, err := Parse(strings.TrimSuffix(filepath.Base(f), ".txt"), string(data))
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, cases...)
	}
	return all
}

// Parse reads the cases of one file.
func Parse(file, data string) ([]Case, error) {
	var cases []Case
	for _, part := range strings.Split("\n"+data, "\n=== ")[1:] {
		lines := strings.Split(part, "\n")
		c := Case{Name: file + "/" + lines[0], Limits: map[string]int{}}
		if len(lines) < 3 {
			return nil, fmt.Errorf("case %s: too short", c.Name)
		}
		mode, limits, _ := strings.Cut(lines[1], " ")
		c.Mode = Mode(mode)
		if c.Mode != Bytes && c.Mode != Stream && c.Mode != Frame {
			return nil, fmt.Errorf("case %s: unknown mode %q", c.Name, mode)
		}
		for _, l := range strings.Fields(limits) {
			k, v, _ := strings.Cut(l, "=")
			n, err := strconv.Atoi(v)
			if err != nil {
				return nil, fmt.Errorf("case %s: limit %s: %w", c.Name, l, err)
			}
			c.Limits[k] = n
		}
		inside := true
		for _, l := range lines[2:] {
			switch {
			case l == "---":
				inside = false
			case l == "" || l[0] == '#':
			case inside:
				b, err := unescape(l)
				if err != nil {
					return nil, fmt.Errorf("case %s: %w", c.Name, err)
				}
				c.In = append(c.In, b...)
			default:
				c.Want = append(c.Want, l)
			}
		}
		if inside {
			return nil, fmt.Errorf("case %s: no ---", c.Name)
		}
		cases = append(cases, c)
	}
	return cases, nil
}

// Escape writes bytes as the files do.
func Escape(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		switch {
		case c == '\n':
			s.WriteString(`\n`)
		case c == '\r':
			s.WriteString(`\r`)
		case c == '\t':
			s.WriteString(`\t`)
		case c == '\\':
			s.WriteString(`\\`)
		case c < ' ':
			fmt.Fprintf(&s, `\x%02x`, c)
		default:
			s.WriteByte(c)
		}
	}
	return s.String()
}

func unescape(s string) ([]byte, error) {
	var b []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b = append(b, s[i])
			continue
		}
		i++
		if i == len(s) {
			return nil, fmt.Errorf("a backslash at the end of %q", s)
		}
		switch s[i] {
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case '\\':
			b = append(b, '\\')
		case 'x':
			if i+2 >= len(s) {
				return nil, fmt.Errorf("a short \\x in %q", s)
			}
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return nil, fmt.Errorf("read \\x in %q: %w", s, err)
			}
			b = append(b, byte(n))
			i += 2
		default:
			return nil, fmt.Errorf("unknown escape in %q", s)
		}
	}
	return b, nil
}
