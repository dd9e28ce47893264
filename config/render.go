package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// YAML writes options as a commented file that [Load] reads, every key at its
// default. It is what `xmppd config` prints.
func YAML(options []Option) string {
	var b strings.Builder
	var open []string // sections that the last key was in
	for _, o := range options {
		path := strings.Split(o.Key, ".")
		sections, name := path[:len(path)-1], path[len(path)-1]
		shared := 0
		for shared < min(len(open), len(sections)) && open[shared] == sections[shared] {
			shared++
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		for i := shared; i < len(sections); i++ {
			fmt.Fprintf(&b, "%s%s:\n", strings.Repeat("  ", i), sections[i])
		}
		open = sections
		indent := strings.Repeat("  ", len(sections))
		fmt.Fprintf(&b, "%s# %s\n%s# (%s)\n", indent, o.Doc, indent, o.facts())
		if strings.HasPrefix(o.Default, "$") { // depends on the machine
			fmt.Fprintf(&b, "%s# %s: %s\n", indent, name, o.Default)
		} else {
			fmt.Fprintf(&b, "%s%s: %s\n", indent, name, o.yaml())
		}
	}
	return b.String()
}

// facts are type, unit, reload and variable on one line.
func (o *Option) facts() string {
	parts := []string{o.kind()}
	if o.Live {
		parts = append(parts, "applied by reload")
	}
	return strings.Join(append(parts, o.Env), "; ")
}

func (o *Option) kind() string {
	if o.Unit == "" || o.Type == "size" {
		return o.Type
	}
	return o.Type + " of " + o.Unit
}

var plainWord = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// yaml is the default as a value of the file.
func (o *Option) yaml() string {
	switch o.Type {
	case "list":
		var items []string
		for item := range strings.SplitSeq(o.Default, ",") {
			if item != "" {
				items = append(items, strconv.Quote(item))
			}
		}
		return "[" + strings.Join(items, ", ") + "]"
	case "section":
		return "{}"
	case "text":
		if !plainWord.MatchString(o.Default) {
			return strconv.Quote(o.Default)
		}
	}
	return o.Default
}

// Markdown writes options as tables, one for each section, for docs/.
func Markdown(options []Option) string {
	var b strings.Builder
	last := ""
	for i, o := range options {
		section := ""
		if dot := strings.LastIndexByte(o.Key, '.'); dot >= 0 {
			section = o.Key[:dot]
		}
		if i == 0 || section != last {
			if section != "" {
				fmt.Fprintf(&b, "\n### `%s`\n", section)
			}
			b.WriteString("\n| key | default | type | reload | meaning |\n|---|---|---|---|---|\n")
			last = section
		}
		live := ""
		if o.Live {
			live = "yes"
		}
		value := "`" + o.yaml() + "`"
		if strings.HasPrefix(o.Default, "$") {
			value = strings.ReplaceAll(o.Default, "$", `\$`)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", o.Key, value, o.kind(), live, strings.ReplaceAll(o.Doc, "|", `\|`))
	}
	return b.String()
}
