package config

import (
	"fmt"
	"strings"

	"github.com/go-viper/mapstructure/v2"
)

// reporter collects problems with the place each value came from. A key that
// already has a problem gets no second one.
type reporter struct {
	config   *Config
	fields   []field
	problems Problems
}

func (r *reporter) bad(key string, bad *badValue) {
	list := base(key)
	from := r.config.origin(key).source
	for _, p := range r.problems {
		if p.Source == from && (p.Key == key || p.Key == list) {
			return
		}
	}
	r.problems = append(r.problems, r.config.problem(key, bad, r.fields))
}

// problem places bad at the key's origin and hides the value of a secret.
func (c *Config) problem(key string, bad *badValue, fields []field) Problem {
	from := c.origin(key)
	p := Problem{Source: from.source, Line: from.line, Key: key, Value: bad.value, Reason: bad.reason}
	for _, f := range fields {
		if f.secret && f.Key == base(key) && p.Value != "" {
			p.Value, p.Reason = "", "the value "+p.Reason
		}
	}
	return p
}

// origin is where key, or the nearest level above it, was set.
func (c *Config) origin(key string) origin {
	for key != "" {
		if from, ok := c.origins[key]; ok {
			return from
		}
		key = key[:max(strings.LastIndexAny(key, ".["), 0)]
	}
	return origin{}
}

// base is the key of the list that key[0] is in.
func base(key string) string {
	head, _, _ := strings.Cut(key, "[")
	return head
}

// decoded walks the tree of a decoder's error down to the single values.
func (r *reporter) decoded(prefix string, err error) {
	var walk func(name string, err error)
	walk = func(name string, err error) {
		if de, ok := err.(*mapstructure.DecodeError); ok {
			name = de.Name()
		}
		switch e := err.(type) {
		case nil:
		case *badValue:
			r.bad(prefix+name, e)
		case interface{ Unwrap() []error }:
			for _, err := range e.Unwrap() {
				walk(name, err)
			}
		case interface{ Unwrap() error }:
			walk(name, e.Unwrap())
		default:
			r.bad(prefix+name, &badValue{"", err.Error()})
		}
	}
	walk("", err)
}

// when is reason if bad.
func when(bad bool, reason string) string {
	if bad {
		return reason
	}
	return ""
}

// one reports value under key unless reason is empty.
func (r *reporter) one(key, value, reason string) {
	if reason != "" {
		r.bad(key, &badValue{value, reason})
	}
}

// each reports the items of a list for which check has a reason.
func (r *reporter) each(key string, list []string, check func(string) string) {
	for i, item := range list {
		r.one(fmt.Sprintf("%s[%d]", key, i), item, check(item))
	}
}
