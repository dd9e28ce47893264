package command

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Help is the text of "help" with the given words: the list of commands without
// any, the areas for "--tags" or "tags", the commands of an area for its name
// (also behind "--tags"), a page for a command, and a list for a pattern with
// "*" and "?". prog is how the person calls the program, such as "xmppd ctl".
func (s *Set) Help(prog string, words []string) (string, error) {
	switch {
	case len(words) == 0 || words[0] == "":
		return s.helpAll(prog), nil
	case words[0] == "--tags" || words[0] == "tags":
		if len(words) > 1 && words[1] != "" {
			return s.helpTag(words[1])
		}
		return s.helpTags(), nil
	}
	word := words[0]
	if c, ok := s.Lookup(word); ok {
		return c.Help(prog), nil
	}
	var found []*Command
	pattern := strings.ReplaceAll(word, "-", "_")
	for _, c := range s.All() {
		if ok, _ := path.Match(pattern, c.Name); ok {
			found = append(found, c)
		}
	}
	switch len(found) {
	case 0:
		return s.helpTag(word)
	case 1:
		return found[0].Help(prog), nil
	}
	return lines(found), nil
}

func (s *Set) helpAll(prog string) string {
	return fmt.Sprintf("Usage: %s COMMAND [ARGUMENT…]\n\nCommands:\n%s\nMore: %[1]s help COMMAND, %[1]s help --tags\n",
		prog, lines(s.All()))
}

func (s *Set) helpTags() string {
	byTag := make(map[string][]string)
	var tags []string
	for _, c := range s.All() {
		for _, t := range c.Tags {
			if byTag[t] == nil {
				tags = append(tags, t)
			}
			byTag[t] = append(byTag[t], c.Name)
		}
	}
	slices.Sort(tags)
	var b strings.Builder
	for _, t := range tags {
		fmt.Fprintf(&b, "%s\n", t)
		wrap(&b, "  ", strings.Join(byTag[t], ", "))
	}
	return b.String()
}

func (s *Set) helpTag(tag string) (string, error) {
	var found []*Command
	for _, c := range s.All() {
		if slices.Contains(c.Tags, tag) {
			found = append(found, c)
		}
	}
	if found == nil {
		return "", Errorf(Unknown, "no tag or command matches %q", tag)
	}
	return lines(found), nil
}

// lines lists commands with their arguments and one line of explanation each.
func lines(cmds []*Command) string {
	width := 0
	for _, c := range cmds {
		if n := len(c.Synopsis()); n <= 40 {
			width = max(width, n)
		}
	}
	var b strings.Builder
	for _, c := range cmds {
		fmt.Fprintf(&b, "  %-*s  %s\n", width, c.Synopsis(), c.Short)
	}
	return b.String()
}

// Synopsis is the command with the names of its arguments, optional ones in
// brackets.
func (c *Command) Synopsis() string {
	words := []string{c.Name}
	for _, a := range c.Args {
		if a.Optional {
			words = append(words, "["+a.Name+"]")
		} else {
			words = append(words, a.Name)
		}
	}
	return strings.Join(words, " ")
}

// Help is the page about one command: what it does, each argument, the form of
// the result, and an example with its output.
func (c *Command) Help(prog string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n\nUsage: %s %s\n", c.Name, c.Short, prog, c.Synopsis())
	if len(c.Args) > 0 {
		b.WriteString("\nArguments:\n")
		width, types := 0, 0
		for _, a := range c.Args {
			width, types = max(width, len(a.Name)), max(types, len(a.Type.String()))
		}
		for _, a := range c.Args {
			row := fmt.Sprintf("  %-*s  %-*s  %s", width, a.Name, types, a.Type, a.Doc)
			if a.Optional {
				row += " (optional)"
			}
			b.WriteString(strings.TrimRight(row, " ") + "\n")
		}
	}
	fmt.Fprintf(&b, "\nResult: %s\n", c.Result.describe())
	fmt.Fprintf(&b, "\nExample:\n  $ %s\n", c.exampleLine(prog))
	for line := range strings.Lines(c.Example) {
		b.WriteString("  " + strings.TrimRight(line, "\n") + "\n")
	}
	fmt.Fprintf(&b, "\nTags: %s\n", strings.Join(c.Tags, ", "))
	if c.Long != "" {
		b.WriteString("\n")
		wrap(&b, "", c.Long)
	}
	return b.String()
}

func (c *Command) exampleLine(prog string) string {
	words := []string{prog, c.Name}
	for _, a := range c.Args {
		if a.Example == "" && a.Optional {
			break
		}
		words = append(words, quote(a.Example))
	}
	return strings.Join(words, " ")
}

// quote puts a word in the quotes of a shell where it needs them.
func quote(w string) string {
	if w != "" && strings.Trim(w, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-") == "" {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}

func (f Field) describe() string {
	switch f.Kind {
	case Rescode:
		return "nothing is printed; the exit code is 0 on success and 1 otherwise"
	case Restuple:
		return "a text; the exit code is 0 on success and 1 otherwise"
	case List:
		if e := f.Fields[0]; e.Kind == Tuple {
			return "one line for each " + e.Name + ", with columns separated by tabs: " + e.columns()
		}
		return "one " + f.Fields[0].Name + " per line"
	case Tuple:
		return "columns separated by tabs: " + f.columns()
	default:
		return f.Name + " (" + f.Kind.String() + ")"
	}
}

func (f Field) columns() string {
	names := make([]string, len(f.Fields))
	for i, c := range f.Fields {
		names[i] = c.Name
	}
	return strings.Join(names, ", ")
}

// wrap writes words in lines of at most 78 columns and keeps the paragraphs.
func wrap(b *strings.Builder, indent, text string) {
	for paragraph := range strings.Lines(text) {
		column := 0
		for _, w := range strings.Fields(paragraph) {
			switch {
			case column == 0:
				b.WriteString(indent + w)
				column = len(indent) + len(w)
			case column+1+len(w) > 78:
				b.WriteString("\n" + indent + w)
				column = len(indent) + len(w)
			default:
				b.WriteString(" " + w)
				column += 1 + len(w)
			}
		}
		b.WriteString("\n")
	}
}
