// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	yamlnode "go.yaml.in/yaml/v3"
)

// document is an OpenAPI file, and the order in which things stand in it.
type document struct {
	*openapi3.T
	node *yamlnode.Node
}

// load reads a document and has it checked: references, schemas, and that its own
// examples fit.
func load(t *testing.T, name string) document {
	t.Helper()
	path := root + "/docs/reference/" + name
	doc, err := openapi3.NewLoader().LoadFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !doc.IsOpenAPI31OrLater() {
		t.Fatalf("%s is OpenAPI %s", name, doc.OpenAPI)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var node yamlnode.Node
	if err := yamlnode.Unmarshal([]byte(read(t, path)), &node); err != nil {
		t.Fatal(err)
	}
	return document{doc, node.Content[0]}
}

// keys are the keys of the mapping at path, in order.
func (d document) keys(path ...string) []string {
	node := d.node
	for _, key := range path {
		if node = child(node, key); node == nil {
			return nil
		}
	}
	var keys []string
	for i := 0; i < len(node.Content); i += 2 {
		keys = append(keys, node.Content[i].Value)
	}
	return keys
}

func child(node *yamlnode.Node, key string) *yamlnode.Node {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}

// operation is a path and a method of a document.
type operation struct {
	path, method string
	*openapi3.Operation
}

// operations in the order of the document.
func (d document) operations() []operation {
	var all []operation
	for _, path := range d.keys("paths") {
		for _, key := range d.keys("paths", path) {
			if op := d.Paths.Value(path).GetOperation(strings.ToUpper(key)); key != "parameters" && op != nil {
				all = append(all, operation{path, strings.ToUpper(key), op})
			}
		}
	}
	return all
}

// example is a request body of an operation; name is empty where there is none.
type example struct {
	name string
	body []byte
}

// examples of an operation's request, in the order of the document. Without a body
// there is one call to make.
func (d document) examples(t *testing.T, op operation) []example {
	t.Helper()
	if op.RequestBody == nil {
		return []example{{}}
	}
	var all []example
	for _, name := range d.keys("paths", op.path, strings.ToLower(op.method), "requestBody", "content", "application/json", "examples") {
		raw, err := json.Marshal(op.RequestBody.Value.Content["application/json"].Examples[name].Value.Value)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, example{name, raw})
	}
	if len(all) == 0 {
		t.Fatalf("%s %s has no example", op.method, op.path)
	}
	return all
}

// input is a call of the operation for the validator.
func (d document) input(t *testing.T, op operation, url string, params map[string]string, body []byte) *openapi3filter.RequestValidationInput {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), op.method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return &openapi3filter.RequestValidationInput{
		Request: req, PathParams: params,
		Route: &routers.Route{Spec: d.T, Path: op.path, PathItem: d.Paths.Value(op.path), Method: op.method, Operation: op.Operation},
		Options: &openapi3filter.Options{
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, MultiError: true,
		},
	}
}

func (d document) checkRequest(t *testing.T, op operation, url string, params map[string]string, body []byte) {
	t.Helper()
	if err := openapi3filter.ValidateRequest(t.Context(), d.input(t, op, url, params, body)); err != nil {
		t.Errorf("the request is not what the document says: %v", err)
	}
}

func (d document) checkReply(t *testing.T, op operation, url string, r reply) {
	t.Helper()
	in := d.input(t, op, url, nil, nil)
	err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: r.status, Header: r.header, Body: io.NopCloser(bytes.NewReader(r.body)), Options: in.Options,
	})
	if err != nil {
		t.Errorf("the reply is not what the document says: %v\n%s", err, r.body)
	}
}
