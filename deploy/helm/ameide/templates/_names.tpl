{{- define "ameide.name" -}}
{{- default (ternary .Release.Name (printf "%s-ameide" .Release.Name) (contains "ameide" .Release.Name)) .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "ameide.labels" -}}
{{ include "ameide.selector" . }}
app.kubernetes.io/part-of: ameide
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "ameide.selector" -}}
app.kubernetes.io/name: ameide
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "ameide.address" -}}
{{- .Values.address | default (printf "http://%s.%s.svc:%v" (include "ameide.name" .) .Release.Namespace .Values.control.service.port) -}}
{{- end -}}

{{/* What the queues are called, and which principal serves them. */}}
{{- define "ameide.queues" -}}
coder: {topic: transformation.work.queue.agentwork.coder.v1, short: coder, role: author}
analyst: {topic: transformation.work.queue.agentwork.analyst.v1, short: analyst, role: author}
generate: {topic: transformation.work.queue.toolrun.generate.v1, short: generate, role: author}
verify: {topic: transformation.work.queue.toolrun.verify.v1, short: verify, role: verifier}
verifyUi: {topic: transformation.work.queue.toolrun.verify.ui_harness.v1, short: verify.ui_harness, role: verifier}
publish: {topic: transformation.work.queue.toolrun.publish.v1, short: publish, role: verifier}
{{- end -}}

{{/* `yes` when something goes by Kafka. */}}
{{- define "ameide.kafka" -}}
{{- $any := .Values.kafka.facts -}}
{{- range .Values.queues }}{{ if eq .transport "kafka" }}{{ $any = true }}{{ end }}{{ end -}}
{{- if $any }}yes{{ end -}}
{{- end -}}

{{/* `yes` when a queue is served by the pool. */}}
{{- define "ameide.pool" -}}
{{- $any := false -}}
{{- range .Values.queues }}{{ if eq .runner "pool" }}{{ $any = true }}{{ end }}{{ end -}}
{{- if $any }}yes{{ end -}}
{{- end -}}

{{/* How many works of a queue wait, as a query. */}}
{{- define "ameide.ready" -}}
{{- $parts := list -}}
{{- $topic := .topic -}}
{{- range .tenants }}{{ $parts = append $parts (printf "ameide.queue_ready('%s', '%s')" $topic .) }}{{ end -}}
SELECT {{ join " + " (default (list (printf "ameide.queue_ready('%s')" $topic)) $parts) }}
{{- end -}}
