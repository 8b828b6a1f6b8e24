// SPDX-License-Identifier: Apache-2.0

// Package imagetar makes container images from files, without a container engine, a base image or a registry.
//
// The same files give the same image, bit for bit: time stamps, owners and the order of files are fixed. The result is a
// tarball that `docker load`, `kind load image-archive` and `ctr images import` take.
package imagetar

import (
	"archive/tar"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// A File of an image. All files belong to root.
type File struct {
	// Path inside the image, absolute. One that ends with a slash is a directory.
	Path string
	// Mode holds the permission bits, and fs.ModeSticky.
	Mode    fs.FileMode
	Content []byte
}

// A Spec describes an image.
type Spec struct {
	// Layers hold the files, what changes least first. Missing parent directories are added.
	Layers [][]File
	// Config is what runs: entrypoint, user, environment, labels.
	Config v1.Config
	// Architecture in Go's words, such as amd64. The operating system is Linux.
	Architecture string
	// Created is the time stamp of the image and of its files; the zero value stands for 1970-01-01, UTC.
	Created time.Time
}

// Build makes the image.
func Build(spec Spec) (v1.Image, error) {
	created := spec.Created.UTC()
	if spec.Created.IsZero() {
		created = time.Unix(0, 0).UTC()
	}
	image := empty.Image
	for i, files := range spec.Layers {
		layer, err := buildLayer(files, created)
		if err != nil {
			return nil, fmt.Errorf("layer %d: %w", i, err)
		}
		image, err = mutate.Append(image, mutate.Addendum{
			Layer: layer, History: v1.History{Created: v1.Time{Time: created}, CreatedBy: "hack/image"},
		})
		if err != nil {
			return nil, fmt.Errorf("layer %d: %w", i, err)
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("image configuration: %w", err)
	}
	config = config.DeepCopy()
	// Without both, a runtime filters the image out as one for another machine.
	config.OS, config.Architecture = "linux", spec.Architecture
	config.Created, config.Config = v1.Time{Time: created}, spec.Config
	return mutate.ConfigFile(image, config)
}

// Write writes the image under a name such as "hexiao/connector:dev" to a tarball.
func Write(file, tag string, image v1.Image) (err error) {
	reference, err := name.NewTag(tag)
	if err != nil {
		return fmt.Errorf("image name %q: %w", tag, err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("write image: %w", err)
	}
	// Renamed into place, so that a reader never takes half an image.
	temporary, err := os.CreateTemp(filepath.Dir(file), ".image-*")
	if err != nil {
		return fmt.Errorf("write image: %w", err)
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	if err := tarball.Write(reference, image, temporary); err != nil {
		_ = temporary.Close()
		return fmt.Errorf("write image: %w", err)
	}
	if err := temporary.Chmod(0o644); err != nil {
		_ = temporary.Close()
		return fmt.Errorf("write image: %w", err)
	}
	if err := temporary.Close(); err != nil {
		return fmt.Errorf("write image: %w", err)
	}
	if err := os.Rename(temporary.Name(), file); err != nil {
		return fmt.Errorf("write image: %w", err)
	}
	return nil
}

func buildLayer(files []File, created time.Time) (v1.Layer, error) {
	content, err := layerTar(files, created)
	if err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
}

func layerTar(files []File, created time.Time) ([]byte, error) {
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	for _, f := range withParents(files) {
		header := &tar.Header{
			Name: strings.TrimPrefix(f.Path, "/"), Size: int64(len(f.Content)), ModTime: created,
			Mode: tarMode(f.Mode), Typeflag: tar.TypeReg, Format: tar.FormatPAX,
		}
		if strings.HasSuffix(f.Path, "/") {
			header.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("file %s: %w", f.Path, err)
		}
		if _, err := w.Write(f.Content); err != nil {
			return nil, fmt.Errorf("file %s: %w", f.Path, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buffer.Bytes(), nil
}

func tarMode(mode fs.FileMode) int64 {
	const sticky = 0o1000
	if mode&fs.ModeSticky != 0 {
		return int64(mode.Perm()) | sticky
	}
	return int64(mode.Perm())
}

// withParents returns the files and the directories that hold them, in the order of their paths: a directory before what
// is in it.
func withParents(files []File) []File {
	all := map[string]File{}
	for _, f := range files {
		for dir := path.Dir(strings.TrimSuffix(f.Path, "/")); dir != "/"; dir = path.Dir(dir) {
			if _, given := all[dir+"/"]; !given {
				all[dir+"/"] = File{Path: dir + "/", Mode: 0o755}
			}
		}
		all[f.Path] = f
	}
	ordered := make([]File, 0, len(all))
	for _, f := range all {
		ordered = append(ordered, f)
	}
	slices.SortFunc(ordered, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	return ordered
}
