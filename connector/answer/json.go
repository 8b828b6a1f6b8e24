// SPDX-License-Identifier: Apache-2.0

package answer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Object is a JSON object whose values are read on demand.
type Object map[string]json.RawMessage

// ErrShape is wrapped by every failure to read an answer.
var ErrShape = errors.New("not the JSON that was expected")

// Parse reads one JSON object and nothing after it. Unlike encoding/json it takes
// names exactly as they are written, and a name that stands twice is an error: of
// two different verdicts none may be picked.
func Parse(body []byte) (Object, error) {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	dec := json.NewDecoder(bytes.NewReader(body))
	o, err := object(dec)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("something follows the object: %w", ErrShape)
	}
	return o, nil
}

func object(dec *json.Decoder) (Object, error) {
	open, err := dec.Token()
	if err != nil || open != json.Delim('{') {
		return nil, fmt.Errorf("no object: %w", ErrShape)
	}
	o := Object{}
	for dec.More() {
		token, err := dec.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, fmt.Errorf("no name: %w", ErrShape)
		}
		if _, twice := o[name]; twice {
			return nil, fmt.Errorf("a name stands twice: %w", ErrShape)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, fmt.Errorf("no value: %w", ErrShape)
		}
		o[name] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("no end: %w", ErrShape)
	}
	return o, nil
}

// Text returns a scalar as text: a string's content, a number's or truth value's
// literal. It is "" for null, for what is not there, and for lists and objects.
func (o Object) Text(name string) string { return Text(o[name]) }

// Text is Object.Text of a bare value.
func Text(raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	switch raw[0] {
	case '"':
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return ""
		}
		return strings.TrimSpace(s)
	case '{', '[', 'n':
		return ""
	}
	return string(raw)
}

// Flag is a truth value that a vendor may write as text. It is neither true nor
// false when it is missing or something else.
type Flag int

const (
	Neither Flag = iota
	True
	False
)

// Flag reads true, "true", false and "false"; anything else is Neither.
func (o Object) Flag(name string) Flag {
	switch o.Text(name) {
	case "true":
		return True
	case "false":
		return False
	}
	return Neither
}

// Has reports whether name is there with a value other than null.
func (o Object) Has(name string) bool {
	raw, ok := o[name]
	return ok && string(raw) != "null"
}

// Object returns the object called name, false when it is none.
func (o Object) Object(name string) (Object, bool) {
	inner, err := Parse(o[name])
	return inner, err == nil
}

// List returns the items of a list, bare or in an object of one entry that wraps
// it ({"item":[…]}), false when it is neither.
func (o Object) List(name string) ([]json.RawMessage, bool) {
	raw := o[name]
	if wrapped, ok := o.Object(name); ok {
		if len(wrapped) == 0 {
			return nil, true
		}
		if len(wrapped) > 1 {
			return nil, false
		}
		for _, inner := range wrapped {
			raw = inner
		}
	}
	var items []json.RawMessage
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &items) != nil {
		return nil, false
	}
	return items, true
}
