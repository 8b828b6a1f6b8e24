// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/hexiao-dev/hexiao/hack/freeport"
)

// operator is a running hexiao-manager.
type operator struct {
	*process
	// credential is the id of its token, by which the audit log knows it.
	credential string
	http       *http.Client
	metricsURL string
	readyURL   string
}

// startOperator starts one more process of the operator, with a token of its own.
func (b *bench) startOperator(ctx context.Context, args ...string) (*operator, error) {
	token, err := b.plane.token(ctx)
	if err != nil {
		return nil, err
	}
	credential, err := tokenID(token)
	if err != nil {
		return nil, err
	}
	metricsAddress, err := freeport.Find()
	if err != nil {
		return nil, err
	}
	probeAddress, err := freeport.Find()
	if err != nil {
		return nil, err
	}
	b.started++
	name := fmt.Sprintf("operator-%d", b.started)
	kubeconfig := filepath.Join(b.plane.directory, name+".kubeconfig")
	if err := b.writeKubeconfig(kubeconfig, token); err != nil {
		return nil, err
	}
	o := &operator{
		credential: credential, http: &http.Client{Timeout: 30 * time.Second},
		metricsURL: "http://" + metricsAddress + "/metrics", readyURL: "http://" + probeAddress + "/readyz",
	}
	o.process, err = launch(name, b.manager, append([]string{
		"--namespace=" + operatorNamespace, "--connector-image=registry.example/hexiao-connector@sha256:" + strings.Repeat("0", 64),
		"--metrics-bind-address=" + metricsAddress, "--health-probe-bind-address=" + probeAddress,
	}, args...), []string{"KUBECONFIG=" + kubeconfig}, filepath.Join(b.plane.directory, name+".log"))
	if err != nil {
		return nil, err
	}
	b.operators = append(b.operators, o)
	return o, nil
}

func (b *bench) writeKubeconfig(path, token string) error {
	const name = "scale"
	err := clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{name: {Server: b.plane.config.Host, CertificateAuthorityData: b.plane.config.CAData}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{name: {Token: token}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name}},
		CurrentContext: name,
	}, path)
	if err != nil {
		return fmt.Errorf("write a kubeconfig: %w", err)
	}
	return nil
}

// startLeader starts an operator and waits until it writes.
func (b *bench) startLeader(ctx context.Context, args ...string) (*operator, error) {
	o, err := b.startOperator(ctx, args...)
	if err != nil {
		return nil, err
	}
	return o, o.await(ctx, "lead", func() bool {
		m, err := o.scrape(ctx)
		return err == nil && m.leads()
	})
}

// startStandby starts an operator and waits until it could take over.
func (b *bench) startStandby(ctx context.Context) (*operator, error) {
	o, err := b.startOperator(ctx)
	if err != nil {
		return nil, err
	}
	return o, o.await(ctx, "be ready", func() bool { return o.ready(ctx) })
}

// await waits for a process that may end before.
func (o *operator) await(ctx context.Context, what string, check func() bool) error {
	err := poll(ctx, patience, o.name+" to "+what, func() bool { return !o.alive() || check() })
	if err == nil && !o.alive() {
		return fmt.Errorf("%s ended before it could %s: %w", o.name, what, o.state)
	}
	return err
}

func (o *operator) alive() bool {
	select {
	case <-o.gone:
		return false
	default:
		return true
	}
}

func (o *operator) ready(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.readyURL, nil)
	if err != nil {
		return false
	}
	resp, err := o.http.Do(req)
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, resp.Body)
	return err == nil && resp.StatusCode == http.StatusOK
}

func (o *operator) scrape(ctx context.Context) (metrics, error) {
	return scrape(ctx, o.http, o.metricsURL)
}

// tokenID reads the id of a token, the claim jti (RFC 7519).
func tokenID(token string) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", errors.New("the token is no JSON Web Token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	var claims struct {
		ID string `json:"jti"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	if claims.ID == "" {
		return "", errors.New("the token has no id (jti): the API server has to be v1.32 or newer")
	}
	return claims.ID, nil
}

// moment is what is known of an operator, and of its requests, at one time.
type moment struct {
	at      time.Time
	usage   usage
	metrics metrics
	// requests is how many requests of all operators were logged before.
	requests int
}

func (b *bench) moment(ctx context.Context, o *operator) (moment, error) {
	m, err := o.scrape(ctx)
	if err != nil {
		return moment{}, err
	}
	u, err := o.usage()
	if err != nil {
		return moment{}, err
	}
	all, err := b.plane.audit.all()
	return moment{at: time.Now(), usage: u, metrics: m, requests: len(all)}, err
}

// since returns what one operator asked for after a moment.
func (b *bench) since(m moment, o *operator) ([]request, error) {
	all, err := b.plane.audit.all()
	if err != nil {
		return nil, err
	}
	var its []request
	for _, r := range all[m.requests:] {
		if r.credential == o.credential {
			its = append(its, r)
		}
	}
	return its, nil
}

// errRestless is what quiet returns when the operator goes on writing.
var errRestless = fmt.Errorf("the operator still writes after %s", patience)

// quiet waits until no operator has written for a while. Leases do not count.
func (b *bench) quiet(ctx context.Context, silence time.Duration) error {
	mark, changed := 0, time.Now()
	for end := time.Now().Add(patience); time.Since(changed) < silence; {
		if time.Now().After(end) {
			return errRestless
		}
		all, err := b.plane.audit.all()
		if err != nil {
			return err
		}
		for _, r := range all[mark:] {
			if r.isWrite() && !r.isLease() {
				changed = time.Now()
			}
		}
		mark = len(all)
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
