// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"crypto/rand"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk"
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
