// Package words cuts texts into the words of the full text search. There is one
// way to do it for the index and for what is searched for, in all languages.
//
// Texts are compared in the form NFKC, without case, and without the accents of
// Latin and Greek letters. Scripts that are written without spaces (Han, Kana,
// Thai and the like), and Hangul, whose words carry endings, are not cut into words:
// each character and each pair of neighbours is one. Everything else is words of
// letters, digits and their marks.
package words

import (
	"iter"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

const (
	// MaxSize is how many bytes of a word count; longer ones with the same beginning
	// are the same.
	MaxSize = 64
	// Max is how many different words of one text are in the index, in the order
	// in which they stand in it.
	Max = 4096
)

// unspaced are the scripts whose words cannot be told apart by spaces.
var unspaced = []*unicode.RangeTable{
	unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana, unicode.Bopomofo, unicode.Yi,
	unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar,
}

// Index returns the words of texts that belong together, each once. They consist
// of letters, digits and marks.
func Index(texts ...string) []string {
	var list []string
	for _, text := range texts {
		for token, run := range tokens(normal(text)) {
			if run {
				list = appendPairs(appendCharacters(list, token), token)
			} else {
				list = append(list, token)
			}
		}
	}
	return unique(list)
}

func appendCharacters(list []string, run string) []string {
	for i, r := range run {
		list = append(list, run[i:i+utf8.RuneLen(r)])
	}
	return list
}

func appendPairs(list []string, run string) []string {
	before := -1
	for i, r := range run {
		if before >= 0 {
			list = append(list, run[before:i+utf8.RuneLen(r)])
		}
		before = i
	}
	return list
}

// unique may change list. It returns the first Max different ones; if there are
// no more of them, in any order.
func unique(list []string) []string {
	if len(list) <= Max {
		slices.Sort(list)
		return slices.Compact(list)
	}
	seen := make(map[string]bool, Max)
	kept := list[:0]
	for _, w := range list {
		if len(kept) < Max && !seen[w] {
			seen[w] = true
			kept = append(kept, w)
		}
	}
	return kept
}

// tokens are the words and the runs of unspaced script of a normal text.
func tokens(text string) iter.Seq2[string, bool] {
	return func(yield func(token string, run bool) bool) {
		start, now := 0, separator
		for i, r := range text {
			k := kindOf(r, now)
			if k == now {
				continue
			}
			if now != separator && !yield(token(text[start:i], now)) {
				return
			}
			start, now = i, k
		}
		if now != separator {
			yield(token(text[start:], now))
		}
	}
}

func token(s string, k kind) (string, bool) {
	if k == run {
		return s, true
	}
	return shorten(withoutAccents(s), MaxSize), false
}

// shorten cuts a text to so many bytes, between characters.
func shorten(s string, size int) string {
	if len(s) <= size {
		return s
	}
	for size > 0 && !utf8.RuneStart(s[size]) {
		size--
	}
	return s[:size]
}

type kind uint8

const (
	separator kind = iota
	word
	run
)

// kindOf tells what a character belongs to; before is that of the one before it.
func kindOf(r rune, before kind) kind {
	switch {
	case r < utf8.RuneSelf:
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return word
		}
		return separator
	case r == 'ー' && before == run: // of both Kana, and so of neither
		return run
	case unicode.In(r, unspaced...) && (unicode.IsLetter(r) || unicode.IsMark(r)):
		return run
	case unicode.IsMark(r) && before != separator:
		return before
	case unicode.IsLetter(r), unicode.IsNumber(r), unicode.IsMark(r):
		return word
	}
	return separator
}

// normal is the form in which texts are compared.
func normal(text string) string {
	if isASCII(text) {
		return strings.ToLower(text)
	}
	text = strings.ToValidUTF8(text, "\ufffd")
	return strings.Map(visible, norm.NFKC.String(cases.Fold().String(norm.NFKC.String(text))))
}

// visible drops what only says how a text is to be shown: joiners, soft hyphens,
// directions, variants. A space without width is a space.
func visible(r rune) rune {
	switch {
	case r == '\u200b':
		return ' '
	case r >= utf8.RuneSelf && unicode.In(r, unicode.Cf, unicode.Variation_Selector):
		return -1
	}
	return r
}

func withoutAccents(word string) string {
	if isASCII(word) {
		return word
	}
	if r, _ := utf8.DecodeRuneInString(word); !unicode.In(r, unicode.Latin, unicode.Greek) {
		return word
	}
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFD.String(word))
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
