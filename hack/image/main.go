// SPDX-License-Identifier: Apache-2.0

// Command image builds the product's container images without a container engine or a registry: static programs on an empty
// base, with the certificate authorities of the build machine and Go's time zones, run by user 65532.
//
//	hack/image/image --target connector --output dist/connector.tar --tag hexiao/connector:dev
//
// The tarball is for `docker load`, `hack/cluster/cluster load` or a push by any tool. The same source, Go and certificate
// authorities give the same image, bit for bit; SOURCE_DATE_EPOCH, in seconds, sets the time stamps.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/hexiao-dev/hexiao/hack/image/imagetar"
)

// options of the command line.
type options struct {
	source       string // the root of the repository
	target       string
	packagePath  string // what to build, where it is not ./cmd/<target>
	output       string
	tag          string
	version      string
	architecture string
}

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := root().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func root() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use: "image --target NAME", Short: "Build a container image of a program under cmd/ as a tarball",
		Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), cmd.OutOrStdout(), o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.source, "source", ".", "root of the repository")
	flags.StringVar(&o.target, "target", "", "program to build: manager, connector or sandbox")
	flags.StringVar(&o.packagePath, "package", "", "Go package to build, relative to the root (default ./cmd/TARGET)")
	flags.StringVar(&o.output, "output", "", "tarball to write (default dist/TARGET.tar)")
	flags.StringVar(&o.tag, "tag", "", "image name (default hexiao/TARGET:dev)")
	flags.StringVar(&o.version, "version", "dev", "version that the program and the image's label tell")
	flags.StringVar(&o.architecture, "arch", runtime.GOARCH, "architecture, in Go's words")
	if err := cmd.MarkFlagRequired("target"); err != nil {
		panic(err) // the flag is declared above
	}
	return cmd
}

func run(ctx context.Context, out io.Writer, o options) error {
	o = withDefaults(o)
	program, err := compile(ctx, o)
	if err != nil {
		return err
	}
	base, err := baseFiles(ctx)
	if err != nil {
		return err
	}
	created, err := sourceDate(os.Getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return err
	}
	image, err := imagetar.Build(describe(o, base, program, created))
	if err != nil {
		return err
	}
	if err := imagetar.Write(o.output, o.tag, image); err != nil {
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s %s %s\n", o.output, o.tag, digest)
	return err
}

func withDefaults(o options) options {
	if o.packagePath == "" {
		o.packagePath = "./cmd/" + o.target
	}
	if o.output == "" {
		o.output = filepath.Join(o.source, "dist", o.target+".tar")
	}
	if o.tag == "" {
		o.tag = "hexiao/" + o.target + ":dev"
	}
	return o
}

// describe is the image of a program. The base is a layer of its own: it is the same for all programs.
func describe(o options, base []imagetar.File, program []byte, created time.Time) imagetar.Spec {
	entrypoint := "/hexiao-" + o.target
	return imagetar.Spec{
		Layers: [][]imagetar.File{base, {{Path: entrypoint, Mode: 0o755, Content: program}}},
		Config: v1.Config{
			Entrypoint: []string{entrypoint},
			User:       "65532:65532", // by number: the kubelet cannot prove of a name that it is not root
			WorkingDir: "/",
			Env:        []string{"PATH=/", "ZONEINFO=" + zonesPath, "SSL_CERT_FILE=" + authoritiesPath},
			Labels: map[string]string{
				"org.opencontainers.image.title":    "hexiao-" + o.target,
				"org.opencontainers.image.version":  o.version,
				"org.opencontainers.image.source":   "https://github.com/hexiao-dev/hexiao",
				"org.opencontainers.image.licenses": "Apache-2.0",
			},
		},
		Architecture: o.architecture,
		Created:      created,
	}
}

const (
	authoritiesPath = "/etc/ssl/certs/ca-certificates.crt"
	zonesPath       = "/usr/share/zoneinfo.zip"
)

// baseFiles is what a static program needs besides itself.
func baseFiles(ctx context.Context) ([]imagetar.File, error) {
	authorities, err := authorities()
	if err != nil {
		return nil, err
	}
	goRoot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("ask for Go's directory: %w", err)
	}
	zones, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(goRoot)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		return nil, fmt.Errorf("read Go's time zones: %w", err)
	}
	return []imagetar.File{
		{Path: authoritiesPath, Mode: 0o644, Content: authorities},
		{Path: zonesPath, Mode: 0o644, Content: zones},
		{Path: "/etc/passwd", Mode: 0o644, Content: []byte("root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n")},
		{Path: "/etc/group", Mode: 0o644, Content: []byte("root:x:0:\nnonroot:x:65532:\n")},
		{Path: "/tmp/", Mode: 0o777 | fs.ModeSticky},
	}, nil
}

// authorities reads the certificate authorities of the build machine.
func authorities() ([]byte, error) {
	paths := []string{
		authoritiesPath,                    // Debian, Alpine
		"/etc/pki/tls/certs/ca-bundle.crt", // Fedora, RHEL
		"/etc/ssl/ca-bundle.pem",           // SUSE
		"/etc/ssl/cert.pem",                // macOS, BSD
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return content, err
	}
	return nil, fmt.Errorf("no certificate authorities at any of %s: install the package ca-certificates", strings.Join(paths, ", "))
}

// compile builds the program statically and returns its content.
func compile(ctx context.Context, o options) ([]byte, error) {
	directory, err := os.MkdirTemp("", "hexiao-image-")
	if err != nil {
		return nil, fmt.Errorf("compile %s: %w", o.packagePath, err)
	}
	defer func() { _ = os.RemoveAll(directory) }()
	binary := filepath.Join(directory, "program")
	// Without the build id and the state of the repository the binary depends on the sources alone.
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -buildid= -X main.version="+o.version, "-o", binary, o.packagePath)
	cmd.Dir, cmd.Stderr = o.source, os.Stderr
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+o.architecture)
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("compile %s: %w", o.packagePath, err)
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("compile %s: %w", o.packagePath, err)
	}
	return content, nil
}

// sourceDate reads SOURCE_DATE_EPOCH; without one the image's time is the epoch.
func sourceDate(epoch string) (time.Time, error) {
	if epoch == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: %w: give seconds since 1970", err)
	}
	return time.Unix(seconds, 0), nil
}
