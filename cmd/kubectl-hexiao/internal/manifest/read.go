// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/cmd/internal/nearest"
)

// Brand is a BrandConnector and where it was read.
type Brand struct {
	// Source is the file and, of several documents in it, the line.
	Source string
	// Object is the brand as it stands there; after Complete with a namespace.
	Object *v1alpha1.BrandConnector
	// Class of the brand, or nil; known after Complete.
	Class *v1alpha1.ConnectorClass
	// ClassHidden is true when the brand may have a class that the caller may not read.
	ClassHidden bool

	written map[string]any // the object, word for word
}

// Set is what files hold.
type Set struct {
	Brands []Brand
	// Ignored are the objects of other kinds, each as "file: Kind name". There may be
	// any, for a brand's file often holds its Secrets, too.
	Ignored []string

	classes    []class
	configMaps []corev1.ConfigMap
}

type class struct {
	source  string
	object  *v1alpha1.ConnectorClass
	written map[string]any
}

// Read reads files, all YAML and JSON files of directories, and for "-" the reader in. A
// file of a directory that holds no Kubernetes object is ignored: nobody named it.
func Read(in io.Reader, paths ...string) (*Set, error) {
	set := &Set{}
	var errs []error
	for _, path := range paths {
		files, err := expand(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, file := range files {
			errs = append(errs, set.readFile(in, file, file != path))
		}
	}
	return set, errors.Join(append(errs, set.twice())...)
}

// expand lists a directory's files, as kubectl does: not those of its directories.
func expand(path string) ([]string, error) {
	if path == "-" {
		return []string{path}, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("-f: %w", err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	var files []string
	for _, pattern := range []string{"*.yaml", "*.yml", "*.json"} {
		found, err := filepath.Glob(filepath.Join(path, pattern))
		if err != nil {
			return nil, fmt.Errorf("-f %s: %w", path, err)
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("-f %s: there is no .yaml, .yml or .json file in this directory: name another", path)
	}
	slices.Sort(files)
	return files, nil
}

// readFile reads a file; found is one of a directory.
func (s *Set) readFile(in io.Reader, file string, found bool) error {
	name := file
	var raw []byte
	var err error
	if file == "-" {
		name = "stdin"
		raw, err = io.ReadAll(in)
	} else {
		raw, err = os.ReadFile(file)
	}
	if err != nil {
		return fmt.Errorf("-f: %w", err)
	}
	var errs []error
	docs := split(raw)
	for _, d := range docs {
		source := name
		if len(docs) > 1 {
			source = fmt.Sprintf("%s:%d", name, d.line)
		}
		if found && !isObject(d.text) {
			s.Ignored = append(s.Ignored, source+": no Kubernetes object")
			continue
		}
		errs = append(errs, s.add(source, d.text))
	}
	return errors.Join(errs...)
}

// isObject says whether a document may be a Kubernetes object. One that cannot be parsed
// may: it is to be refused, and not passed over.
func isObject(raw []byte) bool {
	var document any
	if err := yaml.Unmarshal(raw, &document); err != nil {
		return true
	}
	object, is := document.(map[string]any)
	return is && (object["kind"] != nil || object["apiVersion"] != nil)
}

// document is a document of a stream. Lines before it are empty in its text, so that
// the lines in a parser's errors are the file's.
type document struct {
	line int // of its first text, from 1
	text []byte
}

// split splits a YAML stream. Documents without anything in them are left out.
func split(raw []byte) []document {
	var docs []document
	lines := bytes.SplitAfter(raw, []byte("\n"))
	begin := 0
	end := func(to int) {
		first := begin
		for first < to && nothing(lines[first]) {
			first++
		}
		if first < to {
			text := bytes.Repeat([]byte("\n"), first)
			docs = append(docs, document{line: first + 1, text: append(text, bytes.Join(lines[first:to], nil)...)})
		}
	}
	for i, line := range lines {
		rest, is := bytes.CutPrefix(line, []byte("---"))
		if !is || len(bytes.TrimRight(rest, " \t\r\n")) > 0 && rest[0] != ' ' {
			continue
		}
		end(i)
		begin = i
		lines[i] = append([]byte("   "), rest...) // a document may begin behind the dashes
	}
	end(len(lines))
	return docs
}

// nothing says that a line holds a comment at most.
func nothing(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) == 0 || line[0] == '#'
}

// head is how a document says what it is.
type head struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Items []json.RawMessage `json:"items"`
}

// explainHead puts a decoder's error of the head into words. Of the fields it knows few.
func explainHead(raw []byte, err error) error {
	var lines []error
	for line := range strings.SplitSeq(v1alpha1.Explain(raw, &head{}, err).Error(), "\n") {
		if !strings.HasPrefix(line, "unknown field") {
			lines = append(lines, errors.New(line))
		}
	}
	return errors.Join(lines...)
}

func (s *Set) add(source string, raw []byte) error {
	var h head
	if err := yaml.Unmarshal(raw, &h); err != nil {
		return fmt.Errorf("%s: it is no Kubernetes object: %w", source, explainHead(raw, err))
	}
	what := strings.TrimSpace(h.Kind + " " + h.Metadata.Name)
	switch {
	case h.Kind == "":
		return fmt.Errorf("%s: kind is missing: a brand begins with apiVersion: %s and kind: %s", source, v1alpha1.GroupVersion, v1alpha1.KindBrandConnector)
	case h.Kind == "List" || strings.HasPrefix(h.APIVersion, v1alpha1.Group+"/") && strings.HasSuffix(h.Kind, "List"):
		var errs []error
		for i, item := range h.Items {
			errs = append(errs, s.add(fmt.Sprintf("%s: item %d", source, i), item))
		}
		return errors.Join(errs...)
	case (h.Kind == v1alpha1.KindBrandConnector || h.Kind == v1alpha1.KindConnectorClass) && h.APIVersion != v1alpha1.GroupVersion.String():
		return fmt.Errorf("%s: %s: apiVersion is %q: use %s", source, what, h.APIVersion, v1alpha1.GroupVersion)
	case h.Kind == v1alpha1.KindBrandConnector:
		b := &v1alpha1.BrandConnector{}
		s.Brands = append(s.Brands, Brand{Source: source, Object: b, written: written(raw)})
		return decode(source, what, raw, b)
	case h.Kind == v1alpha1.KindConnectorClass:
		c := &v1alpha1.ConnectorClass{}
		s.classes = append(s.classes, class{source, c, written(raw)})
		return decode(source, what, raw, c)
	case isOurs(h):
		return fmt.Errorf("%s: %s: %s has no kind %q: %s", source, what, v1alpha1.Group, h.Kind, kindMeant(h.Kind))
	case h.Kind == "ConfigMap" && h.APIVersion == "v1":
		s.configMaps = append(s.configMaps, corev1.ConfigMap{})
		return decode(source, what, raw, &s.configMaps[len(s.configMaps)-1])
	}
	s.Ignored = append(s.Ignored, source+": "+what)
	return nil
}

var kinds = []string{v1alpha1.KindBrandConnector, v1alpha1.KindConnectorClass}

// isOurs says whether an object of an unknown kind claims to be of this API. It is not to be
// passed over: a brand would be rendered without its class.
func isOurs(h head) bool {
	group, _, _ := strings.Cut(h.APIVersion, "/")
	return group == v1alpha1.Group || slices.ContainsFunc(kinds, func(kind string) bool { return strings.EqualFold(kind, h.Kind) })
}

// kindMeant is the remedy for a kind that does not exist.
func kindMeant(kind string) string {
	for _, k := range kinds {
		if nearest.Distance(strings.ToLower(k), strings.ToLower(kind)) <= 3 {
			return "did you mean " + k + "?"
		}
	}
	return "its kinds are " + strings.Join(kinds, " and ")
}

// written is a document as it stands there, and nothing of one that decode refuses.
func written(raw []byte) map[string]any {
	asJSON, err := yaml.YAMLToJSONStrict(raw)
	if err != nil {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(asJSON))
	decoder.UseNumber()
	var object map[string]any
	if decoder.Decode(&object) != nil {
		return nil
	}
	return object
}

// decode reads a document strictly. Each problem is a line of its own.
func decode(source, what string, raw []byte, into any) error {
	err := v1alpha1.Decode(raw, into)
	if err == nil {
		return nil
	}
	var errs []error
	for line := range strings.SplitSeq(err.Error(), "\n") {
		errs = append(errs, fmt.Errorf("%s: %s: %s", source, what, line))
	}
	return errors.Join(errs...)
}

// twice refuses a brand or a class that is there twice: the last would win, and nobody knows which
// that is.
func (s *Set) twice() error {
	var errs []error
	seen := map[string]string{}
	once := func(source, kind, namespace, name string) {
		key := kind + " " + namespace + "/" + name
		if at, is := seen[key]; is {
			errs = append(errs, fmt.Errorf("%s: %s %s is in %s, too: leave one out", source, kind, cmp.Or(name, `""`), at))
		}
		seen[key] = source
	}
	for _, b := range s.Brands {
		once(b.Source, v1alpha1.KindBrandConnector, b.Object.Namespace, b.Object.Name)
	}
	for _, c := range s.classes {
		once(c.source, v1alpha1.KindConnectorClass, "", c.object.Name)
	}
	return errors.Join(errs...)
}
