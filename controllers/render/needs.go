// SPDX-License-Identifier: Apache-2.0

package render

import (
	"slices"
	"strings"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

// Source is the kind of an object that a BrandConnector refers to.
type Source string

// Kinds of references.
const (
	SourceSecret    Source = "Secret"
	SourceConfigMap Source = "ConfigMap"
)

// Need is one key of one Secret or ConfigMap in the BrandConnector's namespace.
type Need struct {
	Source Source
	Name   string
	Key    string
	// Field of the BrandConnector that asks for it.
	Field string
	// Optional is true when the connector runs without it.
	Optional bool
	// DSN is true for the address of a database.
	DSN bool
}

// Value is what a Need was found to be.
type Value struct {
	Need
	Bytes []byte
}

// Needs lists what a BrandConnector refers to, each key once, in a fixed order. A
// key that two fields ask for is required when one of them requires it.
func Needs(b *v1alpha1.BrandConnector) []Need {
	var all []Need
	secret := func(name, field string, keys ...string) {
		for _, key := range keys {
			all = append(all, Need{Source: SourceSecret, Name: name, Key: key, Field: field})
		}
	}
	s := &b.Spec
	secret(s.Keruyun.CredentialsSecretRef.Name, "spec.keruyun.credentialsSecretRef", v1alpha1.KeyKeruyunAppKey, v1alpha1.KeyKeruyunToken)
	if z := s.Providers.Zhimai; z != nil {
		secret(z.CredentialsSecretRef.Name, "spec.providers.zhimai.credentialsSecretRef",
			v1alpha1.KeyZhimaiOpenID, v1alpha1.KeyZhimaiOpenKey, v1alpha1.KeyZhimaiGrantCode)
	}
	if a := s.Providers.Alsc; a != nil {
		const field = "spec.providers.alsc.credentialsSecretRef"
		secret(a.CredentialsSecretRef.Name, field, v1alpha1.KeyAlscAppKey, v1alpha1.KeyAlscAppSecret)
		all = append(all, Need{Source: SourceSecret, Name: a.CredentialsSecretRef.Name, Key: v1alpha1.KeyAlscSession, Field: field, Optional: true})
	}
	if p := s.Ledger.Postgres; p != nil {
		all = append(all, Need{Source: SourceSecret, Name: p.DSNSecretRef.Name, Key: p.DSNSecretRef.Key, Field: "spec.ledger.postgres.dsnSecretRef", DSN: true})
	}
	if ref := s.ShopsConfigMapRef; ref != nil {
		all = append(all, Need{Source: SourceConfigMap, Name: ref.Name, Key: v1alpha1.KeyShops, Field: "spec.shopsConfigMapRef"})
	}
	// Required before optional, so that compacting keeps the stricter of two.
	slices.SortStableFunc(all, func(x, y Need) int {
		if c := compareNeeds(x, y); c != 0 {
			return c
		}
		switch {
		case x.Optional == y.Optional:
			return 0
		case y.Optional:
			return -1
		default:
			return 1
		}
	})
	return slices.CompactFunc(all, func(x, y Need) bool { return compareNeeds(x, y) == 0 })
}

func compareNeeds(x, y Need) int {
	if c := strings.Compare(string(x.Source), string(y.Source)); c != 0 {
		return c
	}
	if c := strings.Compare(x.Name, y.Name); c != 0 {
		return c
	}
	return strings.Compare(x.Key, y.Key)
}

// References lists the names of the objects of one kind that a BrandConnector
// refers to, each once. Of the Secret with an Ingress's certificate nothing is needed, and
// its coming is of interest all the same.
func References(b *v1alpha1.BrandConnector, source Source) []string {
	var names []string
	for _, n := range Needs(b) {
		if n.Source == source && !slices.Contains(names, n.Name) {
			names = append(names, n.Name)
		}
	}
	if e := b.Spec.Exposure; source == SourceSecret && e != nil && e.TLSSecretRef != nil && !slices.Contains(names, e.TLSSecretRef.Name) {
		names = append(names, e.TLSSecretRef.Name)
	}
	return names
}

// ClassSecrets lists the names of the Secrets that a ConnectorClass has its brands refer
// to, each in its own namespace.
func ClassSecrets(c *v1alpha1.ConnectorClass) []string {
	var names []string
	if l := c.Spec.Ledger; l != nil && l.Postgres != nil {
		names = append(names, l.Postgres.DSNSecretRef.Name)
	}
	if e := c.Spec.Exposure; e != nil && e.TLSSecretRef != nil {
		names = append(names, e.TLSSecretRef.Name)
	}
	return names
}
