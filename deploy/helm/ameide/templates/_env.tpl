{{/*
The variables of a container from `values` (by name) and `secrets` (by name: secret, key); `extra` is a list as it is.
Sorted, and each name once, so that a server-side apply takes them.
*/}}
{{- define "ameide.env" -}}
{{- range $name, $value := .values }}
{{- if ne (toString $value) "" }}
- name: {{ $name }}
  value: {{ include "ameide.text" $value | quote }}
{{- end }}
{{- end }}
{{- range $name, $from := .secrets }}
- name: {{ $name }}
  valueFrom: {secretKeyRef: {name: {{ $from.secret }}, key: {{ $from.key }}}}
{{- end }}
{{- with .extra }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A value as text. Numbers of values are floating ones, which would be written 1e+06. */}}
{{- define "ameide.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ toString . }}{{ end -}}
{{- end -}}

{{/* What every process is told. */}}
{{- define "ameide.values.common" -}}
{{- with .Values.tenants }}
AMEIDE_TENANT: {{ first . }}
{{- end }}
# The program makes it itself, closed to others.
AMEIDE_STATE_DIR: /state/ameide
AMEIDE_CACHE_DIR: /state/cache
HOME: /state
{{- with .Values.proxy.https }}
HTTPS_PROXY: {{ . | quote }}
{{- end }}
{{- with .Values.proxy.http }}
HTTP_PROXY: {{ . | quote }}
{{- end }}
{{- if or .Values.proxy.https .Values.proxy.http }}
NO_PROXY: {{ include "ameide.noProxy" . | quote }}
{{- end }}
{{- if .Values.ca.existingConfigMap }}
{{- range $name := list "SSL_CERT_FILE" "REQUESTS_CA_BUNDLE" "CURL_CA_BUNDLE" "NODE_EXTRA_CA_CERTS" "PIP_CERT" }}
{{ $name }}: /etc/ameide-ca/ca.crt
{{- end }}
{{- end }}
{{- end -}}

{{- define "ameide.noProxy" -}}
{{- $hosts := list "localhost" "127.0.0.1" "::1" ".svc" ".cluster.local" -}}
{{- $hosts = append $hosts (regexReplaceAll "^[a-z]+://([^/:]+).*$" (include "ameide.address" .) "${1}") -}}
{{- with .Values.objectStore.endpoint }}{{ $hosts = append $hosts (regexReplaceAll "^[a-z]+://([^/:]+).*$" . "${1}") }}{{ end -}}
{{- with .Values.proxy.noProxy }}{{ $hosts = concat $hosts (splitList "," .) }}{{ end -}}
{{- join "," (uniq $hosts) -}}
{{- end -}}

{{/* Which way facts and invitations go: every process of the control plane has to be told the same. */}}
{{- define "ameide.values.transport" -}}
{{- $words := list -}}
{{- $queues := include "ameide.queues" . | fromYaml -}}
{{- range $key, $queue := .Values.queues }}{{ if eq $queue.transport "kafka" }}{{ $words = append $words (printf "%s=kafka" (get $queues $key).short) }}{{ end }}{{ end -}}
AMEIDE_QUEUE_TRANSPORT: {{ join " " $words | quote }}
AMEIDE_FACTS_TRANSPORT: {{ ternary "kafka" "" .Values.kafka.facts | quote }}
{{- end -}}

{{- define "ameide.values.kafka" -}}
{{- $root := .root -}}
{{- $kafka := $root.Values.kafka -}}
KAFKA_BROKERS: {{ $kafka.brokers | quote }}
AMEIDE_KAFKA_SECURITY_PROTOCOL: {{ $kafka.securityProtocol }}
AMEIDE_KAFKA_SESSION_SECONDS: {{ $kafka.sessionSeconds | quote }}
{{- if hasPrefix "SASL_" $kafka.securityProtocol }}
AMEIDE_KAFKA_SASL_MECHANISM: {{ $kafka.saslMechanism }}
AMEIDE_KAFKA_SASL_USERNAME: {{ .username | quote }}
AMEIDE_KAFKA_SASL_PASSWORD_FILE: /secrets/kafka/password
{{- end }}
{{- if $kafka.ownCa }}
AMEIDE_KAFKA_CA_FILE: /secrets/kafka/ca.crt
{{- end }}
{{- if $kafka.clientCertificate }}
AMEIDE_KAFKA_CERTIFICATE_FILE: /secrets/kafka/tls.crt
AMEIDE_KAFKA_KEY_FILE: /secrets/kafka/tls.key
{{- end }}
{{- end -}}

{{/* The object store: its own standard variables. */}}
{{- define "ameide.values.store" -}}
AMEIDE_OBJECT_STORE: {{ .Values.objectStore.url | quote }}
AWS_REGION: {{ .Values.objectStore.region | quote }}
AWS_ENDPOINT_URL: {{ .Values.objectStore.endpoint | quote }}
{{- if hasPrefix "http://" .Values.objectStore.endpoint }}
AWS_ALLOW_HTTP: "true"
{{- end }}
{{- end -}}

{{- define "ameide.secrets.store" -}}
{{- with .Values.objectStore.existingSecret }}
AWS_ACCESS_KEY_ID: {secret: {{ . }}, key: AWS_ACCESS_KEY_ID}
AWS_SECRET_ACCESS_KEY: {secret: {{ . }}, key: AWS_SECRET_ACCESS_KEY}
{{- end }}
{{- end -}}
