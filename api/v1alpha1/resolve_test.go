// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

const platformClass = `
metadata: {name: standard}
spec:
  image: hexiao/connector:2
  workload:
    replicas: 3
    resources: {requests: {cpu: 50m}}
    nodeSelector: {pool: pos}
    priorityClassName: high
    tolerations: [{key: pos, operator: Exists}]
    imagePullSecrets: [{name: registry}]
    podLabels: {team: platform, tier: pos}
    podAnnotations: {scrape: "true"}
    patch: {spec: {minReadySeconds: 5}}
  ledger:
    postgres: {dsnSecretRef: {name: ledger, key: dsn}, schemaPrefix: brand_}
  exposure: {hostname: "{name}.{namespace}.pos.example.com", ingressClassName: nginx, tlsSecretRef: {name: wildcard}}
  telemetry: {otlpEndpoint: "http://otel:4318", samplingPercent: 10, logLevel: warn}
`

func fromYAML[T any](t *testing.T, text string) *T {
	t.Helper()
	out := new(T)
	if err := yaml.UnmarshalStrict([]byte(text), out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestABrandsOwnValuesWinOverItsClass(t *testing.T) {
	tests := map[string]struct{ brand, want string }{
		"a brand that says nothing takes all of it": {
			brand: `{}`,
			want: `
workload:
  replicas: 3
  resources: {requests: {cpu: 50m}}
  nodeSelector: {pool: pos}
  priorityClassName: high
  tolerations: [{key: pos, operator: Exists}]
  imagePullSecrets: [{name: registry}]
  podLabels: {team: platform, tier: pos}
  podAnnotations: {scrape: "true"}
ledger: {postgres: {dsnSecretRef: {name: ledger, key: dsn}, schema: brand_xiao_wang, maxConnections: 10}}
exposure: {hostname: xiao-wang.brands.pos.example.com, ingressClassName: nginx, tlsSecretRef: {name: wildcard}}
telemetry: {otlpEndpoint: "http://otel:4318", samplingPercent: 10, logLevel: warn}`,
		},
		"a brand that says all of it takes nothing but labels": {
			brand: `
workload:
  replicas: 1
  resources: {limits: {memory: 1Gi}}
  nodeSelector: {pool: own}
  priorityClassName: low
  tolerations: [{key: own, operator: Exists}]
  imagePullSecrets: [{name: own}]
  podLabels: {team: xiaowang}
ledger: {postgres: {dsnSecretRef: {name: own, key: url}, maxConnections: 4}}
exposure: {hostname: own.example.com, gatewayRef: {name: own}}
telemetry: {otlpEndpoint: "http://own:4318", samplingPercent: 100, propagation: W3C, logLevel: info}`,
			want: `
workload:
  replicas: 1
  resources: {limits: {memory: 1Gi}}
  nodeSelector: {pool: own}
  priorityClassName: low
  tolerations: [{key: own, operator: Exists}]
  imagePullSecrets: [{name: own}]
  podLabels: {team: xiaowang, tier: pos}
  podAnnotations: {scrape: "true"}
ledger: {postgres: {dsnSecretRef: {name: own, key: url}, maxConnections: 4}}
exposure: {hostname: own.example.com, gatewayRef: {name: own}}
telemetry: {otlpEndpoint: "http://own:4318", samplingPercent: 100, propagation: W3C, logLevel: info}`,
		},
		"an embedded ledger takes no replicas": {
			brand: `{ledger: {embedded: {}}, workload: {resources: {}, nodeSelector: {a: b}, priorityClassName: p, tolerations: [{key: k}], imagePullSecrets: [{name: s}]}, exposure: {hostname: h}, telemetry: {otlpEndpoint: "http://x", samplingPercent: 0, logLevel: debug}}`,
			want: `
ledger: {embedded: {}}
workload: {resources: {}, nodeSelector: {a: b}, priorityClassName: p, tolerations: [{key: k}], imagePullSecrets: [{name: s}], podLabels: {team: platform, tier: pos}, podAnnotations: {scrape: "true"}}
exposure: {hostname: h}
telemetry: {otlpEndpoint: "http://x", samplingPercent: 0, logLevel: debug}`,
		},
		"a brand that scales by itself takes no replicas": {
			brand: `{ledger: {postgres: {dsnSecretRef: {name: own, key: url}}}, workload: {autoscaling: {maxReplicas: 4}, resources: {}, nodeSelector: {a: b}, priorityClassName: p, tolerations: [{key: k}], imagePullSecrets: [{name: s}]}, exposure: {hostname: h}}`,
			want: `
ledger: {postgres: {dsnSecretRef: {name: own, key: url}}}
workload: {autoscaling: {maxReplicas: 4}, resources: {}, nodeSelector: {a: b}, priorityClassName: p, tolerations: [{key: k}], imagePullSecrets: [{name: s}], podLabels: {team: platform, tier: pos}, podAnnotations: {scrape: "true"}}
exposure: {hostname: h}
telemetry: {otlpEndpoint: "http://otel:4318", samplingPercent: 10, logLevel: warn}`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			class := fromYAML[v1alpha1.ConnectorClass](t, platformClass)
			b := &v1alpha1.BrandConnector{Spec: *fromYAML[v1alpha1.BrandConnectorSpec](t, tc.brand)}
			b.Name, b.Namespace = "xiao-wang", "brands"
			classBefore, before := class.DeepCopy(), b.DeepCopy()
			got := v1alpha1.Resolve(b, class)
			if diff := cmp.Diff(fromYAML[v1alpha1.BrandConnectorSpec](t, tc.want), &got.Spec); diff != "" {
				t.Errorf("spec (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, b); diff != "" {
				t.Errorf("the brand was changed:\n%s", diff)
			}
			if diff := cmp.Diff(classBefore, class); diff != "" {
				t.Errorf("the class was changed:\n%s", diff)
			}
			if diff := cmp.Diff(b, v1alpha1.Resolve(b, nil)); diff != "" {
				t.Errorf("without a class:\n%s", diff)
			}
		})
	}
}

func TestALedgerIsNamedWithoutItsSecret(t *testing.T) {
	for want, spec := range map[string]string{
		"":                              `{}`,
		"embedded":                      `{embedded: {size: 1Gi}}`,
		"postgres:ledger/dsn":           `{postgres: {dsnSecretRef: {name: ledger, key: dsn}}}`,
		"postgres:ledger/dsn:brand_own": `{postgres: {dsnSecretRef: {name: ledger, key: dsn}, schema: brand_own}}`,
	} {
		if got := fromYAML[v1alpha1.LedgerSpec](t, spec).String(); got != want {
			t.Errorf("%s is named %q, want %q", spec, got, want)
		}
	}
}
