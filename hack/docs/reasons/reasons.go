// SPDX-License-Identifier: Apache-2.0

// Package reasons reads what the code says of conditions and their reasons.
//
// They are string constants of api/v1alpha1, named Condition… and Reason…. The doc comment
// of a reason says, after what the reason means, where it stands and what to do:
//
//	// ReasonSecretNotFound says that a Secret which the spec names does not exist.
//	//
//	// On: Ready=False Stalled=True CredentialsResolved=False
//	// Do: create it, or name another one; it is seen at once.
//	ReasonSecretNotFound = "SecretNotFound"
//
// On lists conditions of a BrandConnector with the status that goes with the reason; a line
// "On class:" lists those of a ConnectorClass. The doc comment of a condition ends with a part
// "On class: …" where it means something else on a ConnectorClass. A condition or a reason
// without all of this is an error.
package reasons

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Kinds that have conditions.
const (
	Brand = "BrandConnector"
	Class = "ConnectorClass"
)

// Condition is a type of condition.
type Condition struct {
	// Name as it is in a status.
	Name string
	// Meaning in one paragraph, without the constant's name.
	Meaning string
	// OnClass is the meaning on a ConnectorClass where it is another one, else empty.
	OnClass string
}

// MeaningOn is what the condition means on a kind of object: Brand or Class.
func (c Condition) MeaningOn(kind string) string {
	if kind == Class && c.OnClass != "" {
		return c.OnClass
	}
	return c.Meaning
}

// Place is a condition's status.
type Place struct {
	// Kind of the object: Brand or Class.
	Kind string
	// Condition by name, and its status: True, False or Unknown.
	Condition, Status string
}

// Reason is a reason of conditions.
type Reason struct {
	// Name as it is in a status.
	Name string
	// Places where it stands.
	Places []Place
	// Meaning and remedy, each in one paragraph.
	Meaning, Remedy string
}

// Read reads the Go files of a package's directory, in the order of names and lines.
func Read(dir string) ([]Condition, []Reason, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, nil, err
	}
	var r reader
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			return nil, nil, err
		}
		if err := r.read(file, source); err != nil {
			return nil, nil, err
		}
	}
	return r.conditions, r.reasons, r.check()
}

// Parse reads one file's source.
func Parse(source string) ([]Condition, []Reason, error) {
	var r reader
	if err := r.read("source.go", []byte(source)); err != nil {
		return nil, nil, err
	}
	return r.conditions, r.reasons, r.check()
}

type reader struct {
	conditions []Condition
	reasons    []Reason
	errs       []error
}

func (r *reader) fail(format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf(format, args...))
}

func (r *reader) read(name string, source []byte) error {
	file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ParseComments)
	if err != nil {
		return err
	}
	for _, d := range file.Decls {
		group, ok := d.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, s := range group.Specs {
			spec := s.(*ast.ValueSpec)
			if len(spec.Names) == 1 && len(spec.Values) == 1 {
				doc := spec.Doc
				if doc == nil && !group.Lparen.IsValid() {
					doc = group.Doc
				}
				r.constant(spec, doc.Text())
			}
		}
	}
	return nil
}

func (r *reader) constant(spec *ast.ValueSpec, doc string) {
	name := spec.Names[0].Name
	literal, ok := spec.Values[0].(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return
	}
	value, err := strconv.Unquote(literal.Value)
	if err != nil {
		r.fail("%s: %w", name, err)
		return
	}
	switch {
	case strings.HasPrefix(name, "Condition"):
		doc, onClass, _ := strings.Cut(doc, "\nOn class: ")
		meaning := meaning(name, doc)
		if meaning == "" {
			r.fail("%s has no doc comment that begins with its name: say what the condition tells", name)
		}
		r.conditions = append(r.conditions, Condition{Name: value, Meaning: meaning, OnClass: oneLine(onClass)})
	case strings.HasPrefix(name, "Reason"):
		r.reason(name, value, doc)
	}
}

var (
	onLine = regexp.MustCompile(`(?m)^On( class)?: (.*)$`)
	doPart = regexp.MustCompile(`(?ms)^Do: (.*)\z`)
	place  = regexp.MustCompile(`^([A-Za-z]+)=(True|False|Unknown)$`)
)

func (r *reader) reason(name, value, doc string) {
	reason := Reason{Name: value}
	if m := doPart.FindStringSubmatchIndex(doc); m != nil {
		reason.Remedy = oneLine(doc[m[2]:m[3]])
		doc = doc[:m[0]]
	}
	for _, on := range onLine.FindAllStringSubmatch(doc, -1) {
		kind := Brand
		if on[1] != "" {
			kind = Class
		}
		for _, word := range strings.Fields(on[2]) {
			m := place.FindStringSubmatch(word)
			if m == nil {
				r.fail("%s: %q is not of the form Ready=False", name, word)
				continue
			}
			reason.Places = append(reason.Places, Place{kind, m[1], m[2]})
		}
	}
	reason.Meaning = meaning(name, onLine.ReplaceAllString(doc, ""))
	if reason.Meaning == "" {
		r.fail("%s has no doc comment that begins with its name: say what it means", name)
	}
	if len(reason.Places) == 0 {
		r.fail(`%s has no line such as "On: Ready=False Stalled=True": say where it stands`, name)
	}
	if reason.Remedy == "" {
		r.fail(`%s has no line "Do: …" at its end: say what to do, or why there is nothing to do`, name)
	}
	r.reasons = append(r.reasons, reason)
}

// check compares what the constants say of each other.
func (r *reader) check() error {
	known, told, names := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, c := range r.conditions {
		known[c.Name] = true
	}
	for _, reason := range r.reasons {
		if names[reason.Name] {
			r.fail("two constants are the reason %s", reason.Name)
		}
		names[reason.Name] = true
		for i, p := range reason.Places {
			told[p.Condition] = true
			if !known[p.Condition] {
				r.fail("the reason %s stands on %s, which is no condition", reason.Name, p.Condition)
			}
			if slices.Contains(reason.Places[:i], p) {
				r.fail("the reason %s stands on %s=%s twice", reason.Name, p.Condition, p.Status)
			}
		}
	}
	for _, c := range r.conditions {
		if !told[c.Name] {
			r.fail("the condition %s has no reason", c.Name)
		}
	}
	return errors.Join(r.errs...)
}

// meaning is a doc comment on one line, without the name that it has to begin with, and
// without the verb where a sentence is left.
func meaning(name, doc string) string {
	text, ok := strings.CutPrefix(oneLine(doc), name+" ")
	if !ok {
		return ""
	}
	for _, verb := range []string{"is ", "says that "} {
		if rest, ok := strings.CutPrefix(text, verb); ok {
			return rest
		}
	}
	return text
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
