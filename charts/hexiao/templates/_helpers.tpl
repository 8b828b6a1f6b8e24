{{- /* The name of the release's objects. */ -}}
{{- define "hexiao.name" -}}
{{- $name := .Values.nameOverride | default "hexiao" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride }}{{ else if contains $name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end -}}

{{- define "hexiao.manager" -}}
{{ include "hexiao.name" . }}-manager
{{- end -}}

{{- define "hexiao.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "hexiao.manager" .) }}{{ else }}{{ .Values.serviceAccount.name }}{{ end }}
{{- end -}}

{{- /* By these labels the operator is found, whatever its name. */ -}}
{{- define "hexiao.selector" -}}
app.kubernetes.io/name: hexiao
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "hexiao.ownLabels" -}}
{{ include "hexiao.selector" . }}
app.kubernetes.io/part-of: hexiao
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "hexiao.labels" -}}
{{- toYaml (merge (include "hexiao.ownLabels" . | fromYaml) .Values.commonLabels) -}}
{{- end -}}

{{- /* The labels of an object, and others where these do not say otherwise. Call with a list of the others and the root. */ -}}
{{- define "hexiao.labelsWith" -}}
{{- $others := index . 0 -}}{{- $root := index . 1 -}}
{{- toYaml (merge (include "hexiao.ownLabels" $root | fromYaml) $others $root.Values.commonLabels) -}}
{{- end -}}

{{- /* An image by its digest, or its tag, or the chart's version. Call with a list of the image and the root. */ -}}
{{- define "hexiao.image" -}}
{{- $image := index . 0 -}}{{- $root := index . 1 -}}
{{- if $image.digest }}{{ $image.repository }}@{{ $image.digest }}{{ else }}{{ $image.repository }}:{{ $image.tag | default $root.Chart.AppVersion }}{{ end }}
{{- end -}}

{{- define "hexiao.pairs" -}}
{{- $pairs := list }}{{ range $k, $v := . }}{{ $pairs = append $pairs (printf "%s=%s" $k $v) }}{{ end }}{{ join "," $pairs }}
{{- end -}}

{{- /* What the operator may call to bring its traces to: the rule of a NetworkPolicy. A policy sees
the address behind a Service, whose port may be another one than the URL's: for a Service's name
its namespace is opened. */ -}}
{{- define "hexiao.telemetryEgress" -}}
{{- $url := urlParse .Values.telemetry.otlpEndpoint -}}
{{- $name := regexReplaceAll ":[0-9]+$" $url.host "" -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "443" "80" (eq $url.scheme "https")) -}}
{{- $parts := splitList "." (trimSuffix "." $name) -}}
{{- $namespace := "" -}}
{{- if and (eq (len $parts) 1) (ne $name "localhost") (not (hasPrefix "[" $name)) -}}{{- $namespace = .Release.Namespace -}}{{- end -}}
{{- if and (ge (len $parts) 3) (eq (index $parts 2) "svc") -}}{{- $namespace = index $parts 1 -}}{{- end -}}
{{- if $namespace -}}
- to:
  - namespaceSelector:
      matchLabels: {kubernetes.io/metadata.name: {{ $namespace | quote }}}
{{- else -}}
- ports:
  - {protocol: TCP, port: {{ $port }}}
{{- end -}}
{{- end -}}

{{- /* Whether ConnectorClasses are read: "true" or "false". */ -}}
{{- define "hexiao.connectorClasses" -}}
{{- if eq (toString .Values.connectorClasses.enabled) "auto" }}{{ empty .Values.watchNamespaces }}{{ else }}{{ .Values.connectorClasses.enabled }}{{ end }}
{{- end -}}

{{- /* The operator's command line. */ -}}
{{- define "hexiao.args" -}}
- --connector-image={{ include "hexiao.image" (list .Values.connector.image .) }}
{{- with .Values.connector.image.pullPolicy }}
- --connector-image-pull-policy={{ . }}
{{- end }}
{{- with .Values.connector.imagePullSecrets }}
{{- $names := list }}{{ range . }}{{ $names = append $names .name }}{{ end }}
- --connector-image-pull-secrets={{ join "," $names }}
{{- end }}
{{- with .Values.watchNamespaces }}
- --watch-namespaces={{ join "," . }}
{{- end }}
{{- with .Values.watchLabelSelector }}
- {{ printf "--watch-label-selector=%s" . | quote }}
{{- end }}
{{- with .Values.networkPolicy.monitoringNamespaceLabels }}
- {{ printf "--monitoring-namespace-labels=%s" (include "hexiao.pairs" .) | quote }}
{{- end }}
{{- with .Values.networkPolicy.clientNamespaceLabels }}
- {{ printf "--client-namespace-labels=%s" (include "hexiao.pairs" .) | quote }}
{{- end }}
{{- with .Values.telemetry.otlpEndpoint }}
- --otlp-endpoint={{ . }}
{{- end }}
- --connector-classes={{ include "hexiao.connectorClasses" . }}
{{- if .Values.rollout.paused }}
- --rollout-paused
{{- end }}
- --rollout-max-concurrent={{ .Values.rollout.maxConcurrent }}
{{- with .Values.rollout.canary.selector }}
- {{ printf "--rollout-canary-selector=%s" . | quote }}
{{- end }}
- --rollout-canary-soak-time={{ .Values.rollout.canary.soakTime }}
- --rollout-progress-deadline={{ .Values.rollout.progressDeadline }}
- --max-concurrent-reconciles={{ .Values.maxConcurrentReconciles }}
- --log-level={{ .Values.logLevel }}
{{- range .Values.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end -}}

{{- /* What the operator's container and that of the chart's test have in common. */ -}}
{{- define "hexiao.container" -}}
image: {{ include "hexiao.image" (list .Values.image .) }}
{{- with .Values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
env:
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- with .Values.extraVolumeMounts }}
volumeMounts: {{- toYaml . | nindent 0 }}
{{- end }}
{{- with .Values.securityContext }}
securityContext: {{- toYaml . | nindent 2 }}
{{- end }}
resources: {{- toYaml .Values.resources | nindent 2 }}
{{- end -}}

{{- /* What the operator's Pods and that of the chart's test have in common. */ -}}
{{- define "hexiao.pod" -}}
serviceAccountName: {{ include "hexiao.serviceAccount" . | quote }}
{{- with .Values.podSecurityContext }}
securityContext: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 0 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 0 }}
{{- end }}
{{- with .Values.extraVolumes }}
volumes: {{- toYaml . | nindent 0 }}
{{- end }}
{{- end -}}

{{- /* What the schema cannot say in a sentence. The operator's rights must be nobody else's; and with
any of the others it would not start, and nobody looks at a new Pod that crashes while an old one serves. */ -}}
{{- define "hexiao.checkValues" -}}
{{- if and (not .Values.serviceAccount.create) (has .Values.serviceAccount.name (list "" "default")) -}}
{{- fail (printf "serviceAccount.name is %q while serviceAccount.create is false: the operator's rights, with which Secrets are read, would be those of the account default, which every Pod of namespace %s has that names none; name an account of the operator's own" .Values.serviceAccount.name .Release.Namespace) -}}
{{- end -}}
{{- $part := "[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*" -}}
{{- $host := "([0-9A-Za-z]([-.0-9A-Za-z]*[0-9A-Za-z])?|[[][0-9A-Fa-f:]+[]])(:[0-9]{1,5})?" -}}
{{- $repository := printf "(%s/)?%s(/%s)*" $host $part $part -}}
{{- $image := printf "%s(:[0-9A-Za-z_][-.0-9A-Za-z_]{0,127})?(@sha256:[0-9a-f]{64})?" $repository -}}
{{- $name := "[0-9A-Za-z]([-.0-9A-Za-z_]{0,61}[0-9A-Za-z])?" -}}
{{- $key := printf "([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?%s" $name -}}
{{- $value := printf "(%s)?" $name -}}
{{- $requirement := printf " *(!? *%s|%s *(=|==|!=) *%s|%s *[<>] *[0-9]{1,18}|%s +(in|notin) *[(] *%s *(, *%s *)*[)]) *" $key $key $value $key $key $value $value -}}
{{- $selector := printf "(%s(,%s)*)?" $requirement $requirement -}}
{{- $deadline := "([1-9][0-9]{1,2}|[12][0-9]{3}|3[0-5][0-9]{2}|3600)s|([1-9]|[1-5][0-9])m([0-5]?[0-9]s)?|60m(0s)?|1h(0m)?(0s)?" -}}
{{- $tag := "([0-9A-Za-z_][-.0-9A-Za-z_]*)?" -}}
{{- $collector := "(https?://([-._0-9A-Za-z]+|[[][.:0-9A-Fa-f]+[]])(:[0-9]{1,5})?(/[-._~/0-9A-Za-z]*)?)?" -}}
{{- $selectorHelp := "give a label selector, such as shard=a or tier in (gold,silver)" -}}
{{- range list
  (list "image.repository" .Values.image.repository $repository "give the name of an image without tag and digest, such as registry.example:5000/hexiao/manager")
  (list "image.tag" .Values.image.tag $tag "give a tag, such as v1.0, and a digest in image.digest")
  (list "connector.image.tag" .Values.connector.image.tag $tag "give a tag, such as v1.0, and a digest in connector.image.digest")
  (list "connector.image.repository" .Values.connector.image.repository $repository "give the name of an image without tag and digest, such as registry.example:5000/hexiao/connector")
  (list "connectorClass.spec.image" (.Values.connectorClass.spec.image | default "a") $image "give the name of an image with a tag (:1.0), a digest (@sha256: and 64 hexadecimal digits) or both")
  (list "watchLabelSelector" .Values.watchLabelSelector $selector $selectorHelp)
  (list "rollout.canary.selector" .Values.rollout.canary.selector $selector $selectorHelp)
  (list "telemetry.otlpEndpoint" .Values.telemetry.otlpEndpoint $collector "give the base URL of an OTLP/HTTP receiver, such as http://collector:4318, without user, query and fragment")
  (list "rollout.progressDeadline" .Values.rollout.progressDeadline $deadline "give 10s to 1h, such as 90s, 5m or 1m30s")
-}}
{{- if not (regexMatch (printf "^(%s)$" (index . 2)) (index . 1)) -}}
{{- fail (printf "%s is %q: %s" (index . 0) (index . 1) (index . 3)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
