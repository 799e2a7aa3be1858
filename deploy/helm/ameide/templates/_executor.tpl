{{/* The values of a queue's executor: those of `executor`, overridden by those of the queue. */}}
{{- define "ameide.executor.values" -}}
{{- mergeOverwrite (deepCopy .root.Values.executor) (.queue.executor | default dict) | toYaml -}}
{{- end -}}

{{/*
The pod of an executor. `own` are its values, `tokens` the keys of the Secret with tokens, `name`, `arguments`, `told`
(more variables), `coder` whether agent work is done, `kafka` the queues whose invitations come from there, the only ones it is told of, `once` whether it
is ready when its claim is answered, `component`.
*/}}
{{- define "ameide.executor.pod" -}}
{{- $root := .root -}}
{{- $own := .own -}}
{{- $values := $root.Values -}}
{{- $user := default $values.kafka.username $values.kafka.executor.username -}}
{{- $secret := default $values.kafka.existingSecret $values.kafka.executor.existingSecret -}}
{{- $sandboxed := eq $own.sandbox.kind "bubblewrap" -}}
metadata:
  labels:
    {{- include "ameide.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
    ameide/executor: "true"
    {{- if not .once }}
    ameide/metrics: "true"
    {{- end }}
  annotations:
    # A node that is emptied waits for the work.
    cluster-autoscaler.kubernetes.io/safe-to-evict: {{ ternary "false" "true" .once | quote }}
    {{- with $own.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "ameide.name" $root }}-executor
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ add $own.drainSeconds 20 }}
  {{- if .once }}
  restartPolicy: Never
  {{- end }}
  {{- with $own.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  {{- if and $sandboxed (not (kindIs "invalid" $own.sandbox.hostUsers)) }}
  hostUsers: {{ $own.sandbox.hostUsers }}
  {{- end }}
  {{- with $values.imagePullSecrets }}
  imagePullSecrets: [{{ range $i, $name := . }}{{ if $i }}, {{ end }}{name: {{ $name }}}{{ end }}]
  {{- end }}
  securityContext:
    {{- include "ameide.pod.security" $root | nindent 4 }}
    seccompProfile: {{ ternary $own.sandbox.seccompProfile (dict "type" "RuntimeDefault") $sandboxed | toJson }}
  {{- include "ameide.placing" $own | nindent 2 }}
  {{- if .coder }}
  initContainers:
    - name: codex-auth
      image: {{ $own.image.ref }}
      # Without the Secret there is nothing to copy: the work is claimed and ends with MISSING_CREDENTIALS.
      command:
        - /bin/sh
        - -ec
        - |
          if [ -f /codex-config/config.toml ]; then cp /codex-config/config.toml /codex-home/config.toml; fi
          if [ ! -f /codex-secret/auth.json ]; then echo "There is no auth.json in the Secret {{ $values.codex.secret }}."; exit 0; fi
          umask 077
          cp /codex-secret/auth.json /codex-home/auth.json
      securityContext:
        {{- include "ameide.container.security" $root | nindent 8 }}
      resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 64Mi}}
      volumeMounts:
        - {name: codex-secret, mountPath: /codex-secret, readOnly: true}
        - {name: codex-home, mountPath: /codex-home}
        {{- if $values.codex.config }}
        - {name: codex-config, mountPath: /codex-config, readOnly: true}
        {{- end }}
  {{- end }}
  containers:
    - name: executor
      image: {{ $own.image.ref }}
      command: {{ default (list "ameide") $own.command | toJson }}
      args: {{ default .arguments $own.args | toJson }}
      env:
        {{- $told := dict "AMEIDE_ADDRESS" (include "ameide.address" $root) "AMEIDE_WORK_DIR" "/work" "AMEIDE_SANDBOX" $own.sandbox.kind "AMEIDE_DRAIN_SECONDS" $own.drainSeconds }}
        {{- $told = merge $told .told (include "ameide.values.common" $root | fromYaml) (include "ameide.values.store" $root | fromYaml) }}
        {{- if .kafka }}
        {{- $words := list }}
        {{- range .kafka }}{{ $words = append $words (printf "%s=kafka" .) }}{{ end }}
        {{- $told = merge $told (dict "AMEIDE_QUEUE_TRANSPORT" (join " " $words)) (include "ameide.values.kafka" (dict "root" $root "username" $user) | fromYaml) }}
        {{- end }}
        {{- /* What a Job keeps is gone with it; a pool keeps it beside its workspaces, which are bounded. */}}
        {{- if .once }}{{ $_ := set $told "AMEIDE_DEPENDENCY_MEGABYTES" "0" }}{{ else }}{{ $_ := set $told "AMEIDE_DEPENDENCY_DIR" "/work/dependencies" }}{{ end }}
        {{- if .coder }}{{ $_ := set $told "CODEX_HOME" "/codex-home" }}{{ end }}
        {{- if $own.credentials.existingSecret }}{{ $_ := set $told "AMEIDE_CREDENTIALS_DIR" "/secrets/credentials" }}{{ end }}
        {{- $told = mergeOverwrite $told (deepCopy $values.settings) (deepCopy $own.settings) }}
        {{- include "ameide.env" (dict "values" $told "secrets" (include "ameide.secrets.store" $root | fromYaml) "extra" $own.extraEnv) | nindent 8 }}
      securityContext:
        {{- include "ameide.container.security" $root | nindent 8 }}
        {{- if and $sandboxed (ne $own.sandbox.procMount "Default") }}
        procMount: {{ $own.sandbox.procMount }}
        {{- end }}
      {{- if .once }}
      # Ready means: the claim is answered, so that KEDA no longer counts this pod for an invitation that waits.
      readinessProbe:
        exec: {command: [test, -s, /run/ameide/ready]}
        periodSeconds: 1
        failureThreshold: 1
      {{- else }}
      ports:
        - {name: admin, containerPort: 9464}
      livenessProbe: {httpGet: {path: /healthz, port: admin}, periodSeconds: 20, failureThreshold: 6}
      readinessProbe: {httpGet: {path: /readyz, port: admin}, periodSeconds: 5}
      {{- end }}
      resources: {{ toJson $own.resources }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        - {name: state, mountPath: /state}
        - {name: work, mountPath: /work}
        - {name: run, mountPath: /run/ameide}
        - {name: tokens, mountPath: /secrets/tokens, readOnly: true}
        {{- if and .kafka (include "ameide.volume.kafka" (dict "root" $root "secret" "any")) }}
        - {name: kafka, mountPath: /secrets/kafka, readOnly: true}
        {{- end }}
        {{- if $own.credentials.existingSecret }}
        - {name: credentials, mountPath: /secrets/credentials, readOnly: true}
        {{- end }}
        {{- if $values.ca.existingConfigMap }}
        - {name: ca, mountPath: /etc/ameide-ca, readOnly: true}
        {{- end }}
        {{- if .coder }}
        - {name: codex-home, mountPath: /codex-home}
        {{- end }}
        {{- with $own.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    {{- include "ameide.volume.scratch" (dict "tmp" "1Gi") | nindent 4 }}
    - name: work
      emptyDir: {sizeLimit: {{ $own.workSize }}}
    - name: run
      emptyDir: {medium: Memory, sizeLimit: 1Mi}
    {{- include "ameide.volume.secret" (dict "name" "tokens" "secret" $values.tokens.existingSecret "keys" .tokens) | nindent 4 }}
    {{- if .kafka }}
    {{- include "ameide.volume.kafka" (dict "root" $root "secret" $secret) | nindent 4 }}
    {{- end }}
    {{- with $own.credentials.existingSecret }}
    {{- include "ameide.volume.secret" (dict "name" "credentials" "secret" .) | nindent 4 }}
    {{- end }}
    {{- include "ameide.volume.ca" $root | nindent 4 }}
    {{- if .coder }}
    - name: codex-secret
      secret: {secretName: {{ $values.codex.secret }}, optional: true, defaultMode: 0440}
    - name: codex-home
      emptyDir: {medium: Memory, sizeLimit: 16Mi}
    {{- if $values.codex.config }}
    - name: codex-config
      configMap: {name: {{ include "ameide.name" $root }}-codex}
    {{- end }}
    {{- end }}
    {{- with $own.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
