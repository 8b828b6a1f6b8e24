//go:build e2e

// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"testing"

	"github.com/hexiao-dev/hexiao/connector/sandbox"
)

func (s *story) rotate(t *testing.T) {
	// The vendor knows both accounts while the key is replaced.
	s.fetch(t, "hexiao-sandbox", http.MethodPut, "/sandbox/v1/credentials", sandbox.Credentials{
		Zhimai: []sandbox.ZhimaiAccount{
			{OpenID: "demo-open-id", OpenKey: "demo-open-key", GrantCode: "demo-grant"},
			{OpenID: "rotated-open-id", OpenKey: "rotated-open-key", GrantCode: "rotated-grant"},
		},
		ALSC: []sandbox.TOPApp{{AppKey: "12345678", AppSecret: "demo-app-secret"}},
	}, nil)
	// The other brand must not use the Secret that is rotated.
	kubectl(t, "create", "secret", "generic", "xiaoli-zhimai", "--from-literal=openId=demo-open-id", "--from-literal=openKey=demo-open-key", "--from-literal=grantCode=demo-grant")
	patch(t, "bc/"+embeddedBrand, `{"spec":{"providers":{"zhimai":{"credentialsSecretRef":{"name":"xiaoli-zhimai"}}}}}`)
	settled(t, embeddedBrand)
	other, before := deploymentOf(t, embeddedBrand), deploymentOf(t, postgresBrand)

	load := s.startLoad(t, postgresBrand, "11342")
	patch(t, "secret/xiaowang-zhimai", `{"stringData":{"openId":"rotated-open-id","openKey":"rotated-open-key","grantCode":"rotated-grant"}}`)
	changed(t, postgresBrand, before)
	settled(t, postgresBrand)
	load.end(t)
	after := deploymentOf(t, postgresBrand)
	if after.Metadata.Generation != before.Metadata.Generation+1 || after.revision() == before.revision() {
		t.Errorf("the Deployment of %s went from generation %d (revision %s) to %d (%s), want one change", postgresBrand,
			before.Metadata.Generation, before.revision(), after.Metadata.Generation, after.revision())
	}
	if now := deploymentOf(t, embeddedBrand); now.Metadata.Generation != other.Metadata.Generation {
		t.Errorf("the Deployment of %s changed too: generation %d to %d", embeddedBrand, other.Metadata.Generation, now.Metadata.Generation)
	}
}

// badRotation puts values into Secrets that cannot be right: one that the operator
// refuses to roll out, and one of which only the connector can find out.
func (s *story) badRotation(t *testing.T) {
	// Five minutes are too long to wait for Kubernetes' verdict.
	patch(t, "bc/"+postgresBrand, `{"spec":{"workload":{"patch":{"spec":{"progressDeadlineSeconds":15}}}}}`)
	settled(t, postgresBrand)
	before, old := deploymentOf(t, postgresBrand), serving(t, postgresBrand)
	load := s.startLoad(t, postgresBrand, "11342")

	patch(t, "secret/xiaowang-zhimai", `{"stringData":{"openKey":"two words"}}`)
	says(t, postgresBrand, "CredentialsResolved", "False", "SecretKeyInvalid", "Secret xiaowang-zhimai", "openKey")
	patch(t, "secret/xiaowang-zhimai", `{"stringData":{"openKey":"rotated-open-key"}}`)
	says(t, postgresBrand, "Ready", "True", "Ready")
	if now := deploymentOf(t, postgresBrand); now.Metadata.Generation != before.Metadata.Generation {
		t.Error("a key that is none was rolled out")
	}

	dsn := os.Getenv("HEXIAO_TEST_POSTGRES_DSN")
	bad, err := url.Parse(dsn)
	if err != nil {
		t.Fatal("HEXIAO_TEST_POSTGRES_DSN is no URL") // the error would quote it
	}
	bad.Path = "/no-such-database"
	setSecret(t, "ledger", "dsn", bad.String())
	eventually(t, "a new Pod starts and does not become ready", func() error {
		for _, p := range podsOf(t, postgresBrand) {
			if _, is := find(old, p.Metadata.UID); !is && p.started() && !p.ready() {
				return nil
			}
		}
		return errors.New("there is none")
	})
	says(t, postgresBrand, "Ready", "False", "RolloutFailed", "container connector: CrashLoopBackOff: open ledger: ", "no-such-database")
	says(t, postgresBrand, "LedgerReady", "False", "LedgerUnavailable", "no-such-database")
	says(t, postgresBrand, "WorkloadAvailable", "True", "WorkloadAvailable")
	t.Log(kubectl(t, "get", "bc", postgresBrand, "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].message}`))
	stillServe(t, old, postgresBrand)

	// A database that does not answer is waited for; the Pod ends once, to say why.
	bad.Host = "127.0.0.1:1"
	setSecret(t, "ledger", "dsn", bad.String())
	says(t, postgresBrand, "LedgerReady", "False", "LedgerUnavailable", "NotReady: it waits for its database: open ledger: ", "connection refused")
	stillServe(t, old, postgresBrand)

	setSecret(t, "ledger", "dsn", dsn)
	says(t, postgresBrand, "Ready", "True", "Ready")
	settled(t, postgresBrand)
	load.end(t)
	patch(t, "bc/"+postgresBrand, `{"spec":{"workload":{"patch":null}}}`)
	settled(t, postgresBrand)
}

func setSecret(t *testing.T, name, key, value string) {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"stringData": map[string]string{key: value}})
	if err != nil {
		t.Fatal(err)
	}
	patch(t, "secret/"+name, string(raw))
}
