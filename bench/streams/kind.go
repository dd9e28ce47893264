package main

import (
	"fmt"
	"strings"
)

// kind is a way to log in.
type kind struct {
	sasl2  bool // XEP-0388 with Bind 2; else RFC 6120
	fast   bool // with a token (XEP-0484), once there is one
	resume bool // ask for a session that can be resumed (XEP-0198), and resume it once there is one
}

var kinds = []struct {
	name string
	kind kind
}{
	{"scram", kind{}},
	{"scram-resume", kind{resume: true}},
	{"sasl2", kind{sasl2: true}},
	{"sasl2-resume", kind{sasl2: true, resume: true}},
	{"fast", kind{sasl2: true, fast: true}},
	{"resume", kind{sasl2: true, fast: true, resume: true}},
}

func kindNames() string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.name
	}
	return strings.Join(names, " | ")
}

func parseKind(name string) (kind, error) {
	for _, k := range kinds {
		if k.name == name {
			return k.kind, nil
		}
	}
	return kind{}, fmt.Errorf("bad -kind %q: %s", name, kindNames())
}
