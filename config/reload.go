package config

import (
	"reflect"
	"slices"
)

// Diff lists the keys whose values differ: those that a running server applies
// on reload, and those that need a restart.
func Diff(old, new *Config) (applied, needsRestart []string) {
	from, to := reflect.ValueOf(old).Elem(), reflect.ValueOf(new).Elem()
	for _, f := range configFields() {
		switch {
		case same(from.FieldByIndex(f.index), to.FieldByIndex(f.index)):
		case f.Live:
			applied = append(applied, f.Key)
		default:
			needsRestart = append(needsRestart, f.Key)
		}
	}
	return applied, append(needsRestart, diffModules(old.Modules, new.Modules)...)
}

func same(a, b reflect.Value) bool {
	if a.Kind() == reflect.Slice && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

func diffModules(old, new map[string]map[string]any) []string {
	var keys []string
	one := func(a, b map[string]map[string]any) {
		for name, options := range a {
			for option, value := range options {
				if other, ok := b[name][option]; !ok || !reflect.DeepEqual(value, other) {
					keys = append(keys, "modules."+name+"."+option)
				}
			}
		}
	}
	one(old, new)
	one(new, old)
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Reloaded is c with the live options of next, which is what the server runs on
// after a reload; the keys that Diff names as needing a restart stay as they were.
func (c *Config) Reloaded(next *Config) *Config {
	merged := *c
	from, to := reflect.ValueOf(next).Elem(), reflect.ValueOf(&merged).Elem()
	for _, f := range configFields() {
		if f.Live {
			to.FieldByIndex(f.index).Set(from.FieldByIndex(f.index))
		}
	}
	return &merged
}
