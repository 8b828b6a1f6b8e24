// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/desk"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/manifest"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/present"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// platform is the flags of what an installation gives to all its brands, named as the
// operator's own.
type platform struct {
	image, pullPolicy   string
	pullSecrets         []string
	monitoring, clients map[string]string
}

func (p *platform) flags(cmd *cobra.Command, otherwise string) {
	f := cmd.Flags()
	f.StringVar(&p.image, "image", "", "image of the connector; "+otherwise)
	f.StringVar(&p.pullPolicy, "image-pull-policy", "", "Always, IfNotPresent or Never, as the operator's --connector-image-pull-policy")
	f.StringSliceVar(&p.pullSecrets, "image-pull-secrets", nil, "names of Secrets to pull it with, for brands that name none, as the operator's --connector-image-pull-secrets")
	f.StringToStringVar(&p.monitoring, "monitoring-namespace-labels", nil, "labels of the namespaces that may read metrics, as the operator's flag")
	f.StringToStringVar(&p.clients, "client-namespace-labels", nil, "labels of the namespaces that may call the connector, as the operator's flag")
	complete(cmd, "image-pull-policy", pullPolicies)
}

var pullPolicies = []string{string(corev1.PullAlways), string(corev1.PullIfNotPresent), string(corev1.PullNever)}

func (p *platform) installation() (render.Installation, error) {
	if p.pullPolicy != "" && !slices.Contains(pullPolicies, p.pullPolicy) {
		return render.Installation{}, fmt.Errorf("%w: --image-pull-policy: %q is none: say %s", desk.ErrUsage, p.pullPolicy, strings.Join(pullPolicies, ", "))
	}
	if p.image != "" {
		if wrong := v1alpha1.ImageFault(p.image); wrong != "" {
			return render.Installation{}, fmt.Errorf("%w: --image is %q: it %s", desk.ErrUsage, p.image, wrong)
		}
	}
	for _, name := range p.pullSecrets {
		if len(validation.IsDNS1123Subdomain(name)) > 0 {
			return render.Installation{}, fmt.Errorf("%w: --image-pull-secrets has %q, which is no name of a Secret: give names, separated by commas", desk.ErrUsage, name)
		}
	}
	return render.Installation{Image: p.image, ImagePullPolicy: corev1.PullPolicy(p.pullPolicy), ImagePullSecrets: p.pullSecrets, MonitoringNamespaces: p.monitoring, ClientNamespaces: p.clients}, nil
}

type renderFlags struct {
	files          []string
	platform       platform
	credentialsDir string
	revisionKey    string
}

func renderCommand(a *access) *cobra.Command {
	var r renderFlags
	cmd := &cobra.Command{
		Use:   "render -f FILE",
		Short: "Render what the operator would make of a brand, without a cluster",
		Long: `render reads BrandConnectors from files, holds them against every demand of the API,
and prints the objects that this version's operator would apply, in that order. It
uses the operator's own code and talks to nobody.

What it cannot know:
  - the credentials. The revision of the configuration on the pod template is
    a hash over them under the installation's key, so it is printed as
    "` + manifest.UnknownRevision + `". With --credentials-dir it is checked
    that each key is there; together with --revision-key-file the revision is the
    cluster's own.
  - the port of a PostgreSQL ledger, which is in its DSN: without
    --credentials-dir the NetworkPolicy says 5432.
  - the brand's uid: ownerReferences are printed only for a file with metadata.uid.
  - what the operator notes down on the Deployment for its own use (platform-revision,
    cause, intent), and what the API server adds by itself: see kubectl hexiao diff.
Values of Secrets are never printed.

A file may hold other objects: ConfigMaps with shop tables are used, the rest is
named on stderr and left out. Without metadata.namespace a brand goes to -n, or to
the namespace "default"; a kubeconfig is not read.`,
		Example: `  kubectl hexiao render -f brand.yaml

  # what a pull request changes
  git show main:brand.yaml | kubectl hexiao render -f - >before.yaml
  kubectl hexiao render -f brand.yaml | diff -u before.yaml -

  # a directory, with the image of the next release, for another tool
  kubectl hexiao render -f brands/ --image registry.example/hexiao/connector:1.2.0 -o json`,
		Args: upTo(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.render(cmd, &r) },
	}
	fileFlag(cmd, &r.files)
	r.platform.flags(cmd, "by default the one that this version's chart runs")
	cmd.Flags().StringVar(&r.credentialsDir, "credentials-dir", "", "directory with the values of Secrets as DIR/SECRET/KEY")
	cmd.Flags().StringVar(&r.revisionKey, "revision-key-file", "", "file with the key of the operator's Secret hexiao-revision-key; with --credentials-dir")
	return cmd
}

func fileFlag(cmd *cobra.Command, files *[]string) {
	cmd.Flags().StringArrayVarP(files, "filename", "f", nil, "file or directory with BrandConnectors, or - for stdin; may be given several times")
	completeTo(cmd.MarkFlagFilename("filename", "yaml", "yml", "json"))
}

func (a *access) render(cmd *cobra.Command, r *renderFlags) error {
	if len(r.files) == 0 {
		return fmt.Errorf("%w: -f is missing: name a file with a BrandConnector, or - for stdin", desk.ErrUsage)
	}
	format, err := present.ParseFormat(a.format)
	if err != nil || format == present.Wide {
		return fmt.Errorf("%w: -o: render prints yaml or json", desk.ErrUsage)
	}
	installation, err := r.installation()
	if err != nil {
		return err
	}
	set, err := manifest.Read(cmd.InOrStdin(), r.files...)
	if err == nil {
		err = set.Complete(a.overrides.Context.Namespace, "default", manifest.NoClasses)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", desk.ErrUsage, err)
	}
	if len(set.Brands) == 0 {
		return fmt.Errorf("%w: -f: there is no BrandConnector in %s: name a file with one", desk.ErrUsage, strings.Join(r.files, ", "))
	}
	objects, err := r.objects(set, installation)
	if err != nil {
		return fmt.Errorf("%w: %w", desk.ErrUsage, err)
	}
	noteIgnored(cmd, set)
	return printObjects(cmd.OutOrStdout(), format, objects)
}

// noteIgnored names what files hold and nothing was made of.
func noteIgnored(cmd *cobra.Command, set *manifest.Set) {
	for _, what := range set.Ignored {
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "left out: %s\n", present.Clean(what))
	}
}

func (r *renderFlags) installation() (render.Installation, error) {
	i, err := r.platform.installation()
	if err != nil {
		return i, err
	}
	i.Image = cmp.Or(i.Image, defaultImage)
	if r.revisionKey == "" {
		return i, nil
	}
	if r.credentialsDir == "" {
		return i, fmt.Errorf("%w: --revision-key-file is of use with --credentials-dir alone: give that, too", desk.ErrUsage)
	}
	if i.RevisionKey, err = os.ReadFile(r.revisionKey); err != nil {
		return i, fmt.Errorf("%w: --revision-key-file: %w", desk.ErrUsage, err)
	}
	if len(i.RevisionKey) < 16 {
		return i, fmt.Errorf("%w: --revision-key-file: %s has fewer than 16 bytes: it must hold the Secret's key as it is, not in base64", desk.ErrUsage, r.revisionKey)
	}
	return i, nil
}

func (r *renderFlags) objects(set *manifest.Set, i render.Installation) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	var errs []error
	for _, b := range set.Brands {
		values, err := set.Values(b, r.credentialsDir)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		objects, err := manifest.Render(b, values, i)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: BrandConnector %s: %w", b.Source, b.Object.Name, err))
			continue
		}
		all = append(all, objects...)
	}
	return all, errors.Join(errs...)
}

// printObjects writes a YAML stream, or a List as JSON.
func printObjects(w io.Writer, f present.Format, objects []*unstructured.Unstructured) error {
	if f == present.JSON {
		_, err := present.Machine(w, f, map[string]any{"apiVersion": "v1", "kind": "List", "items": objects})
		return err
	}
	for _, o := range objects {
		raw, err := yaml.Marshal(o.Object)
		if err != nil {
			return fmt.Errorf("encode the output: %w", err)
		}
		if _, err := fmt.Fprintf(w, "---\n%s", raw); err != nil {
			return err
		}
	}
	return nil
}
