// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

// checkCommand asks an installation whether it works. It takes the operator's own flags,
// because they say what the operator looks at and which lease is its own.
func checkCommand() *cobra.Command {
	o := &options{}
	patience := time.Minute
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say whether the operator of these flags works, and the API server serves its kinds",
		Long: `check asks the API server for BrandConnectors and ConnectorClasses as the operator
does, and waits until the lease of the operator with the same flags is renewed.
It changes nothing. "helm test" runs it, with the operator's own rights.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), patience)
			defer cancel()
			return check(ctx, o, cmd.OutOrStdout())
		},
	}
	o.addFlags(cmd.Flags(), os.Getenv)
	cmd.Flags().DurationVar(&patience, "patience", patience, "how long an operator may take to be there")
	return cmd
}

func check(ctx context.Context, o *options, stdout io.Writer) error {
	s, err := o.complete()
	if err != nil {
		return err
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}
	config.UserAgent = "hexiao-manager-check/" + version
	api, err := client.New(config, client.Options{Scheme: s.scheme})
	if err != nil {
		return fmt.Errorf("set up a client: %w", err)
	}
	if err := s.checkKinds(ctx, api, stdout); err != nil {
		return err
	}
	return s.checkLeader(ctx, api, stdout)
}

// checkKinds lists one object of each kind, wherever the operator does.
func (s *settings) checkKinds(ctx context.Context, api client.Reader, stdout io.Writer) error {
	namespaces := s.watchNamespaces
	if len(namespaces) == 0 {
		namespaces = []string{""}
	}
	var errs []error
	for _, namespace := range namespaces {
		errs = append(errs, served(ctx, api, &v1alpha1.BrandConnectorList{}, v1alpha1.KindBrandConnector, namespace))
	}
	kinds := v1alpha1.KindBrandConnector + "s"
	if s.connectorClasses {
		kinds += " and " + v1alpha1.KindConnectorClass + "es"
		errs = append(errs, served(ctx, api, &v1alpha1.ConnectorClassList{}, v1alpha1.KindConnectorClass, ""))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	_, err := fmt.Fprintf(stdout, "the API server serves %s of %s, and the operator may list them\n", kinds, v1alpha1.GroupVersion)
	return err
}

func served(ctx context.Context, api client.Reader, list client.ObjectList, kind, namespace string) error {
	err := api.List(ctx, list, client.InNamespace(namespace), client.Limit(1))
	switch {
	case err == nil:
		return nil
	case meta.IsNoMatchError(err) || apierrors.IsNotFound(err):
		return fmt.Errorf("the API server does not serve %s of %s: install the CRDs (the chart hexiao-crds, or crds.enabled): %w", kind, v1alpha1.GroupVersion, err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("the operator may not list %ss: its roles are missing or are not bound to its service account (rbac.create, serviceAccount): %w", kind, err)
	default:
		return fmt.Errorf("list %ss: %w", kind, err)
	}
}

// checkLeader waits until the lease is renewed while it looks. What the lease says of the
// time is the leader's clock, which need not be this one's.
func (s *settings) checkLeader(ctx context.Context, api client.Reader, stdout io.Writer) error {
	if !s.leaderElect {
		_, err := fmt.Fprintln(stdout, "there is no lease to look at: the operator runs with --leader-elect=false")
		return err
	}
	key := client.ObjectKey{Namespace: s.namespace, Name: s.leaderID()}
	var first *coordinationv1.LeaseSpec
	for {
		lease := &coordinationv1.Lease{}
		err := api.Get(ctx, key, lease)
		switch {
		case ctx.Err() != nil:
		case err != nil && !apierrors.IsNotFound(err):
			return fmt.Errorf("read the operator's lease: %w", err)
		case err != nil || !held(&lease.Spec):
			first = nil
		case first == nil || *first.HolderIdentity != *lease.Spec.HolderIdentity:
			first = &lease.Spec
		case lease.Spec.RenewTime.After(first.RenewTime.Time):
			_, err := fmt.Fprintf(stdout, "%s leads: it has just renewed the lease %s\n", *lease.Spec.HolderIdentity, key)
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nobody renews the lease %s: no operator with these flags works; look at its Pods and their logs", key)
		case <-time.After(s.lease.retryPeriod / 2):
		}
	}
}

func held(l *coordinationv1.LeaseSpec) bool {
	return l.HolderIdentity != nil && *l.HolderIdentity != "" && l.RenewTime != nil
}
