//go:build e2e

// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Where things are installed.
const (
	systemNamespace = "hexiao-system"
	namespace       = "brands"
	elsewhere       = "elsewhere"
	root            = "../.."
)

// cluster is the way into the cluster under test.
type cluster struct {
	config *rest.Config
	client *http.Client
}

func connect(t *testing.T) *cluster {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		t.Fatalf("KUBECONFIG: %v (run `make e2e`)", err)
	}
	config.QPS = -1
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	return &cluster{config, client}
}

// direct says that the cluster's network is this machine's.
func (c *cluster) direct() bool { return os.Getenv("HEXIAO_CLUSTER_NETNS") != "" }

// base is the URL by which the test reaches a Service: its own address where the
// cluster's network is this machine's (then kube-proxy is on the way, as for any
// client), else the API server's proxy.
func (c *cluster) base(t *testing.T, service string) (string, *http.Client) {
	t.Helper()
	if c.direct() {
		ip := kubectl(t, "get", "service", service, "-o", "jsonpath={.spec.clusterIP}")
		return "http://" + ip, &http.Client{Timeout: patience}
	}
	return fmt.Sprintf("%s/api/v1/namespaces/%s/services/http:%s:http/proxy", c.config.Host, namespace, service), c.client
}

// kubectl runs kubectl in the brands' namespace and returns what it prints.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := tryKubectl(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func tryKubectl(ctx context.Context, args ...string) (string, error) {
	return command(ctx, "", kubectlProgram(), append([]string{"--namespace", namespace}, args...)...)
}

func kubectlProgram() string {
	if program := os.Getenv("HEXIAO_CLUSTER_KUBECTL"); program != "" {
		return program
	}
	return "kubectl"
}

func helm(t *testing.T, args ...string) string {
	t.Helper()
	program := os.Getenv("HELM")
	if program == "" {
		program = "helm"
	}
	out, err := command(t.Context(), "", program, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// apply applies text as `kubectl apply -f -` does.
func apply(t *testing.T, text string, args ...string) {
	t.Helper()
	args = slices.Concat([]string{"--namespace", namespace, "apply", "-f", "-"}, args)
	if _, err := command(t.Context(), text, kubectlProgram(), args...); err != nil {
		t.Fatal(err)
	}
}

func command(ctx context.Context, stdin, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", program, strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return strings.TrimSpace(stdout.String()), nil
}

// get reads an object into v.
func get(t *testing.T, v any, args ...string) {
	t.Helper()
	out := kubectl(t, append([]string{"get", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		t.Fatalf("kubectl get %v: %v", args, err)
	}
}

// patience is for what hangs: a machine may be slow, and busy with other things.
const patience = 5 * time.Minute

// eventually polls check, which says what is missing, for as long as patience lasts.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(250 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatalf("%s: still not so after %s: %v", what, patience, err)
}

// answers waits until somebody answers at a Service. That its Pods are ready is known a
// moment before it is known to the node's proxy, which refuses until then.
func (c *cluster) answers(t *testing.T, service string) {
	t.Helper()
	eventually(t, service+" answers", func() error {
		err := c.tryFetch(t, service, http.MethodGet, "/", nil, nil)
		if answer := new(notOKError); errors.As(err, answer) && answer.code < http.StatusInternalServerError {
			return nil // it does not know this path, but then it is there
		}
		return err
	})
}

// notOKError is an answer that is not OK.
type notOKError struct{ code int }

func (e notOKError) Error() string { return "HTTP " + strconv.Itoa(e.code) }

// fetch reads JSON from a Service.
func (c *cluster) fetch(t *testing.T, service, method, path string, in, out any) {
	t.Helper()
	if err := c.tryFetch(t, service, method, path, in, out); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) tryFetch(t *testing.T, service, method, path string, in, out any) error {
	t.Helper()
	base, client := c.base(t, service)
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), method, base+path, &body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = notOKError{resp.StatusCode}
	}
	if err == nil && out != nil {
		err = json.Unmarshal(raw, out)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", method, path, err, raw)
	}
	return nil
}

// explain prints what a person would look at when something went wrong.
func explain(t *testing.T) {
	if !t.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, args := range [][]string{
		{"get", "brandconnectors", "-o", "yaml"},
		{"get", "all,pvc", "-o", "wide"},
		{"get", "events", "--sort-by=.lastTimestamp"},
		{"describe", "pods"},
		{"logs", "-l", "app.kubernetes.io/name=hexiao-connector", "--tail=40", "--prefix"},
		{"logs", "-n", systemNamespace, "-l", "app.kubernetes.io/name=hexiao", "--tail=60", "--prefix"},
		{"get", "events", "-n", systemNamespace},
	} {
		out, err := tryKubectl(ctx, args...)
		t.Logf("kubectl %s (%v):\n%s", strings.Join(args, " "), err, out)
	}
}
