// SPDX-License-Identifier: Apache-2.0

package render

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

// drainMargin is what a Pod gets to end beyond its slowest call: it serves on for a
// moment while it leaves the Service's endpoints, and closes the ledger.
const drainMargin = 15 * time.Second

func (r *renderer) deployment(revision string) (*appsv1ac.DeploymentApplyConfiguration, error) {
	spec := appsv1ac.DeploymentSpec().
		WithSelector(metav1ac.LabelSelector().WithMatchLabels(SelectorLabels(r.brand))).
		WithRevisionHistoryLimit(3).
		WithProgressDeadlineSeconds(r.installation.ProgressDeadlineSeconds).
		WithStrategy(r.strategy()).
		WithTemplate(r.podTemplate(revision))
	if n := r.replicas(); n != nil {
		spec.WithReplicas(*n)
	}
	d := appsv1ac.Deployment(r.brand.Name, r.brand.Namespace).
		WithLabels(Labels(r.brand)).
		WithOwnerReferences(r.owner()).
		WithSpec(spec)
	return r.patched(d)
}

// strategy never lets the number of serving Pods sink, except with the embedded
// ledger: its file has one writer, so the old Pod must be gone before the new one.
func (r *renderer) strategy() *appsv1ac.DeploymentStrategyApplyConfiguration {
	if r.brand.Spec.Ledger.Embedded != nil {
		return appsv1ac.DeploymentStrategy().WithType(appsv1.RecreateDeploymentStrategyType)
	}
	return appsv1ac.DeploymentStrategy().
		WithType(appsv1.RollingUpdateDeploymentStrategyType).
		WithRollingUpdate(appsv1ac.RollingUpdateDeployment().
			WithMaxUnavailable(intstr.FromInt32(0)).
			WithMaxSurge(intstr.FromInt32(1)))
}

func (r *renderer) podTemplate(revision string) *corev1ac.PodTemplateSpecApplyConfiguration {
	w := &r.brand.Spec.Workload
	// The operator's own labels and annotations go last and win.
	return corev1ac.PodTemplateSpec().
		WithLabels(w.PodLabels).
		WithLabels(Labels(r.brand)).
		WithAnnotations(w.PodAnnotations).
		WithAnnotations(map[string]string{
			AnnotationConfigRevision:                  revision,
			"kubectl.kubernetes.io/default-container": ContainerName,
		}).
		WithSpec(r.podSpec())
}

func (r *renderer) podSpec() *corev1ac.PodSpecApplyConfiguration {
	return r.basePodSpec().
		WithTerminationGracePeriodSeconds(r.gracePeriod()).
		WithContainers(r.container()).
		WithTopologySpreadConstraints(r.spread("kubernetes.io/hostname"), r.spread("topology.kubernetes.io/zone"))
}

// basePodSpec is what each Pod of a brand has: an unprivileged user, the configuration,
// the credentials and the ledger, and where it may run.
func (r *renderer) basePodSpec() *corev1ac.PodSpecApplyConfiguration {
	w := &r.brand.Spec.Workload
	spec := corev1ac.PodSpec().
		WithServiceAccountName(r.brand.Name).
		WithAutomountServiceAccountToken(false).
		WithEnableServiceLinks(false).
		WithSecurityContext(corev1ac.PodSecurityContext().
			WithRunAsNonRoot(true).
			WithRunAsUser(user).
			WithRunAsGroup(user).
			WithFSGroup(user).
			WithFSGroupChangePolicy(corev1.FSGroupChangeOnRootMismatch).
			WithSeccompProfile(corev1ac.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault))).
		WithVolumes(r.volumes()...)
	if len(w.NodeSelector) > 0 {
		spec.WithNodeSelector(w.NodeSelector)
	}
	if w.PriorityClassName != "" {
		spec.WithPriorityClassName(w.PriorityClassName)
	}
	for _, t := range w.Tolerations {
		spec.WithTolerations(toleration(t))
	}
	for _, name := range r.pullSecrets() {
		spec.WithImagePullSecrets(corev1ac.LocalObjectReference().WithName(name))
	}
	return spec
}

// pullSecrets are the brand's or its class's, else the installation's.
func (r *renderer) pullSecrets() []string {
	given := r.brand.Spec.Workload.ImagePullSecrets
	if len(given) == 0 {
		return r.installation.ImagePullSecrets
	}
	var names []string
	for _, s := range given {
		names = append(names, s.Name)
	}
	return names
}

// gracePeriod is how long a Pod may take to end: the longest that a vendor's late
// answer is waited for, so that it is written down and not lost.
func (r *renderer) gracePeriod() int64 {
	s := &r.brand.Spec
	var late time.Duration
	if z := s.Providers.Zhimai; z != nil {
		late = max(late, z.Limits.LateAnswerWindow.Duration)
	}
	if a := s.Providers.Alsc; a != nil {
		late = max(late, a.Limits.LateAnswerWindow.Duration)
	}
	total := late + s.Keruyun.ReplyDeadline.Duration + drainMargin
	return int64((total + time.Second - 1) / time.Second)
}

// spread prefers different nodes and zones for the Pods of one revision.
func (r *renderer) spread(topologyKey string) *corev1ac.TopologySpreadConstraintApplyConfiguration {
	return corev1ac.TopologySpreadConstraint().
		WithMaxSkew(1).
		WithTopologyKey(topologyKey).
		WithWhenUnsatisfiable(corev1.ScheduleAnyway).
		WithLabelSelector(metav1ac.LabelSelector().WithMatchLabels(SelectorLabels(r.brand))).
		WithMatchLabelKeys(appsv1.DefaultDeploymentUniqueLabelKey)
}

func toleration(t v1alpha1.Toleration) *corev1ac.TolerationApplyConfiguration {
	out := corev1ac.Toleration()
	if t.Key != "" {
		out.WithKey(t.Key)
	}
	if t.Operator != "" {
		out.WithOperator(corev1.TolerationOperator(t.Operator))
	}
	if t.Value != "" {
		out.WithValue(t.Value)
	}
	if t.Effect != "" {
		out.WithEffect(corev1.TaintEffect(t.Effect))
	}
	if t.TolerationSeconds != nil {
		out.WithTolerationSeconds(*t.TolerationSeconds)
	}
	return out
}

func (r *renderer) container() *corev1ac.ContainerApplyConfiguration {
	args := r.args([]string{"serve"}, fmt.Sprintf("--listen=:%d", PortHTTP), fmt.Sprintf("--admin-listen=:%d", PortAdmin))
	return r.baseContainer(args, r.env()...).
		WithPorts(
			corev1ac.ContainerPort().WithName("http").WithContainerPort(PortHTTP).WithProtocol(corev1.ProtocolTCP),
			corev1ac.ContainerPort().WithName("admin").WithContainerPort(PortAdmin).WithProtocol(corev1.ProtocolTCP)).
		// A start waits for the process alone: whether the ledger answers is the
		// readiness probe's to say, and no reason for a restart.
		WithStartupProbe(probe("/livez", 1, 60)).
		WithReadinessProbe(probe("/readyz", 2, 3)).
		WithLivenessProbe(probe("/livez", 10, 6))
}

// baseContainer runs the connector's program.
func (r *renderer) baseContainer(args []string, env ...*corev1ac.EnvVarApplyConfiguration) *corev1ac.ContainerApplyConfiguration {
	requests, limits := r.resources()
	resources := corev1ac.ResourceRequirements()
	if requests != nil {
		resources.WithRequests(requests)
	}
	if limits != nil {
		resources.WithLimits(limits)
	}
	c := corev1ac.Container().
		WithName(ContainerName).
		WithImage(r.installation.Image).
		WithArgs(args...).
		WithEnv(append(env, memoryLimit(limits)...)...).
		WithResources(resources).
		WithSecurityContext(corev1ac.SecurityContext().
			WithAllowPrivilegeEscalation(false).
			WithReadOnlyRootFilesystem(true).
			WithCapabilities(corev1ac.Capabilities().WithDrop("ALL"))).
		WithTerminationMessagePolicy(corev1.TerminationMessageFallbackToLogsOnError).
		WithVolumeMounts(r.mounts()...)
	if p := r.installation.ImagePullPolicy; p != "" {
		c.WithImagePullPolicy(p)
	}
	return c
}

func probe(path string, periodSeconds, failures int32) *corev1ac.ProbeApplyConfiguration {
	return corev1ac.Probe().
		WithHTTPGet(corev1ac.HTTPGetAction().WithPath(path).WithPort(intstr.FromString("admin"))).
		WithPeriodSeconds(periodSeconds).
		WithTimeoutSeconds(2).
		WithFailureThreshold(failures)
}

// args are a command's, with the files that each command reads.
func (r *renderer) args(command []string, own ...string) []string {
	args := slices.Concat(command, []string{
		"--config=" + configDir + "/" + ConfigKey,
		"--credentials-dir=" + credentialsDir,
	}, own)
	if r.brand.Spec.ShopsConfigMapRef != nil {
		args = append(args, "--shops="+shopsDir+"/"+v1alpha1.KeyShops)
	}
	if r.brand.Spec.Ledger.Embedded != nil {
		args = append(args, ledgerPathFlag+"="+ledgerFile)
	}
	return args
}

func (r *renderer) env() []*corev1ac.EnvVarApplyConfiguration {
	return []*corev1ac.EnvVarApplyConfiguration{
		fromField("K8S_NAMESPACE_NAME", "metadata.namespace"),
		fromField("K8S_POD_NAME", "metadata.name"),
		fromField("K8S_NODE_NAME", "spec.nodeName"),
		corev1ac.EnvVar().WithName("OTEL_RESOURCE_ATTRIBUTES").WithValue(
			"k8s.namespace.name=$(K8S_NAMESPACE_NAME),k8s.pod.name=$(K8S_POD_NAME),k8s.node.name=$(K8S_NODE_NAME)," +
				"k8s.deployment.name=" + r.brand.Name + ",k8s.container.name=" + ContainerName),
		// The trace of the change that made this Pod, for its start to continue.
		fromField("TRACEPARENT", "metadata.annotations['"+AnnotationTraceParent+"']"),
	}
}

// memoryLimit tells the Go runtime of the container's limit, if there is one.
func memoryLimit(limits corev1.ResourceList) []*corev1ac.EnvVarApplyConfiguration {
	limit, ok := limits[corev1.ResourceMemory]
	if !ok {
		return nil
	}
	// A tenth is left for what the Go runtime does not count.
	bytes := limit.Value() / 10 * 9
	return []*corev1ac.EnvVarApplyConfiguration{corev1ac.EnvVar().WithName("GOMEMLIMIT").WithValue(strconv.FormatInt(bytes, 10))}
}

func fromField(name, field string) *corev1ac.EnvVarApplyConfiguration {
	return corev1ac.EnvVar().WithName(name).WithValueFrom(
		corev1ac.EnvVarSource().WithFieldRef(corev1ac.ObjectFieldSelector().WithAPIVersion("v1").WithFieldPath(field)))
}

func (r *renderer) mounts() []*corev1ac.VolumeMountApplyConfiguration {
	mounts := []*corev1ac.VolumeMountApplyConfiguration{
		corev1ac.VolumeMount().WithName("brand").WithMountPath(configDir).WithReadOnly(true),
		corev1ac.VolumeMount().WithName("credentials").WithMountPath(credentialsDir).WithReadOnly(true),
		corev1ac.VolumeMount().WithName("tmp").WithMountPath("/tmp"),
	}
	if r.brand.Spec.ShopsConfigMapRef != nil {
		mounts = append(mounts, corev1ac.VolumeMount().WithName("shops").WithMountPath(shopsDir).WithReadOnly(true))
	}
	if r.brand.Spec.Ledger.Embedded != nil {
		mounts = append(mounts, corev1ac.VolumeMount().WithName(ledgerVolume).WithMountPath(ledgerDir))
	}
	return mounts
}

// fileMode lets the connector's group read, and nobody write.
const fileMode int32 = 0o440

func (r *renderer) volumes() []*corev1ac.VolumeApplyConfiguration {
	volumes := []*corev1ac.VolumeApplyConfiguration{
		corev1ac.Volume().WithName("brand").WithConfigMap(corev1ac.ConfigMapVolumeSource().
			WithName(r.brand.Name).WithDefaultMode(fileMode).
			WithItems(corev1ac.KeyToPath().WithKey(ConfigKey).WithPath(ConfigKey))),
		corev1ac.Volume().WithName("credentials").WithProjected(corev1ac.ProjectedVolumeSource().
			WithDefaultMode(fileMode).WithSources(r.credentialSources()...)),
		corev1ac.Volume().WithName("tmp").WithEmptyDir(corev1ac.EmptyDirVolumeSource()),
	}
	if ref := r.brand.Spec.ShopsConfigMapRef; ref != nil {
		volumes = append(volumes, corev1ac.Volume().WithName("shops").WithConfigMap(corev1ac.ConfigMapVolumeSource().
			WithName(ref.Name).WithDefaultMode(fileMode).
			WithItems(corev1ac.KeyToPath().WithKey(v1alpha1.KeyShops).WithPath(v1alpha1.KeyShops))))
	}
	if r.brand.Spec.Ledger.Embedded != nil {
		volumes = append(volumes, corev1ac.Volume().WithName(ledgerVolume).WithPersistentVolumeClaim(
			corev1ac.PersistentVolumeClaimVolumeSource().WithClaimName(LedgerClaimName(r.brand))))
	}
	return volumes
}

// credentialSources project each needed key to <Secret>/<key>, and no other key.
// Optional keys come from a source of their own, because it is the source that may
// be missing something.
func (r *renderer) credentialSources() []*corev1ac.VolumeProjectionApplyConfiguration {
	var sources []*corev1ac.VolumeProjectionApplyConfiguration
	var last *corev1ac.SecretProjectionApplyConfiguration
	var lastNeed Need
	for _, n := range sortedForProjection(Needs(r.brand)) {
		if last == nil || lastNeed.Name != n.Name || lastNeed.Optional != n.Optional {
			last = corev1ac.SecretProjection().WithName(n.Name)
			if n.Optional {
				last.WithOptional(true)
			}
			sources = append(sources, corev1ac.VolumeProjection().WithSecret(last))
		}
		last.WithItems(corev1ac.KeyToPath().WithKey(n.Key).WithPath(n.Name + "/" + n.Key))
		lastNeed = n
	}
	return sources
}

// sortedForProjection keeps the Secrets among needs, a Secret's required keys
// before its optional ones.
func sortedForProjection(needs []Need) []Need {
	var required, optional []Need
	for _, n := range needs {
		switch {
		case n.Source != SourceSecret:
		case n.Optional:
			optional = append(optional, n)
		default:
			required = append(required, n)
		}
	}
	return append(required, optional...)
}

// sealTemplate puts the pod template's hash on the Deployment and returns it.
func sealTemplate(d *appsv1ac.DeploymentApplyConfiguration) (string, error) {
	raw, err := json.Marshal(d.Spec.Template)
	if err != nil {
		return "", fmt.Errorf("marshal the pod template: %w", err)
	}
	sum := sha256.Sum256(raw)
	hash := hex.EncodeToString(sum[:16])
	d.WithAnnotations(map[string]string{AnnotationTemplateHash: hash})
	return hash, nil
}
