// SPDX-License-Identifier: Apache-2.0

package render

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

// PlatformRevision identifies what the platform makes of a brand's Pods: this version of
// the operator, the installation, and the class, or nil. It is the same for two versions
// that make the same of the brands of reference, so an upgrade that restarts nobody has no
// new revision. An *InvalidError says that no brand of the class can be rendered.
func PlatformRevision(in Installation, class *v1alpha1.ConnectorClass) (string, error) {
	sum := sha256.New()
	var refused error
	some := false
	for _, brand := range referenceBrands(class) {
		out, err := Render(Inputs{Brand: brand, Class: class, Installation: in})
		if invalid := (*InvalidError)(nil); errors.As(err, &invalid) {
			// Its patch may be for brands of the other ledger.
			refused = cmp.Or(refused, err)
			continue
		}
		if err != nil {
			return "", err
		}
		some = true
		fmt.Fprintln(sum, out.TemplateHash)
	}
	if !some {
		return "", refused
	}
	return hex.EncodeToString(sum.Sum(nil)[:8]), nil
}

// referenceBrands are brands that between them have every volume and every argument that
// a connector can have.
func referenceBrands(class *v1alpha1.ConnectorClass) []*v1alpha1.BrandConnector {
	secret := func(name string) v1alpha1.LocalObjectReference { return v1alpha1.LocalObjectReference{Name: name} }
	brand := func(ledger v1alpha1.LedgerSpec) *v1alpha1.BrandConnector {
		return &v1alpha1.BrandConnector{
			ObjectMeta: metav1.ObjectMeta{Name: "reference", Namespace: "reference"},
			Spec: v1alpha1.BrandConnectorSpec{
				BrandID: "1",
				Keruyun: v1alpha1.KeruyunSpec{CredentialsSecretRef: secret("keruyun")},
				Providers: v1alpha1.ProvidersSpec{
					Zhimai: &v1alpha1.ZhimaiSpec{CredentialsSecretRef: secret("zhimai")},
					Alsc:   &v1alpha1.AlscSpec{CredentialsSecretRef: secret("alsc")},
				},
				Routes: []v1alpha1.Route{{Name: "reference", Match: v1alpha1.RouteMatch{AssetMappingIDs: []string{"1"}},
					Asset: v1alpha1.AssetStoredValue, Provider: v1alpha1.ProviderAlsc}},
				ShopsConfigMapRef: &v1alpha1.LocalObjectReference{Name: "shops"},
				Ledger:            ledger,
			},
		}
	}
	brands := []*v1alpha1.BrandConnector{
		brand(v1alpha1.LedgerSpec{Postgres: &v1alpha1.PostgresLedger{DSNSecretRef: v1alpha1.SecretKeyReference{Name: "ledger", Key: "dsn"}}}),
		brand(v1alpha1.LedgerSpec{Embedded: &v1alpha1.EmbeddedLedger{}}),
	}
	if class != nil && class.Spec.Ledger != nil {
		brands = append(brands, brand(v1alpha1.LedgerSpec{}))
	}
	return brands
}
