{{- define "gyrostat.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "gyrostat.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "gyrostat.selector" -}}
app.kubernetes.io/name: {{ include "gyrostat.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "gyrostat.labels" -}}
{{ include "gyrostat.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: gyrostat
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "gyrostat.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "gyrostat.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is needed where serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "gyrostat.image" -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag }}
{{- if .Values.image.digest }}
{{- printf "%s:%s@%s" .Values.image.repository $tag .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository $tag }}
{{- end }}
{{- end }}

{{- define "gyrostat.subjects" -}}
- kind: ServiceAccount
  name: {{ include "gyrostat.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{- define "gyrostat.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "gyrostat.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /* What holds beyond the schema of the values. */}}
{{- define "gyrostat.check" -}}
{{- if lt (regexFind "^[0-9]+" .Capabilities.KubeVersion.Minor | int) 29 }}
{{- fail (printf "Kubernetes %s.%s is too old: rules in custom resources are stable from 1.29 on" .Capabilities.KubeVersion.Major .Capabilities.KubeVersion.Minor) }}
{{- end }}
{{- if and .Values.mayAct (not .Values.persistence.enabled) }}
{{- fail "mayAct needs persistence.enabled: budgets and what is under way must survive the pod" }}
{{- end }}
{{- range $namespace, $actions := .Values.mayAct }}
{{- if and $.Values.watchNamespaces (not (has $namespace $.Values.watchNamespaces)) }}
{{- fail (printf "mayAct names %s, which watchNamespaces does not: what is not seen can not be healed" $namespace) }}
{{- end }}
{{- if has $namespace (list "kube-system" "kube-public" "kube-node-lease" $.Release.Namespace) }}
{{- fail (printf "mayAct names %s: the cluster's own namespaces and that of the controller are never touched" $namespace) }}
{{- end }}
{{- end }}
{{- end }}
