package auth

import (
	"errors"
	"strings"
	"testing"
)

func TestPrepare(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		// RFC 4013 §3.
		"I\u00adX": "IX", "user": "user", "USER": "USER", "\u00aa": "a", "\u2168": "IX",
		// The code points that RFC 5802 §3 suggests to try.
		"\u00bd": "1\u20442", "\u00b4": " \u0301",
		"a b": "a b", " a ": " a ", "a\u00a0b": "a b", "a\u3000b": "a b", "a\u200bb": "a b",
		"ｐａｓｓ": "pass", "e\u0301": "é", "Å": "Å", "ﬁ": "fi",
		"a\u200db\ufeffc\u2060": "abc",
		"ㅋㅋ":                    "ᄏᄏ", "가": "가",
		"👩\u200d🚀\ufe0f":                     "👩🚀", // newer than Unicode 3.2
		"سلام123":                            "سلام123",
		"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~": "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
		strings.Repeat("x", MaxPassword):     strings.Repeat("x", MaxPassword),
	} {
		got, err := prepare(in)
		if err != nil || got != want {
			t.Errorf("%+q: %+q, %v, want %+q", in, got, err, want)
		}
		if again, err := prepare(got); err != nil || again != got {
			t.Errorf("%+q: not stable: %+q, %v", in, again, err)
		}
	}
	for _, in := range []string{
		"", "\u00ad", "\u200d\ufeff", "\x00", "a\tb", "a\nb", "\x7f", "\u0080", "\u0085", "a\xff", "\xed\xa0\x80",
		"\u2028", "\u2029", "\u200e", "\u202e", "\u206a", "\ue000", "\U000f0000", "\U00100000", "\ufffe", "\U0001ffff",
		"\ufdd0", "\ufffd", "\ufffc", "\u2ff0", "\U000e0001", "\U000e0041", "\u06dd", "\u180e", "\ufff9",
		strings.Repeat("x", MaxPassword+1),
	} {
		if got, err := prepare(in); !errors.Is(err, ErrPassword) {
			t.Errorf("%+q: %+q, %v", in, got, err)
		} else if in != "" && len(in) > 3 && strings.Contains(err.Error(), in) {
			t.Errorf("%v: tells the password", err)
		}
	}
}

// Both sides prepare: what a client sends by PLAIN or hashes for SCRAM may be
// any of the forms.
func TestPreparedLogin(t *testing.T) {
	t.Parallel()
	b, _ := open(t)
	if err := b.SetPassword(t.Context(), romeo, "ﬁne\u00a0½\u00ad"); err != nil {
		t.Fatal(err)
	}
	for _, m := range mechs {
		if _, err := login(t, b, tlsConn, m, "romeo", "fine 1\u20442"); err != nil {
			t.Errorf("%s: %v", m, err)
		}
	}
	if _, err := login(t, b, tlsConn, "PLAIN", "romeo", "ﬁne\u3000½"); err != nil {
		t.Error(err)
	}
}
