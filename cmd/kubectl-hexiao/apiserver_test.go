// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// apiServer is as much of an API server as the plugin needs: brands, their Pods, who
// the caller is, and the portforward subresource, behind which is a port of this
// machine, dialled over the loopback interface as a kubelet does.
type apiServer struct {
	t          *testing.T
	webSockets bool
	pods       map[string]int // namespace/pod → port behind it
	objects    map[string]any // by path
	mu         sync.Mutex
	forwards   []string // how each way was opened
}

func startAPIServer(t *testing.T, webSockets bool) *apiServer {
	s := &apiServer{t: t, webSockets: webSockets, pods: map[string]int{}, objects: map[string]any{}}
	server := httptest.NewTLSServer(s)
	t.Cleanup(server.Close)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"c","clusters":[{"name":"c","cluster":{"server":%q,"certificate-authority-data":%q}}],
		"users":[{"name":"u","user":{"token":"secret"}}],"contexts":[{"name":"c","context":{"cluster":"c","user":"u","namespace":"brands"}}]}`,
		server.URL, base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", kubeconfig)
	return s
}

// brand adds a BrandConnector with a Pod, ready when there is a port behind it.
func (s *apiServer) brand(namespace, name string, port int) {
	object := map[string]any{"apiVersion": "connect.hexiao.dev/v1alpha1", "kind": "BrandConnector", "metadata": map[string]any{"namespace": namespace, "name": name}}
	s.objects["/apis/connect.hexiao.dev/v1alpha1/namespaces/"+namespace+"/brandconnectors/"+name] = object
	for _, path := range []string{"/apis/connect.hexiao.dev/v1alpha1/brandconnectors", "/apis/connect.hexiao.dev/v1alpha1/namespaces/" + namespace + "/brandconnectors"} {
		s.append(path, "connect.hexiao.dev/v1alpha1", "BrandConnectorList", object)
	}
	status := "False"
	if port != 0 {
		status = "True"
		s.pods[namespace+"/"+name+"-1"] = port
	}
	s.append("/api/v1/namespaces/"+namespace+"/pods?labelSelector=app.kubernetes.io/name=hexiao-connector,app.kubernetes.io/instance="+name, "v1", "PodList",
		map[string]any{"metadata": map[string]any{"name": name + "-1", "namespace": namespace},
			"spec":   map[string]any{"containers": []any{map[string]any{"name": "connector", "ports": []any{map[string]any{"name": "admin", "containerPort": 9090}}}}},
			"status": map[string]any{"phase": "Running", "conditions": []any{map[string]any{"type": "Ready", "status": status}}}})
}

func (s *apiServer) append(path, version, kind string, item any) {
	list, ok := s.objects[path].(map[string]any)
	if !ok {
		list = map[string]any{"apiVersion": version, "kind": kind, "metadata": map[string]any{}, "items": []any{}}
	}
	list["items"] = append(list["items"].([]any), item)
	s.objects[path] = list
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Header.Get("Authorization") != "Bearer secret":
		s.status(w, http.StatusUnauthorized, "Unauthorized", "who are you?")
	case strings.HasSuffix(r.URL.Path, "/portforward"):
		s.forward(w, r)
	case r.URL.Path == "/apis/authentication.k8s.io/v1/selfsubjectreviews":
		name := "li@example.com"
		if as := r.Header.Get("Impersonate-User"); as != "" {
			name = as
		}
		s.json(w, http.StatusCreated, map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "status": map[string]any{"userInfo": map[string]any{"username": name}}})
	default:
		path := r.URL.Path
		if selector := r.URL.Query().Get("labelSelector"); selector != "" {
			path += "?labelSelector=" + selector
		}
		object, ok := s.objects[path]
		switch {
		case ok:
			s.json(w, http.StatusOK, object)
		case strings.HasSuffix(r.URL.Path, "/pods"):
			s.json(w, http.StatusOK, map[string]any{"apiVersion": "v1", "kind": "PodList", "metadata": map[string]any{}, "items": []any{}})
		default:
			s.status(w, http.StatusNotFound, "NotFound", "not found: "+path)
		}
	}
}

func (s *apiServer) status(w http.ResponseWriter, code int, reason, message string) {
	s.json(w, code, map[string]any{"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message})
}

func (s *apiServer) json(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

func (s *apiServer) forward(w http.ResponseWriter, r *http.Request) {
	part := strings.Split(r.URL.Path, "/") // /api/v1/namespaces/NS/pods/POD/portforward
	port, ok := s.pods[part[4]+"/"+part[6]]
	if !ok {
		s.status(w, http.StatusForbidden, "Forbidden", `pods "`+part[6]+`" is forbidden: cannot create resource "pods/portforward"`)
		return
	}
	streams := make(chan httpstream.Stream, 16)
	accept := func(stream httpstream.Stream, _ <-chan struct{}) error { streams <- stream; return nil }
	var conn httpstream.Connection
	how := "websocket"
	switch {
	case websocket.IsWebSocketUpgrade(r) && !s.webSockets:
		http.Error(w, "no WebSockets here", http.StatusBadRequest)
		return
	case websocket.IsWebSocketUpgrade(r):
		upgrader := websocket.Upgrader{Subprotocols: []string{"SPDY/3.1+portforward.k8s.io"}}
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			s.t.Errorf("upgrade: %v", err)
			return
		}
		if conn, err = spdy.NewServerConnection(portforward.NewTunnelingConnection("server", ws), accept); err != nil {
			s.t.Errorf("SPDY over WebSocket: %v", err)
			return
		}
	default:
		how = "spdy"
		if _, err := httpstream.Handshake(r, w, []string{portforward.PortForwardProtocolV1Name}); err != nil {
			return
		}
		if conn = spdy.NewResponseUpgrader().UpgradeResponse(w, r, accept); conn == nil {
			return
		}
	}
	defer conn.Close()
	s.mu.Lock()
	s.forwards = append(s.forwards, how)
	s.mu.Unlock()
	pump(conn, streams, port)
}

// pump serves pairs of streams as a kubelet does.
func pump(conn httpstream.Connection, streams <-chan httpstream.Stream, port int) {
	faults := map[string]httpstream.Stream{}
	for {
		select {
		case <-conn.CloseChan():
			return
		case stream := <-streams:
			id := stream.Headers().Get("requestID")
			if stream.Headers().Get("streamType") == "error" {
				faults[id] = stream
				continue
			}
			go carry(stream, faults[id], port)
		}
	}
}

func carry(data, faults httpstream.Stream, port int) {
	defer faults.Close()
	defer data.Close()
	tcp, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		_, _ = fmt.Fprintf(faults, "failed to connect to localhost:9090 inside namespace: %v", err)
		return
	}
	defer tcp.Close()
	go func() {
		_, err := io.Copy(tcp, data)
		if half, ok := tcp.(*net.TCPConn); ok && err == nil {
			_ = half.CloseWrite()
		}
	}()
	if _, err := io.Copy(data, tcp); err != nil && !errors.Is(err, net.ErrClosed) {
		_, _ = fmt.Fprintf(faults, "copy: %v", err)
	}
}
