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
	// crdSoon and crdPause are the shortest and the longest time between two.
	crdSoon, crdPause = 15 * time.Second, time.Hour
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

// Start looks now, and again and again until ctx ends. With new CRDs the alert is then over
// without a restart.
func (c *crdComparison) Start(ctx context.Context) error {
	pause := time.Duration(0)
	for {
		current, err := c.compare(ctx)
		pause = nextLook(pause, current)
		if err != nil {
			c.logger.Info("The cluster's CRDs cannot be compared with those of this version now", "again", pause, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// nextLook is when to look again, after a pause that was 0 before the first look. The API
// server makes its document anew some time after CRDs were installed or upgraded, often just
// before the operator was: what is not as it should be is looked at again soon.
func nextLook(pause time.Duration, current bool) time.Duration {
	switch {
	case current:
		return crdPause
	case pause == 0:
		return crdSoon
	default:
		return min(4*pause, crdPause)
	}
}

// compare looks once, and says whether every CRD has all that this version knows.
func (c *crdComparison) compare(ctx context.Context) (current bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, crdPatience)
	defer cancel()
	api, err := discovery.NewDiscoveryClientForConfigAndClient(c.config, c.client)
	if err != nil {
		return false, fmt.Errorf("set up a client: %w", err)
	}
	all, err := crdcheck.Compare(ctx, api.RESTClient(), crd.Files)
	if err != nil {
		return false, err
	}
	current = true
	for _, m := range all {
		c.metrics.CRD(m.CRD, len(m.Fields) > 0)
		if len(m.Fields) == 0 {
			continue
		}
		current = false
		c.logger.Warn("The cluster's CRD is older than the operator, and the API server drops the fields that it lacks: upgrade the CRDs as docs/guides/upgrade.md says",
			"crd", m.CRD, "missing", len(m.Fields), "first", strings.Join(m.Fields[:min(len(m.Fields), maxNamed)], ", "))
	}
	return current, nil
}
