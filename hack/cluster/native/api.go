// SPDX-License-Identifier: Apache-2.0

package native

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// api talks to the cluster's API server as its administrator. The few calls that are made here are not worth a client library, which
// would have to be of the cluster's version.
type api struct {
	server string
	client *http.Client
}

// An apiError is an answer other than 2xx.
type apiError struct {
	status int
	body   string
}

func (e *apiError) Error() string { return fmt.Sprintf("HTTP %d: %s", e.status, e.body) }

func newAPI(directory, server string) (*api, error) {
	ca, err := os.ReadFile(filepath.Join(directory, "pki", "ca.crt"))
	if err != nil {
		return nil, err
	}
	// A member of system:masters too; the administrator's own pair is only inside the kubeconfig.
	own, err := tls.LoadX509KeyPair(filepath.Join(directory, "pki", "kubelet-client.crt"), filepath.Join(directory, "pki", "kubelet-client.key"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12}}
	return &api{server: server, client: &http.Client{Transport: transport, Timeout: 10 * time.Second}}, nil
}

// call sends body and reads the answer into result; either may be nil.
func (a *api) call(ctx context.Context, method, path string, body, result any) error {
	var payload io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
		payload = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, a.server+path, payload)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := a.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %w", method, path, &apiError{status: response.StatusCode, body: string(content)})
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(content, result); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// create makes an object unless it is there. It looks first: a Service with an address of its own is refused for the address,
// not for being there.
func (a *api) create(ctx context.Context, path, name string, object any) error {
	err := a.call(ctx, http.MethodGet, path+"/"+name, nil, nil)
	var answer *apiError
	if !errors.As(err, &answer) || answer.status != http.StatusNotFound {
		return err
	}
	return ignoreStatus(a.call(ctx, http.MethodPost, path, object, nil), http.StatusConflict)
}

// remove deletes an object unless it is gone.
func (a *api) remove(ctx context.Context, path string) error {
	return ignoreStatus(a.call(ctx, http.MethodDelete, path, nil, nil), http.StatusNotFound)
}

func ignoreStatus(err error, status int) error {
	var answer *apiError
	if errors.As(err, &answer) && answer.status == status {
		return nil
	}
	return err
}

// ready asks whether the API server serves, including its start-up steps.
func (a *api) ready(ctx context.Context) error {
	return a.call(ctx, http.MethodGet, "/readyz", nil, nil)
}

// nodeReady tells whether the node takes Pods; if not, the error says why.
func (a *api) nodeReady(ctx context.Context, name string) error {
	var node struct {
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := a.call(ctx, http.MethodGet, "/api/v1/nodes/"+name, nil, &node); err != nil {
		return err
	}
	for _, c := range node.Status.Conditions {
		if c.Type == "Ready" && c.Status == "True" {
			return nil
		} else if c.Type == "Ready" {
			return fmt.Errorf("node %s is not ready: %s", name, c.Message)
		}
	}
	return fmt.Errorf("node %s has not reported yet", name)
}

// serviceAccountReady tells whether Pods can be created in the namespace default.
func (a *api) serviceAccountReady(ctx context.Context) error {
	return a.call(ctx, http.MethodGet, "/api/v1/namespaces/default/serviceaccounts/default", nil, nil)
}
