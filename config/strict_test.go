package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
)

// TestViperAlone repeats the claims of docs/adr/0003-viper-strict.md: what viper
// makes of each file with its defaults, with UnmarshalExact, and what Load says.
// When viper becomes strict here, this test says so.
func TestViperAlone(t *testing.T) {
	t.Parallel()
	type options struct {
		Limits struct {
			Depth      int           `key:"depth"`
			WriteStall time.Duration `key:"write_stall"`
		} `key:"limits"`
	}
	tags := func(dc *mapstructure.DecoderConfig) { dc.TagName = "key" }
	noGuessing := func(dc *mapstructure.DecoderConfig) { tags(dc); dc.WeaklyTypedInput = false; dc.DecodeHook = nil }

	for _, test := range []struct {
		name, file              string
		defaults, exact, strict bool // refused?
	}{
		{"unknown key", "limits: {dept: 20}", false, true, true},
		{"a number in quotes", "limits: {depth: '20'}", false, true, true},
		{"a fraction for a whole number", "limits: {depth: 20.9}", false, false, true},
		{"30 for 30s is 30 ns", "limits: {write_stall: 30}", false, false, true},
		{"wrong case", "Limits: {DEPTH: 20}", false, false, true},
		{"levels joined by a dot", "limits.depth: 20", false, false, true},
		{"twice", "limits: {depth: 20, depth: 30}", true, true, true},
	} {
		read := func() (*viper.Viper, error) {
			v := viper.New()
			v.SetConfigType("yaml")
			return v, v.ReadConfig(strings.NewReader(test.file))
		}
		v, err := read()
		if err == nil {
			err = v.Unmarshal(&options{}, tags)
		}
		if refused := err != nil; refused != test.defaults {
			t.Errorf("%s: viper's defaults: %v", test.name, err)
		}
		v, err = read()
		if err == nil {
			err = v.UnmarshalExact(&options{}, noGuessing)
		}
		if refused := err != nil; refused != test.exact {
			t.Errorf("%s: UnmarshalExact without weak typing: %v", test.name, err)
		}
		_, problems := loadText(t, test.file)
		if refused := strings.HasPrefix(problems, "xmppd.yml:1: "); refused != test.strict {
			t.Errorf("%s: Load: %s", test.name, problems)
		}
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		want Size
		ok   bool
		back string
	}{
		{"0", 0, true, "0"},
		{"1", 1, true, "1"},
		{"1024", 1024, true, "1KiB"},
		{"1025", 1025, true, "1025"},
		{"256KiB", 262144, true, "256KiB"},
		{"3 MiB", 3 << 20, true, "3MiB"},
		{"2048MiB", 2 << 30, true, "2GiB"},
		{"", 0, false, "0"},
		{"KiB", 0, false, "0"},
		{"1.5KiB", 0, false, "0"},
		{"-1KiB", 0, false, "0"},
		{"1kb", 0, false, "0"},
		{"8589934592GiB", 0, false, "0"},
	} {
		got, ok := parseSize(test.text)
		if got != test.want || ok != test.ok || got.String() != test.back {
			t.Errorf("%q: %d %q %v", test.text, got, got.String(), ok)
		}
	}
}

// FuzzLoad holds that no file makes Load panic, and that a problem is one line.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"", example, YAML(Options()), "a: &a [*a]\n", "log: &l {level: info}\ntls: *l\n",
		"modules: {a: {b: {c: [1, {d: 2}]}}}", "<<: {log: {level: info}}", "? [a]\n: b\n", "log: !!binary aaaa\n", "%YAML 1.1\n---\nlog:\n",
		"&a domains: *a\n", "\"a\\nb\": 1\n", "domains: [2020-01-01, 0x10, .inf, ~, !!set {a}]\n",
	} {
		f.Add([]byte(seed), "XMPPD_LISTEN_C2S=:1")
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte, variable string) {
		path := filepath.Join(dir, fmt.Sprint(os.Getpid(), ".yml"))
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		c, problems := load(path, nil, []string{variable}, false)
		for _, p := range problems {
			if line := p.String(); p.Reason == "" || strings.ContainsAny(line, "\n\r\x1b") {
				t.Errorf("not one line: %q", line)
			}
		}
		if len(problems) > 0 {
			return
		}
		if len(c.Domains) == 0 || c.Limits.Depth < 16 || c.Limits.WriteStall < time.Second {
			t.Errorf("a Config that was not checked: %+v", c)
		}
	})
}

// What strictness costs at each start.
func BenchmarkLoad(b *testing.B) {
	path := filepath.Join(b.TempDir(), "xmppd.yml")
	if err := os.WriteFile(path, []byte(example), 0o600); err != nil {
		b.Fatal(err)
	}
	b.Run("strict", func(b *testing.B) {
		for b.Loop() {
			if _, problems := load(path, nil, nil, true); len(problems) > 0 {
				b.Fatal(Problems(problems))
			}
		}
	})
	b.Run("viper", func(b *testing.B) {
		for b.Loop() {
			v := viper.New()
			v.SetConfigFile(path)
			var c Config
			if err := v.ReadInConfig(); err != nil {
				b.Fatal(err)
			}
			if err := v.Unmarshal(&c, func(dc *mapstructure.DecoderConfig) { dc.TagName = "key" }); err != nil {
				b.Fatal(err)
			}
		}
	})
}
