// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
)

// object is an answer in the order in which its document lists the fields.
type object []field

type field struct {
	name  string
	value any // string, bool, int, int64, json.Number, object or list
}

// list is an array. TOP wraps it in an object whose only key is item.
type list struct {
	item   string
	values []any
}

func texts(item string, values []string) list {
	l := list{item: item}
	for _, v := range values {
		l.values = append(l.values, v)
	}
	return l
}

// json writes o; wrapped selects TOP's form of lists.
func (o object) json(wrapped bool) []byte {
	var b bytes.Buffer
	writeJSON(&b, o, wrapped)
	return b.Bytes()
}

func writeJSON(b *bytes.Buffer, v any, wrapped bool) {
	switch v := v.(type) {
	case object:
		b.WriteByte('{')
		for i, f := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSON(b, f.name, wrapped)
			b.WriteByte(':')
			writeJSON(b, f.value, wrapped)
		}
		b.WriteByte('}')
	case list:
		if wrapped {
			fmt.Fprintf(b, "{%q:", v.item)
			defer b.WriteByte('}')
		}
		b.WriteByte('[')
		for i, e := range v.values {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSON(b, e, wrapped)
		}
		b.WriteByte(']')
	default:
		e := json.NewEncoder(b)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			panic(fmt.Sprintf("sandbox: answer field: %v", err)) // only this package makes the values
		}
		b.Truncate(b.Len() - 1) // the encoder's newline
	}
}

// xml writes o without a root element.
func (o object) xml() []byte {
	var b bytes.Buffer
	for _, f := range o {
		writeXML(&b, f.name, f.value)
	}
	return b.Bytes()
}

func writeXML(b *bytes.Buffer, name string, v any) {
	b.WriteString("<" + name + ">")
	switch v := v.(type) {
	case object:
		b.Write(v.xml())
	case list:
		for _, e := range v.values {
			writeXML(b, v.item, e)
		}
	default:
		if err := xml.EscapeText(b, fmt.Append(nil, v)); err != nil {
			panic(fmt.Sprintf("sandbox: answer field: %v", err)) // a bytes.Buffer does not fail
		}
	}
	b.WriteString("</" + name + ">")
}
