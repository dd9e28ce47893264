package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// origin is where a value came from.
type origin struct {
	source string
	line   int
}

// document is a file read once more as YAML nodes, because viper knows neither
// lines nor duplicates and folds the case of keys.
type document struct {
	name     string
	values   map[string]any            // sections and options that exist
	modules  map[string]map[string]any // as written, in their own case
	origins  map[string]origin         // by key, also of list items (key[0])
	problems Problems

	leaves   map[string]bool
	sections map[string]bool
	known    []string
}

func newDocument(name string, fields []field) *document {
	d := &document{
		name: name, values: map[string]any{}, modules: map[string]map[string]any{},
		origins: map[string]origin{}, leaves: map[string]bool{}, sections: map[string]bool{},
	}
	for _, f := range fields {
		if section, _, nested := strings.Cut(f.Key, "."); nested && !d.sections[section] {
			d.sections[section] = true
			d.known = append(d.known, section)
		}
		d.leaves[f.Key] = true
		d.known = append(d.known, f.Key)
	}
	d.known = append(d.known, "modules")
	return d
}

// parse reads data; what is wrong is in d.problems.
func (d *document) parse(data []byte) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var root, second yaml.Node
	if err := dec.Decode(&root); err != nil {
		if !errors.Is(err, io.EOF) { // an empty file is all defaults
			if bytes.Contains(data, []byte("[:")) {
				err = fmt.Errorf(`%w; in a list in brackets put :5222 in quotes`, err)
			}
			d.yamlError("", 0, err)
		}
		return
	}
	if err := dec.Decode(&second); err == nil {
		d.report("", second.Line, "a second YAML document; only one is read")
	} else if !errors.Is(err, io.EOF) {
		d.yamlError("", 0, err)
	}
	if top := root.Content[0]; !isNull(top) {
		d.mapping("", top, d.top)
	}
}

// mapping calls each for the entries of n whose keys are words and not repeated.
func (d *document) mapping(path string, n *yaml.Node, each func(key string, at, value *yaml.Node)) {
	if n = target(n); n.Kind != yaml.MappingNode {
		d.problem(path, n, aSection)
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		at, value := n.Content[i], n.Content[i+1]
		key := join(path, at.Value)
		if at.Kind != yaml.ScalarNode {
			d.report(path, at.Line, "a key that is not a word")
			continue
		}
		if first, again := seen[at.Value]; again {
			d.report(key, at.Line, fmt.Sprintf("is already set in line %d", first))
			continue
		}
		seen[at.Value] = at.Line
		d.origins[key] = origin{d.name, at.Line}
		each(key, at, value)
	}
}

func (d *document) top(key string, at, value *yaml.Node) {
	switch {
	case key == "modules":
		if !isNull(value) {
			d.mapping(key, value, d.module)
		}
	case d.sections[key]:
		if isNull(value) {
			return // everything below it is commented out
		}
		section := map[string]any{}
		d.mapping(key, value, func(key string, at, value *yaml.Node) { d.leaf(section, key, at, value) })
		d.values[key] = section
	default:
		d.leaf(d.values, key, at, value)
	}
}

func (d *document) leaf(into map[string]any, key string, at, value *yaml.Node) {
	switch {
	case !d.leaves[key] || strings.Contains(at.Value, "."): // levels are nested, not dotted
		d.report(key, at.Line, unknown(key, d.known))
	case isNull(value):
		d.report(key, at.Line, "has no value; leave the key out for its default")
	default:
		if v, ok := d.value(key, value); ok {
			into[at.Value] = v
		}
	}
}

func (d *document) module(key string, at, value *yaml.Node) {
	options := map[string]any{}
	d.modules[at.Value] = options
	if isNull(value) {
		return
	}
	d.mapping(key, value, func(key string, at, value *yaml.Node) {
		if isNull(value) {
			d.report(key, at.Line, "has no value; leave the key out for its default")
		} else if v, ok := d.value(key, value); ok {
			options[at.Value] = v
		}
	})
}

// value decodes n and notes the lines of what is in it.
func (d *document) value(key string, n *yaml.Node) (any, bool) {
	var v any
	if err := n.Decode(&v); err != nil {
		d.yamlError(key, n.Line, err)
		return nil, false
	}
	d.mark(key, n)
	return v, true
}

func (d *document) mark(key string, n *yaml.Node) {
	switch n.Kind {
	case yaml.ScalarNode:
		d.origins[key] = origin{d.name, n.Line}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			d.mark(fmt.Sprintf("%s[%d]", key, i), item)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			d.mark(join(key, n.Content[i].Value), n.Content[i+1])
		}
	}
}

func (d *document) report(key string, line int, reason string) {
	d.problems = append(d.problems, Problem{Source: d.name, Line: line, Key: key, Reason: reason})
}

// problem reports that n is not what was wanted.
func (d *document) problem(key string, n *yaml.Node, what string) {
	p := Problem{Source: d.name, Line: n.Line, Key: key, Reason: "is not " + what}
	if n.Kind == yaml.SequenceNode {
		p.Reason = "is a list, not " + what
	} else if key == "" {
		p.Reason = "the file is not " + what
	} else {
		p.Value = n.Value
	}
	d.problems = append(d.problems, p)
}

var (
	yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?(.*)$`)
	// The library's parser, unlike its scanner, counts lines from 0 and leaves
	// that one out.
	fromParser = regexp.MustCompile(`^did not find expected (node|key|'-'|',' or|<document)`)
)

// yamlError takes the lines out of an error of the YAML library.
func (d *document) yamlError(key string, line int, err error) {
	messages := []string{err.Error()}
	if te := (*yaml.TypeError)(nil); errors.As(err, &te) {
		messages = te.Errors
	}
	for _, m := range messages {
		at := line
		if parts := yamlLine.FindStringSubmatch(m); parts != nil {
			m = parts[2]
			n, err := strconv.Atoi(parts[1])
			switch {
			case err == nil && fromParser.MatchString(m):
				at = n + 1
			case err == nil:
				at = n
			case at == 0:
				at = 1
			}
		}
		d.report(key, at, m)
	}
}

// target follows an alias to what it names.
func target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
