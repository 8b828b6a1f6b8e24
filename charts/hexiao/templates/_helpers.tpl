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
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "hexiao.labels" -}}
{{ include "hexiao.selector" . }}
app.kubernetes.io/part-of: hexiao
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* An image by its digest, or its tag, or the chart's version. Call with a list of the image and the root. */ -}}
{{- define "hexiao.image" -}}
{{- $image := index . 0 -}}{{- $root := index . 1 -}}
{{- if $image.digest }}{{ $image.repository }}@{{ $image.digest }}{{ else }}{{ $image.repository }}:{{ $image.tag | default $root.Chart.AppVersion }}{{ end }}
{{- end -}}

{{- define "hexiao.pairs" -}}
{{- $pairs := list }}{{ range $k, $v := . }}{{ $pairs = append $pairs (printf "%s=%s" $k $v) }}{{ end }}{{ join "," $pairs }}
{{- end -}}
