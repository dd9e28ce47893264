package stanza

import (
	"encoding/binary"
	"math/bits"
	"unicode"
)

// What a byte may be.
const (
	nameStart uint8 = 1 << iota // begins a name (without ':', which parts a name in two)
	nameChar                    // continues a name
	white                       // white space
	uriChar                     // may occur in a URI (RFC 3986 §2)
	badInText                   // to be escaped in character data
	badInAttr                   // to be escaped in an attribute
)

var classes = classTable()

func classTable() (t [256]uint8) {
	for c := range t {
		switch {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_':
			t[c] = nameStart | nameChar | uriChar
		case c >= '0' && c <= '9' || c == '-' || c == '.':
			t[c] = nameChar | uriChar
		case c == ' ':
			t[c] = white
		case c == '\t' || c == '\n':
			t[c] = white | badInAttr
		case c == '\r':
			t[c] = white | badInText | badInAttr
		case c < ' ' || c > '~' && c != 0x7F || c == '<' || c == '>' || c == '&':
			t[c] = badInText | badInAttr
		case c == '\'' || c == '"':
			t[c] = badInAttr
		}
	}
	for _, c := range []byte(":/?#[]@!$&'()*+,;=~%") {
		t[c] |= uriChar
	}
	return t
}

// nameRunes are the letters beyond ASCII that may stand in names: the large
// blocks that every edition of XML 1.0 allows. The fifth edition allows more,
// but parsers of the fourth are common (expat), and a name that one of them
// refuses would end the stream of whoever receives it.
var nameRunes = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0xC0, Hi: 0xD6, Stride: 1}, {Lo: 0xD8, Hi: 0xF6, Stride: 1}, {Lo: 0xF8, Hi: 0x131, Stride: 1},
		{Lo: 0x134, Hi: 0x13E, Stride: 1}, {Lo: 0x141, Hi: 0x148, Stride: 1}, {Lo: 0x14A, Hi: 0x17E, Stride: 1},
		{Lo: 0x391, Hi: 0x3A1, Stride: 1}, {Lo: 0x3A3, Hi: 0x3CE, Stride: 1},
		{Lo: 0x401, Hi: 0x40C, Stride: 1}, {Lo: 0x40E, Hi: 0x44F, Stride: 1}, {Lo: 0x451, Hi: 0x45C, Stride: 1},
		{Lo: 0x5D0, Hi: 0x5EA, Stride: 1}, {Lo: 0x621, Hi: 0x63A, Stride: 1}, {Lo: 0x641, Hi: 0x64A, Stride: 1},
		{Lo: 0x905, Hi: 0x939, Stride: 1}, {Lo: 0x1E00, Hi: 0x1E9B, Stride: 1}, {Lo: 0x1EA0, Hi: 0x1EF9, Stride: 1},
		{Lo: 0x3041, Hi: 0x3094, Stride: 1}, {Lo: 0x30A1, Hi: 0x30FA, Stride: 1},
		{Lo: 0x4E00, Hi: 0x9FA5, Stride: 1}, {Lo: 0xAC00, Hi: 0xD7A3, Stride: 1},
	},
	LatinOffset: 2,
}

const (
	ones = 0x0101010101010101
	high = 0x8080808080808080
)

// plain returns the first index from i on at which something other than plain
// ASCII stands: a control character, '<', '&', stop, or a byte above 0x7F. It
// looks at eight bytes at a time: m has the high bit of each such byte, exact
// up to the first one, which is all that matters.
func plain(b []byte, i int, stop byte) int {
	w := ones * uint64(stop)
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		lt, amp, st := x^(ones*'<'), x^(ones*'&'), x^w
		m := (x | (x - ones*' ') | (lt-ones)&^lt | (amp-ones)&^amp | (st-ones)&^st) & high
		if m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
	}
	for i < len(b) {
		if c := b[i]; c < ' ' || c > 0x7F || c == '<' || c == '&' || c == stop {
			break
		}
		i++
	}
	return i
}

// What character found instead of a character's length.
const (
	incomplete = 0
	badUTF8    = -1
	badChar    = -2
)

// character returns the length of the UTF-8 sequence at b[i], a byte above
// 0x7F, and its rune.
func character(b []byte, i int) (int, rune) {
	c := b[i]
	var n int
	lo, hi := byte(0x80), byte(0xBF)
	var r rune
	switch { // Unicode, table 3-7: well-formed UTF-8 byte sequences
	case c >= 0xC2 && c <= 0xDF:
		n, r = 2, rune(c&0x1F)
	case c >= 0xE0 && c <= 0xEF:
		n, r = 3, rune(c&0x0F)
		if c == 0xE0 {
			lo = 0xA0
		} else if c == 0xED {
			hi = 0x9F // no surrogates
		}
	case c >= 0xF0 && c <= 0xF4:
		n, r = 4, rune(c&0x07)
		if c == 0xF0 {
			lo = 0x90
		} else if c == 0xF4 {
			hi = 0x8F
		}
	default:
		return badUTF8, 0
	}
	for k := i + 1; k < i+n; k++ {
		if k >= len(b) {
			return incomplete, 0
		}
		if b[k] < lo || b[k] > hi {
			return badUTF8, 0
		}
		r = r<<6 | rune(b[k]&0x3F)
		lo, hi = 0x80, 0xBF
	}
	if r == 0xFFFE || r == 0xFFFF { // XML 1.0 §2.2
		return badChar, 0
	}
	return n, r
}

// characters skips the characters beyond ASCII from b[i] on. Its second result
// is 0, badUTF8, badChar, or 1 when the last one is incomplete.
func characters(b []byte, i int) (int, int) {
	for i < len(b) && b[i] >= 0x80 {
		n, _ := character(b, i)
		switch {
		case n == incomplete:
			return i, 1
		case n < 0:
			return i, n
		}
		i += n
	}
	return i, 0
}

func isNameRune(r rune) bool { return unicode.Is(nameRunes, r) }

// charError is the stream error for a result of character.
//
// RFC 6120 §4.9.3.22 names violated rules of UTF-8 as a case of
// unsupported-encoding; a well-encoded character that XML forbids makes the
// text not well-formed (§4.9.3.13). bad-format (§4.9.3.1) would only be the
// less specific form of either.
func charError(n int) *StreamError {
	if n == badUTF8 {
		return &StreamError{Condition: StreamUnsupportedEncoding, Text: "invalid UTF-8"}
	}
	return notWellFormed("a character that XML forbids")
}

// maxReference is the longest reference that is accepted, with room for a few
// leading zeros.
const maxReference = 16

// reference reads the reference at b[i] == '&' and returns its length, 0 when
// it is incomplete.
func reference(b []byte, i int) (int, rune, *StreamError) {
	k := i + 1
	for ; ; k++ {
		if k-i >= maxReference {
			return 0, 0, restricted("an entity reference")
		}
		if k == len(b) {
			return 0, 0, nil
		}
		c := b[k]
		if c == ';' {
			break
		}
		if classes[c]&nameChar == 0 && !(c == '#' && k == i+1) {
			return 0, 0, notWellFormed("a bare ampersand")
		}
	}
	name, n := b[i+1:k], k+1-i
	switch string(name) {
	case "":
		return 0, 0, notWellFormed("a bare ampersand")
	case "amp":
		return n, '&', nil
	case "lt":
		return n, '<', nil
	case "gt":
		return n, '>', nil
	case "apos":
		return n, '\'', nil
	case "quot":
		return n, '"', nil
	}
	if name[0] != '#' { // RFC 6120 §11.1
		return 0, 0, restricted("an entity reference")
	}
	if r := charRef(name[1:]); r != 0 {
		return n, r, nil
	}
	return 0, 0, notWellFormed("a reference to no legal character")
}

// charRef returns the character of "38" or "x26", 0 when XML 1.0 §2.2 has none.
func charRef(s []byte) rune {
	base := rune(10)
	if len(s) > 0 && s[0] == 'x' {
		base, s = 16, s[1:]
	}
	var r rune
	for _, c := range s {
		d := rune(99)
		switch {
		case c >= '0' && c <= '9':
			d = rune(c - '0')
		case c >= 'a' && c <= 'f':
			d = rune(c-'a') + 10
		case c >= 'A' && c <= 'F':
			d = rune(c-'A') + 10
		}
		if d >= base {
			return 0
		}
		if r = r*base + d; r > unicode.MaxRune {
			return 0
		}
	}
	if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r >= 0xD800 && r <= 0xDFFF || r == 0xFFFE || r == 0xFFFF {
		return 0
	}
	return r
}
