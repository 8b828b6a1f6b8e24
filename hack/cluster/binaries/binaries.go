// SPDX-License-Identifier: Apache-2.0

// Package binaries builds the programs of a Kubernetes cluster from Go modules and keeps them for all clones of the repository.
//
// Each upstream has a small module of its own under hack/cluster/build, since their requirements do not agree. What was built is kept under a key of
// the module's requirements, the Go version and the platform: it is built once for a machine, and again when one of them changes.
package binaries

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/hexiao-dev/hexiao/hack/cluster/progress"
)

// upstream is one module under hack/cluster/build.
type upstream struct {
	directory string // under Cache.Source
	module    string // the requirement that has the version
	// ldflags for that version, such as "v1.36.3".
	ldflags  func(version string) string
	programs map[string]string // name → package
}

// OldestAPIServer is the kube-apiserver of the oldest Kubernetes that the charts take.
const OldestAPIServer = "kube-apiserver-oldest"

var upstreams = []upstream{
	{
		directory: "kubernetes", module: "k8s.io/kubernetes", ldflags: kubernetesVersion,
		programs: map[string]string{
			"kube-apiserver":          "k8s.io/kubernetes/cmd/kube-apiserver",
			"kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
			"kube-proxy":              "k8s.io/kubernetes/cmd/kube-proxy",
			"kube-scheduler":          "k8s.io/kubernetes/cmd/kube-scheduler",
			"kubectl":                 "k8s.io/kubernetes/cmd/kubectl",
			"kubelet":                 "k8s.io/kubernetes/cmd/kubelet",
		},
	},
	{
		directory: "kubernetes-oldest", module: "k8s.io/kubernetes", ldflags: kubernetesVersion,
		programs: map[string]string{OldestAPIServer: "k8s.io/kubernetes/cmd/kube-apiserver"},
	},
	{
		directory: "etcd", module: "go.etcd.io/etcd/server/v3",
		programs: map[string]string{"etcd": "go.etcd.io/etcd/server/v3"},
	},
	{
		directory: "containerd", module: "github.com/containerd/containerd/v2",
		ldflags: func(version string) string {
			return "-X github.com/containerd/containerd/v2/version.Version=" + version
		},
		programs: map[string]string{
			"containerd":              "github.com/containerd/containerd/v2/cmd/containerd",
			"containerd-shim-runc-v2": "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
			"ctr":                     "github.com/containerd/containerd/v2/cmd/ctr",
		},
	},
	{
		directory: "coredns", module: "github.com/coredns/coredns",
		programs: map[string]string{"coredns": "."},
	},
	{
		directory: "kind", module: "sigs.k8s.io/kind",
		programs: map[string]string{"kind": "sigs.k8s.io/kind"},
	},
}

// kubernetesVersion is what the API server and the nodes report. Built without it they say v0.0.0.
func kubernetesVersion(version string) string {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) != 3 {
		return ""
	}
	const variable = "-X k8s.io/component-base/version."
	return variable + "gitVersion=" + version + " " + variable + "gitMajor=" + parts[0] + " " + variable + "gitMinor=" + parts[1]
}

// A Cache builds programs and keeps them.
type Cache struct {
	// Source is the directory hack/cluster/build of the repository.
	Source string
	// Directory keeps the programs.
	Directory string
	Progress  progress.Printer
}

// Ensure builds what is missing of the named programs and returns the path of each. Programs of one module end up in one
// directory.
func (c Cache) Ensure(ctx context.Context, names ...string) (map[string]string, error) {
	paths := map[string]string{}
	for _, u := range upstreams {
		var wanted []string
		for _, name := range names {
			if _, ok := u.programs[name]; ok {
				wanted = append(wanted, name)
			}
		}
		if len(wanted) == 0 {
			continue
		}
		directory, err := c.ensureUpstream(ctx, u, wanted)
		if err != nil {
			return nil, fmt.Errorf("build %s: %w", u.directory, err)
		}
		for _, name := range wanted {
			paths[name] = filepath.Join(directory, name)
		}
	}
	for _, name := range names {
		if paths[name] == "" {
			return nil, fmt.Errorf("no module under hack/cluster/build has a program %q", name)
		}
	}
	return paths, nil
}

func (c Cache) ensureUpstream(ctx context.Context, u upstream, names []string) (string, error) {
	version, key, err := c.key(u)
	if err != nil {
		return "", err
	}
	directory := filepath.Join(c.Directory, u.directory+"-"+version+"-"+key)
	if len(missing(directory, names)) == 0 {
		return directory, nil
	}
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(directory, ".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	todo := missing(directory, names) // another process may have built them while this one waited
	if len(todo) == 0 {
		return directory, nil
	}
	title := fmt.Sprintf("building %s %s (%s; kept in %s)", u.directory, version, strings.Join(todo, ", "), directory)
	return directory, c.Progress.Step(title, func() error { return c.build(ctx, u, version, directory, todo) })
}

// build compiles into a directory aside and renames the results into place: what is there is whole.
func (c Cache) build(ctx context.Context, u upstream, version, directory string, names []string) error {
	aside, err := os.MkdirTemp(directory, ".build-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(aside) }()
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", linkerFlags(u, version), "-o"}
	if len(names) == 1 {
		args = append(args, filepath.Join(aside, names[0]))
	} else {
		args = append(args, aside+string(filepath.Separator)) // each named by the last part of its package
	}
	for _, name := range names {
		args = append(args, u.programs[name])
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = filepath.Join(c.Source, u.directory)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=readonly", "GOOS=", "GOARCH=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, lastLines(out, 30))
	}
	for _, name := range names {
		if err := os.Rename(filepath.Join(aside, name), filepath.Join(directory, name)); err != nil {
			return err
		}
	}
	return nil
}

func linkerFlags(u upstream, version string) string {
	flags := "-s -w"
	if u.ldflags != nil {
		flags += " " + u.ldflags(version)
	}
	return flags
}

// key hashes everything that the programs depend on.
func (c Cache) key(u upstream) (version, key string, err error) {
	goMod, err := os.ReadFile(filepath.Join(c.Source, u.directory, "go.mod"))
	if err != nil {
		return "", "", err
	}
	if version, err = requiredVersion(goMod, u.module); err != nil {
		return "", "", err
	}
	hash := sha256.New()
	fmt.Fprintf(hash, "%s %s/%s %s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, linkerFlags(u, version))
	hash.Write(goMod)
	files, err := filepath.Glob(filepath.Join(c.Source, u.directory, "*.go"))
	if err != nil {
		return "", "", err
	}
	for _, file := range append(files, filepath.Join(c.Source, u.directory, "go.sum")) {
		content, err := os.ReadFile(file)
		if err != nil {
			return "", "", err
		}
		hash.Write(content)
	}
	return version, hex.EncodeToString(hash.Sum(nil))[:12], nil
}

// requiredVersion finds the version of a requirement in a go.mod.
func requiredVersion(goMod []byte, module string) (string, error) {
	line := regexp.MustCompile(`(?m)^(?:require)?\s+` + regexp.QuoteMeta(module) + `\s+(v\S+)`)
	match := line.FindSubmatch(goMod)
	if match == nil {
		return "", fmt.Errorf("go.mod does not require %s", module)
	}
	return string(match[1]), nil
}

func missing(directory string, names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		info, err := os.Stat(filepath.Join(directory, name))
		return err == nil && info.Mode().IsRegular()
	})
}

// lock lets one process build at a time. The lock goes with the process.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}

func lastLines(text []byte, n int) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// DefaultDirectory is the cache of the user: ${XDG_CACHE_HOME:-~/.cache}/hexiao.
func DefaultDirectory() (string, error) {
	if cache := os.Getenv("XDG_CACHE_HOME"); cache != "" {
		return filepath.Join(cache, "hexiao"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the cache directory: %w", err)
	}
	return filepath.Join(home, ".cache", "hexiao"), nil
}

// SourceIn returns Cache.Source for the repository that holds a directory.
func SourceIn(directory string) (string, error) {
	directory, err := filepath.Abs(directory)
	if err != nil {
		return "", err
	}
	for dir := directory; ; dir = filepath.Dir(dir) {
		source := filepath.Join(dir, "hack", "cluster", "build")
		if _, err := os.Stat(filepath.Join(source, "kubernetes", "go.mod")); err == nil {
			return source, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s is not inside a clone of the repository", directory)
		}
	}
}

// Has tells whether the programs are there, so that Ensure would have nothing to build.
func (c Cache) Has(names ...string) bool {
	for _, u := range upstreams {
		for _, name := range names {
			if _, ok := u.programs[name]; !ok {
				continue
			}
			version, key, err := c.key(u)
			if err != nil || len(missing(filepath.Join(c.Directory, u.directory+"-"+version+"-"+key), []string{name})) > 0 {
				return false
			}
		}
	}
	return true
}
