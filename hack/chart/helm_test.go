// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/hexiao-dev/hexiao/hack/cluster/binaries"
)

const (
	// oldest is the oldest Kubernetes that the charts are for: what renders for it renders for all.
	oldest    = "1.31.0"
	namespace = "hexiao-system"
	release   = "hexiao"
)

// helmProgram is the helm that HELM names, or that of the Makefile's version, built when it is not there yet.
var helmProgram = sync.OnceValues(func() (string, error) {
	if given := os.Getenv("HELM"); given != "" {
		return given, nil
	}
	makefile, err := checkout.read("Makefile")
	if err != nil {
		return "", err
	}
	found := regexp.MustCompile(`(?m)^HELM_VERSION := (\S+)$`).FindSubmatch(makefile)
	if found == nil {
		return "", errors.New("the Makefile has no HELM_VERSION")
	}
	return goTool("helm.sh/helm/v3/cmd/helm", string(found[1]))
})

// goTool is a program of a Go module, kept where the Makefile keeps its tools.
func goTool(module, version string) (string, error) {
	cache, err := binaries.DefaultDirectory()
	if err != nil {
		return "", err
	}
	name := filepath.Base(module)
	directory := filepath.Join(cache, "tools", name+"-"+version)
	program := filepath.Join(directory, name)
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	build := exec.Command("go", "install", module+"@"+version)
	build.Env = append(os.Environ(), "GOBIN="+directory, "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s %s: %w\n%s", name, version, err, out)
	}
	return program, nil
}

// helm runs helm in the checkout, with nothing of the user's settings and with no cluster.
// Its error is what helm writes to standard error.
func helm(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	return helmIn(t, "", stdin, args...)
}

// helmIn runs helm against the cluster of a kubeconfig.
func helmIn(t *testing.T, kubeconfig, stdin string, args ...string) (string, error) {
	t.Helper()
	program, err := helmProgram()
	must(t, err)
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = string(checkout)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = []string{"HOME=" + home, "KUBECONFIG=" + kubeconfig, "PATH=" + os.Getenv("PATH"), "HELM_CACHE_HOME=" + home, "HELM_CONFIG_HOME=" + home, "HELM_DATA_HOME=" + home}
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("helm %s: %w\n%s", strings.Join(args, " "), err, problem.String())
	}
	return out.String(), nil
}

// template renders a chart with values that are given as YAML.
func template(t *testing.T, chart, values string, flags ...string) (string, error) {
	t.Helper()
	return helm(t, values, append([]string{"template", release, chart, "--namespace", namespace, "--kube-version", oldest, "--values", "-"}, flags...)...)
}

// objects are what a chart renders.
type objects []*unstructured.Unstructured

func render(t *testing.T, chart, values string, flags ...string) objects {
	t.Helper()
	text, err := template(t, chart, values, flags...)
	must(t, err)
	return parse(t, text)
}

func parse(t *testing.T, text string) objects {
	t.Helper()
	decoder := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	var found objects
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return found
		}
		must(t, err)
		if len(object.Object) > 0 {
			found = append(found, object)
		}
	}
}

// kind are the objects of one kind.
func (o objects) kind(kind string) objects {
	var found objects
	for _, object := range o {
		if object.GetKind() == kind {
			found = append(found, object)
		}
	}
	return found
}

// one is the only object of a kind, as a typed one.
func one[T any](t *testing.T, o objects, kind string) *T {
	t.Helper()
	found := o.kind(kind)
	if len(found) != 1 {
		t.Fatalf("got %d objects of the kind %s, want one", len(found), kind)
	}
	return typed[T](t, found[0])
}

func typed[T any](t *testing.T, object *unstructured.Unstructured) *T {
	t.Helper()
	into := new(T)
	must(t, runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, into, true))
	return into
}

// arguments are the operator's.
func arguments(t *testing.T, o objects) []string {
	t.Helper()
	return one[appsv1.Deployment](t, o, "Deployment").Spec.Template.Spec.Containers[0].Args
}
