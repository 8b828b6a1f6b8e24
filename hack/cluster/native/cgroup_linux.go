// SPDX-License-Identifier: Apache-2.0

package native

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const cgroupRoot = "/sys/fs/cgroup"

// cgroupDirectories returns the directory of a cgroup in each hierarchy: several in version 1, one in version 2.
func cgroupDirectories(name string) ([]string, error) {
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); err == nil {
		return []string{filepath.Join(cgroupRoot, name)}, nil
	}
	entries, err := os.ReadDir(cgroupRoot)
	if err != nil {
		return nil, err
	}
	var directories []string
	for _, entry := range entries {
		hierarchy := filepath.Join(cgroupRoot, entry.Name())
		// A link such as cpu → cpu,cpuacct is a second name of one hierarchy.
		if _, err := os.Stat(filepath.Join(hierarchy, "cgroup.procs")); err == nil && entry.Type()&fs.ModeSymlink == 0 {
			directories = append(directories, filepath.Join(hierarchy, name))
		}
	}
	if len(directories) == 0 {
		return nil, fmt.Errorf("no cgroups are mounted at %s", cgroupRoot)
	}
	return directories, nil
}

// createCgroup makes the cgroup below which the kubelet puts all Pods of the cluster: two clusters do not meet.
func createCgroup(name string) error {
	directories, err := cgroupDirectories(name)
	if err != nil {
		return fmt.Errorf("create cgroup %s: %w", name, err)
	}
	for _, directory := range directories {
		if err := os.MkdirAll(directory, 0o755); err != nil {
			return fmt.Errorf("create cgroup %s: %w", name, err)
		}
		if err := inheritCPUs(directory); err != nil {
			return fmt.Errorf("create cgroup %s: %w", name, err)
		}
	}
	return delegateControllers(directories[0])
}

// inheritCPUs fills the CPUs and memory nodes of a cpuset of version 1, which are empty in a new one.
func inheritCPUs(directory string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(filepath.Dir(directory), file))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(directory, file), value, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// delegateControllers lets a cgroup of version 2 use the controllers of its parent; version 1 has no such file.
func delegateControllers(directory string) error {
	parent := filepath.Dir(directory)
	controllers, err := os.ReadFile(filepath.Join(parent, "cgroup.controllers"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, controller := range strings.Fields(string(controllers)) {
		// One that cannot be handed down is missed by the kubelet, or not.
		_ = os.WriteFile(filepath.Join(parent, "cgroup.subtree_control"), []byte("+"+controller), 0)
	}
	return nil
}

// deleteCgroup removes the cgroup and all below it. The processes in it must have been killed; the kernel may take a moment to
// let go of them.
func deleteCgroup(ctx context.Context, name string) error {
	directories, err := cgroupDirectories(name)
	if err != nil {
		return err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := removeCgroups(directories)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("delete cgroup %s: %w", name, err)
		case <-tick.C:
		}
	}
}

func removeCgroups(roots []string) error {
	for _, root := range roots {
		var directories []string
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err == nil && entry.IsDir() {
				directories = append(directories, path)
			}
			return err
		})
		if err != nil {
			return err
		}
		for _, directory := range slices.Backward(directories) { // what is inside first
			if err := os.Remove(directory); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
