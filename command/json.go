package command

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Encode is the result as JSON in the form of ejabberd's HTTP API: 0 or 1 for a
// Rescode, an array for a List, an object for a Tuple, and one object for a List
// of pairs. The value must pass Check.
func (f Field) Encode(v any) (json.RawMessage, error) { return marshal(f.plain(v)) }

// marshal is json.Marshal that leaves <, > and & alone: results hold stanzas,
// and people read them.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// isPairs reports whether the field is a list of rows "name, value", which JSON
// shows as one object.
func (f Field) isPairs() bool {
	if f.Kind != List {
		return false
	}
	e := f.Fields[0]
	return e.Kind == Tuple && len(e.Fields) == 2 && e.Fields[0].Name == "name" && e.Fields[1].Name == "value"
}

// pairs is an object that keeps its order.
type pairs []Row

// MarshalJSON implements json.Marshaler.
func (p pairs) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, row := range p {
		if i > 0 {
			out = append(out, ',')
		}
		name, err := marshal(row[0])
		if err != nil {
			return nil, err
		}
		value, err := marshal(row[1])
		if err != nil {
			return nil, err
		}
		out = append(append(append(out, name...), ':'), value...)
	}
	return append(out, '}'), nil
}

func (f Field) decodePairs(data json.RawMessage) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("%s is no object", f.Name)
	}
	rows := []Row{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, err
		}
		value, err := f.Fields[0].Fields[1].Decode(raw)
		if err != nil {
			return nil, err
		}
		rows = append(rows, Row{name, value})
	}
	return rows, nil
}

// plain turns rows into objects, the rest into what encoding/json expects.
func (f Field) plain(v any) any {
	switch f.Kind {
	case Rescode:
		if ok, is := v.(bool); is && !ok {
			return 1
		}
		return 0
	case List:
		if rows, ok := v.([]Row); ok && f.isPairs() {
			return pairs(rows)
		}
		elements, _ := elementsOf(v)
		for i, e := range elements {
			elements[i] = f.Fields[0].plain(e)
		}
		return elements
	case Tuple:
		row, _ := v.(Row)
		object := make(map[string]any, len(row))
		for i, e := range row {
			object[f.Fields[i].Name] = f.Fields[i].plain(e)
		}
		return object
	}
	return v
}

// Decode reads back what Encode wrote.
func (f Field) Decode(data json.RawMessage) (any, error) {
	switch f.Kind {
	case Rescode:
		var n int
		err := json.Unmarshal(data, &n)
		return n == 0, err
	case Integer:
		var n int64
		err := json.Unmarshal(data, &n)
		return n, err
	case List:
		return f.decodeList(data)
	case Tuple:
		var object map[string]json.RawMessage
		if err := json.Unmarshal(data, &object); err != nil {
			return nil, err
		}
		row := make(Row, len(f.Fields))
		for i, c := range f.Fields {
			v, err := c.Decode(object[c.Name])
			if err != nil {
				return nil, fmt.Errorf("decode %s: %w", c.Name, err)
			}
			row[i] = v
		}
		return row, nil
	default:
		var s string
		err := json.Unmarshal(data, &s)
		return s, err
	}
}

func (f Field) decodeList(data json.RawMessage) (any, error) {
	if f.isPairs() {
		return f.decodePairs(data)
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, err
	}
	element := f.Fields[0]
	switch element.Kind {
	case Tuple:
		return decodeAs[Row](element, raw)
	case Integer:
		ints := make([]int, len(raw))
		err := json.Unmarshal(data, &ints)
		return ints, err
	default:
		return decodeAs[string](element, raw)
	}
}

func decodeAs[T any](element Field, raw []json.RawMessage) ([]T, error) {
	out := make([]T, len(raw))
	for i, r := range raw {
		v, err := element.Decode(r)
		if err != nil {
			return nil, err
		}
		out[i], _ = v.(T)
	}
	return out, nil
}
