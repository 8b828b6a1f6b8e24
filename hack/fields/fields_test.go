// SPDX-License-Identifier: Apache-2.0

package fields

import (
	"flag"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/reference/fields.md")

const page = "../../docs/reference/fields.md"

// packages at a border.
var packages = []string{"keruyun", "zhimai", "alsc"}

func sources(t *testing.T) map[string]Source {
	t.Helper()
	all := map[string]Source{}
	for _, pkg := range packages {
		s, err := Scan("../../connector/"+pkg, pkg)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Fields) < 5 {
			t.Fatalf("found %d structs and functions with fields in %s: the scan would prove nothing", len(s.Fields), pkg)
		}
		all[pkg] = s
	}
	return all
}

func TestEveryFieldHasARow(t *testing.T) {
	all := sources(t)
	placed := map[Wire]bool{}
	for _, s := range Sections {
		rows, err := s.Rows()
		if err != nil {
			t.Fatal(err)
		}
		var named []string
		for _, r := range rows {
			if r.Field == "" || r.Where == "" || r.Unit == "" || slices.Contains(named, r.Field) {
				t.Errorf("%s: the row of %q is incomplete or stands twice", s.Title, r.Field)
			}
			named = append(named, r.Field)
			if !all[s.Wires[0].Package].Texts[r.Field] && !inTags(all[s.Wires[0].Package], r.Field) {
				t.Errorf("%s: %s is in the source no more: remove its row in hack/fields/table.go", s.Title, r.Field)
			}
		}
		for _, w := range s.Wires {
			placed[w] = true
			fields, ok := all[w.Package].Fields[w]
			if !ok {
				t.Errorf("%s: there is no %s with fields: correct its section in hack/fields/table.go", s.Title, w)
			}
			for _, f := range fields {
				if !slices.Contains(named, f) {
					t.Errorf("%s: field %s of %s has no row: add one in hack/fields/table.go, then go test ./hack/fields -update", s.Title, f, w)
				}
			}
		}
	}
	for pkg, s := range all {
		for w, fields := range s.Fields {
			if len(fields) > 0 && !placed[w] && Ignored[w] == "" {
				t.Errorf("%s: %s with fields %v is in no section of hack/fields/table.go", pkg, w, fields)
			}
		}
	}
}

// inTags says whether a struct of the package has a field of that JSON name.
func inTags(s Source, field string) bool {
	for _, fields := range s.Fields {
		if slices.Contains(fields, field) {
			return true
		}
	}
	return false
}

func TestThePageIsThatOfTheTable(t *testing.T) {
	want, err := Page()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/reference/fields.md is not current, run go test ./hack/fields -update (-want +got):\n%s", diff)
	}
}

func TestAScanFindsWhatIsSentAndWhatIsRead(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.go": "package a\n\ntype sent struct {\n\tA string `json:\"a,omitempty\"`\n\tB int\n\tC int `json:\"-\"`\n}\n\ntype inner struct{ X int }\n\n" +
			"const field = \"d\"\n\nfunc read(o obj, other string) { o.Text(\"c\"); o.List(field); o.Flag(other); o.Other(\"e\") }\n",
		"a_test.go": "package a\n\ntype never struct {\n\tA string `json:\"z\"`\n}\n",
	} {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Scan(dir, "a")
	if err != nil {
		t.Fatal(err)
	}
	want := map[Wire][]string{{"a", "sent"}: {"B", "a"}, {"a", "read"}: {"c", "d"}}
	if diff := cmp.Diff(want, s.Fields); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !s.Texts["e"] || s.Texts["z"] {
		t.Errorf("texts: %v", s.Texts)
	}
}
