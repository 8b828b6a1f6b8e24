// SPDX-License-Identifier: Apache-2.0

package native

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/hexiao-dev/hexiao/hack/cluster/process"
	"github.com/hexiao-dev/hexiao/hack/image/imagetar"
)

const (
	readyTimeout = 3 * time.Minute
	downTimeout  = time.Minute
)

// clusterPrograms is what is built for a cluster.
var clusterPrograms = []string{
	"etcd", "containerd", "containerd-shim-runc-v2", "ctr", "kube-apiserver", "kube-controller-manager", "kube-scheduler",
	"kubelet", "kube-proxy", "kubectl", "coredns",
}

// Up brings the cluster up, or waits until it is ready where it runs already. What a broken attempt left is removed first.
func (c Cluster) Up(ctx context.Context) error {
	if err := c.check(); err != nil {
		return err
	}
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	record, err := supervisor(c.Directory())
	if err != nil {
		return err
	}
	if record.Alive() {
		c.Progress.Say("cluster %s runs already", c.Name)
		return c.settle(ctx)
	}
	if err := c.remove(ctx); err != nil {
		return fmt.Errorf("remove what an earlier attempt left: %w", err)
	}
	if err := c.create(ctx); err != nil {
		return err
	}
	return c.settle(ctx)
}

// Down ends the cluster and removes everything that was made for it. A cluster that is not there is no error.
func (c Cluster) Down(ctx context.Context) error {
	if err := c.check(); err != nil {
		return err
	}
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return c.Progress.Step("removing cluster "+c.Name, func() error { return c.remove(ctx) })
}

// Exists tells whether there is anything of the cluster.
func (c Cluster) Exists() bool {
	_, err := os.Stat(filepath.Join(c.Directory(), layoutFile))
	return err == nil
}

// Info describes the running cluster, or returns ErrDown.
func (c Cluster) Info() (Info, error) {
	l, err := c.running()
	if err != nil {
		return Info{}, err
	}
	return Info{
		Kubeconfig: c.Kubeconfig(), AuditLog: filepath.Join(c.Directory(), auditLog), HostAddress: l.hostAddress(),
		NetworkNamespace: "/run/netns/" + l.namespace(), Kubectl: l.Programs["kubectl"],
	}, nil
}

// Ready returns nil where the cluster takes Pods, and otherwise says what it lacks.
func (c Cluster) Ready(ctx context.Context) error {
	l, err := c.running()
	if err != nil {
		return err
	}
	a, err := newAPI(c.Directory(), l.server())
	if err != nil {
		return err
	}
	return settled(ctx, a, l)
}

// Load imports a tarball of images, as `docker save` or hack/image write it.
func (c Cluster) Load(ctx context.Context, tarball string) error {
	l, err := c.running()
	if err != nil {
		return err
	}
	_, err = run(ctx, l.Programs["ctr"], "--address", filepath.Join(c.Directory(), socket), "--namespace", "k8s.io", "images", "import", tarball)
	if err != nil {
		return fmt.Errorf("load %s: %w", tarball, err)
	}
	return nil
}

// Command prepares a command that runs in the cluster's network namespace.
func (c Cluster) Command(ctx context.Context, args ...string) (*exec.Cmd, error) {
	info, err := c.Info()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + info.NetworkNamespace, "--"}, args...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+info.Kubeconfig)
	return cmd, nil
}

func (c Cluster) check() error {
	if !validName.MatchString(c.Name) {
		return fmt.Errorf("name %q: give 1 to 32 lower case letters, digits and hyphens", c.Name)
	}
	if os.Geteuid() != 0 {
		return errors.New("a cluster without a container engine needs root (try sudo); with Docker, kind is used and root is not needed")
	}
	return nil
}

// lock keeps two ups and downs of this user apart: they choose slots and edit the network of one machine.
func (c Cluster) lock() (unlock func(), err error) {
	if err := os.MkdirAll(c.Root, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(c.Root, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = c.Progress.Step("waiting for another up or down", func() error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX) })
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}

func (c Cluster) running() (layout, error) {
	record, err := supervisor(c.Directory())
	if err != nil {
		return layout{}, err
	}
	if !record.Alive() {
		return layout{}, ErrDown
	}
	var l layout
	return l, readJSON(filepath.Join(c.Directory(), layoutFile), &l)
}

// create makes everything of the cluster and starts its first process.
func (c Cluster) create(ctx context.Context) error {
	cni, err := ensurePackages(ctx, c.Progress)
	if err != nil {
		return err
	}
	programs, err := c.Programs.Ensure(ctx, clusterPrograms...)
	if err != nil {
		return err
	}
	l := layout{Name: c.Name, Programs: programs, CNI: cni}
	if taken, err := namespaceExists(ctx, l.namespace()); err != nil || taken {
		return errors.Join(err, fmt.Errorf("the network namespace %s is there, but not by a cluster of %s: choose another --name, "+
			"or remove it by `ip netns delete %s`", l.namespace(), c.Root, l.namespace()))
	}
	if l.Slot, err = c.freeSlot(ctx, l); err != nil {
		return err
	}
	// Written before anything is made: whatever happens now, remove finds it.
	if err := writeJSON(filepath.Join(c.Directory(), layoutFile), l); err != nil {
		return err
	}
	if err := c.writeFiles(l); err != nil {
		return err
	}
	if err := createNetwork(ctx, l); err != nil {
		return err
	}
	if err := createCgroup(l.cgroup()); err != nil {
		return err
	}
	return c.startSupervisor(l)
}

// freeSlot finds a number whose device and networks nobody uses.
func (c Cluster) freeSlot(ctx context.Context, l layout) (int, error) {
	var reason error
	for l.Slot = range slots {
		if reason = routable(ctx, l); reason == nil {
			return l.Slot, nil
		}
	}
	return 0, fmt.Errorf("no addresses are left for a cluster: %w", reason)
}

func (c Cluster) writeFiles(l layout) error {
	configs, err := configFiles(l)
	if err != nil {
		return err
	}
	for path, content := range configs {
		if err := replaceFile(filepath.Join(c.Directory(), path), []byte(content), 0o644); err != nil {
			return err
		}
	}
	secrets, err := credentials(l, time.Now())
	if err != nil {
		return err
	}
	for path, content := range secrets {
		if err := replaceFile(filepath.Join(c.Directory(), path), content, 0o600); err != nil {
			return err
		}
	}
	return os.MkdirAll(filepath.Join(c.Directory(), "logs"), 0o755)
}

// startSupervisor starts the first process and lets it go on once it is recorded. If this program dies in between, the pipe
// closes and the supervisor ends.
func (c Cluster) startSupervisor(l layout) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(c.Directory(), "logs", "supervisor.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command("nsenter", "--net=/run/netns/"+l.namespace(), "--", self, "supervise", c.Directory())
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	start, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the supervisor: %w", err)
	}
	record, err := process.Of(cmd.Process.Pid)
	if err == nil {
		err = writeJSON(filepath.Join(c.Directory(), supervisorFile), record)
	}
	if err != nil {
		return errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	go func() { _ = cmd.Wait() }() // should it end early, it must not stay as a zombie
	_, err = start.Write([]byte{1})
	return errors.Join(err, start.Close())
}

// settle waits until the cluster takes Pods, and gives it the objects and the image that it needs for that.
func (c Cluster) settle(ctx context.Context) error {
	l, err := c.running()
	if err != nil {
		return err
	}
	a, err := newAPI(c.Directory(), l.server())
	if err != nil {
		return err
	}
	err = c.Progress.Step("starting Kubernetes as cluster "+c.Name, func() error {
		if err := c.await(ctx, a.ready); err != nil {
			return err
		}
		for _, creation := range objects(l) {
			if err := a.create(ctx, creation.path, creation.name(), creation.object); err != nil {
				return err
			}
		}
		if err := c.loadPauseImage(ctx); err != nil {
			return err
		}
		return c.await(ctx, func(ctx context.Context) error { return settled(ctx, a, l) })
	})
	if err != nil {
		return fmt.Errorf("%w\nthe logs are in %s", err, filepath.Join(c.Directory(), "logs"))
	}
	return nil
}

// settled tells what the cluster lacks before it takes Pods.
func settled(ctx context.Context, a *api, l layout) error {
	for _, check := range []func(context.Context) error{
		a.ready,
		func(ctx context.Context) error { return a.nodeReady(ctx, l.nodeName()) },
		a.serviceAccountReady,
	} {
		if err := check(ctx); err != nil {
			return err
		}
	}
	return nil
}

// await repeats a check until it passes, the time is up, or the supervisor has ended.
func (c Cluster) await(ctx context.Context, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if _, downErr := c.running(); downErr != nil {
			return fmt.Errorf("the supervisor has ended: %w (%w)", downErr, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// loadPauseImage makes the image of a Pod's first process from this very program.
func (c Cluster) loadPauseImage(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	program, err := os.ReadFile(self)
	if err != nil {
		return err
	}
	image, err := imagetar.Build(imagetar.Spec{
		Layers:       [][]imagetar.File{{{Path: "/pause", Mode: 0o755, Content: program}}},
		Config:       v1.Config{Entrypoint: []string{"/pause", "pause"}, User: "65535:65535", WorkingDir: "/"},
		Architecture: runtime.GOARCH,
	})
	if err != nil {
		return err
	}
	tarball := filepath.Join(c.Directory(), "pause.tar")
	if err := imagetar.Write(tarball, pauseImage, image); err != nil {
		return err
	}
	// containerd opens its socket early, but may not serve images yet.
	return c.await(ctx, func(ctx context.Context) error { return c.Load(ctx, tarball) })
}

// remove ends the processes, then the network, the cgroups and the files. Each is attempted, so that one fault does not keep the rest.
func (c Cluster) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, downTimeout)
	defer cancel()
	var l layout
	err := readJSON(filepath.Join(c.Directory(), layoutFile), &l)
	if errors.Is(err, fs.ErrNotExist) {
		return c.removeFiles() // an up that ended before it made anything, or a down before it removed the last file
	}
	if err != nil {
		return err
	}
	record, err := supervisor(c.Directory())
	if err != nil {
		return err
	}
	// With the first process go all others, and with the last of them the mounts.
	if err := record.Kill(ctx); err != nil {
		return err
	}
	if err := errors.Join(deleteNetwork(ctx, l), deleteCgroup(ctx, l.cgroup())); err != nil {
		return err
	}
	return c.removeFiles()
}

func (c Cluster) removeFiles() error {
	mounts, err := mountsBelow(c.Directory())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || len(mounts) > 0 {
		return errors.Join(err, fmt.Errorf("not removing %s, since something is mounted there: %s", c.Directory(), strings.Join(mounts, " ")))
	}
	return os.RemoveAll(c.Directory())
}

// mountsBelow lists mounts of this mount namespace in a directory. There should be none: deleting through one would delete
// what is mounted.
func mountsBelow(directory string) ([]string, error) {
	directory, err := filepath.EvalSymlinks(directory)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return mountPoints(string(content), directory), nil
}

// mountPoints picks the mount points in a directory from /proc/PID/mountinfo.
func mountPoints(mountInfo, directory string) []string {
	points := map[string]bool{}
	for line := range strings.Lines(mountInfo) {
		const mountPoint = 4
		if fields := strings.Fields(line); len(fields) > mountPoint && strings.HasPrefix(fields[mountPoint], directory+"/") {
			points[fields[mountPoint]] = true
		}
	}
	return slices.Sorted(maps.Keys(points))
}
