// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// images are released for each Linux platform.
var images = []string{"manager", "connector", "sandbox"}

// imageName is a program's image as the chart and the plugin look for it: tagged with the
// version without its v, which the appVersion of a chart does not have.
func (r *release) imageName(target string) string {
	return "hexiao/" + target + ":" + strings.TrimPrefix(r.version, "v")
}

// addImage builds a program's image, and notes its tarball, its digest and its bill of
// materials. The digest is the one that a tool which pushes manifests as they are (crane)
// leaves in a registry; docker load and push compress the layers anew, and make another.
func (r *release) addImage(ctx context.Context, o *output, target, arch string) error {
	name := fmt.Sprintf("hexiao-%s-%s-linux-%s.tar", target, r.version, arch)
	path := filepath.Join(o.folder, name)
	if err := r.image(ctx, r, target, arch, path); err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	image, err := tarball.Image(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }, nil)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	digest, err := image.Digest()
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	files, err := imageFiles(image)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	o.made = append(o.made, artefact{name, sum(text)}, artefact{r.imageName(target) + "-" + arch, digest.Hex})
	return r.addBill(o, name, subject{kind: cdx.ComponentTypeContainer, name: "hexiao/" + target, sha256: digest.Hex, files: files})
}

// imageFiles are the files of an image as a container sees them.
func imageFiles(image v1.Image) ([]file, error) {
	content := mutate.Extract(image)
	defer func() { _ = content.Close() }()
	var files []file
	for t := tar.NewReader(content); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		text, err := io.ReadAll(t)
		if err != nil {
			return nil, err
		}
		files = append(files, file{"/" + strings.TrimPrefix(h.Name, "/"), h.Mode, text})
	}
}

// goImage builds an image by hack/image.
func goImage(ctx context.Context, r *release, target, arch, output string) error {
	absolute, err := filepath.Abs(output)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "run", "./hack/image", "--target", target, "--arch", arch,
		"--version", r.version, "--tag", r.imageName(target), "--output", absolute)
	cmd.Dir = r.source
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the image: %w\n%s", err, out)
	}
	return nil
}
