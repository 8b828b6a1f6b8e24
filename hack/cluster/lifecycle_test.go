// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestLifecycle brings a cluster of its own up and down on this machine, as root, and looks for what it leaves. It takes the launcher,
// as a user does.
func TestLifecycle(t *testing.T) {
	c := newCLI(t)
	c.run("up")
	c.run("up") // does nothing
	env := c.environment()

	t.Run("a Deployment is served under the address of its Service", func(t *testing.T) {
		c := c.on(t)
		c.run("load", helloImage(t))
		c.kubectl(env, "apply", "-f", "testdata/hello.yaml")
		c.kubectl(env, "wait", "--for=condition=Available", "deployment/hello", "--timeout=60s")
		url := "http://" + strings.TrimSpace(c.kubectl(env, "get", "service", "hello", "-o", "jsonpath={.spec.clusterIP}")) + "/"
		if !strings.Contains(get(t, url), "uid=65532") {
			t.Error("no answer of the program")
		}
	})
	t.Run("a claim is bound, and its volume goes with it", func(t *testing.T) {
		c := c.on(t)
		c.kubectl(env, "wait", "--for=jsonpath={.status.phase}=Bound", "pvc/data", "--timeout=30s")
		volume := strings.TrimSpace(c.kubectl(env, "get", "pvc", "data", "-o", "jsonpath={.spec.volumeName}"))
		c.kubectl(env, "delete", "pvc", "data")
		c.kubectl(env, "wait", "--for=delete", "pv/"+volume, "--timeout=30s")
	})
	t.Run("writes are in the audit log, reads are not", func(t *testing.T) {
		log, err := os.ReadFile(env["HEXIAO_CLUSTER_AUDIT_LOG"])
		if err != nil {
			t.Fatal(err)
		}
		verbs := map[string]bool{}
		for line := range bytes.Lines(log) {
			var event struct{ Verb string }
			if err := json.Unmarshal(line, &event); err != nil {
				t.Fatal(err)
			}
			verbs[event.Verb] = true
		}
		if !verbs["create"] || !verbs["delete"] || verbs["get"] || verbs["list"] {
			t.Errorf("verbs %v", verbs)
		}
	})
	t.Run("a killed cluster is brought up again", func(t *testing.T) {
		c := c.on(t)
		var record struct{ PID int }
		content, err := os.ReadFile(filepath.Join(c.root, "lifecycle", "supervisor.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(content, &record); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(record.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		c.run("up")
	})
	t.Run("down leaves nothing, also the second time", func(t *testing.T) {
		c := c.on(t)
		c.run("down")
		c.run("down")
		for what, left := range map[string]bool{
			"a network namespace": exists("/run/netns/hexiao-lifecycle"),
			"files":               exists(filepath.Join(c.root, "lifecycle")),
			"a cgroup":            exists("/sys/fs/cgroup/memory/hexiao-lifecycle") || exists("/sys/fs/cgroup/hexiao-lifecycle"),
			"a mount":             mentioned(t, "/proc/self/mountinfo", c.root),
			"a route":             mentioned(t, "/proc/net/route", "hexiao"+c.slot(env)+"\t"),
		} {
			if left {
				t.Errorf("%s is left", what)
			}
		}
	})
}

// cli runs the launcher with a directory of its own for clusters.
type cli struct {
	t    *testing.T
	root string
}

func newCLI(t *testing.T) cli {
	c := cli{t: t, root: t.TempDir()}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if out, err := c.command(ctx, "down").CombinedOutput(); err != nil {
			t.Errorf("down: %v\n%s", err, out)
		}
	})
	return c
}

func (c cli) on(t *testing.T) cli { return cli{t: t, root: c.root} }

func (c cli) command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "./cluster", append([]string{"--driver", "native", "--name", "lifecycle", "--root", c.root}, args...)...)
}

func (c cli) run(args ...string) string {
	c.t.Helper()
	out, err := c.command(c.t.Context(), args...).CombinedOutput()
	if err != nil {
		c.t.Fatalf("cluster %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (c cli) environment() map[string]string {
	env := map[string]string{}
	for line := range strings.Lines(c.run("env")) {
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		env[name] = strings.Trim(value, "'")
	}
	return env
}

// slot reads the cluster's number from the address of the machine.
func (c cli) slot(env map[string]string) string {
	return strings.Split(env["HEXIAO_CLUSTER_HOST"], ".")[2]
}

func (c cli) kubectl(env map[string]string, args ...string) string {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), env["HEXIAO_CLUSTER_KUBECTL"], args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+env["KUBECONFIG"])
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func helloImage(t *testing.T) string {
	t.Helper()
	tarball := filepath.Join(t.TempDir(), "hello.tar")
	build := exec.CommandContext(t.Context(), "../image/image", "--target", "hello", "--package", "./hack/image/testdata/hello",
		"--tag", "hexiao/hello:dev", "--output", tarball)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return tarball
}

// get asks until there is an answer: a Service's rules follow its endpoints after a moment.
func get(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Timeout: time.Second}
	var lastErr error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		response, err := client.Get(url)
		if err != nil {
			lastErr = err
			continue
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err == nil && response.StatusCode == http.StatusOK {
			return string(body)
		}
		lastErr = fmt.Errorf("HTTP %d: %w", response.StatusCode, err)
	}
	t.Fatalf("%s: %v", url, lastErr)
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func mentioned(t *testing.T, file, text string) bool {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(content), text)
}
