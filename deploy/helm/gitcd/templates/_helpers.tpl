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
