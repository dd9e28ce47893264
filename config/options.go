package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Option documents one key.
type Option struct {
	Key     string // levels joined by dots
	Env     string // the environment variable that overrides it
	Type    string // text, list, number, size, duration, true or false, or the words allowed
	Default string // as it would be written in the environment
	Unit    string // what a number counts; empty for the rest
	Doc     string // one line
	Live    bool   // a reload applies it without a restart
}

// Options lists every key of the server in the order of [Config]; extra holds
// the options of modules as [Describe] gives them.
func Options(extra ...Option) []Option {
	return append(publish(configFields()), extra...)
}

// Describe lists the options of a module from the tags of its option struct,
// which are those of [Config], and the key "enabled" that every module has. Where
// a field has no default tag, its value in options is the default.
func Describe(module string, options any) []Option {
	prefix := "modules." + module + "."
	s := reflect.Indirect(reflect.ValueOf(options))
	all := fieldsOf(prefix, s.Type(), nil)
	for i := range all {
		if !all[i].defaults {
			all[i].Default = textOf(s.FieldByIndex(all[i].index))
		}
	}
	enabled := field{Option: Option{
		Key: prefix + "enabled", Env: envName(prefix + "enabled"), Type: aBool, Default: "true",
		Doc: "Whether the module runs.",
	}}
	for _, f := range all {
		if f.Key == enabled.Key {
			return publish(all)
		}
	}
	return publish(append([]field{enabled}, all...))
}

func publish(fields []field) []Option {
	options := make([]Option, len(fields))
	for i, f := range fields {
		options[i] = f.Option
		options[i].Default = f.shown()
	}
	return options
}

// field is an option with its place in a struct and its bounds as written.
type field struct {
	Option
	index    []int
	defaults bool   // whether there is a default tag
	show     string // stands for a default that depends on the machine
	min, max string
	oneof    []string
	secret   bool
}

func (f *field) shown() string {
	if f.show != "" {
		return f.show
	}
	return f.Default
}

func configFields() []field { return fieldsOf("", reflect.TypeFor[Config](), nil) }

// fieldsOf reads the tags of struct t; the keys of nested structs are joined by dots.
func fieldsOf(prefix string, t reflect.Type, index []int) []field {
	var fields []field
	for i := range t.NumField() {
		sf := t.Field(i)
		key := sf.Tag.Get("key")
		if key == "" {
			continue
		}
		at := append(index[:len(index):len(index)], i)
		if sf.Type.Kind() == reflect.Struct {
			fields = append(fields, fieldsOf(prefix+key+".", sf.Type, at)...)
			continue
		}
		doc, documented := sf.Tag.Lookup("doc")
		if !documented {
			continue // Config.Modules
		}
		f := field{
			Option: Option{
				Key: prefix + key, Env: envName(prefix + key), Unit: sf.Tag.Get("unit"), Doc: doc, Live: sf.Tag.Get("live") == "true",
			},
			index: at, show: sf.Tag.Get("show"), min: sf.Tag.Get("min"), max: sf.Tag.Get("max"),
			oneof: strings.Fields(sf.Tag.Get("oneof")), secret: sf.Tag.Get("secret") == "true",
		}
		f.Default, f.defaults = sf.Tag.Lookup("default")
		f.Type = typeName(sf.Type, f.oneof)
		fields = append(fields, f)
	}
	return fields
}

func typeName(t reflect.Type, oneof []string) string {
	switch {
	case len(oneof) > 0:
		return strings.Join(oneof, ", ")
	case t == durationType:
		return "duration"
	case t == sizeType:
		return "size"
	}
	switch t.Kind() {
	case reflect.Bool:
		return aBool
	case reflect.String:
		return "text"
	case reflect.Slice:
		return "list"
	case reflect.Map:
		return "section"
	}
	return "number"
}

func envName(key string) string {
	return "XMPPD_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// setDefaults writes the default tag of each field that has one into the struct s.
func setDefaults(s reflect.Value, fields []field) {
	for _, f := range fields {
		to := s.FieldByIndex(f.index)
		if !f.defaults {
			continue
		}
		if err := decode(text(f.Default), to.Addr().Interface()); err != nil {
			panic(fmt.Sprintf("default of %s: %v", f.Key, err)) // a mistake in our own tags
		}
	}
}

// checkBounds reports values outside of min, max and oneof.
func checkBounds(s reflect.Value, fields []field, report func(key string, bad *badValue)) {
	for _, f := range fields {
		v := s.FieldByIndex(f.index)
		if len(f.oneof) > 0 && !slices.Contains(f.oneof, v.String()) {
			report(f.Key, &badValue{v.String(), "is not one of " + strings.Join(f.oneof, ", ")})
		}
		if v.CanInt() {
			if f.min != "" && v.Int() < bound(f.min, v.Type()) {
				report(f.Key, &badValue{fmt.Sprint(v.Interface()), "is less than " + f.min})
			}
			if f.max != "" && v.Int() > bound(f.max, v.Type()) {
				report(f.Key, &badValue{fmt.Sprint(v.Interface()), "is more than " + f.max})
			}
		}
	}
}

func bound(s string, t reflect.Type) int64 {
	v, err := parse(s, t)
	if err != nil {
		panic(err) // a mistake in our own tags
	}
	switch v := v.(type) {
	case Size:
		return int64(v)
	case time.Duration:
		return int64(v)
	}
	return v.(int64)
}
