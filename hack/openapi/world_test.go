// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/hexiao-dev/hexiao/connector/brand"
	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/sandboxtest"
	"github.com/hexiao-dev/hexiao/connector/service"
)

const (
	root    = "../.."
	samples = root + "/config/samples"
	brandID = "11342"
)

// world is a connector of the sample brand between a till and the sandbox's vendors.
type world struct {
	sandbox *sandbox.Server
	till    sandbox.Keruyun
	admin   string // URL
}

func start(t *testing.T) *world {
	t.Helper()
	cfg := sandbox.DemoConfig()
	cfg.ALSC.FlowNotFound = "empty" // "there is no such flow", and not any refusal
	w := &world{sandbox: sandboxtest.Start(t, cfg)}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "brand.yaml"), strings.NewReplacer(
		"http://hexiao-sandbox/zhimai/api/v2", w.sandbox.ZhimaiURL, "http://hexiao-sandbox/top/router/rest", w.sandbox.ALSCURL,
		"http://hexiao-sandbox", w.sandbox.AdminURL,
		"name: xiaowang-keruyun}", "name: xiaowang-keruyun}\n    replyDeadline: 30s").Replace(read(t, samples+"/xiaowang.yaml")))
	secrets := map[string]string{}
	for _, doc := range strings.Split(read(t, samples+"/credentials.yaml"), "\n---\n") {
		var s struct {
			Metadata   struct{ Name string }
			StringData map[string]string
		}
		if err := yaml.Unmarshal([]byte(doc), &s); err != nil {
			t.Fatal(err)
		}
		for key, value := range s.StringData {
			secrets[s.Metadata.Name+"/"+key] = value
			write(t, filepath.Join(dir, s.Metadata.Name, key), value)
		}
	}
	b, err := brand.Load(brand.Files{Object: filepath.Join(dir, "brand.yaml"), Credentials: dir})
	if err != nil {
		t.Fatal(err)
	}
	s, err := service.Start(t.Context(), service.Config{
		Brand: b, Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", LedgerPath: filepath.Join(dir, "ledger.db"), AllowFUSE: true,
		DrainTimeout: 20 * time.Second, Owner: "test", Version: "test", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("stop the connector: %v", err)
		}
	})
	w.admin = "http://" + s.AdminAddr().String()
	w.till = sandbox.Keruyun{
		BaseURL: "http://" + s.Addr().String(), BrandID: brandID,
		AppKey: secrets["xiaowang-keruyun/appKey"], Token: secrets["xiaowang-keruyun/token"],
	}
	for deadline := time.Now().Add(2 * time.Minute); w.get(t, "/readyz").status != http.StatusOK; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the connector is not ready after 2 minutes")
		}
	}
	return w
}

func (w *world) get(t *testing.T, path string) reply {
	t.Helper()
	return do(t, http.MethodGet, w.admin+path, "", nil)
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func do(t *testing.T, method, url, contentType string, body []byte) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var raw bytes.Buffer
	if _, err := raw.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, raw.Bytes()}
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
