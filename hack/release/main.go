// SPDX-License-Identifier: Apache-2.0

// Command release builds what a release consists of: an archive of the kubectl plugin for
// each platform and hexiao.yaml, their manifest for krew; the container images for each
// Linux platform; of each archive and image a bill of materials; provenance.json, which says
// how all that was built; and checksums.txt. With a key it signs the last two.
//
//	go run ./hack/release --version v1.2.3 --output dist/release
//
// The same source, Go, certificate authorities (hack/image) and SOURCE_DATE_EPOCH give the
// same files, bit for bit; docs/guides/verify.md is how users check them.
package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/spf13/cobra"
)

// platforms that are released: what krew's selectors call os and arch.
var platforms = []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64"}

const (
	program      = "kubectl-hexiao"
	packagePath  = "./cmd/kubectl-hexiao"
	manifestPath = "config/krew/hexiao.yaml.tmpl"
	downloads    = "https://github.com/hexiao-dev/hexiao/releases/download"
)

// extras go into each archive beside the program.
var extras = []string{"cmd/kubectl-hexiao/kubectl_complete-hexiao", "LICENSE"}

// release is what the command line asks for.
type release struct {
	source    string // the root of the repository
	version   string
	output    string
	url       string
	platforms []string
	images    []string // programs
	revision  string   // the commit that is built; empty asks git
	builder   string
	key       string // a file; empty does not sign
	at        time.Time
	build     func(ctx context.Context, r *release, goos, arch, output string) error
	image     func(ctx context.Context, r *release, target, arch, output string) error
}

// archive is one platform's.
type archive struct {
	OS, Arch, Program, Name, URL, SHA256 string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	r := &release{build: goBuild, image: goImage}
	cmd := &cobra.Command{
		Use: "release", Short: "Build the plugin's archives and the images, and what proves where they are from", Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if r.at, err = epoch(os.Getenv("SOURCE_DATE_EPOCH")); err != nil {
				return err
			}
			return r.run(cmd.Context(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.source, "source", ".", "root of the repository")
	f.StringVar(&r.version, "version", "", "the release's version, such as v1.2.3")
	f.StringVar(&r.output, "output", "dist/release", "folder to write")
	f.StringVar(&r.url, "url", downloads, "where releases are downloaded from")
	f.StringSliceVar(&r.platforms, "platforms", platforms, "os/arch, several with commas")
	f.StringSliceVar(&r.images, "images", images, "programs whose images are built for the platforms with Linux, several with commas")
	f.StringVar(&r.revision, "revision", "", "the commit that is built (default: git's HEAD, if all is committed)")
	f.StringVar(&r.builder, "builder", byHand, "URI of who builds, for the provenance")
	f.StringVar(&r.key, "key", "", "file with the private key that signs, for Ed25519 or ECDSA: PKCS#8 in PEM")
	return cmd
}

// epoch is the time stamp of what goes into the archives.
func epoch(seconds string) (time.Time, error) {
	if seconds == "" {
		return time.Unix(0, 0).UTC(), nil
	}
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH %q is no number of seconds", seconds)
	}
	return time.Unix(n, 0).UTC(), nil
}

// semver is a version as krew takes it.
var semver = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?$`)

func (r *release) run(ctx context.Context, progress io.Writer) error {
	if !semver.MatchString(r.version) {
		return fmt.Errorf("--version %q: use a semantic version with a v in front, such as v1.2.3", r.version)
	}
	signer, err := r.signer()
	if err != nil {
		return err
	}
	if r.revision, err = sourceRevision(ctx, r.source, r.revision); err != nil {
		return err
	}
	if err := os.MkdirAll(r.output, 0o755); err != nil {
		return err
	}
	o := &output{folder: r.output}
	if err := r.addArchives(ctx, o, progress); err != nil {
		return err
	}
	if err := r.addImages(ctx, o, progress); err != nil {
		return err
	}
	return r.prove(ctx, o, signer)
}

// signer is nil where nothing is to be signed.
func (r *release) signer() (*signer, error) {
	if r.key == "" {
		return nil, nil
	}
	if r.builder == byHand {
		return nil, errors.New("--key signs who built this, so name it with --builder: a URI that you document, such as https://ci.example.com/hexiao")
	}
	return readKey(r.key)
}

// addArchives builds the plugin's archives and their manifest.
func (r *release) addArchives(ctx context.Context, o *output, progress io.Writer) error {
	var archives []archive
	for _, p := range r.platforms {
		fmt.Fprintf(progress, "building the plugin for %s\n", p)
		a, err := r.pack(ctx, o, p)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		archives = append(archives, a)
	}
	text, err := os.ReadFile(filepath.Join(r.source, manifestPath))
	if err != nil {
		return err
	}
	manifest, err := render(string(text), r.version, archives)
	if err != nil {
		return err
	}
	return o.write("hexiao.yaml", manifest)
}

func (r *release) addImages(ctx context.Context, o *output, progress io.Writer) error {
	for _, p := range r.platforms {
		arch, linux := strings.CutPrefix(p, "linux/")
		for _, target := range r.images {
			if !linux {
				continue
			}
			fmt.Fprintf(progress, "building the image of the %s for %s\n", target, p)
			if err := r.addImage(ctx, o, target, arch); err != nil {
				return fmt.Errorf("%s for %s: %w", target, p, err)
			}
		}
	}
	return nil
}

// addBill lists what is in an artefact.
func (r *release) addBill(o *output, artefact string, s subject) error {
	s.version, s.at = r.version, r.at
	text, err := bill(s)
	if err != nil {
		return fmt.Errorf("bill of materials of %s: %w", artefact, err)
	}
	return o.write(artefact+sbomSuffix, text)
}

// prove writes what everything else is checked against. The checksums cover the provenance,
// so one signature would do; the envelope is for tools that take no other.
func (r *release) prove(ctx context.Context, o *output, s *signer) error {
	statement, err := provenance(ctx, r, o.made)
	if err != nil {
		return err
	}
	if err := o.write("provenance.json", statement); err != nil {
		return err
	}
	checksums := o.checksums()
	if err := o.write("checksums.txt", checksums); err != nil {
		return err
	}
	if s == nil {
		// Signatures of an earlier run are of other files.
		return errors.Join(os.RemoveAll(filepath.Join(o.folder, signatureFile)), os.RemoveAll(filepath.Join(o.folder, envelopeFile)))
	}
	signature, err := s.Sign(ctx, checksums)
	if err != nil {
		return fmt.Errorf("sign checksums.txt: %w", err)
	}
	envelope, err := s.envelope(ctx, statement)
	if err != nil {
		return fmt.Errorf("sign the provenance: %w", err)
	}
	return errors.Join(o.write(signatureFile, signature), o.write(envelopeFile, envelope))
}

// render fills the manifest's template in.
func render(text, version string, archives []archive) ([]byte, error) {
	t, err := template.New("manifest").Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read the manifest's template: %w", err)
	}
	var b bytes.Buffer
	err = t.Execute(&b, struct {
		Version  string
		Archives []archive
	}{version, archives})
	return b.Bytes(), err
}

// pack builds the program for a platform and puts it into its archive.
func (r *release) pack(ctx context.Context, o *output, platform string) (archive, error) {
	goos, arch, ok := strings.Cut(platform, "/")
	if !ok {
		return archive{}, errors.New("a platform is os/arch, such as linux/amd64")
	}
	a := archive{OS: goos, Arch: arch, Program: program, Name: fmt.Sprintf("%s-%s-%s-%s.tar.gz", program, r.version, goos, arch)}
	write := writeTar
	if goos == "windows" {
		a.Program, a.Name, write = program+".exe", strings.TrimSuffix(a.Name, ".tar.gz")+".zip", writeZip
	}
	a.URL = r.url + "/" + r.version + "/" + a.Name
	temp, err := os.MkdirTemp("", "release-")
	if err != nil {
		return a, err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	built := filepath.Join(temp, a.Program)
	if err := r.build(ctx, r, goos, arch, built); err != nil {
		return a, err
	}
	files, err := r.files(built)
	if err != nil {
		return a, err
	}
	var b bytes.Buffer
	if err := write(&b, files, r.at); err != nil {
		return a, fmt.Errorf("write %s: %w", a.Name, err)
	}
	a.SHA256 = sum(b.Bytes())
	if err := o.write(a.Name, b.Bytes()); err != nil {
		return a, err
	}
	return a, r.addBill(o, a.Name, subject{kind: cdx.ComponentTypeApplication, name: program, sha256: a.SHA256, files: files})
}

// goBuild builds the plugin as the Makefile does.
func goBuild(ctx context.Context, r *release, goos, arch, output string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w -X main.version="+r.version, "-o", output, packagePath)
	cmd.Dir = r.source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	return nil
}

// file of an archive.
type file struct {
	name string
	mode int64
	text []byte
}

func (r *release) files(built string) ([]file, error) {
	text, err := os.ReadFile(built)
	if err != nil {
		return nil, err
	}
	all := []file{{filepath.Base(built), 0o755, text}}
	for _, path := range extras {
		text, err := os.ReadFile(filepath.Join(r.source, path))
		if err != nil {
			return nil, err
		}
		mode := int64(0o644)
		if strings.HasPrefix(filepath.Base(path), "kubectl") {
			mode = 0o755
		}
		all = append(all, file{filepath.Base(path), mode, text})
	}
	return all, nil
}

func writeTar(w io.Writer, files []file, at time.Time) error {
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	for _, f := range files {
		if err := t.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.text)), ModTime: at, Format: tar.FormatUSTAR}); err != nil {
			return err
		}
		if _, err := t.Write(f.text); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), z.Close())
}

func writeZip(w io.Writer, files []file, at time.Time) error {
	z := zip.NewWriter(w)
	for _, f := range files {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: at}
		h.SetMode(os.FileMode(f.mode))
		out, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := out.Write(f.text); err != nil {
			return err
		}
	}
	return z.Close()
}
