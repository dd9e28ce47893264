package stanza

import (
	"bytes"
	"unicode/utf8"
)

// AppendEscaped appends s so that it reads back unchanged, both as character
// data and between quotes of either kind. What XML cannot hold (most control
// characters, invalid UTF-8) becomes U+FFFD.
func AppendEscaped(dst []byte, s string) []byte { return appendEscaped(dst, s, badInAttr) }

// appendText escapes for character data only: quotes, tabs and line feeds stay.
func appendText(dst []byte, s string) []byte { return appendEscaped(dst, s, badInText) }

func appendEscaped(dst []byte, s string, bad uint8) []byte {
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		if classes[c]&bad == 0 {
			i++
			continue
		}
		n, esc := 1, "\uFFFD"
		switch c {
		case '&':
			esc = "&amp;"
		case '<':
			esc = "&lt;"
		case '>':
			esc = "&gt;"
		case '\'':
			esc = "&apos;"
		case '"':
			esc = "&quot;"
		case '\t':
			esc = "&#9;"
		case '\n':
			esc = "&#10;"
		case '\r':
			esc = "&#13;"
		default:
			if c >= utf8.RuneSelf {
				r, size := utf8.DecodeRuneInString(s[i:])
				if legal := r != utf8.RuneError || size > 1; legal && r != 0xFFFE && r != 0xFFFF {
					i += size
					continue
				}
				n = size
			}
		}
		dst = append(dst, s[done:i]...)
		dst = append(dst, esc...)
		i += n
		done = i
	}
	return append(dst, s[done:]...)
}

// appendValue appends the value of an attribute as XML defines it: references
// resolved, white space normalised (XML 1.0 §3.3.3). b was scanned before.
func appendValue(dst, b []byte) []byte {
	for i := 0; i < len(b); {
		switch c := b[i]; c {
		case '&':
			n, r, _ := reference(b, i)
			dst = utf8.AppendRune(dst, r)
			i += n
		case '\r':
			if i+1 < len(b) && b[i+1] == '\n' { // XML 1.0 §2.11
				i++
			}
			fallthrough
		case '\t', '\n':
			dst = append(dst, ' ')
			i++
		default:
			dst = append(dst, c)
			i++
		}
	}
	return dst
}

// appendData appends character data: references and CDATA sections resolved,
// line ends normalised (XML 1.0 §2.11). b was scanned before.
func appendData(dst, b []byte) []byte {
	for i := 0; i < len(b); {
		switch c := b[i]; c {
		case '&':
			n, r, _ := reference(b, i)
			dst = utf8.AppendRune(dst, r)
			i += n
		case '<':
			i += len(cdataOpen)
			n := bytes.Index(b[i:], []byte(cdataClose))
			dst = appendLines(dst, b[i:i+n])
			i += n + len(cdataClose)
		default:
			n := bytes.IndexAny(b[i:], "&<")
			if n < 0 {
				n = len(b) - i
			}
			dst = appendLines(dst, b[i:i+n])
			i += n
		}
	}
	return dst
}

func appendLines(dst, b []byte) []byte {
	for i, c := range b {
		if c == '\r' {
			if i+1 < len(b) && b[i+1] == '\n' {
				continue
			}
			c = '\n'
		}
		dst = append(dst, c)
	}
	return dst
}
