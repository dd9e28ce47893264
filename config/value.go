package config

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// text is a value from the environment or a default tag, whose type is decided
// by the option it is decoded into. A plain string, as in the file, never
// becomes a number.
type text string

var (
	textType     = reflect.TypeFor[text]()
	durationType = reflect.TypeFor[time.Duration]()
	sizeType     = reflect.TypeFor[Size]()
)

// badValue is a value that its option cannot hold.
type badValue struct{ value, reason string }

func (e *badValue) Error() string { return fmt.Sprintf("%q %s", e.value, e.reason) }

// wants refuses v where what was expected.
func wants(v any, what string) error {
	switch reflect.ValueOf(v).Kind() {
	case reflect.Slice:
		return &badValue{"", "is a list, not " + what}
	case reflect.Map:
		return &badValue{"", "is a section, not " + what}
	}
	return &badValue{fmt.Sprint(v), "is not " + what}
}

const (
	aDuration = "a duration such as 30s or 5m"
	aSize     = "a number of bytes such as 65536 or 64KiB"
	aNumber   = "a whole number"
	aBool     = "true or false"
	aString   = "text; put it in quotes"
	aList     = "a list such as [a, b]"
	aSection  = "a section of keys"
)

// strict is the decode hook that makes mapstructure exact. Even without weak
// typing it would cut fractions off and read a bare 30 as 30 nanoseconds.
func strict(from, to reflect.Value) (any, error) {
	if from.Type() == textType {
		return parse(from.String(), to.Type())
	}
	v := from.Interface()
	switch to.Type() {
	case durationType:
		if from.Kind() == reflect.String {
			return parse(from.String(), durationType)
		}
		if from.CanInt() && from.Int() == 0 {
			return time.Duration(0), nil
		}
		return nil, wants(v, aDuration)
	case sizeType:
		if from.Kind() == reflect.String || from.CanInt() {
			return parse(fmt.Sprint(v), sizeType)
		}
		return nil, wants(v, aSize)
	}
	switch k := from.Kind(); to.Kind() {
	case reflect.Bool:
		if k != reflect.Bool {
			return nil, wants(v, aBool)
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if !from.CanInt() || to.OverflowInt(from.Int()) {
			return nil, wants(v, aNumber)
		}
	case reflect.Float64:
		if !from.CanInt() && !from.CanFloat() {
			return nil, wants(v, "a number")
		}
	case reflect.String:
		if k != reflect.String {
			return nil, wants(v, aString)
		}
	case reflect.Slice:
		if k != reflect.Slice {
			return nil, wants(v, aList)
		}
	case reflect.Map, reflect.Struct:
		if k != reflect.Map {
			return nil, wants(v, aSection)
		}
	}
	return v, nil
}

// parse reads s as a value of type t. A list is separated by commas.
func parse(s string, t reflect.Type) (any, error) {
	switch t {
	case durationType:
		d, err := time.ParseDuration(s)
		if err != nil {
			return nil, wants(s, aDuration)
		}
		return d, nil
	case sizeType:
		n, ok := parseSize(s)
		if !ok {
			return nil, wants(s, aSize)
		}
		return n, nil
	}
	switch t.Kind() {
	case reflect.Bool:
		if s != "true" && s != "false" {
			return nil, wants(s, aBool)
		}
		return s == "true", nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(s, 10, t.Bits())
		if err != nil {
			return nil, wants(s, aNumber)
		}
		return n, nil
	case reflect.Float64:
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return nil, wants(s, "a number")
		}
		return f, nil
	case reflect.String:
		return s, nil
	case reflect.Slice:
		list := []text{}
		for item := range strings.SplitSeq(s, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list = append(list, text(item))
			}
		}
		return list, nil
	case reflect.Interface:
		return text(s), nil
	}
	return nil, &badValue{"", "can only be set in the file"}
}

// textOf is v as it would be written in the environment.
func textOf(v reflect.Value) string {
	switch {
	case v.Type() == durationType: // 1m, not 1m0s
		s := time.Duration(v.Int()).String()
		if strings.HasSuffix(s, "m0s") {
			s = strings.TrimSuffix(s, "0s")
		}
		if strings.HasSuffix(s, "h0m") {
			s = strings.TrimSuffix(s, "0m")
		}
		return s
	case v.Kind() == reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = textOf(v.Index(i))
		}
		return strings.Join(items, ",")
	case v.Kind() == reflect.Map || v.Kind() == reflect.Struct:
		return ""
	}
	return fmt.Sprint(v.Interface())
}

// units from large to small; a size is written with the largest that fits.
var units = [...]struct {
	name  string
	bytes Size
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

func parseSize(s string) (Size, bool) {
	factor := Size(1)
	for _, u := range units {
		if head, ok := strings.CutSuffix(s, u.name); ok {
			s, factor = strings.TrimSpace(head), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || Size(n) > math.MaxInt64/factor {
		return 0, false
	}
	return Size(n) * factor, true
}

// String writes the size as the file may have it, such as 256KiB.
func (s Size) String() string {
	for _, u := range units {
		if s != 0 && s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}
