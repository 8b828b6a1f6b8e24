{{- /* The name of the release's objects. */ -}}
{{- define "hexiao.name" -}}
{{- if contains "hexiao" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-hexiao" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end -}}

{{- define "hexiao.manager" -}}
{{ include "hexiao.name" . }}-manager
{{- end -}}

{{- define "hexiao.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "hexiao.manager" .) }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end -}}

{{- define "hexiao.selector" -}}
app.kubernetes.io/name: hexiao
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "hexiao.labels" -}}
{{ include "hexiao.selector" . }}
app.kubernetes.io/part-of: hexiao
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* The labels of an object, and others where these do not say otherwise. Call with a list of the others and the root. */ -}}
{{- define "hexiao.labelsWith" -}}
{{- $others := index . 0 -}}{{- $root := index . 1 -}}
{{- toYaml (merge (include "hexiao.labels" $root | fromYaml) $others) -}}
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
