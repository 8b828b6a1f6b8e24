// SPDX-License-Identifier: Apache-2.0

package imagetar_test

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/hexiao-dev/hexiao/hack/image/imagetar"
)

func spec() imagetar.Spec {
	return imagetar.Spec{
		Layers: [][]imagetar.File{
			{
				{Path: "/etc/ssl/certs/ca.crt", Mode: 0o644, Content: []byte("ca")},
				{Path: "/tmp/", Mode: 0o777 | fs.ModeSticky},
			},
			{{Path: "/program", Mode: 0o755, Content: []byte("binary")}},
		},
		Config:       v1.Config{Entrypoint: []string{"/program"}, User: "65532:65532"},
		Architecture: "arm64",
	}
}

func build(t *testing.T, s imagetar.Spec) v1.Image {
	t.Helper()
	image, err := imagetar.Build(s)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func digest(t *testing.T, image v1.Image) string {
	t.Helper()
	d, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

func TestBuild(t *testing.T) {
	t.Run("says what runs where", func(t *testing.T) {
		config, err := build(t, spec()).ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		got := []any{config.OS, config.Architecture, config.Config, config.Created.UTC()}
		want := []any{"linux", "arm64", spec().Config, time.Unix(0, 0).UTC()}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("configuration (-want +got):\n%s", diff)
		}
	})
	t.Run("keeps paths, modes, owners and contents, and adds parent directories", func(t *testing.T) {
		want := [][]string{
			{"etc/ d755 0:0 ", "etc/ssl/ d755 0:0 ", "etc/ssl/certs/ d755 0:0 ", "etc/ssl/certs/ca.crt 644 0:0 ca", "tmp/ d1777 0:0 "},
			{"program 755 0:0 binary"},
		}
		if diff := cmp.Diff(want, contents(t, build(t, spec()))); diff != "" {
			t.Errorf("layers (-want +got):\n%s", diff)
		}
	})
	t.Run("is the same for the same files in another order", func(t *testing.T) {
		turned := spec()
		slices.Reverse(turned.Layers[0])
		if diff := cmp.Diff(digest(t, build(t, spec())), digest(t, build(t, turned))); diff != "" {
			t.Errorf("digest (-want +got):\n%s", diff)
		}
	})
	t.Run("is another one for another content", func(t *testing.T) {
		changed := spec()
		changed.Layers[1][0].Content = []byte("Binary")
		if digest(t, build(t, spec())) == digest(t, build(t, changed)) {
			t.Error("the same digest")
		}
	})
}

func TestWrite(t *testing.T) {
	t.Run("writes a tarball that is read back as the same image", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "new", "image.tar")
		image := build(t, spec())
		if err := imagetar.Write(file, "hexiao/program:dev", image); err != nil {
			t.Fatal(err)
		}
		back, err := tarball.ImageFromPath(file, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(contents(t, image), contents(t, back)); diff != "" {
			t.Errorf("image (-want +got):\n%s", diff)
		}
	})
	t.Run("refuses a bad name and says which", func(t *testing.T) {
		err := imagetar.Write(filepath.Join(t.TempDir(), "image.tar"), "Hexiao:dev", build(t, spec()))
		if err == nil || !strings.Contains(err.Error(), `"Hexiao:dev"`) {
			t.Errorf("error %v", err)
		}
	})
}

func contents(t *testing.T, image v1.Image) [][]string {
	t.Helper()
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for _, layer := range layers {
		r, err := layer.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, list(t, r))
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func list(t *testing.T, r io.Reader) []string {
	t.Helper()
	var files []string
	for archive := tar.NewReader(r); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		directory := ""
		if header.Typeflag == tar.TypeDir {
			directory = "d"
		}
		files = append(files, fmt.Sprintf("%s %s%o %d:%d %s", header.Name, directory, header.Mode, header.Uid, header.Gid, content))
	}
}
