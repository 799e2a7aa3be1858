{{/* Rights of every pod; `executor` adds what a sandbox needs. */}}
{{- define "ameide.pod.security" -}}
runAsNonRoot: true
runAsUser: 64100
runAsGroup: 64100
fsGroup: 64100
fsGroupChangePolicy: OnRootMismatch
{{- end -}}

{{- define "ameide.container.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* `secret` as a volume `name` that holds `keys` alone. */}}
{{- define "ameide.volume.secret" -}}
- name: {{ .name }}
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
    {{- with .keys }}
    items:
      {{- range . }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
    {{- end }}
{{- end -}}

{{- define "ameide.volume.ca" -}}
{{- if .Values.ca.existingConfigMap }}
- name: ca
  configMap:
    name: {{ .Values.ca.existingConfigMap }}
    items:
      - {key: {{ .Values.ca.key }}, path: ca.crt}
{{- end }}
{{- end -}}

{{- define "ameide.volume.kafka" -}}
{{- $kafka := .root.Values.kafka -}}
{{- $keys := list -}}
{{- if hasPrefix "SASL_" $kafka.securityProtocol }}{{ $keys = append $keys "password" }}{{ end -}}
{{- if $kafka.ownCa }}{{ $keys = append $keys "ca.crt" }}{{ end -}}
{{- if $kafka.clientCertificate }}{{ $keys = concat $keys (list "tls.crt" "tls.key") }}{{ end -}}
{{- if $keys }}
{{ include "ameide.volume.secret" (dict "name" "kafka" "secret" .secret "keys" $keys) }}
{{- end }}
{{- end -}}

{{/* `tmp` is the bound of /tmp. */}}
{{- define "ameide.volume.scratch" -}}
- name: tmp
  emptyDir: {sizeLimit: {{ .tmp }}}
- name: state
  emptyDir: {sizeLimit: 1Gi}
{{- end -}}

{{/* Where pods may run. */}}
{{- define "ameide.placing" -}}
{{- with .nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- with .affinity }}
affinity: {{ toJson . }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}
