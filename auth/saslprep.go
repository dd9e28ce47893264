package auth

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// MaxPassword limits a password in bytes of UTF-8.
const MaxPassword = 1024

// ErrPassword is wrapped by the error for a password that cannot be used:
// empty, too long, not UTF-8, or with characters that cannot be typed.
var ErrPassword = errors.New("unusable password")

// prepare is SASLprep (RFC 4013): the hash that a SCRAM client computes is that
// of the prepared password, so both sides have to map alike. Its successor,
// OpaqueString (RFC 8265 §4.2), keeps what clients map: with it a password
// with a fullwidth letter, a fraction or a soft hyphen could never log in by
// SCRAM.
//
// In two points the successor is followed. Code points newer than Unicode 3.2
// pass, else no password could hold an emoji. And directions may be mixed, else
// an Arabic one could not end in a digit. Neither changes the outcome of the
// mapping.
func prepare(password string) (string, error) {
	switch {
	case password == "":
		return "", fmt.Errorf("%w: empty", ErrPassword)
	case len(password) > MaxPassword:
		return "", fmt.Errorf("%w: more than %d bytes", ErrPassword, MaxPassword)
	case !utf8.ValidString(password):
		return "", fmt.Errorf("%w: not UTF-8", ErrPassword)
	}
	prepared := norm.NFKC.String(strings.Map(mapRune, password))
	if prepared == "" {
		return "", fmt.Errorf("%w: nothing visible in it", ErrPassword)
	}
	for _, r := range prepared {
		if prohibited(r) {
			return "", fmt.Errorf("%w: it contains %U", ErrPassword, r)
		}
	}
	return prepared, nil
}

// mapRune is RFC 4013 §2.1: all spaces become the ASCII one, and what tables
// B.1 lists disappears. U+200B is in both and counts as a space here, as it
// does in the common implementations.
func mapRune(r rune) rune {
	switch {
	case r < 0x80:
		return r
	case r == '\u200b' || unicode.Is(unicode.Zs, r):
		return ' '
	case r == '\u00ad', r == '\u034f', r == '\u1806', '\u180b' <= r && r <= '\u180d',
		r == '\u200c', r == '\u200d', r == '\u2060', '\ufe00' <= r && r <= '\ufe0f', r == '\ufeff':
		return -1
	}
	return r
}

// prohibited is RFC 4013 §2.3 in today's categories: controls and invisible
// marks, private use, non-characters, what replaces or describes characters.
func prohibited(r rune) bool {
	if r < 0x80 {
		return r < 0x20 || r == 0x7f
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp) ||
		r&0xfffe == 0xfffe || '\ufdd0' <= r && r <= '\ufdef' ||
		r == '\ufffc' || r == '\ufffd' ||
		'\u2ff0' <= r && r <= '\u2ffb'
}
