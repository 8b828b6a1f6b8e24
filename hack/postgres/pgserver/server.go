// SPDX-License-Identifier: Apache-2.0

package pgserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	superuser    = "hexiao"
	startTimeout = 3 * time.Minute
	stopTimeout  = 2 * time.Minute
)

// Options of a server.
type Options struct {
	// BinDir holds initdb and postgres; see Ensure.
	BinDir string
	// Listen are further IP addresses of this machine to listen on, besides 127.0.0.1.
	Listen []string
	// Settings are further settings of the server, such as "max_connections": "20".
	Settings map[string]string
}

// A Server is one PostgreSQL in a temporary directory. Its methods may be called from several goroutines.
type Server struct {
	options  Options
	dir      string
	port     int
	password string
	owner    *syscall.Credential // nil: the caller's own user
	janitor  io.Closer

	mu      sync.Mutex
	process *process // nil while the server is down
}

// process is one run of the server.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
}

// Start makes a new database cluster and starts it. The caller ends it by Close.
func Start(ctx context.Context, options Options) (_ *Server, err error) {
	s := &Server{options: options, password: randomText()}
	if s.owner, err = unprivilegedUser(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "hexiao-postgres-"); err != nil {
		return nil, fmt.Errorf("make the directory of PostgreSQL: %w", err)
	}
	if s.janitor, err = startJanitor(s.dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.initialise(ctx); err != nil {
		return nil, err
	}
	if s.port, err = freePort(append([]string{"127.0.0.1"}, options.Listen...)); err != nil {
		return nil, err
	}
	return s, s.Restart(ctx)
}

// DSN is the address of the server's database postgres for its superuser, on 127.0.0.1. It stays the same over restarts.
func (s *Server) DSN() string { return s.DSNAt("127.0.0.1") }

// DSNAt is DSN with another address that the server listens on.
func (s *Server) DSNAt(host string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, s.password),
		Host: net.JoinHostPort(host, strconv.Itoa(s.port)), Path: "/postgres", RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Pid is the process id of the postmaster, 0 while the server is down.
func (s *Server) Pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return 0
	}
	return s.process.cmd.Process.Pid
}

// Restart stops the server, where it runs, as Stop does, starts it on the same data and port, and waits until it takes connections
// (after a crash: until it has recovered).
func (s *Server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.stop(syscall.SIGINT); err != nil {
		return err
	}
	p, err := s.launch()
	if err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	s.process = p
	return s.awaitReady(ctx, p)
}

// Stop is an orderly, fast shutdown: running transactions are rolled back, connections closed, and what was committed is on
// disk. Stopping a server that is down is no error.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stop(syscall.SIGINT)
}

// Kill ends the server and each of its processes at once by SIGKILL, as a crash would. What was committed must be there after
// Restart.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return nil
	}
	if err := killTree(s.process.cmd.Process.Pid); err != nil {
		return fmt.Errorf("kill PostgreSQL: %w", err)
	}
	<-s.process.exited
	s.process = nil
	return nil
}

// Close stops the server and removes its data.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.stop(syscall.SIGQUIT)
	removeSharedMemory(filepath.Join(s.data(), "postmaster.pid"))
	return errors.Join(err, os.RemoveAll(s.dir), s.janitor.Close())
}

func (s *Server) data() string    { return filepath.Join(s.dir, "data") }
func (s *Server) logFile() string { return filepath.Join(s.dir, "log") }

// stop wants s.mu held.
func (s *Server) stop(signal syscall.Signal) error {
	if s.process == nil {
		return nil
	}
	if err := s.process.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	select {
	case <-s.process.exited:
	case <-time.After(stopTimeout):
		return errors.Join(fmt.Errorf("stop PostgreSQL: still running after %s", stopTimeout), killTree(s.process.cmd.Process.Pid))
	}
	s.process = nil
	return nil
}

func (s *Server) initialise(ctx context.Context) error {
	passwordFile := filepath.Join(s.dir, "password")
	if err := os.WriteFile(passwordFile, []byte(s.password+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the password of PostgreSQL: %w", err)
	}
	if s.owner != nil {
		for _, path := range []string{s.dir, passwordFile} {
			if err := os.Chown(path, int(s.owner.Uid), int(s.owner.Gid)); err != nil {
				return fmt.Errorf("hand the directory to PostgreSQL: %w", err)
			}
		}
	}
	// --no-sync only concerns the empty cluster: it must survive a crash of the server, not of the machine. The password travels in
	// clear over the loopback device: SCRAM would cost each connection of each test thousands of hash rounds.
	cmd := exec.CommandContext(ctx, filepath.Join(s.options.BinDir, "initdb"),
		"--pgdata", s.data(), "--username", superuser, "--pwfile", passwordFile, "--auth", "password",
		"--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions")
	cmd.Dir, cmd.Env = s.dir, s.environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initialise PostgreSQL in %s: %w\n%s", s.dir, err, out)
	}
	return s.allowListeners()
}

// allowListeners lets clients of the further listen addresses in: initdb only allows the loopback device.
func (s *Server) allowListeners() error {
	if len(s.options.Listen) == 0 {
		return nil
	}
	hba, err := os.OpenFile(filepath.Join(s.data(), "pg_hba.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("allow further clients: %w", err)
	}
	_, err = hba.WriteString("host all all all password\n")
	return errors.Join(err, hba.Close())
}

// environment leaves out the PG variables of the caller, which would point the programs elsewhere.
func (s *Server) environment() []string {
	env := []string{"LC_ALL=C", "TZ=UTC", "HOME=" + s.dir}
	for _, kv := range os.Environ() {
		if strings.HasPrefix(kv, "PATH=") {
			env = append(env, kv)
		}
	}
	return env
}

func (s *Server) arguments() []string {
	args := []string{"-D", s.data(), "-p", strconv.Itoa(s.port), "-k", ""}
	settings := map[string]string{
		"listen_addresses":           strings.Join(append([]string{"127.0.0.1"}, s.options.Listen...), ","),
		"fsync":                      "on",
		"synchronous_commit":         "on",
		"max_connections":            "200",
		"shared_buffers":             "64MB",
		"dynamic_shared_memory_type": "mmap", // inside the data directory: nothing is left in /dev/shm by a kill
		"timezone":                   "UTC",
		"log_timezone":               "UTC",
	}
	for name, value := range s.options.Settings {
		settings[name] = value
	}
	for name, value := range settings {
		args = append(args, "-c", name+"="+value)
	}
	return args
}

// launch starts the server as a direct child, so that it can be killed and reaped by its process id.
func (s *Server) launch() (*process, error) {
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(filepath.Join(s.options.BinDir, "postgres"), s.arguments()...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.dir, s.environment(), log, log
	cmd.SysProcAttr = childAttributes(s.owner)
	p := &process{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The kernel ends a child when the *thread* that started it ends: this one is kept for as long as the server runs.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.exited)
		defer func() { _ = log.Close() }()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended stands in its log
		}
	}()
	return p, <-started
}

func (s *Server) awaitReady(ctx context.Context, p *process) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ping(ctx, s.DSN())
		if err == nil {
			return nil
		}
		select {
		case <-p.exited:
			s.process = nil
			return fmt.Errorf("start PostgreSQL: it ended at once:\n%s", s.logTail())
		case <-ctx.Done():
			return fmt.Errorf("start PostgreSQL: %w (%w):\n%s", ctx.Err(), err, s.logTail())
		case <-tick.C:
		}
	}
}

func ping(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

func (s *Server) logTail() []byte {
	log, err := os.ReadFile(s.logFile())
	if err != nil {
		return []byte(err.Error())
	}
	lines := bytes.Split(bytes.TrimSpace(log), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-20):], []byte("\n"))
}

// unprivilegedUser returns whom PostgreSQL runs as: nil, the caller, unless that is root.
func unprivilegedUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, fmt.Errorf("read the ids of user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")
}

// freePort picks a port that is free on all the hosts, below the range from which the kernel takes the ports of outgoing connections: between
// a kill and a restart nobody else gets it by chance.
func freePort(hosts []string) (int, error) {
	const low, high, tries = 20000, 32000, 100
	var lastErr error
	for range tries {
		n, err := rand.Int(rand.Reader, big.NewInt(high-low))
		if err != nil {
			return 0, fmt.Errorf("choose a port: %w", err)
		}
		port := low + int(n.Int64())
		if lastErr = portFree(hosts, port); lastErr == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("choose a port: %w", lastErr)
}

func portFree(hosts []string, port int) error {
	for _, host := range hosts {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			return err
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	return nil
}

func randomText() string { return strings.ToLower(rand.Text()) }

// startJanitor starts a shell that removes dir when this process ends or closes the returned pipe, however it ends. The
// server may still be writing its last files then, hence the repetitions.
func startJanitor(dir string) (io.Closer, error) {
	cmd := exec.Command("/bin/sh", "-c",
		`cat >/dev/null; i=0; until rm -rf -- "$0" 2>/dev/null || [ "$i" -ge 50 ]; do i=$((i+1)); sleep 0.1; done`, dir)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a Ctrl-C at the terminal is for the parent
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start the janitor of PostgreSQL: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the janitor of PostgreSQL: %w", err)
	}
	return janitor{pipe: pipe, cmd: cmd}, nil
}

type janitor struct {
	pipe io.Closer
	cmd  *exec.Cmd
}

// Close lets the janitor run to its end.
func (j janitor) Close() error { return errors.Join(j.pipe.Close(), j.cmd.Wait()) }
