// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// sbomSuffix is how CycloneDX asks that its JSON files be called.
const sbomSuffix = ".cdx.json"

// subject is what a bill of materials is of: an archive or an image, as users get it.
type subject struct {
	kind    cdx.ComponentType
	name    string
	version string
	sha256  string
	files   []file
	at      time.Time
}

// bill lists what is in a subject: its files, and of each program the modules that the
// linker says it put in (go version -m shows the same). It is read out of the built files,
// never out of go.mod, so it cannot speak of what is not there nor leave out what is.
func bill(s subject) ([]byte, error) {
	var parts []cdx.Component
	programs := 0
	for _, f := range s.files {
		part := cdx.Component{BOMRef: "file:" + f.name, Type: cdx.ComponentTypeFile, Name: f.name, Hashes: sha256Of(sum(f.text))}
		info, err := buildinfo.Read(bytes.NewReader(f.text))
		if err == nil {
			programs++
			part.Type, part.Version = cdx.ComponentTypeApplication, s.version
			modules := linked(info)
			part.Components, part.Properties = &modules, settings(info)
		}
		parts = append(parts, part)
	}
	if programs == 0 {
		return nil, errors.New("holds no program with Go's build information: build it with go build, and do not pack it (upx) afterwards")
	}
	b := cdx.NewBOM()
	b.Metadata = &cdx.Metadata{
		Timestamp: s.at.Format(time.RFC3339),
		Component: &cdx.Component{BOMRef: "subject", Type: s.kind, Name: s.name, Version: s.version, Hashes: sha256Of(s.sha256)},
	}
	b.Components = &parts
	var out bytes.Buffer
	err := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false).EncodeVersion(b, cdx.SpecVersion1_6)
	return out.Bytes(), err
}

// linked are the modules in a program, in the order of go version -m: itself, those it
// needs, and Go's standard library, which has most of the advisories that concern it.
func linked(info *debug.BuildInfo) []cdx.Component {
	modules := []cdx.Component{module(&info.Main)}
	for _, m := range info.Deps {
		modules = append(modules, module(m))
	}
	goVersion, _, _ := strings.Cut(strings.TrimPrefix(info.GoVersion, "go"), " ") // what follows are experiments
	return append(modules, module(&debug.Module{Path: "stdlib", Version: goVersion}))
}

// module is one that is linked. A replaced one is listed as what stands in its place, since
// that is what runs; a property says what it stands for.
func module(m *debug.Module) cdx.Component {
	var properties []cdx.Property
	if m.Replace != nil {
		properties = append(properties, cdx.Property{Name: "go:replaces", Value: m.Path + "@" + m.Version})
		m = m.Replace
	}
	if m.Sum != "" {
		properties = append(properties, cdx.Property{Name: "go:sum", Value: m.Sum}) // as in go.sum: of the files' hashes, so no hash of an archive
	}
	c := cdx.Component{Type: cdx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: packageURL(m)}
	if len(properties) > 0 {
		c.Properties = &properties
	}
	return c
}

// packageURL names a module as advisories do: in lower case, each part escaped (purl,
// "golang"). A folder that stands in for a module has no such name, and what is built
// outside of a repository has no version.
func packageURL(m *debug.Module) string {
	if m.Version == "" {
		return ""
	}
	parts := strings.Split(strings.ToLower(m.Path), "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	u := "pkg:golang/" + strings.Join(parts, "/")
	if m.Version != "(devel)" {
		u += "@" + url.QueryEscape(m.Version)
	}
	return u
}

// settings are how the program was built: target, flags, and the commit where Go knows it.
func settings(info *debug.BuildInfo) *[]cdx.Property {
	all := []cdx.Property{{Name: "go:version", Value: info.GoVersion}, {Name: "go:package", Value: info.Path}}
	for _, s := range info.Settings {
		if s.Value != "" {
			all = append(all, cdx.Property{Name: "go:build:" + s.Key, Value: s.Value})
		}
	}
	return &all
}

func sha256Of(hash string) *[]cdx.Hash {
	return &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hash}}
}
