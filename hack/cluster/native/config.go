// SPDX-License-Identifier: Apache-2.0

package native

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"text/template"
	"time"
)

// configFiles renders the configuration of the parts, by path relative to the cluster's directory. The paths inside the
// files are those of the mount namespace, where that directory is /run.
func configFiles(l layout) (map[string]string, error) {
	files := map[string]string{}
	for path, text := range configTemplates {
		var rendered bytes.Buffer
		values := map[string]any{
			"Node": l.nodeName(), "NodeAddress": l.nodeAddress(), "DNS": l.dnsService(), "CNI": l.CNI,
			"Pods": l.podNetwork(), "Cgroup": l.cgroup(), "PauseImage": pauseImage,
		}
		if err := template.Must(template.New(path).Parse(text)).Execute(&rendered, values); err != nil {
			return nil, fmt.Errorf("render %s: %w", path, err)
		}
		files[path] = rendered.String()
	}
	return files, nil
}

// pauseImage holds a Pod's namespaces open. It is this very program, under the command pause.
const pauseImage = "hexiao.dev/pause:local"

// AuditPolicy makes the API server log who changed what, for tests that count writes. A line is written before the answer is
// sent.
const AuditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]
- level: None
`

var configTemplates = map[string]string{
	"conf/containerd.toml": `version = 4
[grpc]
  address = '/run/containerd/containerd.sock'
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '{{.PauseImage}}'
[plugins.'io.containerd.cri.v1.runtime']
  # Inside a container or a virtual machine the scores of the machine may not be lowered, nor its profiles loaded.
  restrict_oom_score_adj = true
  disable_apparmor = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ['{{.CNI}}']
  conf_dir = '/run/conf/cni'
`,
	// A route per Pod instead of a bridge: packets between Pods pass the Service rules without the kernel module br_netfilter.
	"conf/cni/10-pods.conflist": `{
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [
    {"type": "ptp", "ipMasq": false, "ipam": {"type": "host-local", "ranges": [[{"subnet": "{{.Pods}}"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`,
	"conf/kubelet.yaml": `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: /run/pki/ca.crt}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
cgroupRoot: /{{.Cgroup}}
clusterDNS: ["{{.DNS}}"]
clusterDomain: cluster.local
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
enforceNodeAllocatable: []
# A machine of a developer may be nearly full, and an image that was loaded cannot be pulled again.
evictionHard: {memory.available: "0%", nodefs.available: "0%", nodefs.inodesFree: "0%", imagefs.available: "0%", imagefs.inodesFree: "0%"}
imageGCHighThresholdPercent: 100
failCgroupV1: false
failSwapOn: false
healthzBindAddress: 127.0.0.1
maxPods: 200
oomScoreAdj: 0
resolvConf: /run/conf/resolv.conf
`,
	"conf/kube-proxy.yaml": `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
hostnameOverride: {{.Node}}
clusterCIDR: {{.Pods}}
clientConnection: {kubeconfig: /run/conf/kube-proxy.kubeconfig}
conntrack: {maxPerCore: 0, min: 0, tcpCloseWaitTimeout: 0s, tcpEstablishedTimeout: 0s}
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
# The default of a second is felt by every test that waits for a Service.
iptables: {minSyncPeriod: 100ms}
`,
	"conf/audit.yaml": AuditPolicy,
	// Names outside of the cluster do not exist, and are said not to at once.
	"conf/Corefile": `.:53 {
  bind {{.NodeAddress}}
  errors
  cache 5
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    kubeconfig /run/conf/coredns.kubeconfig
    ttl 5
  }
  template ANY ANY . {
    rcode NXDOMAIN
  }
}
`,
	// What a Pod with dnsPolicy Default gets.
	"conf/resolv.conf": "nameserver {{.DNS}}\n",
}

// A dependency is what has to serve before a part starts: one that starts too early ends, and is started again only after a pause.
type dependency int

const (
	nothing dependency = iota
	etcd
	apiServer
)

// A part of Kubernetes that the supervisor keeps running.
type part struct {
	name string
	// after says what the part waits for.
	after dependency
	args  []string
}

// etcdAddress is where only the API server looks.
const etcdAddress = "127.0.0.1:2379"

func parts(l layout) []part {
	kubeconfig := func(name string) string { return "/run/conf/" + name + ".kubeconfig" }
	return []part{
		{name: "etcd", args: []string{
			"--data-dir=/run/etcd", "--unsafe-no-fsync", "--log-level=warn",
			"--listen-client-urls=http://" + etcdAddress, "--advertise-client-urls=http://" + etcdAddress, "--listen-peer-urls=http://127.0.0.1:2380",
		}},
		{name: "containerd", args: []string{"--config=/run/conf/containerd.toml"}},
		{name: "kube-apiserver", after: etcd, args: []string{
			"--etcd-servers=http://" + etcdAddress, "--secure-port=6443", "--advertise-address=" + l.nodeAddress(),
			"--service-cluster-ip-range=" + l.serviceNetwork().String(), "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
			"--allow-privileged=true", "--client-ca-file=/run/pki/ca.crt",
			"--tls-cert-file=/run/pki/apiserver.crt", "--tls-private-key-file=/run/pki/apiserver.key",
			"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
			"--service-account-key-file=/run/pki/service-accounts.key", "--service-account-signing-key-file=/run/pki/service-accounts.key",
			"--kubelet-client-certificate=/run/pki/kubelet-client.crt", "--kubelet-client-key=/run/pki/kubelet-client.key",
			"--kubelet-preferred-address-types=InternalIP", // the node's name is known to nobody
			"--audit-policy-file=/run/conf/audit.yaml", "--audit-log-path=/run/" + auditLog,
		}},
		{name: "kube-controller-manager", after: apiServer, args: []string{
			"--kubeconfig=" + kubeconfig("kube-controller-manager"), "--authentication-kubeconfig=" + kubeconfig("kube-controller-manager"),
			"--authorization-kubeconfig=" + kubeconfig("kube-controller-manager"), "--leader-elect=false", "--bind-address=127.0.0.1",
			"--use-service-account-credentials", "--service-account-private-key-file=/run/pki/service-accounts.key",
			"--root-ca-file=/run/pki/ca.crt", "--cluster-signing-cert-file=/run/pki/ca.crt", "--cluster-signing-key-file=/run/pki/ca.key",
		}},
		{name: "kube-scheduler", after: apiServer, args: []string{
			"--kubeconfig=" + kubeconfig("kube-scheduler"), "--authentication-kubeconfig=" + kubeconfig("kube-scheduler"),
			"--authorization-kubeconfig=" + kubeconfig("kube-scheduler"), "--leader-elect=false", "--bind-address=127.0.0.1",
		}},
		{name: "kubelet", after: apiServer, args: []string{
			"--config=/run/conf/kubelet.yaml", "--kubeconfig=" + kubeconfig("kubelet"), "--hostname-override=" + l.nodeName(), "--node-ip=" + l.nodeAddress(),
		}},
		{name: "kube-proxy", after: apiServer, args: []string{"--config=/run/conf/kube-proxy.yaml"}},
		{name: "coredns", after: apiServer, args: []string{"-conf=/run/conf/Corefile"}},
	}
}

// credentials issues the cluster's keys, certificates and kubeconfigs, by path relative to the cluster's directory.
func credentials(l layout, now time.Time) (map[string][]byte, error) {
	ca, err := newAuthority(now)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	keep := func(name string, p pair, err error) error {
		files["pki/"+name+".crt"], files["pki/"+name+".key"] = p.certificate, p.key
		return err
	}
	own, err := ca.pair()
	if err := keep("ca", own, err); err != nil {
		return nil, err
	}
	serving, err := ca.server(now, "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		"localhost", "127.0.0.1", l.nodeAddress(), l.apiService())
	if err := keep("apiserver", serving, err); err != nil {
		return nil, err
	}
	toKubelet, err := ca.client(now, "kube-apiserver-kubelet-client", "system:masters")
	if err := keep("kubelet-client", toKubelet, err); err != nil {
		return nil, err
	}
	tokens, err := newAuthority(now) // only its key is used, to sign the tokens of service accounts
	if err != nil {
		return nil, err
	}
	signing, err := tokens.pair()
	if err != nil {
		return nil, err
	}
	files["pki/service-accounts.key"] = signing.key

	for path, user := range map[string]struct {
		name   string
		groups []string
	}{
		kubeconfigFile: {"admin", []string{"system:masters"}},
		"conf/kube-controller-manager.kubeconfig": {"system:kube-controller-manager", nil},
		"conf/kube-scheduler.kubeconfig":          {"system:kube-scheduler", nil},
		"conf/kube-proxy.kubeconfig":              {"system:kube-proxy", nil},
		"conf/coredns.kubeconfig":                 {"hexiao:coredns", nil},
		"conf/kubelet.kubeconfig":                 {"system:node:" + l.nodeName(), []string{"system:nodes"}},
	} {
		client, err := ca.client(now, user.name, user.groups...)
		if err != nil {
			return nil, err
		}
		files[path] = kubeconfig(l, own.certificate, client)
	}
	return files, nil
}

// kubeconfig holds its certificates, so that it can be copied.
func kubeconfig(l layout, ca []byte, client pair) []byte {
	encoded := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: %[1]s
  cluster: {server: "%[2]s", certificate-authority-data: %[3]s}
users:
- name: %[1]s
  user: {client-certificate-data: %[4]s, client-key-data: %[5]s}
contexts:
- name: %[1]s
  context: {cluster: %[1]s, user: %[1]s, namespace: default}
current-context: %[1]s
`, l.nodeName(), l.server(), encoded(ca), encoded(client.certificate), encoded(client.key))
}
