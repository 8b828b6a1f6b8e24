// SPDX-License-Identifier: Apache-2.0

package native

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// inside is where the cluster's directory is mounted for all its processes.
	inside       = "/run"
	restartPause = time.Second
	// insidePath finds the programs of the cluster first, then those of the distribution (runc, iptables).
	insidePath = inside + "/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// hiddenSettings are kernel settings of the whole machine that a kubelet sets, and what it wants them to be. It finds files there with
// these values and lets the machine's own alone.
var hiddenSettings = map[string]string{
	"/proc/sys/vm/overcommit_memory":      "1",
	"/proc/sys/vm/panic_on_oom":           "0",
	"/proc/sys/kernel/panic":              "10",
	"/proc/sys/kernel/panic_on_oops":      "1",
	"/proc/sys/kernel/keys/root_maxkeys":  "1000000",
	"/proc/sys/kernel/keys/root_maxbytes": "25000000",
}

// Supervise is the first process of a cluster. It must have been started in the cluster's network namespace and in a new PID and mount
// namespace. It begins when start gives a byte, so that a cluster never runs unrecorded, and then runs the parts of Kubernetes until it
// is killed.
func Supervise(directory string, start io.Reader) error {
	if os.Getpid() != 1 {
		return errors.New("supervise is started by up, as the first process of a PID namespace")
	}
	if _, err := io.ReadFull(start, make([]byte, 1)); err != nil {
		return fmt.Errorf("up has ended before it recorded this process: %w", err)
	}
	var l layout
	if err := readJSON(filepath.Join(directory, layoutFile), &l); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := prepareMounts(directory, l); err != nil {
		return fmt.Errorf("prepare the mount namespace: %w", err)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return fmt.Errorf("forward packets: %w", err)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	a, err := newAPI(inside, "https://127.0.0.1:6443")
	if err != nil {
		return err
	}
	s := &supervision{log: log, api: a, waiting: map[int]chan<- syscall.WaitStatus{}}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	go s.reap(ended)
	for _, p := range parts(l) {
		go s.keepRunning(ctx, p)
	}
	if s.await(ctx, apiServer) == nil {
		serveVolumes(ctx, a, l.nodeName(), func(err error) { log.Warn(err.Error()) })
	}
	<-ctx.Done()
	return nil // the kernel ends all others with the first process
}

// prepareMounts gives the cluster its own view of the machine's files.
func prepareMounts(directory string, l layout) error {
	// First nothing of what follows may reach the machine. Then mounts are shared within the cluster, as a kubelet wants it.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("part from the machine's mounts: %w", err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share mounts within the cluster: %w", err)
	}
	for name, path := range l.Programs {
		target := filepath.Join(directory, "bin", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(target), 0o755), os.WriteFile(target, nil, 0o755), bind(path, target)); err != nil {
			return err
		}
	}
	for name, value := range hiddenSettings {
		file := filepath.Join(directory, "settings", filepath.Base(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(value), 0o644)); err != nil {
			return err
		}
	}
	for _, d := range []string{"var/lib/volumes", "var/log"} {
		if err := os.MkdirAll(filepath.Join(directory, d), 0o755); err != nil {
			return err
		}
	}
	// The process ids of the machine mean nothing here.
	if err := syscall.Mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := bind(directory, inside); err != nil {
		return err
	}
	for name := range hiddenSettings {
		if err := bind(filepath.Join(inside, "settings", filepath.Base(name)), name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return errors.Join(bind(inside+"/var/log", "/var/log"), bind(inside+"/var/lib", "/var/lib"))
}

func bind(from, to string) error {
	if err := syscall.Mount(from, to, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("mount %s at %s: %w", from, to, err)
	}
	return nil
}

// supervision keeps the parts running. As the first process it also reaps whatever loses its parent, so it waits for all children in one place
// and hands the results out.
type supervision struct {
	log *slog.Logger
	api *api

	mu      sync.Mutex
	waiting map[int]chan<- syscall.WaitStatus
}

func (s *supervision) keepRunning(ctx context.Context, p part) {
	if s.await(ctx, p.after) != nil {
		return
	}
	for ctx.Err() == nil {
		began := time.Now()
		status, err := s.runOnce(p)
		if ctx.Err() != nil {
			return
		}
		s.log.Warn("a part has ended and is started again", "part", p.name, "after", time.Since(began).Round(time.Millisecond), "status", status, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(restartPause):
		}
	}
}

func (s *supervision) runOnce(p part) (string, error) {
	log, err := os.OpenFile(filepath.Join(inside, "logs", p.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return "", err
	}
	defer func() { _ = log.Close() }()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return "", err
	}
	defer func() { _ = null.Close() }()
	done := make(chan syscall.WaitStatus, 1)
	// Locked, so that the reaper cannot meet the child before it is known.
	s.mu.Lock()
	program := filepath.Join(inside, "bin", p.name)
	pid, err := syscall.ForkExec(program, append([]string{program}, p.args...), &syscall.ProcAttr{
		Dir: "/", Env: []string{"PATH=" + insidePath, "HOME=/root", "LC_ALL=C"},
		Files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
	})
	if err == nil {
		s.waiting[pid] = done
	}
	s.mu.Unlock()
	if err != nil {
		return "", fmt.Errorf("start %s: %w", p.name, err)
	}
	status := <-done
	if status.Signaled() {
		return status.Signal().String(), nil
	}
	return fmt.Sprintf("exit code %d", status.ExitStatus()), nil
}

func (s *supervision) reap(ended <-chan os.Signal) {
	for range ended { // one signal may stand for several children
		for s.reapOne() {
		}
	}
}

func (s *supervision) reapOne() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
	if err != nil || pid <= 0 {
		return errors.Is(err, syscall.EINTR)
	}
	if done, ours := s.waiting[pid]; ours && (status.Exited() || status.Signaled()) {
		delete(s.waiting, pid)
		done <- status
	}
	return true
}

// await returns when the dependency serves, or ctx ends.
func (s *supervision) await(ctx context.Context, d dependency) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for s.serves(ctx, d) != nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

func (s *supervision) serves(ctx context.Context, d dependency) error {
	switch d {
	case etcd:
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", etcdAddress)
		if err != nil {
			return err
		}
		return conn.Close()
	case apiServer:
		return s.api.ready(ctx)
	default:
		return nil
	}
}

// RunPause is the program of the pause image: it does nothing until it is told to end.
func RunPause() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	<-stop
}

func commandLine(name string, args []string) string { return name + " " + strings.Join(args, " ") }
