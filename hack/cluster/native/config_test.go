// SPDX-License-Identifier: Apache-2.0

package native

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func testLayout() layout { return layout{Name: "test", Slot: 7, CNI: "/usr/lib/cni"} }

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), refresh with -update:\n%s", path, diff)
	}
}

func TestConfigFiles(t *testing.T) {
	files, err := configFiles(testLayout())
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, path := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&all, "==> %s <==\n%s\n", path, files[path])
	}
	golden(t, "config.golden", all.String())
	for path, content := range files {
		var parsed any
		if strings.HasSuffix(path, ".yaml") && yaml.UnmarshalStrict([]byte(content), &parsed) != nil ||
			strings.HasSuffix(path, ".conflist") && json.Unmarshal([]byte(content), &parsed) != nil {
			t.Errorf("%s does not parse:\n%s", path, content)
		}
	}
}

func TestParts(t *testing.T) {
	var all strings.Builder
	for _, p := range parts(testLayout()) {
		fmt.Fprintf(&all, "%s (after %d)\n  %s\n", p.name, p.after, strings.Join(p.args, "\n  "))
	}
	golden(t, "parts.golden", all.String())
}

func TestObjects(t *testing.T) {
	var named []string
	for _, c := range objects(testLayout()) {
		named = append(named, c.path+"/"+c.name())
		object, err := yaml.Marshal(c.object)
		if err != nil {
			t.Fatal(err)
		}
		named = append(named, string(object))
	}
	golden(t, "objects.golden", strings.Join(named, "\n"))
}

func TestLayout(t *testing.T) {
	l := testLayout()
	got := []string{l.hostDevice(), l.hostAddress(), l.nodeAddress(), l.podNetwork().String(), l.apiService(), l.dnsService(), l.server(), l.namespace()}
	want := []string{"hexiao7", "10.200.7.1", "10.200.7.2", "10.201.7.0/24", "10.202.7.1", "10.202.7.10", "https://10.200.7.2:6443", "hexiao-test"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("layout (-want +got):\n%s", diff)
	}
}

func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{
		"default": true, "a": true, "e2e-2": true,
		"": false, "-a": false, "a-": false, "A": false, "a/b": false, "..": false, strings.Repeat("a", 33): false,
	} {
		t.Run(fmt.Sprintf("%q is taken: %t", name, want), func(t *testing.T) {
			if got := validName.MatchString(name); got != want {
				t.Errorf("got %t", got)
			}
		})
	}
}

func TestCredentials(t *testing.T) {
	l, now := testLayout(), time.Now()
	files, err := credentials(l, now)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(files["pki/ca.crt"]) {
		t.Fatal("the authority's certificate does not parse")
	}
	t.Run("the API server is trusted under each of its addresses", func(t *testing.T) {
		if _, err := tls.X509KeyPair(files["pki/apiserver.crt"], files["pki/apiserver.key"]); err != nil {
			t.Fatal(err)
		}
		certificate := parseCertificate(t, files["pki/apiserver.crt"])
		for _, host := range []string{"127.0.0.1", "localhost", l.nodeAddress(), l.apiService(), "kubernetes.default.svc"} {
			if _, err := certificate.Verify(x509.VerifyOptions{DNSName: host, Roots: roots}); err != nil {
				t.Errorf("%s: %v", host, err)
			}
		}
	})
	for path, want := range map[string]string{
		kubeconfigFile:                            "admin [system:masters]",
		"conf/kubelet.kubeconfig":                 "system:node:hexiao-test [system:nodes]",
		"conf/kube-controller-manager.kubeconfig": "system:kube-controller-manager []",
		"conf/coredns.kubeconfig":                 "hexiao:coredns []",
	} {
		t.Run(path+" is "+want, func(t *testing.T) {
			server, certificate := readKubeconfig(t, files[path])
			if diff := cmp.Diff(l.server(), server); diff != "" {
				t.Errorf("server (-want +got):\n%s", diff)
			}
			if _, err := certificate.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(want, fmt.Sprint(certificate.Subject.CommonName, " ", certificate.Subject.Organization)); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("two clusters do not trust each other", func(t *testing.T) {
		other, err := credentials(l, now)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseCertificate(t, other["pki/apiserver.crt"]).Verify(x509.VerifyOptions{Roots: roots}); err == nil {
			t.Error("trusted")
		}
	})
}

func parseCertificate(t *testing.T, text []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("no certificate in %q", text)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func readKubeconfig(t *testing.T, text []byte) (server string, client *x509.Certificate) {
	t.Helper()
	var k struct {
		Clusters []struct{ Cluster struct{ Server string } }
		Users    []struct {
			User struct {
				Certificate string `json:"client-certificate-data"`
			}
		}
	}
	if err := yaml.Unmarshal(text, &k); err != nil {
		t.Fatal(err)
	}
	decoded, err := base64.StdEncoding.DecodeString(k.Users[0].User.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	return k.Clusters[0].Cluster.Server, parseCertificate(t, decoded)
}

func TestPlanVolumes(t *testing.T) {
	newClaim := func(uid, class, phase, volumeName string) claim {
		var c claim
		c.Metadata.UID, c.Spec.StorageClassName, c.Status.Phase, c.Spec.VolumeName = uid, class, phase, volumeName
		return c
	}
	newVolume := func(name, class, phase string) volume {
		var v volume
		v.Metadata.Name, v.Spec.StorageClassName, v.Status.Phase = name, class, phase
		return v
	}
	for name, tc := range map[string]struct {
		claims                  []claim
		volumes                 []volume
		wantProvide, wantRemove []string
	}{
		"a pending claim of the class gets a volume": {
			claims: []claim{newClaim("1", storageClass, "Pending", "")}, wantProvide: []string{"pvc-1"},
		},
		"a claim whose volume is there already waits for it": {
			claims: []claim{newClaim("1", storageClass, "Pending", "")}, volumes: []volume{newVolume("pvc-1", storageClass, "Available")},
		},
		"a bound claim, one of another class and one that names its volume are left alone": {
			claims: []claim{newClaim("1", storageClass, "Bound", "pvc-1"), newClaim("2", "other", "Pending", ""), newClaim("3", storageClass, "Pending", "mine")},
		},
		"a released volume is removed, a bound one and one of another class are not": {
			volumes:    []volume{newVolume("pvc-1", storageClass, "Released"), newVolume("pvc-2", storageClass, "Bound"), newVolume("x", "other", "Released")},
			wantRemove: []string{"pvc-1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			provide, remove := planVolumes(tc.claims, tc.volumes)
			var gotProvide, gotRemove []string
			for _, c := range provide {
				gotProvide = append(gotProvide, volumeName(c))
			}
			for _, v := range remove {
				gotRemove = append(gotRemove, v.Metadata.Name)
			}
			if diff := cmp.Diff([][]string{tc.wantProvide, tc.wantRemove}, [][]string{gotProvide, gotRemove}); diff != "" {
				t.Errorf("provide and remove (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRemoveVolume(t *testing.T) {
	t.Run("never removes a directory that it did not make", func(t *testing.T) {
		precious := t.TempDir()
		var v volume
		v.Spec.Local.Path = precious
		if err := removeVolume(t.Context(), nil, v); err == nil {
			t.Error("no error")
		}
		if _, err := os.Stat(precious); err != nil {
			t.Error(err)
		}
	})
}

func TestNetworksOfSlots(t *testing.T) {
	seen := map[netip.Prefix]bool{}
	for slot := range slots {
		l := layout{Slot: slot}
		for _, network := range []netip.Prefix{l.linkNetwork(), l.podNetwork(), l.serviceNetwork()} {
			if seen[network] {
				t.Errorf("slot %d shares %s", slot, network)
			}
			seen[network] = true
		}
	}
}
