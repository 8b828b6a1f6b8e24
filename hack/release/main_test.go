// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"sigs.k8s.io/yaml"

	"github.com/hexiao-dev/hexiao/hack/image/imagetar"
)

// plugin is a manifest as krew reads it (krew, "Writing Krew plugin manifests"); a field
// that it does not know is an error.
type plugin struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Version          string `json:"version"`
		Homepage         string `json:"homepage"`
		ShortDescription string `json:"shortDescription"`
		Description      string `json:"description"`
		Caveats          string `json:"caveats"`
		Platforms        []struct {
			Selector struct {
				MatchLabels map[string]string `json:"matchLabels"`
			} `json:"selector"`
			URI    string `json:"uri"`
			SHA256 string `json:"sha256"`
			Bin    string `json:"bin"`
		} `json:"platforms"`
	} `json:"spec"`
}

// smallest is the smallest program that Go builds.
var smallest = sync.OnceValues(func() ([]byte, error) {
	folder, err := os.MkdirTemp("", "release-test-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	source, path := filepath.Join(folder, "main.go"), filepath.Join(folder, "program")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o644); err != nil {
		return nil, err
	}
	if out, err := exec.Command("go", "build", "-ldflags", "-s -w", "-o", path, source).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	return os.ReadFile(path)
})

// programFor is it for a platform: what stands behind its end changes nothing.
func programFor(platform string) ([]byte, error) {
	text, err := smallest()
	return append(bytes.Clone(text), platform...), err
}

// quick is a release of the smallest program in place of ours, for two platforms.
func quick(t *testing.T) *release {
	t.Helper()
	return &release{
		source: "../..", version: "v1.2.3", output: t.TempDir(), url: downloads, platforms: []string{"linux/amd64", "windows/amd64"}, images: []string{"manager"}, at: time.Unix(1_800_000_000, 0).UTC(),
		revision: strings.Repeat("0123456789", 4), builder: byHand,
		build: func(_ context.Context, _ *release, goos, arch, output string) error {
			text, err := programFor(goos + "/" + arch)
			return errors.Join(err, os.WriteFile(output, text, 0o755))
		},
		image: func(_ context.Context, r *release, target, arch, output string) error {
			text, err := programFor(target + arch)
			if err != nil {
				return err
			}
			image, err := imagetar.Build(imagetar.Spec{Architecture: arch, Layers: [][]imagetar.File{
				{{Path: "/etc/authorities", Mode: 0o644, Content: []byte("trusted")}}, {{Path: "/hexiao-" + target, Mode: 0o755, Content: text}},
			}})
			return errors.Join(err, imagetar.Write(output, r.imageName(target), image))
		},
	}
}

// read is a file of a release.
func (r *release) read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(r.output, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTheManifestHasTheShapeThatKrewDemands(t *testing.T) {
	r := quick(t)
	r.platforms, r.images = platforms, nil
	if err := r.run(t.Context(), io.Discard); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(r.output, "hexiao.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var p plugin
	if err := yaml.UnmarshalStrict(raw, &p); err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	if p.APIVersion != "krew.googlecontainertools.github.com/v1alpha2" || p.Kind != "Plugin" || p.Metadata.Name != "hexiao" || p.Spec.Version != "v1.2.3" {
		t.Errorf("%+v", p)
	}
	if s := p.Spec.ShortDescription; s == "" || len(s) > 50 || strings.ContainsAny(s, "\r\n") || strings.HasSuffix(s, ".") || strings.Contains(strings.ToLower(s), "kubectl") {
		t.Errorf("shortDescription %q: krew's guide asks for a line of at most 50 characters that does not say that it is a plugin", s)
	}
	if p.Spec.Description == "" || p.Spec.Caveats == "" || !strings.HasPrefix(p.Spec.Homepage, "https://") {
		t.Errorf("%+v", p.Spec)
	}
	var got []string
	for _, pl := range p.Spec.Platforms {
		got = append(got, pl.Selector.MatchLabels["os"]+"/"+pl.Selector.MatchLabels["arch"])
		if len(pl.Selector.MatchLabels) != 2 || !regexp.MustCompile(`^[a-f0-9]{64}$`).MatchString(pl.SHA256) || !strings.HasPrefix(pl.URI, downloads+"/v1.2.3/") {
			t.Errorf("%+v", pl)
		}
		archived, err := os.ReadFile(filepath.Join(r.output, path.Base(pl.URI)))
		if err != nil {
			t.Errorf("what the URI names is not made: %v", err)
			continue
		}
		if sum := sha256.Sum256(archived); hex.EncodeToString(sum[:]) != pl.SHA256 {
			t.Errorf("%s has another checksum", pl.URI)
		}
		files := unpack(t, path.Base(pl.URI), archived)
		if !strings.HasSuffix(string(files[pl.Bin]), got[len(got)-1]) || len(files["LICENSE"]) == 0 || len(files["kubectl_complete-hexiao"]) == 0 || len(files) != 3 {
			t.Errorf("%s holds %d files, and as %s %d bytes", pl.URI, len(files), pl.Bin, len(files[pl.Bin]))
		}
	}
	if d := cmp.Diff(platforms, got); d != "" {
		t.Errorf("platforms (-released +in the manifest):\n%s", d)
	}
}

func TestEveryFileHasItsChecksum(t *testing.T) {
	r := quick(t)
	if err := r.run(t.Context(), io.Discard); err != nil {
		t.Fatal(err)
	}
	var want []string
	made, err := os.ReadDir(r.output)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range made {
		if f.Name() != "checksums.txt" {
			want = append(want, sum(r.read(t, f.Name()))+"  "+f.Name())
		}
	}
	got := strings.Split(strings.TrimSpace(string(r.read(t, "checksums.txt"))), "\n")
	slices.Sort(want)
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("checksums (-files +checksums.txt):\n%s", d)
	}
	if len(want) != 2*3+2 { // two archives and an image, each with its bill; the manifest and the provenance
		t.Errorf("%d files: %q", len(want), want)
	}
}

func unpack(t *testing.T, name string, raw []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	if strings.HasSuffix(name, ".zip") {
		z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range z.File {
			in, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			files[f.Name], _ = io.ReadAll(in)
		}
		return files
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(h.Name, "kubectl") && h.Mode&0o111 == 0 {
			t.Errorf("%s is not executable", h.Name)
		}
		files[h.Name], _ = io.ReadAll(r)
	}
}

func TestTheSameSourceGivesTheSameArchives(t *testing.T) {
	var sums [2]string
	for i := range sums {
		r := quick(t)
		if err := r.run(t.Context(), io.Discard); err != nil {
			t.Fatal(err)
		}
		sums[i] = string(r.read(t, "checksums.txt"))
	}
	if sums[0] != sums[1] {
		t.Errorf("%s\nand then\n%s", sums[0], sums[1])
	}
}

func TestAReleaseIsBuiltAsTheMakefileBuildsIt(t *testing.T) {
	raw, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"LDFLAGS := -s -w -X main.version=$(VERSION)", "CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/" + program + " " + packagePath} {
		if !strings.Contains(string(raw), part) {
			t.Errorf("the Makefile does not say %q: change hack/release with it", part)
		}
	}
	// This machine's own, for real.
	r := quick(t)
	r.build, r.platforms, r.images = goBuild, []string{runtime.GOOS + "/" + runtime.GOARCH}, nil
	if err := r.run(t.Context(), io.Discard); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("%s-v1.2.3-%s-%s.tar.gz", program, runtime.GOOS, runtime.GOARCH)
	archived := r.read(t, name)
	bin := filepath.Join(t.TempDir(), program)
	if err := os.WriteFile(bin, unpack(t, name, archived)[program], 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), bin, "--version").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "v1.2.3") {
		t.Errorf("%q, %v", out, err)
	}
}

func TestAnImageHasTheTagThatTheChartLooksFor(t *testing.T) {
	var chart struct {
		AppVersion string `json:"appVersion"`
	}
	var values struct {
		Connector struct{ Image struct{ Repository string } }
	}
	for path, into := range map[string]any{"../../charts/hexiao/Chart.yaml": &chart, "../../charts/hexiao/values.yaml": &values} {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(raw, into); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	r := quick(t)
	r.version, r.image, r.images = "v"+chart.AppVersion, goImage, []string{"connector"}
	r.platforms = []string{"linux/" + runtime.GOARCH}
	if err := r.run(t.Context(), io.Discard); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("hexiao-connector-v%s-linux-%s.tar", chart.AppVersion, runtime.GOARCH)
	manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(filepath.Join(r.output, name)) })
	if err != nil {
		t.Fatal(err)
	}
	want := values.Connector.Image.Repository + ":" + chart.AppVersion
	if diff := cmp.Diff([]string{want}, manifest[0].RepoTags); diff != "" {
		t.Errorf("%s (-chart +tags):\n%s", name, diff)
	}
	if subject := want + "-" + runtime.GOARCH; !strings.Contains(string(r.read(t, "provenance.json")), `"`+subject+`"`) {
		t.Errorf("the provenance does not have %s", subject)
	}
}

func TestAVersionThatKrewWouldNotTake(t *testing.T) {
	for _, version := range []string{"", "1.2.3", "v1.2", "v01.2.3", "dev", "v1.2.3 "} {
		r := quick(t)
		r.version = version
		if err := r.run(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "v1.2.3") {
			t.Errorf("%q: %v", version, err)
		}
		if made, err := os.ReadDir(r.output); err != nil || slices.ContainsFunc(made, func(os.DirEntry) bool { return true }) {
			t.Errorf("%q left something behind", version)
		}
	}
}
