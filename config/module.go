package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// ModuleEnabled reports whether the module runs: it does unless
// modules.<name>.enabled is false.
func (c *Config) ModuleEnabled(name string) bool {
	enabled := true
	if raw, ok := c.Modules[name]["enabled"]; ok {
		if err := decode(raw, &enabled); err != nil {
			return true // Load has refused it
		}
	}
	return enabled
}

// CheckModules reports configured modules that are not among known.
func (c *Config) CheckModules(known []string) []Problem {
	keys := make([]string, len(known))
	for i, name := range known {
		keys[i] = "modules." + name
	}
	var problems Problems
	for name := range c.Modules {
		if slices.Contains(known, name) {
			continue
		}
		reason := "unknown module"
		if s := nearest("modules."+name, keys); s != "" {
			reason += "; did you mean " + s + "?"
		}
		from := c.moduleOrigin(name)
		problems = append(problems, Problem{Source: from.source, Line: from.line, Key: "modules." + name, Reason: reason})
	}
	return problems.sorted()
}

// moduleOrigin is the module's own line, or the variable that first names it.
func (c *Config) moduleOrigin(name string) origin {
	if from, ok := c.origins["modules."+name]; ok {
		return from
	}
	for option := range c.Modules[name] {
		return c.origin("modules." + name + "." + option)
	}
	return origin{}
}

// DecodeModule fills into, a pointer to the module's option struct, with the
// defaults of its tags and then with modules.<name>. The error is of type
// [Problems]: unknown keys, wrong types and values out of range, all at once,
// each with its place.
func (c *Config) DecodeModule(name string, into any) error {
	return c.decodeModule("modules."+name+".", c.Modules[name], into)
}

// DecodeModule is [Config.DecodeModule] for options that came from no file; keys
// in its error have no prefix.
func DecodeModule(raw map[string]any, into any) error {
	return new(Config).decodeModule("", raw, into)
}

func (c *Config) decodeModule(prefix string, raw map[string]any, into any) error {
	s := reflect.ValueOf(into).Elem()
	fields := fieldsOf(prefix, s.Type(), nil)
	setDefaults(s, fields)

	r := reporter{config: c, fields: fields}
	r.decoded(prefix, decode(raw, into))
	options := maps.Clone(raw)
	delete(options, "enabled") // every module has it, most do not read it
	r.unknownKeys(prefix, options, s.Type())
	checkBounds(s, fields, r.bad)
	if len(r.problems) > 0 {
		return r.problems.sorted()
	}
	return nil
}

// unknownKeys reports keys of raw, read as a t, that no field takes. The list
// that the decoder keeps of them is empty once anything else is wrong.
func (r *reporter) unknownKeys(path string, raw any, t reflect.Type) {
	switch t.Kind() {
	case reflect.Slice:
		items, _ := raw.([]any)
		for i, item := range items {
			r.unknownKeys(fmt.Sprintf("%s[%d].", strings.TrimSuffix(path, "."), i), item, t.Elem())
		}
	case reflect.Struct:
		section, _ := raw.(map[string]any)
		known, types := []string{}, map[string]reflect.Type{}
		for i := range t.NumField() {
			if key := t.Field(i).Tag.Get("key"); key != "" {
				known, types[key] = append(known, path+key), t.Field(i).Type
			}
		}
		for key, value := range section {
			if t := types[key]; t != nil {
				r.unknownKeys(path+key+".", value, t)
			} else {
				r.bad(path+key, &badValue{"", unknown(path+key, known)})
			}
		}
	}
}
