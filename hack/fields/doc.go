// SPDX-License-Identifier: Apache-2.0

// Package fields says of every field that crosses a border where it goes to or comes
// from, and in which unit: the fields of the four member SPIs, and those of the vendors'
// methods that are called. table.go is the table, by hand; docs/reference/fields.md is
// made from it.
//
// The test reads the source of connector/keruyun, connector/zhimai and connector/alsc
// (source.go) and fails when a struct that is sent, or a function that reads an answer,
// has a field without a row, when a new such struct or function is in no section, and
// when a row's field is in the source no more.
//
//	go test ./hack/fields -update    write the page anew
package fields
