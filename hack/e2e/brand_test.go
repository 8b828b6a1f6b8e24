//go:build e2e

// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
)

// The two brands: one on PostgreSQL with two replicas, one on the embedded ledger.
const (
	postgresBrand = "xiaowang"
	embeddedBrand = "xiaoli"
	token         = "demo-kry-brand-token"
)

// TestABrandFromInstallToUninstall is one story; its parts build on each other.
func TestABrandFromInstallToUninstall(t *testing.T) {
	c := connect(t)
	defer explain(t)
	story := &story{cluster: c}
	tell(t, []part{
		{"helm installs the version before this one", story.installPrevious},
		{"a brand whose Secrets are missing says so and recovers by itself", story.bringUp},
		{"helm upgrades the operator and its CRDs, and no Pod of a brand restarts", story.upgrade},
		{"Keruyun's sample request goes through the Service to the vendors", story.redeem},
		{"every replica gives the recorded answer", story.repeat},
		{"the trace can be followed", story.trace},
		// Early, because Kubernetes collects no garbage for half a minute after CRDs went.
		{"Argo CD and Flux take the guides' manifests, and find the brands healthy", story.gitops},
		{"a brand on the embedded ledger redeems, and remembers after its Pod is gone", story.embedded},
		{"a rotated credential rolls that brand, once, without a failed request", story.rotate},
		{"a bad credential takes no brand down, and is named", story.badRotation},
		{"a redemption in doubt is found and decided by kubectl hexiao", story.decide},
		{"kubectl hexiao tells what became of a redemption, a brand and a change", story.ask},
		{"what somebody changed by hand is put back", story.drift},
		{"a suspended brand is left alone, and set right afterwards", story.suspend},
		{"an autoscaler takes the replicas over, and gives them back, without a dip", story.autoscale},
		{"the scheduled Jobs run", story.jobs},
		{"a leader that is killed under load is followed by the other", story.lead},
		{"an upgrade that changes the Pods reaches the canary first, and then the other brand", story.upgradePods},
		{"kubectl apply and diff do not fight the operator", story.diff},
		{"deleting the brands leaves nothing behind", story.remove},
		{"helm uninstalls the operator", story.uninstall},
	})
}

// part is a part of a story.
type part struct {
	name string
	run  func(*testing.T)
}

// tell runs the parts of a story until one fails.
func tell(t *testing.T, parts []part) {
	for _, p := range parts {
		if !t.Run(p.name, p.run) {
			return
		}
	}
}

type story struct {
	*cluster
	answer []byte // to the sample request
	loads  int    // that were started, for ids that were never used
}

func sample(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, "config/samples", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// sampleBrand is the sample with a till that has time: a machine that is slower than a
// till's four seconds is no failed request.
func sampleBrand(t *testing.T) string {
	t.Helper()
	const keruyun = "credentialsSecretRef: {name: xiaowang-keruyun}\n"
	text := sample(t, "xiaowang.yaml")
	if strings.Count(text, keruyun) != 1 {
		t.Fatalf("the sample has not one %q", keruyun)
	}
	return strings.Replace(text, keruyun, keruyun+"    replyDeadline: 30s\n", 1)
}

// objects are the brands as their teams would write them.
func (s *story) objects(t *testing.T) string {
	t.Helper()
	postgres := strings.NewReplacer("embedded: {size: 1Gi}", "postgres: {dsnSecretRef: {name: ledger, key: dsn}}").Replace(sampleBrand(t)) +
		"  workload: {replicas: 2}\n"
	return postgres + "---\n" + s.embeddedObject(t)
}

func (s *story) embeddedObject(t *testing.T) string {
	t.Helper()
	return strings.NewReplacer("name: xiaowang\n", "name: "+embeddedBrand+"\n", `brandID: "11342"`, `brandID: "11343"`,
		"embedded: {size: 1Gi}", "embedded: {size: 128Mi, onDelete: Delete}").Replace(sampleBrand(t))
}

func (s *story) bringUp(t *testing.T) {
	s.bringVendorsUp(t)
	apply(t, s.objects(t))
	eventually(t, "the missing Secret is named", func() error {
		message, err := tryKubectl(t.Context(), "get", "bc", postgresBrand, "-o", `jsonpath={.status.conditions[?(@.type=="CredentialsResolved")].message}`)
		for _, secret := range []string{"ledger", "xiaowang-keruyun", "xiaowang-zhimai", "xiaowang-alsc"} {
			if err == nil && !strings.Contains(message, "Secret "+secret+",") {
				err = errors.New("it does not name " + secret)
			}
		}
		if err != nil {
			return fmt.Errorf("CredentialsResolved says %q: %w", message, err)
		}
		return nil
	})
	apply(t, sample(t, "credentials.yaml"))
	kubectl(t, "create", "secret", "generic", "ledger", "--from-literal=dsn="+os.Getenv("HEXIAO_TEST_POSTGRES_DSN"))
	kubectl(t, "wait", "bc/"+postgresBrand, "bc/"+embeddedBrand, "--for=condition=Ready", "--timeout=5m")
	t.Logf("\n%s", kubectl(t, "get", "bc,pods"))
}

// bringVendorsUp puts the sandbox that plays the vendors into the brands' namespace.
func (s *story) bringVendorsUp(t *testing.T) {
	t.Helper()
	apply(t, sample(t, "sandbox.yaml"))
	s.answers(t, "hexiao-sandbox")
}

// till is a Keruyun that calls the brand's Service.
func (s *story) till(t *testing.T, brand, brandID string) sandbox.Keruyun {
	t.Helper()
	var endpoints struct {
		Status struct{ Endpoints []struct{ SPI, URL string } }
	}
	get(t, &endpoints, "bc", brand)
	var service string
	for _, e := range endpoints.Status.Endpoints {
		if e.SPI == "verify" && strings.HasSuffix(e.URL, "/keruyun/"+brandID+"/member-assets/verify") {
			service = strings.Split(strings.TrimPrefix(e.URL, "http://"), ".")[0]
		}
	}
	if service == "" {
		t.Fatalf("status.endpoints of %s: %+v", brand, endpoints.Status.Endpoints)
	}
	s.answers(t, service)
	base, client := s.base(t, service)
	return sandbox.Keruyun{BaseURL: base, Client: client, BrandID: brandID, AppKey: "demo-kry-app-key", Token: token}
}

type envelope struct {
	Code        int
	MessageUUID string
	Result      struct {
		Success bool
		SubCode string
	}
}

// send posts body and wants it redeemed.
func send(ctx context.Context, till sandbox.Keruyun, body string) ([]byte, envelope, error) {
	status, reply, err := till.Verify(ctx, []byte(body))
	var e envelope
	if err == nil {
		err = json.Unmarshal(reply, &e)
	}
	if err == nil && (status != http.StatusOK || e.Code != 0 || !e.Result.Success) {
		err = fmt.Errorf("HTTP %d", status)
	}
	if err != nil {
		return nil, e, fmt.Errorf("%w: %s", err, reply)
	}
	return reply, e, nil
}

func (s *story) books(t *testing.T) []books.Entry {
	t.Helper()
	var entries []books.Entry
	s.fetch(t, "hexiao-sandbox", http.MethodGet, "/sandbox/v1/books", nil, &entries)
	return entries
}

func (s *story) redeem(t *testing.T) {
	before := len(s.books(t))
	till := s.till(t, postgresBrand, "11342")
	reply, _, err := send(t.Context(), till, sample(t, "request.json"))
	if err != nil {
		t.Fatal(err)
	}
	both, _, err := send(t.Context(), till, sample(t, "request-both.json"))
	if err != nil {
		t.Fatal(err)
	}
	s.answer = both
	t.Logf("%s", reply)
	spent := map[books.Vendor]int64{}
	for _, e := range s.books(t)[before:] {
		spent[e.Vendor] += e.AmountFen
	}
	if spent[books.ALSC] != 2000 || spent[books.Zhimai] != 2550 {
		t.Errorf("the vendors booked %v fen, want 2000 at alsc and 2550 at zhimai", spent)
	}
}

func (s *story) repeat(t *testing.T) {
	before := len(s.books(t))
	till := s.till(t, postgresBrand, "11342")
	till.Client = &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}} // a new connection, a replica by chance
	if !s.direct() {
		till = s.till(t, postgresBrand, "11342")
	}
	for range 20 {
		again, _, err := send(t.Context(), till, sample(t, "request-both.json"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again, s.answer) {
			t.Fatalf("a repeat was answered differently:\n%s\n%s", s.answer, again)
		}
	}
	if after := len(s.books(t)); after != before {
		t.Errorf("the repeats booked %d entries", after-before)
	}
}

func (s *story) trace(t *testing.T) {
	var e envelope
	if err := json.Unmarshal(s.answer, &e); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the trace of the redemption is whole", func() error {
		var tree json.RawMessage
		if err := s.tryFetch(t, "hexiao-sandbox", http.MethodGet, "/sandbox/v1/traces?trace_id="+e.MessageUUID, nil, &tree); err != nil {
			return err
		}
		for _, want := range []string{
			"POST /keruyun/{brand}/member-assets/verify", "redeem.plan", "ledger.record", "ledger.settle",
			"zhimai communal.user.consume", "alsc alibaba.alsc.crm.recharge.dedut.update",
		} {
			if !bytes.Contains(tree, []byte(`"name":"`+want+`"`)) {
				return fmt.Errorf("no span %q in %s", want, tree)
			}
		}
		return nil
	})
}

func (s *story) embedded(t *testing.T) {
	body := strings.NewReplacer(`"kryBrandId": "11342"`, `"kryBrandId": "11343"`).Replace(sample(t, "request.json"))
	first, _, err := send(t.Context(), s.till(t, embeddedBrand, "11343"), body)
	if err != nil {
		t.Fatal(err)
	}
	before := len(s.books(t))
	kubectl(t, "delete", "pod", "-l", "app.kubernetes.io/instance="+embeddedBrand, "--wait=true")
	kubectl(t, "wait", "bc/"+embeddedBrand, "--for=condition=Ready", "--timeout=5m")
	eventually(t, "the new Pod answers from the ledger", func() error {
		again, _, err := send(t.Context(), s.till(t, embeddedBrand, "11343"), body)
		if err == nil && !bytes.Equal(first, again) {
			t.Fatalf("another answer:\n%s\n%s", first, again)
		}
		return err
	})
	if after := len(s.books(t)); after != before {
		t.Errorf("the repeat booked %d entries", after-before)
	}
}

// hexiao runs kubectl hexiao in the brands' namespace.
func hexiao(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return command(t.Context(), "", filepath.Join(root, "bin/kubectl-hexiao"), append([]string{"--namespace", namespace}, args...)...)
}

// ask asks what a support desk, somebody on call and a platform team ask.
func (s *story) ask(t *testing.T) {
	bundle := filepath.Join(t.TempDir(), "report.zip")
	for _, question := range []struct {
		args []string
		want string
	}{
		{[]string{"trace", postgresBrand, "in-doubt", "-o", "json"}, `"answer": "yes"`},
		{[]string{"trace", postgresBrand, "in-doubt"}, "seen in the sandbox's books"},
		{[]string{"status", postgresBrand}, "Deployment"},
		{[]string{"diff", postgresBrand, embeddedBrand}, ""}, // fails when the operator would change anything
		{[]string{"report", postgresBrand, "--file", bundle}, ""},
	} {
		out, err := hexiao(t, question.args...)
		if err != nil || !strings.Contains(out, question.want) {
			t.Errorf("kubectl hexiao %s (%v) does not say %q:\n%s", strings.Join(question.args, " "), err, question.want, out)
		}
	}
	raw, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	archive, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range archive.File {
		content, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(content)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{token, "demo-app-secret", "rotated-open-key", os.Getenv("HEXIAO_TEST_POSTGRES_DSN")} {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("%s in the report holds a secret", f.Name)
			}
		}
	}
	t.Logf("%d files in the report", len(archive.File))
}

func (s *story) decide(t *testing.T) {
	s.fetch(t, "hexiao-sandbox", http.MethodPost, "/sandbox/v1/faults",
		fault.Rule{Vendor: "zhimai", Method: "communal.user.consume", Kind: fault.ApplyThenReset, Count: 1}, nil)
	till := s.till(t, postgresBrand, "11342")
	if _, e, err := send(t.Context(), till, fenRequest("11342", "in-doubt")); err == nil || e.Code != 3001 {
		t.Fatalf("a lost answer must be 3001, got %v (%v)", e, err)
	}
	eventually(t, "the doubt is listed", func() error {
		out, err := hexiao(t, "in-doubt", "list", postgresBrand)
		if err == nil && !strings.Contains(out, "in-doubt") {
			err = errors.New(out)
		}
		return err
	})
	out, err := hexiao(t, "in-doubt", "resolve", postgresBrand, "in-doubt", "--decision", "executed", "--reason", "seen in the sandbox's books", "--yes")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", out)
	if _, _, err := send(t.Context(), till, fenRequest("11342", "in-doubt")); err != nil {
		t.Errorf("the till's repeat after the decision: %v", err)
	}
	pod := strings.Fields(kubectl(t, "get", "pods", "-l", "app.kubernetes.io/instance="+postgresBrand, "-o", "jsonpath={.items[*].metadata.name}"))[0]
	if out, err := tryKubectl(t.Context(), "get", "--raw", fmt.Sprintf("/api/v1/namespaces/%s/pods/%s:9090/proxy/admin/v1/in-doubt", namespace, pod)); err == nil {
		t.Errorf("the admin API answers over the network: %s", out)
	}
}

func (s *story) remove(t *testing.T) {
	kubectl(t, "delete", "bc", postgresBrand, embeddedBrand, "--wait=true", "--timeout=5m")
	gone(t)
}

// gone waits until nothing is left of what the operator made, and of what was made of
// that.
func gone(t *testing.T) {
	t.Helper()
	eventually(t, "the children are gone", func() error {
		left := kubectl(t, "get", "deployments,replicasets,pods,services,configmaps,serviceaccounts,poddisruptionbudgets,networkpolicies,persistentvolumeclaims,cronjobs,jobs,horizontalpodautoscalers",
			"-l", "app.kubernetes.io/name in (hexiao-connector,hexiao-connector-job)", "-o", "name")
		if left != "" {
			return fmt.Errorf("left: %s", left)
		}
		return nil
	})
}
