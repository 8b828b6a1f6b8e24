// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// about is what a Chart.yaml says.
type about struct {
	Name, Description, Type, Version, AppVersion, KubeVersion, Home, Icon string
	Sources, Keywords                                                     []string
	Maintainers                                                           []struct{ Name, URL string }
	Annotations                                                           map[string]string
}

func chartFile(t *testing.T, chart string) about {
	t.Helper()
	raw, err := checkout.read(chart + "/Chart.yaml")
	must(t, err)
	var found about
	must(t, unmarshalYAML(string(raw), &found))
	return found
}

func unmarshalYAML(text string, into any) error {
	return yaml.Unmarshal([]byte(text), into)
}

func TestAChartSaysWhatItIs(t *testing.T) {
	for _, chart := range []string{operatorChart, crdChart} {
		a := chartFile(t, chart)
		if a.Name != filepath.Base(chart) || a.Type != "application" || a.Description == "" || len(a.Sources) == 0 || len(a.Keywords) == 0 || len(a.Maintainers) == 0 {
			t.Errorf("%s: something is missing or wrong in %+v", chart, a)
		}
		for _, address := range append([]string{a.Home, a.Icon}, a.Sources...) {
			if u, err := url.Parse(address); err != nil || u.Scheme != "https" || u.Host == "" {
				t.Errorf("%s: %q is no address of a page", chart, address)
			}
		}
		if _, file, ok := strings.Cut(a.Icon, "/main/"); !ok {
			t.Errorf("%s: the icon %s is not in this repository", chart, a.Icon)
		} else if _, err := os.Stat(checkout.path(file)); err != nil {
			t.Errorf("%s: %v", chart, err)
		}
	}
	if one, other := chartFile(t, operatorChart), chartFile(t, crdChart); one.Version != other.Version || one.AppVersion != other.AppVersion || one.KubeVersion != other.KubeVersion {
		t.Errorf("the charts' versions differ: %s %s %s, %s %s %s", one.Version, one.AppVersion, one.KubeVersion, other.Version, other.AppVersion, other.KubeVersion)
	}
}

func TestAnnotationsAreWhatArtifactHubReads(t *testing.T) {
	for _, chart := range []string{operatorChart, crdChart} {
		crds, err := checkout.crds()
		must(t, err)
		var kinds []struct{ Kind, Version, Name, DisplayName, Description string }
		hubAnnotation(t, chart, "crds", &kinds)
		if len(kinds) != len(crds) {
			t.Errorf("%s tells of %d kinds, there are %d", chart, len(kinds), len(crds))
		}
		for _, k := range kinds {
			if k.Kind == "" || k.Version == "" || k.Name == "" || k.DisplayName == "" || k.Description == "" {
				t.Errorf("%s: something of a kind is missing in %+v", chart, k)
			}
		}
		var changes []struct{ Kind, Description string }
		hubAnnotation(t, chart, "changes", &changes)
		for _, c := range changes {
			if !slices.Contains([]string{"added", "changed", "deprecated", "removed", "fixed", "security"}, c.Kind) || c.Description == "" {
				t.Errorf("%s: %+v is no change", chart, c)
			}
		}
		var links []struct{ Name, URL string }
		hubAnnotation(t, chart, "links", &links)
		for _, l := range links {
			_, page, ok := strings.Cut(l.URL, "/blob/main/")
			if !ok {
				continue
			}
			if _, err := os.Stat(checkout.path(page)); err != nil {
				t.Errorf("%s: the link %s leads nowhere: %v", chart, l.Name, err)
			}
		}
		if got := chartFile(t, chart).Annotations["artifacthub.io/license"]; got != "Apache-2.0" {
			t.Errorf("%s: the license is %q", chart, got)
		}
	}
	operator := chartFile(t, operatorChart).Annotations
	levels := []string{"Basic Install", "Seamless Upgrades", "Full Lifecycle", "Deep Insights", "Auto Pilot"}
	if operator["artifacthub.io/operator"] != "true" || !slices.Contains(levels, operator["artifacthub.io/operatorCapabilities"]) {
		t.Errorf("the operator's annotations are %q, %q", operator["artifacthub.io/operator"], operator["artifacthub.io/operatorCapabilities"])
	}
	var images []struct{ Name, Image string }
	hubAnnotation(t, operatorChart, "images", &images)
	text, err := template(t, operatorChart, "")
	must(t, err)
	for _, i := range images {
		if !strings.Contains(text, i.Image) {
			t.Errorf("the image %s is not what the chart runs", i.Image)
		}
	}
	if len(images) != 2 {
		t.Errorf("got %d images, want the operator's and the connectors'", len(images))
	}
}
