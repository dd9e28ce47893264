package config

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type pingOptions struct {
	Interval time.Duration     `key:"interval" default:"1m" min:"1s" doc:"Time without a byte after which a client is asked."`
	Answer   time.Duration     `key:"answer" min:"1s" doc:"Time it has to answer."`
	Size     Size              `key:"size" default:"4KiB" unit:"bytes" doc:"A size."`
	Ratio    float64           `key:"ratio" default:"0.5" doc:"A ratio."`
	Names    []string          `key:"names" doc:"Some names."`
	Token    string            `key:"token" secret:"true" oneof:"a b" default:"a" doc:"A secret."`
	Headers  map[string]string `key:"headers" doc:"Sent with each."`
	Servers  []struct {
		Host string `key:"host"`
		Port int    `key:"port"`
	} `key:"servers" doc:"Servers."`
	Nested struct {
		Depth int `key:"depth" default:"3" max:"9" doc:"A depth."`
	} `key:"nested"`
}

func TestDecodeModule(t *testing.T) {
	t.Parallel()
	c, problems := loadText(t, `
modules:
  ping:
    enabled: true
    interval: 10s
    names: [A, b]
    headers: {X-Key: Value}
    servers:
      - {host: example.org, port: 1}
    nested: {depth: 4}
`, "XMPPD_MODULES_PING_SIZE=1MiB", "XMPPD_MODULES_PING_RATIO=0.25")
	if problems != "" {
		t.Fatal(problems)
	}
	got := pingOptions{Answer: 5 * time.Second, Names: []string{"replaced", "by", "the file"}}
	if err := c.DecodeModule("ping", &got); err != nil {
		t.Fatal(err)
	}
	want := pingOptions{
		Interval: 10 * time.Second, Answer: 5 * time.Second, Size: 1 << 20, Ratio: 0.25,
		Names: []string{"A", "b"}, Token: "a", Headers: map[string]string{"X-Key": "Value"},
	}
	want.Servers = append(want.Servers, struct {
		Host string `key:"host"`
		Port int    `key:"port"`
	}{"example.org", 1})
	want.Nested.Depth = 4
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeModuleProblems(t *testing.T) {
	t.Parallel()
	c, problems := loadText(t, `
modules:
  ping:
    intervall: 10s
    answer: 10
    ratio: half
    token: hunter2
    headers: {a: 1}
    servers:
      - host: example.org
        prt: 1
      - host: 5
    nested: {depth: 10}
`, "XMPPD_MODULES_PING_SIZE=big", "XMPPD_MODULES_PING_HEADERS=x", "XMPPD_MODULES_PING_ANSWR=1s")
	if problems != "" {
		t.Fatal(problems)
	}
	err, ok := c.DecodeModule("ping", &pingOptions{Answer: time.Second}).(Problems)
	if !ok {
		t.Fatal("no Problems")
	}
	want := `xmppd.yml:4: modules.ping.intervall: unknown key; did you mean modules.ping.interval?
xmppd.yml:5: modules.ping.answer: "10" is not a duration such as 30s or 5m
xmppd.yml:6: modules.ping.ratio: "half" is not a number
xmppd.yml:7: modules.ping.token: the value is not one of a, b
xmppd.yml:11: modules.ping.servers[0].prt: unknown key; did you mean modules.ping.servers[0].port?
xmppd.yml:12: modules.ping.servers[1].host: "5" is not text; put it in quotes
xmppd.yml:13: modules.ping.nested.depth: "10" is more than 9
XMPPD_MODULES_PING_ANSWR: modules.ping.answr: unknown key; did you mean modules.ping.answer?
XMPPD_MODULES_PING_HEADERS: modules.ping.headers: can only be set in the file
XMPPD_MODULES_PING_SIZE: modules.ping.size: "big" is not a number of bytes such as 65536 or 64KiB`
	if diff := cmp.Diff(want, relative(err, c.Source())); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeModuleWithoutFile(t *testing.T) {
	t.Parallel()
	var o struct {
		Interval time.Duration `key:"interval" default:"1m" doc:"An interval."`
	}
	if err := DecodeModule(nil, &o); err != nil || o.Interval != time.Minute {
		t.Errorf("%v, %v", o, err)
	}
	err := DecodeModule(map[string]any{"interval": 3, "x": 1}, &o)
	want := "interval: \"3\" is not a duration such as 30s or 5m\nx: unknown key"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestModuleNamesFromTheEnvironment(t *testing.T) {
	t.Parallel()
	c, problems := loadText(t, "modules:\n  last_activity:\n", "XMPPD_MODULES_LAST_ACTIVITY_MAX_AGE=1", "XMPPD_MODULES_LAST_ONE=2")
	if problems != "" {
		t.Fatal(problems)
	}
	want := map[string]map[string]any{"last_activity": {"max_age": text("1")}, "last": {"one": text("2")}}
	if diff := cmp.Diff(want, c.Modules); diff != "" {
		t.Error(diff)
	}
}

func TestCheckModules(t *testing.T) {
	t.Parallel()
	c, _ := loadText(t, "modules:\n  ping: {enabled: true}\n  pingg:\n  bosh: {enabled: true}\n", "XMPPD_MODULES_PIN_ENABLED=true")
	want := `xmppd.yml:3: modules.pingg: unknown module; did you mean modules.ping?
xmppd.yml:4: modules.bosh: unknown module
XMPPD_MODULES_PIN_ENABLED: modules.pin: unknown module; did you mean modules.ping?`
	if diff := cmp.Diff(want, relative(c.CheckModules([]string{"ping", "version"}), c.Source())); diff != "" {
		t.Error(diff)
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	type line struct{ Key, Type, Default string }
	var got []line
	for _, o := range Describe("ping", &pingOptions{Answer: 90 * time.Second, Names: []string{"a", "b"}}) {
		got = append(got, line{o.Key, o.Type, o.Default})
	}
	want := []line{
		{"modules.ping.enabled", "true or false", "true"},
		{"modules.ping.interval", "duration", "1m"},
		{"modules.ping.answer", "duration", "1m30s"},
		{"modules.ping.size", "size", "4KiB"},
		{"modules.ping.ratio", "number", "0.5"},
		{"modules.ping.names", "list", "a,b"},
		{"modules.ping.token", "a, b", "a"},
		{"modules.ping.headers", "section", ""},
		{"modules.ping.servers", "list", ""},
		{"modules.ping.nested.depth", "number", "3"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var own struct {
		Enabled bool `key:"enabled" doc:"Off unless asked for."`
	}
	if got := Describe("upload", own); len(got) != 1 || got[0].Default != "false" {
		t.Errorf("%+v", got)
	}
}
