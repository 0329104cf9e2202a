{{- /* Address of the config repository. */ -}}
{{- define "gitcd.repo" -}}
{{- $repo := .Values.repo | default .Values.settings.repo | required "repo: the address of the config repository is missing" -}}
{{- range list $repo (.Values.settings.repo | default "") -}}
{{- if regexMatch "^[a-zA-Z]+://[^/@]*:[^/]*@|^[hH][tT][tT][pP][sS]?://[^/]*@" . -}}
{{- fail "repo: a user or token in the address would be readable for everybody; keep it in the Secret of gitSecret" -}}
{{- end -}}
{{- end -}}
{{- $repo -}}
{{- end -}}

{{- define "gitcd.branch" -}}
{{- .Values.branch | default .Values.settings.branch | default "" -}}
{{- end -}}

{{- /* `true` where the repository is reached by ssh, else nothing. */ -}}
{{- define "gitcd.ssh" -}}
{{- if not (regexMatch "^https?://" (include "gitcd.repo" .)) }}true{{ end -}}
{{- end -}}

{{- /* The port of the git host. */ -}}
{{- define "gitcd.port" -}}
{{- $authority := regexFind "^[a-z]+://[^/]*" (include "gitcd.repo" .) -}}
{{- $named := regexFind ":[0-9]+$" $authority | trimPrefix ":" -}}
{{- $named | default (ternary "22" "443" (eq (include "gitcd.ssh" .) "true")) -}}
{{- end -}}

{{- define "gitcd.labels" -}}
app.kubernetes.io/name: gitcd
{{- end -}}

{{- /* Flags that say where declarations are read, as JSON. */ -}}
{{- define "gitcd.source" -}}
{{- ternary (list "--from" "cluster" "--all-namespaces") (list) (eq .Values.from "cluster") | toJson -}}
{{- end -}}

{{- /* What a run that applies is told besides which environments, as JSON. */ -}}
{{- define "gitcd.applying" -}}
{{- $asked := list "--namespace" .Release.Namespace -}}
{{- if eq .Values.apply "all" }}{{ $asked = append $asked "--all" }}{{ end -}}
{{- if .Values.prune }}{{ $asked = append $asked "--prune" }}{{ end -}}
{{- $asked | toJson -}}
{{- end -}}

{{- /* The environments that are applied, as JSON; it fails where no run could apply one. */ -}}
{{- define "gitcd.applied" -}}
{{- $known := list -}}
{{- range .Values.settings.environments }}{{ $known = append $known .name }}{{ end -}}
{{- range .Values.environments -}}
{{- if not (has . $known) }}{{ fail (printf "apply needs to know which cluster %s is: say it in settings.environments" .) }}{{ end -}}
{{- end -}}
{{- if not $known }}{{ fail "apply needs to know which cluster each environment is: say it in settings.environments" }}{{ end -}}
{{- .Values.environments | default $known | toJson -}}
{{- end -}}

{{- /* The namespaces that are written, as JSON: those mapped to an environment that is applied; none: all of them. */ -}}
{{- define "gitcd.written" -}}
{{- $applied := include "gitcd.applied" . | fromJsonArray -}}
{{- $found := list -}}
{{- if not .Values.clusterWide -}}
{{- range $namespace := .Values.settings.namespaces -}}
{{- $own := false -}}
{{- range $namespace.environments }}{{ if has . $applied }}{{ $own = true }}{{ end }}{{ end -}}
{{- if $own }}{{ $found = append $found $namespace.name }}{{ end -}}
{{- end -}}
{{- if not $found -}}
{{- fail "apply needs to know which namespaces may be written: map them in settings.namespaces, or set clusterWide" -}}
{{- end -}}
{{- end -}}
{{- $found | toJson -}}
{{- end -}}

{{- /* The pod: `args` of gitcd, and the `port` on which it serves, if it does; `root` is the chart's own context. */ -}}
{{- define "gitcd.pod" -}}
{{- $root := .root -}}
serviceAccountName: gitcd
automountServiceAccountToken: {{ or $root.Values.controller (ne $root.Values.apply "") (eq $root.Values.from "cluster") }}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
containers:
  - name: gitcd
    image: {{ $root.Values.image | toJson }}
    args: {{ .args | toJson }}
    env:
      - name: GITCD_REPO
        value: {{ include "gitcd.repo" $root | toJson }}
      {{- with include "gitcd.branch" $root }}
      - name: GITCD_BRANCH
        value: {{ . | toJson }}
      {{- end }}
      {{- if $root.Values.settings }}
      - name: GITCD_CONFIG
        value: /etc/gitcd/settings/config.yaml
      {{- end }}
      - name: GITCD_CACHE_DIR
        value: /var/cache/gitcd
      - name: GITCD_LOG_FORMAT
        value: json
      - name: HOME
        value: /tmp
      {{- if and $root.Values.gitSecret (include "gitcd.ssh" $root) }}
      - name: GITCD_GIT_SSH_KEY
        value: /etc/gitcd/git/ssh-privatekey
      - name: GITCD_GIT_KNOWN_HOSTS
        value: /etc/gitcd/git/known_hosts
      {{- end }}
      {{- if and $root.Values.gitSecret (not (include "gitcd.ssh" $root)) }}
      - name: GITCD_GIT_TOKEN
        valueFrom:
          secretKeyRef: {name: {{ $root.Values.gitSecret | toJson }}, key: token}
      {{- end }}
    {{- with .port }}
    ports:
      - {name: http, containerPort: {{ . }}}
    livenessProbe:
      httpGet: {path: /healthz, port: http}
      periodSeconds: 30
      timeoutSeconds: 5
    readinessProbe:
      httpGet: {path: /readyz, port: http}
      timeoutSeconds: 5
    {{- end }}
    resources:
      requests: {cpu: 100m, memory: 256Mi}
      limits: {memory: {{ $root.Values.memory | toJson }}}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
    volumeMounts:
      - {name: tmp, mountPath: /tmp}
      - {name: cache, mountPath: /var/cache/gitcd}
      {{- if $root.Values.gitSecret }}
      - {name: git, mountPath: /etc/gitcd/git, readOnly: true}
      {{- end }}
      {{- if $root.Values.settings }}
      - {name: settings, mountPath: /etc/gitcd/settings, readOnly: true}
      {{- end }}
volumes:
  - name: tmp
    emptyDir: {medium: Memory, sizeLimit: 64Mi}
  - name: cache
    {{- with $root.Values.cacheClaim }}
    persistentVolumeClaim: {claimName: {{ . | toJson }}}
    {{- else }}
    emptyDir: {medium: Memory, sizeLimit: {{ $root.Values.cacheSize | toJson }}}
    {{- end }}
  {{- if $root.Values.gitSecret }}
  - name: git
    secret: {secretName: {{ $root.Values.gitSecret | toJson }}, defaultMode: 288}  # 0440
  {{- end }}
  {{- if $root.Values.settings }}
  - name: settings
    configMap: {name: gitcd}
  {{- end }}
{{- end -}}
