// SPDX-License-Identifier: Apache-2.0

package fields

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Wire is where the code reads or writes fields of a protocol: a struct whose fields
// have JSON names, or a function that reads fields by their names.
type Wire struct {
	Package string // directory below connector
	Name    string // of the struct or function
}

// String renders "keruyun.DecodeVerify".
func (w Wire) String() string { return w.Package + "." + w.Name }

// readers are the methods by which fields are read by name: those of keruyun's object,
// and those of answer.Object, in which vendors' answers are read.
var readers = []string{"id", "text", "whole", "objects", "Text", "Flag", "Object", "List", "Has"}

// Source is what the Go files of a package say of fields.
type Source struct {
	// Fields of each wire, sorted.
	Fields map[Wire][]string
	// Texts are all strings that stand in the source.
	Texts map[string]bool
}

// Scan reads the Go files of a directory, tests left out: source, not values, because
// what a function reads by name is in no type.
func Scan(dir, pkg string) (Source, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return Source{}, fmt.Errorf("list the source of %s: %w", pkg, err)
	}
	set, s := token.NewFileSet(), Source{map[Wire][]string{}, map[string]bool{}}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			return Source{}, fmt.Errorf("read the source of %s: %w", pkg, err)
		}
		files = append(files, file)
	}
	constants := map[string]string{}
	for _, file := range files {
		collect(file, s.Texts, constants)
	}
	for _, file := range files {
		for _, d := range file.Decls {
			scan(s.Fields, pkg, d)
		}
	}
	for w, fields := range s.Fields {
		s.Fields[w] = resolved(fields, constants)
	}
	return s, nil
}

// collect gathers the texts of a file, and the constants that are texts.
func collect(file *ast.File, texts map[string]bool, constants map[string]string) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
				texts[text] = true
			}
		case *ast.ValueSpec:
			for i, id := range n.Names {
				if i < len(n.Values) {
					if lit, ok := n.Values[i].(*ast.BasicLit); ok && lit.Kind == token.STRING {
						constants[id.Name], _ = strconv.Unquote(lit.Value) // the parser read it
					}
				}
			}
		}
		return true
	})
}

// resolved puts constants in the place of their names. A variable is dropped: what it
// holds stands elsewhere in the source, as a text.
func resolved(fields []string, constants map[string]string) []string {
	var out []string
	for _, f := range fields {
		name, isName := strings.CutPrefix(f, "$")
		if isName {
			f = constants[name]
		}
		if f != "" {
			out = append(out, f)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func scan(found map[Wire][]string, pkg string, d ast.Decl) {
	name := "(variables)"
	if f, ok := d.(*ast.FuncDecl); ok {
		name = f.Name.Name
	}
	ast.Inspect(d, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.TypeSpec:
			if s, ok := n.Type.(*ast.StructType); ok {
				if names := tagged(s); len(names) > 0 {
					found[Wire{pkg, n.Name.Name}] = names
				}
			}
		case *ast.CallExpr:
			if field := readBy(n); field != "" {
				found[Wire{pkg, name}] = append(found[Wire{pkg, name}], field)
			}
		}
		return true
	})
}

// tagged are the JSON names of a struct's fields. A struct without any tag is not of a
// wire; in one that has some, a field without is written under its own name.
func tagged(s *ast.StructType) (names []string) {
	tags := 0
	for _, f := range s.Fields.List {
		tag := ""
		if f.Tag != nil {
			text, _ := strconv.Unquote(f.Tag.Value) // the parser read it
			tag, _, _ = strings.Cut(reflect.StructTag(text).Get("json"), ",")
			tags++
		}
		for _, id := range f.Names {
			if tag == "" && id.IsExported() {
				names = append(names, id.Name)
			}
		}
		if tag != "" && tag != "-" {
			names = append(names, tag)
		}
	}
	if tags == 0 {
		return nil
	}
	return names
}

// readBy is the name that a call reads a field by, "" when it is no such call.
func readBy(call *ast.CallExpr) string {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) == 0 || !slices.Contains(readers, method.Sel.Name) {
		return ""
	}
	switch arg := call.Args[0].(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(arg.Value); err == nil && arg.Kind == token.STRING {
			return text
		}
	case *ast.Ident: // a constant or a variable: known by its own name
		return "$" + arg.Name
	case *ast.SelectorExpr:
		return "$" + arg.Sel.Name
	}
	return ""
}
