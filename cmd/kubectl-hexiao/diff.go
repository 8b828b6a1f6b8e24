// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/desk"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/installed"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/live"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/manifest"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/present"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/preview"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/reach"
)

type diffFlags struct {
	files    []string
	all      bool
	platform platform
}

func diffCommand(a *access) *cobra.Command {
	var d diffFlags
	cmd := &cobra.Command{
		Use:   "diff [NAME...]",
		Short: "Show what the operator would change, and whether Pods would restart",
		Long: `diff shows what would change if a file were applied (-f), or what this version's
operator would change for the brands that are there: before an upgrade, with the
plugin of the new version. Without a name and without -f it looks at every brand of
the namespace.

It sends what the operator would apply as a server-side dry run, as field manager
"hexiao" with force, so defaults, admission and the API server's own demands are in
the answer. Nothing is changed. It takes the right to patch the brand's objects.

Where you may not read ConnectorClasses, the operator's own status of a brand says
whether it uses one; a brand that does cannot be compared, and diff says so.

No Secret is read. The revision of the configuration on the pod template is a hash
over the credentials, too: while the configuration stays the same the live revision
is taken, and otherwise one that is called "` + preview.NewRevision + `".
So a change of a Secret's value alone is not seen here; the operator restarts the
Pods for it. Image, pull policy and the namespaces of callers and monitoring are
taken from the live objects, unless flags say otherwise; for a new brand from the flags
of the installed operator, where you may read its Deployment.

Exit codes of diff:
  0  no differences
  1  differences
  2  the command line or a file is wrong
  3  there is no such brand
  9  something could not be compared, or the operator would fail`,
		Example: `  # before a pull request is merged
  kubectl hexiao diff -f brand.yaml

  # before an upgrade, every brand: which would restart?
  kubectl hexiao diff -A --image registry.example/hexiao/connector:1.2.0 | grep "^restart"

  # with a class that is not applied yet
  kubectl hexiao diff -f class.yaml -f brand.yaml`,
		ValidArgsFunction: a.completeBrands,
		RunE: func(cmd *cobra.Command, args []string) error {
			err := a.diff(cmd, args, &d)
			if err == nil || errors.As(err, new(*exit)) || exitCode(err) != exitFailed {
				return err
			}
			return &exit{exitNoDiff, err} // 1 would say that there are differences
		},
	}
	fileFlag(cmd, &d.files)
	cmd.Flags().BoolVarP(&d.all, "all-namespaces", "A", false, "every brand of every namespace")
	d.platform.flags(cmd, "by default the one that runs")
	return cmd
}

func (a *access) diff(cmd *cobra.Command, names []string, d *diffFlags) error {
	format, err := present.ParseFormat(a.format)
	if err != nil {
		return fmt.Errorf("%w: %w", desk.ErrUsage, err)
	}
	switch {
	case len(d.files) > 0 && (len(names) > 0 || d.all):
		return fmt.Errorf("%w: give -f, or names, or -A: they say different things", desk.ErrUsage)
	case len(names) > 0 && d.all:
		return fmt.Errorf("%w: name brands or say -A, not both", desk.ErrUsage)
	}
	installation, err := d.platform.installation()
	if err != nil {
		return err
	}
	if names, err = brandNames(names); err != nil {
		return err
	}
	c, namespace, err := a.cluster()
	if err != nil {
		return err
	}
	wants, err := a.wants(cmd, c, names, namespace, d)
	if err != nil {
		return err
	}
	for i := range wants {
		wants[i].Given, wants[i].DefaultImage = installation, defaultImage
	}
	return conclude(cmd, format, previews(cmd, c, wants))
}

// wants reads what is to be previewed: files, or brands as they are.
func (a *access) wants(cmd *cobra.Command, c *live.Cluster, names []string, namespace string, d *diffFlags) ([]preview.Want, error) {
	stop := present.Progress(cmd.ErrOrStderr(), present.Patience, func() string { return "waiting for the API server" })
	defer stop()
	if len(d.files) == 0 {
		return running(cmd.Context(), c, names, namespace, d.all)
	}
	wants, err := a.written(cmd, c, d.files, namespace)
	if err != nil {
		return nil, err
	}
	return wants, operatorOf(cmd.Context(), c, wants)
}

// operatorOf finds the operator of each brand, whose flags a new brand gets. Where it
// may not be looked at, the preview says what it assumes.
func operatorOf(ctx context.Context, c *live.Cluster, wants []preview.Want) error {
	operators, err := installed.Operators(ctx, c)
	if err != nil && !apierrors.IsForbidden(err) {
		return err
	}
	for i := range wants {
		for _, o := range operators {
			if o.ConnectorImage != "" && o.Runs(wants[i].Brand) {
				wants[i].Operator, wants[i].OperatorName = new(o.Installation()), o.String()
			}
		}
	}
	return nil
}

// written are the brands of files.
func (a *access) written(cmd *cobra.Command, c *live.Cluster, files []string, namespace string) ([]preview.Want, error) {
	set, err := manifest.Read(cmd.InOrStdin(), files...)
	find := classes(cmd.Context(), c)
	if err == nil {
		err = set.Complete(a.overrides.Context.Namespace, namespace, find)
		noteIgnored(cmd, set)
	}
	if err == nil && len(set.Brands) == 0 {
		err = fmt.Errorf("-f: there is no BrandConnector in %s: name a file with one", strings.Join(files, ", "))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", desk.ErrUsage, err)
	}
	var wants []preview.Want
	for _, b := range set.Brands {
		wants = append(wants, preview.Want{Brand: b.Object, Class: b.Class, ClassHidden: b.ClassHidden, Written: true})
	}
	return wants, nil
}

// classes finds classes in the cluster, each once.
func classes(ctx context.Context, c *live.Cluster) manifest.ClassFinder {
	type answer struct {
		class *v1alpha1.ConnectorClass
		err   error
	}
	known := map[string]answer{}
	return func(name string) (*v1alpha1.ConnectorClass, error) {
		got, is := known[name]
		if !is {
			got.class, got.err = c.Class(ctx, name)
			if apierrors.IsForbidden(got.err) {
				got.err = manifest.ErrClassHidden
			}
			known[name] = got
		}
		return got.class, got.err
	}
}

// running are brands as they are.
func running(ctx context.Context, c *live.Cluster, names []string, namespace string, all bool) ([]preview.Want, error) {
	brands, err := brandsOf(ctx, c, names, namespace, all)
	if err != nil {
		return nil, err
	}
	if len(brands) == 0 {
		return nil, reach.NoBrands(map[bool]string{false: namespace}[all])
	}
	find := classes(ctx, c)
	wants := make([]preview.Want, len(brands))
	for i, b := range brands {
		wants[i].Brand = b
		switch wants[i].Class, err = find(cmp.Or(b.Spec.ConnectorClassName, v1alpha1.DefaultConnectorClass)); {
		case errors.Is(err, manifest.ErrClassHidden):
			wants[i].ClassHidden = true
		case err != nil:
			return nil, err
		}
	}
	return wants, nil
}

// previews makes some at a time, and keeps their order.
func previews(cmd *cobra.Command, c *live.Cluster, wants []preview.Want) []*preview.Preview {
	var done atomic.Int64
	stop := present.Progress(cmd.ErrOrStderr(), present.Patience, func() string {
		return fmt.Sprintf("compared %d of %d brands", done.Load(), len(wants))
	})
	defer stop()
	out := make([]*preview.Preview, len(wants))
	slots := make(chan struct{}, brandsAtOnce)
	var wg sync.WaitGroup
	for i, w := range wants {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { done.Add(1); <-slots }()
			p, err := preview.Of(cmd.Context(), c, w)
			if err != nil {
				p = &preview.Preview{Namespace: w.Brand.Namespace, Brand: w.Brand.Name, Problems: []string{err.Error()}}
			}
			out[i] = p
		})
	}
	wg.Wait()
	return out
}

// brandsAtOnce is how many brands are looked at at the same time.
const brandsAtOnce = 8

// conclude writes previews, and what they come to is the exit code.
func conclude(cmd *cobra.Command, format present.Format, all []*preview.Preview) error {
	differences, problems := 0, 0
	for _, p := range all {
		differences += len(p.Differences)
		problems += len(p.Problems)
	}
	done, err := present.Machine(cmd.OutOrStdout(), format, map[string]any{"brands": all})
	if !done {
		for _, p := range all {
			if err = writePreview(cmd.OutOrStdout(), p); err != nil {
				break
			}
		}
	}
	switch {
	case err != nil:
		return err
	case problems > 0:
		return &exit{exitNoDiff, fmt.Errorf("%d of %d brands have problems: see PROBLEM above", countOf(all, func(p *preview.Preview) bool { return len(p.Problems) > 0 }), len(all))}
	case differences > 0:
		return &exit{code: 1}
	}
	return nil
}

func writePreview(w io.Writer, p *preview.Preview) error {
	var b strings.Builder
	for _, d := range p.Differences {
		b.WriteString(d.Diff)
	}
	for _, n := range p.Notes {
		fmt.Fprintf(&b, "note     %s/%s: %s\n", p.Namespace, p.Brand, present.Clean(n))
	}
	for _, n := range p.Problems {
		fmt.Fprintf(&b, "PROBLEM  %s/%s: %s\n", p.Namespace, p.Brand, present.Clean(n))
	}
	if p.Restart.Why != "" {
		fmt.Fprintf(&b, "restart  %s/%s: %s: %s\n", p.Namespace, p.Brand, map[bool]string{true: "YES", false: "no"}[p.Restart.Pods], p.Restart.Why)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func countOf[T any](all []T, is func(T) bool) (n int) {
	for _, x := range all {
		if is(x) {
			n++
		}
	}
	return n
}

// cluster is for commands that ask the API server and no connector.
func (a *access) cluster() (c *live.Cluster, namespace string, err error) {
	if a.adminURL != "" {
		return nil, "", fmt.Errorf("%w: this command asks the API server and no connector: leave --admin-url out", desk.ErrUsage)
	}
	config, namespace, err := a.config()
	if err != nil {
		return nil, "", err
	}
	c, err = live.New(config)
	return c, namespace, err
}

// brandsOf reads the brands that are named, or all of a namespace, or all.
func brandsOf(ctx context.Context, c *live.Cluster, names []string, namespace string, all bool) ([]*v1alpha1.BrandConnector, error) {
	if all {
		namespace = ""
	}
	if len(names) == 0 {
		return c.Brands(ctx, namespace)
	}
	var brands []*v1alpha1.BrandConnector
	for _, name := range names {
		b, err := c.Brand(ctx, reach.Brand{Namespace: namespace, Name: name})
		if err != nil {
			return nil, err
		}
		brands = append(brands, b)
	}
	return brands, nil
}

// completeBrands completes any number of brands, each once.
func (a *access) completeBrands(cmd *cobra.Command, args []string, part string) ([]string, cobra.ShellCompDirective) {
	names, directive := a.completeBrand(cmd, nil, part)
	var left []string
	for _, n := range names {
		if !slices.Contains(args, n) {
			left = append(left, n)
		}
	}
	return left, directive
}
