package config

import (
	"reflect"
	"slices"
	"strings"
)

// environment applies the XMPPD_… variables of env ("NAME=value") to the Config.
func (r *reporter) environment(env []string) {
	names := make([]string, len(r.fields))
	for i, f := range r.fields {
		names[i] = f.Env
	}
	for _, entry := range slices.Sorted(slices.Values(env)) {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "XMPPD_") {
			continue
		}
		if i := slices.Index(names, name); i >= 0 {
			f := r.fields[i]
			r.override(f.Key, name)
			to := reflect.ValueOf(r.config).Elem().FieldByIndex(f.index)
			r.decoded(f.Key, decode(text(value), to.Addr().Interface()))
		} else if module, option, ok := splitVariable(name, r.config.Modules); ok {
			r.override("modules."+module+"."+option, name)
			if r.config.Modules[module] == nil {
				r.config.Modules[module] = map[string]any{}
			}
			r.config.Modules[module][option] = text(value)
		} else {
			r.problems = append(r.problems, Problem{Source: name, Reason: unknown(name, names)})
		}
	}
}

// override makes a variable the origin of key and of all that is in it.
func (r *reporter) override(key, name string) {
	for k := range r.config.origins {
		if strings.HasPrefix(k, key+"[") || strings.HasPrefix(k, key+".") {
			delete(r.config.origins, k)
		}
	}
	r.config.origins[key] = origin{source: name}
}

// splitVariable splits XMPPD_MODULES_<NAME>_<KEY>. A module's name has no
// underscore unless the file configures one that has; then the longest wins.
func splitVariable(name string, modules map[string]map[string]any) (module, option string, ok bool) {
	rest, ok := strings.CutPrefix(name, "XMPPD_MODULES_")
	if !ok {
		return "", "", false
	}
	rest = strings.ToLower(rest)
	module, option, _ = strings.Cut(rest, "_")
	for m := range modules {
		if tail, found := strings.CutPrefix(rest, m+"_"); found && len(m) > len(module) {
			module, option = m, tail
		}
	}
	return module, option, module != "" && option != ""
}
