package words

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestIndex(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", ""},
		{"no letters", "?! … 😀 +-* \"'", ""},
		{"case", "Hello, WORLD: hello", "hello world"},
		{"apostrophe", "don't", "don t"},
		{"digits", "at 12:30, 1,000 won", "000 1 12 30 at won"},
		{"sharp s", "Straße STRASSE", "strasse"},
		{"accents", "Café Zoë cafe\u0301 naïve ΆΛΦΑ Việt", "cafe naive viet zoe αλφα"},
		{"marks of other scripts", "हिन्दी й", "й हिन्दी"},
		{"full width", "ＡＢＣ１２", "abc12"},
		{"invisible", "so\u00adft zero\u200bwidth", "soft width zero"},
		{"hangul", "안녕하세요", "녕 녕하 세 세요 안 안녕 요 하 하세"},
		{"hangul words", "한국 사람", "국 람 사 사람 한 한국"},
		{"decomposed hangul", "\u1112\u1161\u11ab", "한"},
		{"han", "我爱你", "你 我 我爱 爱 爱你"},
		{"kana", "カタ、ｶﾀ、コーヒー", "カ カタ コ コー タ ヒ ヒー ー ーヒ"},
		{"kana and han", "東京へ", "へ 京 京へ 東 東京"},
		{"mixed", "iPhone을 3월에", "3 iphone 에 월 월에 을"},
		{"thai", "ไทย", "ท ทย ย ไ ไท"},
		{"not UTF-8", "a\xffb", "a b"},
		{"syntax", `"a" AND b* OR (c:d) NEAR/2 -e _f _1`, "1 2 a and b c d e f near or"},
		{"long", strings.Repeat("x", MaxSize+9), strings.Repeat("x", MaxSize)},
		{"long, characters", strings.Repeat("д", MaxSize), strings.Repeat("д", MaxSize/2)},
	} {
		got := Index(tt.text)
		slices.Sort(got)
		if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestIndexBound(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 2 * Max {
		b.WriteString(" w")
		b.WriteString(strings.Repeat("x", 1+i/26/26))
		b.WriteByte(byte('a' + i/26%26))
		b.WriteByte(byte('a' + i%26))
	}
	got := Index(b.String())
	if len(got) != Max || got[0] != "wxaa" {
		t.Errorf("%d words, the first is %s", len(got), got[0])
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		query, text string
		want        bool
	}{
		{"hello", "Hello, world", true},
		{"world hello", "Hello, world", true},
		{"hell", "Hello, world", false},
		{"hello moon", "Hello, world", false},
		{"CAFE", "at the Café", true},
		{"café", "at the cafe\u0301", true},
		{"strasse", "Hauptstraße", false},
		{"학교", "내일 학교에서 만나", true},
		{"학교 내일", "내일 학교에서 만나", true},
		{"교학", "내일 학교에서 만나", false},
		{"한국국", "한국 국국", false}, // both pairs, but nowhere together
		{"한국어", "한국 국어", false},
		{"한국어", "나는 한국어를 배운다", true},
		{"3월", "3월에 보자", true},
		{"北京", "我在北京市", true},
		{"京北", "我在北京市", false},
		{"猫", "黒猫が好き", true},
		{"東京タワー", "昨日東京タワーに行った", true},
		{"ｺｰﾋｰ", "コーヒーを飲む", true},
		{"iphone을", "새 iPhone을 샀다", true},
		{"", "anything", false},
		{"?!", "anything?!", false},
		{"a\"b", "b a", true},
	} {
		q := Parse(tt.query)
		if got := q.Match(tt.text); got != tt.want {
			t.Errorf("%q in %q: %v, want %v", tt.query, tt.text, got, tt.want)
		}
		if q.Empty() != (len(q.Words()) == 0) {
			t.Errorf("%q: words %q", tt.query, q.Words())
		}
	}
	q := Parse("one two")
	if !q.Match("One", "two") || q.Match() {
		t.Error("texts that belong together are not taken together")
	}
}

func TestQueryBounds(t *testing.T) {
	t.Parallel()
	var many []string
	for c := 'a'; c < 'a'+40; c++ {
		many = append(many, strings.Repeat(string('a'+(c-'a')%26), 1+int(c-'a')/26))
	}
	for name, text := range map[string]string{
		"words":         strings.Join(many, " "),
		"a run":         strings.Repeat("가나", 100_000),
		"one word":      strings.Repeat("x", 1_000_000),
		"one character": strings.Repeat("가", 1_000_000),
		"no word":       strings.Repeat("?", 1_000_000),
	} {
		q := Parse(text)
		if n := len(q.words) + len(q.runs); n > maxTokens || n == 0 != (name == "no word") {
			t.Errorf("%s: %d tokens", name, n)
		}
		if n := len(q.Words()); n > maxSought {
			t.Errorf("%s: %d words", name, n)
		}
		if q.Match(text) == q.Empty() {
			t.Errorf("%s: not found in itself", name)
		}
	}
	if q := Parse(strings.Join(many, " ")); !q.Match(strings.Join(many[:maxTokens], " ")) || q.Match(strings.Join(many[1:], " ")) {
		t.Error("not the first words count")
	}
}

// FuzzWords: the index knows all that a query is found by, and every part of a
// text between its separators is found in it.
func FuzzWords(f *testing.F) {
	f.Add("Hello, world", "hello")
	f.Add("내일 학교에서 만나, 3월에", "학교 3월")
	f.Add("昨日東京タワーに行った\u200d。", "東京タワー")
	f.Add("Café Zoë ﷺ ㅋㅋㅋ ǅ", "cafe\u0301")
	f.Fuzz(func(t *testing.T, text, query string) {
		index := Index(text)
		if len(index) > Max {
			t.Fatalf("%d words", len(index))
		}
		known := make(map[string]bool)
		for _, w := range index {
			if known[w] || w == "" || len(w) > MaxSize || !utf8.ValidString(w) || strings.ContainsAny(w, " \"_\x00") {
				t.Fatalf("word %q", w)
			}
			known[w] = true
		}
		q := Parse(query)
		for _, sought := range q.Words() {
			if q.Match(text) && !known[sought] && len(index) < Max {
				t.Errorf("%q is found in %q, but the index does not know %q", query, text, sought)
			}
		}
		if !q.Empty() && !q.Match(query) {
			t.Errorf("%q is not found in itself", query)
		}
		if !q.Empty() && !q.Match(text+"\n"+query) {
			t.Errorf("%q is not found behind %q", query, text)
		}
	})
}

func BenchmarkIndex(b *testing.B) {
	for _, text := range []string{
		"Shall we meet in front of the station at half past seven, or is that too late?",
		"내일 저녁 일곱 시 반에 역 앞에서 만날까? 아니면 너무 늦을까?",
		"明天晚上七点半我们在车站前见面好吗？还是太晚了？",
	} {
		b.Run(text[:8], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Index(text)
			}
		})
	}
}
