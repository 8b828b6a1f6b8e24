// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// readBill is a bill of materials, as CycloneDX's library and its schema take it.
func readBill(t *testing.T, raw []byte) *cdx.BOM {
	t.Helper()
	folder := strings.TrimSpace(run(t, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go"))
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	const at = "http://cyclonedx.org/schema/"
	for name, file := range map[string]string{"bom-1.6.schema.json": "bom-1.6.schema.json", "spdx.schema.json": "spdx.schema.json", "jsf-0.82.schema.json": "jsf-0.82.schemax.json"} {
		text, err := os.ReadFile(filepath.Join(folder, "schema", file))
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource(at+name, doc); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := c.Compile(at + "bom-1.6.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(doc); err != nil {
		t.Errorf("the schema of CycloneDX 1.6: %v", err)
	}
	b := new(cdx.BOM)
	if err := cdx.NewBOMDecoder(bytes.NewReader(raw), cdx.BOMFileFormatJSON).Decode(b); err != nil {
		t.Fatal(err)
	}
	return b
}

func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir, cmd.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// The two answers are not the bill's: one is of Go's own tool on the built file, the other
// of the packages that a build would take, without a build.
func TestNoModuleThatIsLinkedIsMissing(t *testing.T) {
	r := quick(t)
	path := filepath.Join(t.TempDir(), program)
	if err := goBuild(t.Context(), r, runtime.GOOS, runtime.GOARCH, path); err != nil {
		t.Fatal(err)
	}
	files, err := r.files(path)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := bill(subject{kind: cdx.ComponentTypeApplication, name: program, version: r.version, sha256: sum(nil), files: files, at: r.at})
	if err != nil {
		t.Fatal(err)
	}
	var got, withSums []string
	for _, c := range *(*readBill(t, raw).Components)[0].Components {
		if c.Name != "stdlib" && c.Name != "github.com/hexiao-dev/hexiao" {
			got = append(got, c.Name+" "+c.Version)
			withSums = append(withSums, c.Name+" "+c.Version+" "+(*c.Properties)[0].Value)
		}
	}
	var tool []string
	for line := range strings.Lines(run(t, "go", "version", "-m", path)) {
		if f := strings.Fields(line); f[0] == "dep" || f[0] == "=>" {
			tool = append(tool, strings.Join(f[1:], " "))
		}
	}
	if d := cmp.Diff(tool, withSums); d != "" {
		t.Errorf("modules (-go version -m +bill):\n%s", d)
	}
	listed := strings.Split(strings.TrimSpace(run(t, "go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{end}}{{end}}", packagePath)), "\n")
	slices.Sort(listed)
	slices.Sort(got)
	if d := cmp.Diff(slices.Compact(listed), got); d != "" || len(got) < 20 {
		t.Errorf("%d modules (-go list -deps +bill):\n%s", len(got), d)
	}
}

func TestAModuleIsListedAsWhatRuns(t *testing.T) {
	info := &debug.BuildInfo{GoVersion: "go1.26.8 X:nodwarf5", Main: debug.Module{Path: "example.com/Main", Version: "(devel)"}, Deps: []*debug.Module{
		{Path: "github.com/Masterminds/semver", Version: "v1.5.0+incompatible", Sum: "h1:a="},
		{Path: "example.com/old", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/fork", Version: "v1.0.1", Sum: "h1:b="}},
		{Path: "example.com/here", Version: "v1.0.0", Replace: &debug.Module{Path: "../here"}},
	}}
	var got []string
	for _, c := range linked(info) {
		line := c.Name + " " + c.Version + " " + c.PackageURL
		if c.Properties != nil {
			for _, p := range *c.Properties {
				line += " " + p.Name + "=" + p.Value
			}
		}
		got = append(got, line)
	}
	want := []string{
		"example.com/Main (devel) pkg:golang/example.com/main",
		"github.com/Masterminds/semver v1.5.0+incompatible pkg:golang/github.com/masterminds/semver@v1.5.0%2Bincompatible go:sum=h1:a=",
		"example.com/fork v1.0.1 pkg:golang/example.com/fork@v1.0.1 go:replaces=example.com/old@v1.0.0 go:sum=h1:b=",
		"../here   go:replaces=example.com/here@v1.0.0",
		"stdlib 1.26.8 pkg:golang/stdlib@1.26.8",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("components (-want +got):\n%s", d)
	}
}

func TestAnImagesBillHasItsDigestAndEveryFile(t *testing.T) {
	r := quick(t)
	r.platforms = []string{"linux/arm64"}
	if err := r.run(t.Context(), io.Discard); err != nil {
		t.Fatal(err)
	}
	b := readBill(t, r.read(t, "hexiao-manager-v1.2.3-linux-arm64.tar"+sbomSuffix))
	text, err := programFor("managerarm64")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"/etc/authorities": sum([]byte("trusted")), "/hexiao-manager": sum(text)}
	got := map[string]string{}
	for _, c := range *b.Components {
		got[c.Name] = (*c.Hashes)[0].Value
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("files (-image +bill):\n%s", d)
	}
	digest := (*b.Metadata.Component.Hashes)[0].Value
	if p := string(r.read(t, "provenance.json")); !strings.Contains(p, digest) || b.Metadata.Timestamp != "2027-01-15T08:00:00Z" {
		t.Errorf("digest %s at %s is not in the provenance:\n%s", digest, b.Metadata.Timestamp, p)
	}
}

func TestAProgramOfWhichNothingIsKnownIsRefused(t *testing.T) {
	if _, err := bill(subject{files: []file{{"packed", 0o755, []byte("\x7fELF")}}}); err == nil || !strings.Contains(err.Error(), "go build") {
		t.Error(err)
	}
}
