// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/discovery"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/desk"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/installed"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/live"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/present"
)

// versionWait bounds what the cluster is asked: the plugin's own version is known anyhow.
const versionWait = 10 * time.Second

// versions is what runs here and there.
type versions struct {
	Plugin string `json:"plugin"`
	// API is the version that the plugin speaks.
	API string `json:"api"`
	// Server is the API server's version.
	Server    string                `json:"server,omitempty"`
	Operators []*installed.Operator `json:"operators,omitempty"`
	Kinds     []installed.API       `json:"kinds,omitempty"`
	// Notes are what could not be found out, and what does not fit together.
	Notes []string `json:"notes,omitempty"`
}

func versionCommand(a *access) *cobra.Command {
	clientOnly := false
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the plugin's version, the operator's, and the API's",
		Long: `version prints the plugin's own version and, where a cluster can be reached, the API
server's, the operators that are installed with their images, and which versions of the
API are served. What cannot be found out is a note; the exit code is 0 then, too.`,
		Example: `  kubectl hexiao version
  kubectl hexiao version --client
  kubectl hexiao version -o json`,
		Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.version(cmd, clientOnly) },
	}
	cmd.Flags().BoolVar(&clientOnly, "client", false, "ask no cluster")
	return cmd
}

func (a *access) version(cmd *cobra.Command, clientOnly bool) error {
	format, err := present.ParseFormat(a.format)
	if err != nil {
		return fmt.Errorf("%w: %w", desk.ErrUsage, err)
	}
	v := &versions{Plugin: version, API: v1alpha1.GroupVersion.String()}
	if !clientOnly {
		stop := present.Progress(cmd.ErrOrStderr(), present.Patience, func() string { return "waiting for the API server" })
		a.askVersions(cmd.Context(), v)
		stop()
		if err := cmd.Context().Err(); err != nil {
			return err
		}
	}
	if done, err := present.Machine(cmd.OutOrStdout(), format, v); done {
		return err
	}
	return v.write(cmd.OutOrStdout())
}

// askVersions asks the cluster, as far as it answers.
func (a *access) askVersions(ctx context.Context, v *versions) {
	ctx, cancel := context.WithTimeout(ctx, versionWait)
	defer cancel()
	c, _, err := a.cluster()
	if err != nil {
		v.Notes = append(v.Notes, "no cluster was asked: "+err.Error())
		return
	}
	if v.Server, err = a.serverVersion(ctx); err != nil {
		v.Notes = append(v.Notes, "the API server does not answer: "+err.Error())
		return
	}
	v.Operators, err = installed.Operators(ctx, c)
	switch {
	case apierrors.IsForbidden(err):
		v.Notes = append(v.Notes, "the operator is not known: you may list Deployments neither everywhere nor in "+installed.DefaultNamespace)
	case err != nil:
		v.Notes = append(v.Notes, "the operator is not known: "+err.Error())
	case len(v.Operators) == 0:
		v.Notes = append(v.Notes, "no operator was found where you may look")
	}
	v.kinds(ctx, c)
	for _, o := range v.Operators {
		if o.Version != "" && strings.TrimPrefix(o.Version, "v") != strings.TrimPrefix(v.Plugin, "v") {
			v.Notes = append(v.Notes, fmt.Sprintf("the operator %s is %s and this plugin %s: render and diff show what an operator of the plugin's version does", o, o.Version, v.Plugin))
		}
	}
}

// kinds asks which versions of the API are served. Who may not read CRDs is told by the
// API server's discovery whether there is a BrandConnector at all.
func (v *versions) kinds(ctx context.Context, c *live.Cluster) {
	var err error
	v.Kinds, err = installed.APIs(ctx, c)
	switch {
	case apierrors.IsForbidden(err):
		v.Notes = append(v.Notes, "which versions of the API are installed is not known: you may not read customresourcedefinitions")
	case err != nil:
		v.Notes = append(v.Notes, err.Error())
	case len(v.Kinds) == 0:
		v.Notes = append(v.Notes, "this cluster has no BrandConnectors: install Hexiao")
	}
}

func (a *access) serverVersion(ctx context.Context) (string, error) {
	config, _, err := a.config()
	if err != nil {
		return "", err
	}
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return "", fmt.Errorf("make the client: %w", err)
	}
	server, err := client.ServerVersionWithContext(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return "", fmt.Errorf("not within %s", versionWait)
	}
	if err != nil {
		return "", err
	}
	return server.GitVersion, nil
}

func (v *versions) write(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	line := func(cells ...string) {
		for i := range cells {
			cells[i] = present.Clean(cmp.Or(cells[i], "-"))
		}
		_, _ = fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	line("plugin", v.Plugin)
	if v.Server != "" {
		line("API server", v.Server)
	}
	for _, o := range v.Operators {
		line("operator", o.Version, o.String(), o.Image, fmt.Sprintf("%d of %d ready", o.Ready, o.Replicas), "connectors: "+cmp.Or(o.ConnectorImage, "not known"))
	}
	for _, k := range v.Kinds {
		line("API", strings.Join(k.Versions, ", "), k.Name)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, n := range v.Notes {
		if _, err := fmt.Fprintln(w, "note:", present.Clean(n)); err != nil {
			return err
		}
	}
	return nil
}
