// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"crypto/rand"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// kubernetesEnv are the variables that the downward API fills, by the attribute they become.
var kubernetesEnv = []struct {
	key      attribute.Key
	variable string
}{
	{semconv.K8SClusterNameKey, "K8S_CLUSTER_NAME"},
	{semconv.K8SNamespaceNameKey, "K8S_NAMESPACE_NAME"},
	{semconv.K8SDeploymentNameKey, "K8S_DEPLOYMENT_NAME"},
	{semconv.K8SPodNameKey, "K8S_POD_NAME"},
	{semconv.K8SPodUIDKey, "K8S_POD_UID"},
	{semconv.K8SContainerNameKey, "K8S_CONTAINER_NAME"},
	{semconv.K8SNodeNameKey, "K8S_NODE_NAME"},
}

// newResource says who the telemetry is from. The SDK lays it over OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME.
func newResource(cfg Config) *resource.Resource {
	attributes := []attribute.KeyValue{
		semconv.TelemetrySDKLanguageGo,
		semconv.TelemetrySDKName("opentelemetry"),
		semconv.TelemetrySDKVersion(sdk.Version()),
		// Two replicas without it would write over each other's metrics in a collector.
		semconv.ServiceInstanceID(firstOf(cfg.Getenv("K8S_POD_UID"), rand.Text())),
	}
	add := func(key attribute.Key, value string) {
		if value != "" {
			attributes = append(attributes, key.String(value))
		}
	}
	add(semconv.ServiceNameKey, cfg.ServiceName)
	add(semconv.ServiceVersionKey, cfg.ServiceVersion)
	add(AttrBrandID, cfg.BrandID)
	for _, e := range kubernetesEnv {
		add(e.key, cfg.Getenv(e.variable))
	}
	return resource.NewSchemaless(attributes...)
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// httpView keeps the one metric of otelhttp that dashboards expect, without the server.address that a caller chooses by its
// Host header and could fill the memory with. Vendor calls have their own metric.
func httpView(i sdkmetric.Instrument) (sdkmetric.Stream, bool) {
	if i.Scope.Name != otelhttp.ScopeName {
		return sdkmetric.Stream{}, false
	}
	if i.Name != "http.server.request.duration" {
		return sdkmetric.Stream{Aggregation: sdkmetric.AggregationDrop{}}, true
	}
	return sdkmetric.Stream{
		Name: i.Name, Description: i.Description, Unit: i.Unit,
		Aggregation: sdkmetric.AggregationExplicitBucketHistogram{Boundaries: tillBuckets},
		AttributeFilter: attribute.NewAllowKeysFilter(
			semconv.HTTPRequestMethodKey, semconv.HTTPRouteKey, semconv.HTTPResponseStatusCodeKey),
	}, true
}
