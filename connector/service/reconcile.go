// SPDX-License-Identifier: Apache-2.0

package service

import (
	"maps"
	"slices"

	"github.com/hexiao-dev/hexiao/connector/alsc"
	"github.com/hexiao-dev/hexiao/connector/brand"
	"github.com/hexiao-dev/hexiao/connector/oneshot"
	"github.com/hexiao-dev/hexiao/connector/reconcile"
	"github.com/hexiao-dev/hexiao/connector/zhimai"
)

// Flows makes the lists of flows of the providers that the brand configures.
func Flows(b *brand.Brand, http oneshot.Doer, o reconcile.Options) ([]reconcile.Source, error) {
	var out []reconcile.Source
	if b.Object.Spec.Providers.Alsc != nil {
		cfg, err := alscConfig(b)
		if err != nil {
			return nil, err
		}
		client, err := alsc.New(cfg, alsc.Deps{HTTP: http})
		if err != nil {
			return nil, err
		}
		out = append(out, reconcile.ALSC(client, b.Object.Spec.BrandID, slices.Collect(maps.Keys(cfg.Shops)), o))
	}
	if b.Object.Spec.Providers.Zhimai != nil {
		client, err := zhimai.New(zhimaiConfig(b), zhimai.Deps{HTTP: http})
		if err != nil {
			return nil, err
		}
		out = append(out, reconcile.Zhimai(client, o))
	}
	return out, nil
}
