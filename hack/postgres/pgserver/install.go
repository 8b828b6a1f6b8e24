// SPDX-License-Identifier: Apache-2.0

package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// ErrNotInstalled says that no PostgreSQL server was found and that it could not be installed.
var ErrNotInstalled = errors.New("PostgreSQL is not installed: install Debian's package postgresql, or set HEXIAO_TEST_POSTGRES_DSN")

// binPatterns is where distributions keep initdb and postgres. The version-specific directories come first: what stands in a
// bin directory is often a wrapper that manages system clusters instead.
var binPatterns = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql@*/bin",
	"/usr/local/pgsql/bin",
	"/usr/bin",
}

// Find returns the directory that holds initdb and postgres, the newest version where there are several, or
// ErrNotInstalled.
func Find() (string, error) {
	for _, pattern := range binPatterns {
		dirs, err := filepath.Glob(pattern)
		if err != nil {
			return "", fmt.Errorf("look for PostgreSQL in %s: %w", pattern, err)
		}
		if dir := newest(dirs); dir != "" {
			return dir, nil
		}
	}
	return "", ErrNotInstalled
}

// newest returns the directory of the highest major version that has both programs.
func newest(dirs []string) string {
	best, bestVersion := "", -1
	for _, dir := range dirs {
		if !executable(filepath.Join(dir, "initdb")) || !executable(filepath.Join(dir, "postgres")) {
			continue
		}
		if v := majorVersion(dir); v > bestVersion {
			best, bestVersion = dir, v
		}
	}
	return best
}

// majorVersion reads the version from a path such as /usr/lib/postgresql/15/bin; 0 where the path has none.
func majorVersion(dir string) int {
	v, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	if err != nil {
		return 0
	}
	return v
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

// Ensure is Find, after installing the Debian package where PostgreSQL is missing, the caller is root and apt-get exists.
// What apt-get says goes to progress.
func Ensure(ctx context.Context, progress io.Writer) (string, error) {
	dir, err := Find()
	if !errors.Is(err, ErrNotInstalled) {
		return dir, err
	}
	aptGet, lookErr := exec.LookPath("apt-get")
	if lookErr != nil || os.Geteuid() != 0 {
		return "", err
	}
	unlock, err := lockInstallation()
	if err != nil {
		return "", err
	}
	defer unlock()
	if dir, err := Find(); err == nil {
		return dir, nil
	}
	if err := install(ctx, aptGet, progress); err != nil {
		return "", err
	}
	return Find()
}

func install(ctx context.Context, aptGet string, progress io.Writer) error {
	// Debian's package makes and starts a cluster of its own unless this file says otherwise. The tests make their own.
	const noCluster = "/etc/postgresql-common/createcluster.d/hexiao-no-main-cluster.conf"
	if err := os.MkdirAll(filepath.Dir(noCluster), 0o755); err != nil {
		return fmt.Errorf("prepare the installation of PostgreSQL: %w", err)
	}
	if err := os.WriteFile(noCluster, []byte("create_main_cluster = false\n"), 0o644); err != nil {
		return fmt.Errorf("prepare the installation of PostgreSQL: %w", err)
	}
	for _, args := range [][]string{
		{"-q", "update"},
		{"-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", "install", "postgresql"},
	} {
		cmd := exec.CommandContext(ctx, aptGet, args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		cmd.Stdout, cmd.Stderr = progress, progress
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("install PostgreSQL by apt-get: %w", err)
		}
	}
	return nil
}

// lockInstallation lets one process of this machine install at a time: the packages under test start side by side.
func lockInstallation() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(os.TempDir(), "hexiao-postgres-install.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the installation of PostgreSQL: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock the installation of PostgreSQL: %w", err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}
