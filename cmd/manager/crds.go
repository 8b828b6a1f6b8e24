// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	"github.com/hexiao-dev/hexiao/config/crd"
	"github.com/hexiao-dev/hexiao/controllers"
	"github.com/hexiao-dev/hexiao/controllers/crdcheck"
)

const (
	// crdPatience bounds one look at the cluster's CRDs.
	crdPatience = 5 * time.Second
	// crdPause is the time between two.
	crdPause = time.Hour
	// maxNamed bounds the fields that are named in the log.
	maxNamed = 5
)

// crdComparison says so while the cluster's CRDs are older than the operator. It is no reason
// not to start: brands that use no new field are served as before.
type crdComparison struct {
	config  *rest.Config
	client  *http.Client
	metrics *controllers.Metrics
	logger  *slog.Logger
}

// NeedLeaderElection is false: a standby's numbers are as good.
func (*crdComparison) NeedLeaderElection() bool { return false }

// Start looks now, and again every hour, until ctx ends. With new CRDs the alert is then over
// without a restart.
func (c *crdComparison) Start(ctx context.Context) error {
	ticker := time.NewTicker(crdPause)
	defer ticker.Stop()
	for {
		if err := c.compare(ctx); err != nil {
			// Right after the CRDs were installed it is not served yet.
			c.logger.Info("The cluster's CRDs cannot be compared with those of this version now", "again", crdPause, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (c *crdComparison) compare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, crdPatience)
	defer cancel()
	api, err := discovery.NewDiscoveryClientForConfigAndClient(c.config, c.client)
	if err != nil {
		return fmt.Errorf("set up a client: %w", err)
	}
	all, err := crdcheck.Compare(ctx, api.RESTClient(), crd.Files)
	if err != nil {
		return err
	}
	for _, m := range all {
		c.metrics.CRD(m.CRD, len(m.Fields) > 0)
		if len(m.Fields) == 0 {
			continue
		}
		c.logger.Warn("The cluster's CRD is older than the operator, and the API server drops the fields that it lacks: upgrade the CRDs as docs/guides/upgrade.md says",
			"crd", m.CRD, "missing", len(m.Fields), "first", strings.Join(m.Fields[:min(len(m.Fields), maxNamed)], ", "))
	}
	return nil
}
