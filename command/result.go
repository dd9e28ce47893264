package command

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Kind is the form of a result or of a part of it.
type Kind uint8

// The kinds of results, the Go value that Run returns for each, and how it is
// printed. Tabs and newlines inside values become spaces in columns, so that
// lines can be cut.
const (
	Rescode  Kind = iota // nil or true: success, false: failure; prints nothing, only the exit code tells
	Restuple             // string: a text for people
	Text                 // string
	Integer              // int or int64
	List                 // []string, []int or []Row, by its one Field; one element per line
	Tuple                // Row; columns separated by a tab
)

var kindNames = []string{"rescode", "restuple", "string", "integer", "list", "tuple"}

// String is the name of the kind, as help shows it.
func (k Kind) String() string { return kindNames[k] }

// MarshalText implements encoding.TextMarshaler.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *Kind) UnmarshalText(b []byte) error {
	i := slices.Index(kindNames, string(b))
	if i < 0 {
		return fmt.Errorf("unknown result kind %q", b)
	}
	*k = Kind(i)
	return nil
}

// Row is the value of a Tuple, one element per field.
type Row []any

// Field names a result or a part of it and gives its form.
type Field struct {
	Name   string  `json:"name"`
	Kind   Kind    `json:"kind"`
	Fields []Field `json:"fields,omitempty"` // List: the element; Tuple: the columns
}

// Code is the result of a command that only succeeds or fails.
func Code() Field { return Field{Name: "res", Kind: Rescode} }

// Message is the result of a command that says in words what it did.
func Message() Field { return Field{Name: "res", Kind: Restuple} }

// TextOf is a single string.
func TextOf(name string) Field { return Field{Name: name, Kind: Text} }

// IntOf is a single number.
func IntOf(name string) Field { return Field{Name: name, Kind: Integer} }

// ListOf is a list of elements of one form.
func ListOf(name string, element Field) Field {
	return Field{Name: name, Kind: List, Fields: []Field{element}}
}

// TupleOf has several columns.
func TupleOf(name string, columns ...Field) Field {
	return Field{Name: name, Kind: Tuple, Fields: columns}
}

// checkForm refuses forms that no Go value has: see Kind.
func (f Field) checkForm(name string) error {
	switch f.Kind {
	case List:
		if len(f.Fields) != 1 || f.Fields[0].Kind == List || f.Fields[0].Kind == Rescode {
			return fmt.Errorf("%s: the list %q needs one element that is no list", name, f.Name)
		}
	case Tuple:
		if len(f.Fields) == 0 {
			return fmt.Errorf("%s: the tuple %q has no columns", name, f.Name)
		}
	}
	for _, e := range f.Fields {
		if err := e.checkForm(name); err != nil {
			return err
		}
	}
	return nil
}

// Check reports whether a value has the form of the field.
func (f Field) Check(v any) error {
	switch f.Kind {
	case Rescode:
		if _, ok := v.(bool); ok || v == nil {
			return nil
		}
	case Restuple, Text:
		if _, ok := v.(string); ok {
			return nil
		}
	case Integer:
		switch v.(type) {
		case int, int64:
			return nil
		}
	case List:
		elements, ok := elementsOf(v)
		if !ok {
			break
		}
		for _, e := range elements {
			if err := f.Fields[0].Check(e); err != nil {
				return err
			}
		}
		return nil
	case Tuple:
		row, ok := v.(Row)
		if !ok || len(row) != len(f.Fields) {
			break
		}
		for i, e := range row {
			if err := f.Fields[i].Check(e); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("%s is %T, not of kind %s", f.Name, v, f.Kind)
}

func elementsOf(v any) ([]any, bool) {
	switch l := v.(type) {
	case []string:
		return anys(l), true
	case []int:
		return anys(l), true
	case []Row:
		return anys(l), true
	}
	return nil, false
}

func anys[T any](l []T) []any {
	out := make([]any, len(l))
	for i, e := range l {
		out[i] = e
	}
	return out
}

// Format is the result as ejabberdctl prints it, without a final newline; an
// empty string means that nothing is printed at all.
func (f Field) Format(v any) string {
	switch f.Kind {
	case Rescode:
		return ""
	case List:
		elements, _ := elementsOf(v)
		lines := make([]string, len(elements))
		for i, e := range elements {
			lines[i] = f.Fields[0].line(e)
		}
		return strings.Join(lines, "\n")
	case Tuple:
		return f.line(v)
	default:
		return scalar(v)
	}
}

// line prints an element on one line.
func (f Field) line(v any) string {
	row, ok := v.(Row)
	if !ok {
		return oneLine.Replace(scalar(v))
	}
	columns := make([]string, len(row))
	for i, e := range row {
		if l, ok := elementsOf(e); ok {
			parts := make([]string, len(l))
			for k, p := range l {
				parts[k] = oneLine.Replace(scalar(p))
			}
			columns[i] = strings.Join(parts, ",")
			continue
		}
		columns[i] = oneLine.Replace(scalar(e))
	}
	return strings.Join(columns, "\t")
}

var oneLine = strings.NewReplacer("\t", " ", "\r", " ", "\n", " ")

func scalar(v any) string {
	switch x := v.(type) {
	case string:
		return x
	case int:
		return strconv.Itoa(x)
	case int64:
		return strconv.FormatInt(x, 10)
	case bool:
		return strconv.FormatBool(x)
	}
	return ""
}
