// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var kubeconformProgram = sync.OnceValues(func() (string, error) {
	return goTool("github.com/yannh/kubeconform/cmd/kubeconform", "v0.8.0")
})

// TestEveryRenderingIsLintedConformsAndIsTakenByAnAPIServer goes through each file of values in each chart's ci.
func TestEveryRenderingIsLintedConformsAndIsTakenByAnAPIServer(t *testing.T) {
	api := startServer(t, append(monitoringCRDs(t), checkout.path("config/crd"))...)
	api.createNamespaces(t, namespace, "brands-a", "brands-b")
	schemas := api.writeSchemas(t, "connect.hexiao.dev/v1alpha1", "monitoring.coreos.com/v1")

	for _, chart := range []string{operatorChart, crdChart} {
		for file, values := range ciValues(t, chart) {
			t.Run(chart+"/"+file, func(t *testing.T) {
				_, err := helm(t, values, "lint", "--strict", chart, "--values", "-")
				must(t, err)
				text, err := template(t, chart, values)
				must(t, err)
				rendered := parse(t, text)
				if valid, problems := kubeconform(t, schemas, text); valid != len(rendered) || len(problems) > 0 {
					t.Errorf("kubeconform finds %d of %d objects valid:\n%s", valid, len(rendered), strings.Join(problems, "\n"))
				}
				api.takes(t, rendered)
			})
		}
	}

	t.Run("names that look like numbers", func(t *testing.T) {
		text, err := helm(t, "watchNamespaces: ['123']\nserviceAccount: {name: '456'}\nmetrics: {podMonitor: {enabled: true}}\npriorityClassName: '789'\n",
			"template", "42", operatorChart, "--namespace", "123", "--kube-version", oldest, "--values", "-")
		must(t, err)
		rendered := parse(t, text)
		if valid, problems := kubeconform(t, schemas, text); valid != len(rendered) {
			t.Errorf("kubeconform finds %d of %d objects valid:\n%s", valid, len(rendered), strings.Join(problems, "\n"))
		}
	})

	t.Run("the examples for Artifact Hub", func(t *testing.T) {
		for _, chart := range []string{operatorChart, crdChart} {
			var examples []map[string]any
			hubAnnotation(t, chart, "crdsExamples", &examples)
			for _, example := range examples {
				object := &unstructured.Unstructured{Object: example}
				if object.GetKind() == "BrandConnector" {
					object.SetNamespace("brands-a")
				}
				if err := api.Create(t.Context(), object, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict)); err != nil {
					t.Errorf("%s: %v", chart, err)
				}
			}
		}
	})

	t.Run("and what is wrong is found", func(t *testing.T) {
		text, err := template(t, operatorChart, "metrics: {podMonitor: {enabled: true}}")
		must(t, err)
		for name, replace := range map[string][2]string{
			"a misspelt field":              {"revisionHistoryLimit: 3", "revisionHistoryLimits: 3"},
			"a misspelt field deep inside":  {"readOnlyRootFilesystem: true", "readOnlyRootFileSystem: true"},
			"a field of another type":       {"terminationGracePeriodSeconds: 30", "terminationGracePeriodSeconds: soon"},
			"a misspelt field of a CRD":     {"listKind: BrandConnectorList", "listKinds: BrandConnectorList"},
			"a misspelt field of a monitor": {"honorLabels: true", "honourLabels: true"},
			"a kind that nobody serves":     {"kind: PodDisruptionBudget", "kind: PodDisruptionBudgets"},
		} {
			broken := strings.Replace(text, replace[0], replace[1], 1)
			if broken == text {
				t.Fatalf("%s: there is no %q", name, replace[0])
			}
			if _, problems := kubeconform(t, schemas, broken); len(problems) != 1 {
				t.Errorf("%s: kubeconform finds %q", name, problems)
			}
		}
	})
}

// kubeconform checks a rendering, and says how many objects are valid, and what is wrong with the others.
func kubeconform(t *testing.T, schemas, text string) (valid int, problems []string) {
	t.Helper()
	program, err := kubeconformProgram()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), program, "-strict", "-summary", "-output", "json", "-schema-location", schemas)
	cmd.Stdin = strings.NewReader(text)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	runErr := cmd.Run()
	var report struct {
		Resources []struct{ Kind, Name, Status, Msg string }
		Summary   struct{ Valid, Invalid, Errors, Skipped int }
	}
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatalf("kubeconform: %v, %v\n%s", runErr, err, stderr.String())
	}
	for _, r := range report.Resources {
		problems = append(problems, fmt.Sprintf("%s %s is %s: %s", r.Kind, r.Name, r.Status, r.Msg))
	}
	if runErr != nil && len(problems) == 0 {
		t.Fatalf("kubeconform: %v\n%s", runErr, stderr.String())
	}
	return report.Summary.Valid, problems
}

// takes applies objects in a dry run, and a Pod of the Deployment, which is where a namespace
// that takes restricted Pods only would refuse.
func (s *server) takes(t *testing.T, rendered objects) {
	t.Helper()
	for _, object := range rendered {
		name := object.GetKind() + " " + object.GetName()
		err := s.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object.DeepCopy()), client.DryRunAll, client.ForceOwnership, client.FieldOwner("chart-test"))
		if err != nil {
			t.Errorf("apply %s: %v", name, err)
		}
		created := object.DeepCopy()
		created.SetName(strings.ToLower(object.GetName()) + "-anew")
		if object.GetKind() == "CustomResourceDefinition" {
			continue // its name says what it defines
		}
		if err := s.Create(t.Context(), created, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict)); err != nil {
			t.Errorf("create %s: %v", name, err)
		}
		if object.GetKind() == "Deployment" {
			s.takesPod(t, object)
		}
	}
}

func (s *server) takesPod(t *testing.T, object *unstructured.Unstructured) {
	t.Helper()
	template := typed[appsv1.Deployment](t, object).Spec.Template
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: object.GetNamespace(), Labels: template.Labels}, Spec: template.Spec}
	if err := s.Create(t.Context(), pod, client.DryRunAll); err != nil {
		t.Errorf("create a Pod of %s: %v", object.GetName(), err)
	}
	// The same Pod with less care must be refused: else the namespace would not be restricted.
	pod.Spec.Containers[0].SecurityContext = nil
	if err := s.Create(t.Context(), pod, client.DryRunAll); err == nil || !strings.Contains(err.Error(), "PodSecurity") {
		t.Errorf("a careless Pod is answered with %v", err)
	}
}

// hubAnnotation reads an annotation for Artifact Hub, which is YAML in a text.
func hubAnnotation(t *testing.T, chart, name string, into any) {
	t.Helper()
	text, ok := chartFile(t, chart).Annotations["artifacthub.io/"+name]
	if !ok {
		t.Fatalf("%s has no annotation artifacthub.io/%s", chart, name)
	}
	must(t, unmarshalYAML(text, into))
}
