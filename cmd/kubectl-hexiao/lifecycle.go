// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/desk"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/live"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/present"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/reach"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/tree"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// annotationRestartedAt is the one that kubectl rollout restart sets.
const annotationRestartedAt = "kubectl.kubernetes.io/restartedAt"

// patience is how long a command waits, if it is to wait.
type patience struct {
	wait    bool
	timeout time.Duration
}

func (p *patience) flags(cmd *cobra.Command, until string) {
	cmd.Flags().BoolVar(&p.wait, "wait", false, "wait until "+until)
	cmd.Flags().DurationVar(&p.timeout, "timeout", 10*time.Minute, "with --wait: at most so long; then the exit code is 8")
}

func restartCommand(a *access) *cobra.Command {
	var p patience
	yes := false
	cmd := &cobra.Command{
		Use:   "restart NAME...",
		Short: "Start a brand's Pods anew, as kubectl rollout restart does",
		Long: `restart starts a brand's Pods anew, one after the other: the old ones serve until the
new ones are ready. A brand with the embedded ledger does not answer in between,
because its ledger has one writer. For more than one brand it asks first.

Credentials that were rotated need no restart: the operator sees to that.`,
		Example: `  kubectl hexiao restart xiaowang -n brands --wait
  kubectl hexiao restart xiaowang zhang -n brands --yes`,
		Args: oneOrMore, ValidArgsFunction: a.completeBrands,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.change(cmd, args, p, operation{done: "restarted", check: restartable, confirm: func(brands []*v1alpha1.BrandConnector) error {
				if yes || len(brands) < 2 {
					return nil
				}
				return confirm(cmd.InOrStdin(), cmd.ErrOrStderr(), fmt.Sprintf("restart %d brands: %s", len(brands), strings.Join(args, ", ")))
			}, do: restart, reached: restarted})
		},
	}
	p.flags(cmd, "the new Pods are available")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func suspendCommand(a *access) *cobra.Command {
	return &cobra.Command{
		Use:   "suspend NAME...",
		Short: "Let the operator change nothing of a brand; the connector serves on",
		Long: `suspend sets spec.suspend: the operator changes nothing of the brand any more, not its
configuration, credentials, image or number of Pods, until it is resumed. The connector
serves on with what it has.`,
		Example: `  kubectl hexiao suspend xiaowang -n brands`,
		Args:    oneOrMore, ValidArgsFunction: a.completeBrands,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.change(cmd, args, patience{}, operation{done: "suspended", do: suspend, warn: suspendWarning(true)})
		},
	}
}

func resumeCommand(a *access) *cobra.Command {
	var p patience
	cmd := &cobra.Command{
		Use:   "resume NAME...",
		Short: "Let the operator take a brand up again, at once",
		Long: `resume takes spec.suspend away and asks the operator to look at once, by the annotation
` + v1alpha1.AnnotationReconcileRequestedAt + `. What was changed meanwhile is rolled out then.`,
		Example: `  kubectl hexiao resume xiaowang -n brands --wait`,
		Args:    oneOrMore, ValidArgsFunction: a.completeBrands,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.change(cmd, args, p, operation{done: "resumed", do: resume, reached: resumed, warn: suspendWarning(false)})
		},
	}
	p.flags(cmd, "the operator has looked, and the brand is ready")
	return cmd
}

func oneOrMore(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: the arguments are NAME...: see %s --help", desk.ErrUsage, cmd.CommandPath())
	}
	return nil
}

// operation is something that is done to brands.
type operation struct {
	done string // the word for it
	// check looks at all brands before the first is changed, and confirm asks the
	// person; may be nil.
	check   func(context.Context, *live.Cluster, []*v1alpha1.BrandConnector) error
	confirm func([]*v1alpha1.BrandConnector) error
	// do changes one brand, at a time.
	do func(ctx context.Context, c *live.Cluster, b *v1alpha1.BrandConnector, at time.Time) error
	// reached says how far a brand is with what was done at that time.
	reached func(ctx context.Context, c *live.Cluster, b reach.Brand, at time.Time) (tree.Verdict, string, error)
	// warn says what a person should know of a brand that was changed; may be nil.
	warn func(b *v1alpha1.BrandConnector) string
}

// deed is what was done to a brand.
type deed struct {
	reach.Brand
	Done string `json:"done"`
	// At what time.
	At time.Time `json:"at"`
	// State it came to, with --wait.
	State string `json:"state,omitempty"`
}

// change does something to brands. They are all looked up before the first is changed:
// a misspelt name changes nothing.
func (a *access) change(cmd *cobra.Command, names []string, p patience, o operation) error {
	format, err := present.ParseFormat(a.format)
	if err != nil {
		return fmt.Errorf("%w: %w", desk.ErrUsage, err)
	}
	c, namespace, err := a.cluster()
	if err != nil {
		return err
	}
	if names, err = brandNames(names); err != nil {
		return err
	}
	ctx := cmd.Context()
	stop := present.Progress(cmd.ErrOrStderr(), present.Patience, func() string { return "waiting for the API server" })
	defer stop()
	brands, err := brandsOf(ctx, c, names, namespace, false)
	if err == nil && o.check != nil {
		err = o.check(ctx, c, brands)
	}
	if stop(); err == nil && o.confirm != nil { // a question is not to be talked over
		err = o.confirm(brands)
	}
	if err != nil {
		return err
	}
	return a.changeAll(cmd, c, brands, p, o, format)
}

func (a *access) changeAll(cmd *cobra.Command, c *live.Cluster, brands []*v1alpha1.BrandConnector, p patience, o operation, format present.Format) (err error) {
	ctx := cmd.Context()
	var deeds []deed
	for _, b := range brands {
		at := time.Now()
		stop := present.Progress(cmd.ErrOrStderr(), present.Patience, func() string { return "waiting for the API server to change " + b.Namespace + "/" + b.Name })
		err = o.do(ctx, c, b, at)
		if stop(); err != nil {
			break
		}
		if o.warn != nil {
			if text := o.warn(b); text != "" {
				_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s/%s: %s\n", b.Namespace, b.Name, present.Clean(text))
			}
		}
		deeds = append(deeds, deed{Brand: reach.Brand{Namespace: b.Namespace, Name: b.Name}, Done: o.done, At: at})
	}
	if err == nil && p.wait {
		err = follow(ctx, cmd.ErrOrStderr(), c, deeds, p.timeout, o.reached)
	}
	return errors.Join(err, writeDeeds(cmd.OutOrStdout(), format, deeds))
}

func writeDeeds(w io.Writer, format present.Format, deeds []deed) error {
	if done, err := present.Machine(w, format, map[string]any{"brands": deeds}); done {
		return err
	}
	for _, d := range deeds {
		state := ""
		if d.State != "" {
			state = ": " + d.State
		}
		if _, err := fmt.Fprintf(w, "brandconnector %s %s%s\n", d.Brand, d.Done, present.Clean(state)); err != nil {
			return err
		}
	}
	return nil
}

// confirm asks a person.
func confirm(in io.Reader, out io.Writer, what string) error {
	_, _ = fmt.Fprintf(out, "%s? Say yes: ", what)
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	if strings.TrimSpace(line) != "yes" {
		return &exit{exitUnconfirmed, errors.New("not confirmed: nothing was changed (--yes does not ask)")}
	}
	return nil
}

// pollEvery is how often is looked whether something is reached.
const pollEvery = 500 * time.Millisecond

// follow waits until each deed has come to something, and writes down what.
func follow(ctx context.Context, errOut io.Writer, c *live.Cluster, deeds []deed, timeout time.Duration,
	reached func(context.Context, *live.Cluster, reach.Brand, time.Time) (tree.Verdict, string, error)) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var mu sync.Mutex
	say := map[string]string{}
	stop := present.Progress(errOut, present.Patience, func() string {
		mu.Lock()
		defer mu.Unlock()
		var parts []string
		for _, d := range deeds {
			if s := say[d.String()]; s != "" {
				parts = append(parts, "for "+d.String()+": "+s)
			}
		}
		return strings.TrimSpace("waiting " + strings.Join(parts, "; "))
	})
	defer stop()
	var failed []string
	for i := range deeds {
		verdict, state, err := waitFor(ctx, func() (tree.Verdict, string, error) {
			verdict, state, err := reached(ctx, c, deeds[i].Brand, deeds[i].At)
			mu.Lock()
			defer mu.Unlock()
			say[deeds[i].String()] = state
			return verdict, state, err
		})
		if err != nil {
			return err
		}
		mu.Lock()
		delete(say, deeds[i].String())
		deeds[i].State = state
		mu.Unlock()
		if verdict != tree.Good {
			failed = append(failed, deeds[i].String())
		}
	}
	if len(failed) > 0 {
		return &exit{exitNotReady, fmt.Errorf("%s: not ready: see kubectl hexiao status", strings.Join(failed, ", "))}
	}
	return nil
}

// waitFor asks until the answer is final or the time is over, and returns the last.
func waitFor(ctx context.Context, ask func() (tree.Verdict, string, error)) (tree.Verdict, string, error) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	verdict, state := tree.Waits, "nobody has answered yet"
	for {
		now, say, err := ask()
		switch {
		case err != nil && ctx.Err() == nil:
			return now, say, err
		case err == nil:
			verdict, state = now, say
		}
		if verdict != tree.Waits {
			return verdict, state, nil
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return verdict, "the time is over: " + state, nil
			}
			return verdict, state, ctx.Err()
		case <-tick.C:
		}
	}
}

// restartable refuses brands whose Deployment cannot be restarted.
func restartable(ctx context.Context, c *live.Cluster, brands []*v1alpha1.BrandConnector) error {
	for _, b := range brands {
		d, err := deploymentOf(ctx, c, reach.Brand{Namespace: b.Namespace, Name: b.Name})
		switch {
		case err != nil:
			return err
		case !metav1.IsControlledBy(d, b):
			return fmt.Errorf("%s/%s: the Deployment of this name is not the brand's: nothing was restarted", b.Namespace, b.Name)
		case d.Spec.Paused:
			return fmt.Errorf("%s/%s: its Deployment is paused, so a restart would not begin: kubectl rollout resume deployment/%s", b.Namespace, b.Name, b.Name)
		}
	}
	return nil
}

func deploymentOf(ctx context.Context, c *live.Cluster, b reach.Brand) (*appsv1.Deployment, error) {
	u, err := c.Get(ctx, render.DeploymentKind, b.Namespace, b.Name)
	if err != nil {
		return nil, err
	}
	if u == nil {
		return nil, fmt.Errorf("%s has no Deployment: see kubectl hexiao status %s", b, b.Name)
	}
	return live.As[appsv1.Deployment](u)
}

func restart(ctx context.Context, c *live.Cluster, b *v1alpha1.BrandConnector, at time.Time) error {
	_, err := c.Merge(ctx, render.DeploymentKind, b.Namespace, b.Name, map[string]any{"spec": map[string]any{"template": map[string]any{
		"metadata": map[string]any{"annotations": map[string]any{annotationRestartedAt: at.UTC().Format(time.RFC3339)}}}}})
	return err
}

func restarted(ctx context.Context, c *live.Cluster, b reach.Brand, _ time.Time) (tree.Verdict, string, error) {
	d, err := deploymentOf(ctx, c, b)
	if err != nil {
		return tree.Bad, "", err
	}
	verdict, say := tree.Rollout(d)
	return verdict, say, nil
}

func suspend(ctx context.Context, c *live.Cluster, b *v1alpha1.BrandConnector, _ time.Time) error {
	_, err := c.Merge(ctx, live.BrandKind, b.Namespace, b.Name, map[string]any{"spec": map[string]any{"suspend": true}})
	return err
}

func resume(ctx context.Context, c *live.Cluster, b *v1alpha1.BrandConnector, at time.Time) error {
	_, err := c.Merge(ctx, live.BrandKind, b.Namespace, b.Name, map[string]any{
		"metadata": map[string]any{"annotations": map[string]any{v1alpha1.AnnotationReconcileRequestedAt: token(at)}},
		"spec":     map[string]any{"suspend": nil}})
	return err
}

// token is what the operator repeats when it has looked.
func token(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }

func resumed(ctx context.Context, c *live.Cluster, b reach.Brand, at time.Time) (tree.Verdict, string, error) {
	brand, err := c.Brand(ctx, b)
	if err != nil {
		return tree.Bad, "", err
	}
	verdict, say := resumption(brand, at)
	return verdict, say, nil
}

// resumption says how far a brand is that was resumed at a time. What it says of itself
// counts only when the operator has looked since.
func resumption(b *v1alpha1.BrandConnector, at time.Time) (tree.Verdict, string) {
	switch {
	case b.Spec.Suspend:
		return tree.Bad, "somebody suspended it again"
	case b.Status.LastHandledReconcileAt != token(at):
		return tree.Waits, "the operator has not looked yet"
	}
	return tree.Ready(b)
}

// suspendWarning warns of who may write spec.suspend, too.
func suspendWarning(want bool) func(*v1alpha1.BrandConnector) string {
	return func(b *v1alpha1.BrandConnector) string {
		if b.Spec.Suspend == want {
			return map[bool]string{true: "it is suspended already", false: "it is not suspended"}[want]
		}
		if tool := tree.GitOps(b); tool != "" {
			return tool + " manages this object and may write spec.suspend back: change it in Git, too"
		}
		return ""
	}
}
