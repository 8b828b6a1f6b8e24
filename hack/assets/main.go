// SPDX-License-Identifier: Apache-2.0

// Command assets prints a directory with kube-apiserver, etcd and kubectl, for KUBEBUILDER_ASSETS.
//
//	KUBEBUILDER_ASSETS=$(hack/assets/assets) go test ./controllers/...
//	KUBEBUILDER_ASSETS=$(hack/assets/assets --oldest) go test ./controllers/...
//
// With --oldest the API server is that of the oldest Kubernetes that the charts take, built here; otherwise:
//
// A directory that the environment names already is used. Otherwise setup-envtest, where it is installed, is given a short time
// to download one; otherwise the programs are built from their Go modules, once for all clones on this machine. The
// path goes to standard output, what happens meanwhile to standard error.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hexiao-dev/hexiao/hack/cluster/binaries"
	"github.com/hexiao-dev/hexiao/hack/cluster/progress"
)

const (
	variable = "KUBEBUILDER_ASSETS"
	// downloadTimeout is what a download takes on a good line. Building takes minutes, but works without one.
	downloadTimeout = 60 * time.Second
)

var programs = []string{"kube-apiserver", "etcd", "kubectl"}

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, progress.Printer{To: os.Stderr}); err != nil {
		fmt.Fprintln(os.Stderr, "assets:", err)
		os.Exit(1)
	}
}

// run takes the directory of the repository, the current one by default.
func run(ctx context.Context, args []string, getenv func(string) string, out io.Writer, p progress.Printer) error {
	repository, find := ".", find
	if len(args) > 0 && args[0] == "--oldest" {
		args, find = args[1:], oldest
	}
	if len(args) > 1 || len(args) == 1 && strings.HasPrefix(args[0], "-") {
		return errors.New("usage: assets [--oldest] [DIRECTORY OF THE REPOSITORY]")
	}
	if len(args) == 1 {
		repository = args[0]
	}
	directory, err := find(ctx, repository, getenv, p)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, directory)
	return err
}

func find(ctx context.Context, repository string, getenv func(string) string, p progress.Printer) (string, error) {
	if given := getenv(variable); given != "" {
		return given, complete(given)
	}
	c, cache, err := programCache(repository, p)
	if err != nil {
		return "", err
	}
	// What was built before is at hand at once; only on a fresh machine is a download worth trying.
	if !c.Has(programs...) {
		if directory, err := download(ctx, p); err == nil {
			return directory, nil
		}
	}
	built, err := c.Ensure(ctx, programs...)
	if err != nil {
		return "", err
	}
	return link(filepath.Join(cache, "assets"), built)
}

// oldest has no use for what the environment names: it is there to be compared with that.
func oldest(ctx context.Context, repository string, _ func(string) string, p progress.Printer) (string, error) {
	c, cache, err := programCache(repository, p)
	if err != nil {
		return "", err
	}
	built, err := c.Ensure(ctx, binaries.OldestAPIServer, "etcd", "kubectl")
	if err != nil {
		return "", err
	}
	built["kube-apiserver"] = built[binaries.OldestAPIServer]
	delete(built, binaries.OldestAPIServer)
	return link(filepath.Join(cache, "assets"), built)
}

// programCache is where the programs of a clone are kept, under the directory that it returns beside it.
func programCache(repository string, p progress.Printer) (c binaries.Cache, cache string, err error) {
	if cache, err = binaries.DefaultDirectory(); err != nil {
		return c, "", err
	}
	source, err := binaries.SourceIn(repository)
	return binaries.Cache{Source: source, Directory: filepath.Join(cache, "programs"), Progress: p}, cache, err
}

// complete checks that a given directory has what envtest runs.
func complete(directory string) error {
	for _, name := range programs {
		if _, err := os.Stat(filepath.Join(directory, name)); err != nil {
			return fmt.Errorf("%s=%s lacks %s: unset it, or name a directory with %s", variable, directory, name, strings.Join(programs, ", "))
		}
	}
	return nil
}

// download asks setup-envtest, where it is installed, for what it has stored, or else to download the newest.
func download(ctx context.Context, p progress.Printer) (directory string, err error) {
	tool, err := exec.LookPath("setup-envtest")
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, downloadTimeout)
	defer cancel()
	err = p.Step("asking setup-envtest", func() error {
		stored, storedErr := exec.CommandContext(ctx, tool, "use", "--installed-only", "--print", "path").Output()
		if storedErr == nil {
			directory = strings.TrimSpace(string(stored))
			return complete(directory)
		}
		fresh, err := exec.CommandContext(ctx, tool, "use", "--print", "path").Output()
		if err != nil {
			return err
		}
		directory = strings.TrimSpace(string(fresh))
		return complete(directory)
	})
	return directory, err
}

// link makes one directory of programs that lie in several, named after what it links to.
func link(parent string, programs map[string]string) (string, error) {
	directory := filepath.Join(parent, filepath.Base(filepath.Dir(programs["kube-apiserver"]))+"-"+filepath.Base(filepath.Dir(programs["etcd"])))
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return "", err
	}
	for name, target := range programs {
		path := filepath.Join(directory, name)
		if current, err := os.Readlink(path); err == nil && current == target {
			continue
		}
		// Renamed into place: another test run may be starting a program by this very name.
		aside := fmt.Sprintf("%s.%d", path, os.Getpid())
		_ = os.Remove(aside) // of an earlier process with this id
		if err := errors.Join(os.Symlink(target, aside), os.Rename(aside, path)); err != nil {
			return "", err
		}
	}
	return directory, nil
}
