// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSplit(t *testing.T) {
	for name, c := range map[string]struct {
		stream string
		want   map[int]string // by the line of the first text, without the empty lines before
	}{
		"nothing":                           {"", map[int]string{}},
		"comments alone":                    {"# a\n---\n\n# b\n", map[int]string{}},
		"one":                               {"a: b\n", map[int]string{1: "a: b\n"}},
		"comments before the first":         {"# a\n\na: b\n", map[int]string{3: "a: b\n"}},
		"a comment behind the dashes":       {"a: 1\n--- # two\nb: 2", map[int]string{1: "a: 1\n", 3: "b: 2"}},
		"an object behind the dashes":       {"a: 1\n--- {b: 2}\n", map[int]string{1: "a: 1\n", 2: "    {b: 2}\n"}},
		"dashes that begin a word":          {"a: |\n  x\n---b: 2\n", map[int]string{1: "a: |\n  x\n---b: 2\n"}},
		"dashes in a text":                  {"a: |\n  ---\n  x\n", map[int]string{1: "a: |\n  ---\n  x\n"}},
		"line ends of another system":       {"a: 1\r\n---\r\nb: 2\r\n", map[int]string{1: "a: 1\r\n", 3: "b: 2\r\n"}},
		"an end with nothing behind":        {"a: 1\n---\n", map[int]string{1: "a: 1\n"}},
		"a beginning with nothing before":   {"---\n---\na: 1\n", map[int]string{3: "a: 1\n"}},
		"JSON, which knows no other dashes": {"{\"a\": \"---\"}\n", map[int]string{1: "{\"a\": \"---\"}\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := map[int]string{}
			for _, d := range split([]byte(c.stream)) {
				got[d.line] = strings.TrimPrefix(string(d.text), strings.Repeat("\n", d.line-1))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// FuzzRead demands that any stream is read or refused, that a document stands at the line
// where its text says, and that a Secret's values are in no error.
func FuzzRead(f *testing.F) {
	seed, err := os.ReadFile(filepath.Join("..", "..", "testdata", "render.in.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte("--- {kind: BrandConnector}\n---\nitems: [{}]\nkind: List\n"))
	f.Add([]byte("\xef\xbb\xbfkind: [\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		lines := bytes.SplitAfter(raw, []byte("\n"))
		for _, d := range split(raw) {
			first := bytes.TrimSpace(lines[d.line-1])
			if rest, is := bytes.CutPrefix(first, []byte("---")); is && !bytes.HasPrefix(bytes.TrimLeft(d.text, "\n"), []byte("---")) {
				first = bytes.TrimSpace(rest)
			}
			if !bytes.HasPrefix(bytes.TrimLeft(d.text, " \t\r\n\v\f\u0085\u00a0"), first) && !bytes.Contains(d.text, first) {
				t.Errorf("line %d is %q, and the document begins %q", d.line, first, d.text)
			}
		}
		secret := []byte("kind: Secret\nmetadata: {name: s}\nstringData: {key: canary-value}\n---\n")
		set, err := Read(bytes.NewReader(append(secret, raw...)), "-")
		if err != nil && strings.Contains(err.Error(), "canary-value") && !bytes.Contains(raw, []byte("canary-value")) {
			t.Errorf("a Secret's value is in an error: %v", err)
		}
		if err == nil {
			_ = set.Complete("", "default", NoClasses)
		}
	})
}

func TestADirectoryMayHoldOtherFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file("a.yaml", "apiVersion: connect.hexiao.dev/v1alpha1\nkind: BrandConnector\nmetadata: {name: x}\nspec: {}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\n")
	request := file("request.json", `{"bizId":"b1"}`)
	list := file("rows.json", `[1]`)
	set, err := Read(nil, dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{dir + "/a.yaml:6: Secret s", request + ": no Kubernetes object", list + ": no Kubernetes object"}
	if diff := cmp.Diff(want, set.Ignored); diff != "" || len(set.Brands) != 1 {
		t.Errorf("%d brands; ignored (-want +got):\n%s", len(set.Brands), diff)
	}
	if _, err := Read(nil, request); err == nil || !strings.Contains(err.Error(), "kind is missing") {
		t.Errorf("one that was named is passed over: %v", err)
	}
	file("broken.yaml", "kind: [\n")
	file("half.yaml", "apiVersion: connect.hexiao.dev/v1alpha1\nmetadata: {name: y}\n")
	if _, err := Read(nil, dir); err == nil || !strings.Contains(err.Error(), "broken.yaml: it is no Kubernetes object") || !strings.Contains(err.Error(), "half.yaml: kind is missing") {
		t.Errorf("what may be a brand is passed over: %v", err)
	}
}
