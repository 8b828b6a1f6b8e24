// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/censor"
)

// Manifest lists what a bundle holds and what it does not.
type Manifest struct {
	CreatedAt time.Time `json:"createdAt"`
	Plugin    string    `json:"plugin"`
	Server    string    `json:"server,omitempty"`
	Brands    []string  `json:"brands"`
	Collected []Item    `json:"collected"`
	// Refused is what could not be read. Nothing is left out in silence.
	Refused   []Refusal `json:"refused"`
	Redaction Redaction `json:"redaction"`
}

// Item is a file of the bundle.
type Item struct {
	File  string `json:"file"`
	What  string `json:"what"`
	Count int    `json:"count,omitempty"` // objects, or events
	Bytes int    `json:"bytes"`
}

// The reasons of a Refusal.
const (
	Forbidden   = "forbidden"
	NotFound    = "not-found"
	NotServed   = "not-served" // the cluster has no such kind
	Unavailable = "unavailable"
)

// Refusal is something that could not be read.
type Refusal struct {
	What    string `json:"what"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// Redaction says how far masking by value reaches.
type Redaction struct {
	Secrets int `json:"secrets"` // that could be read
	Values  int `json:"values"`  // that are looked for
	Masked  int `json:"masked"`  // places
	// NotLookedFor are keys whose values are too short to be told from other text.
	NotLookedFor []string `json:"notLookedFor,omitempty"`
	// NotRead are Secrets whose values could not be read and so are not known.
	NotRead []string `json:"notRead,omitempty"`
}

// writer puts files into the zip, each through the censor.
type writer struct {
	zip      *zip.Writer
	dir      string
	at       time.Time
	censor   *censor.Censor
	manifest *Manifest
}

func (w *writer) text(file, what string, count int, text string) error {
	f, err := w.zip.CreateHeader(&zip.FileHeader{Name: w.dir + "/" + file, Method: zip.Deflate, Modified: w.at})
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	clean := w.censor.Text(text)
	if _, err := io.WriteString(f, clean); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	w.manifest.Collected = append(w.manifest.Collected, Item{File: file, What: what, Count: count, Bytes: len(clean)})
	return nil
}

// objects writes Kubernetes objects as YAML.
func (w *writer) objects(file, what string, objects []map[string]any) error {
	var b strings.Builder
	for _, o := range objects {
		w.censor.Object(o)
		raw, err := yaml.Marshal(o)
		if err != nil {
			return fmt.Errorf("encode %s: %w", what, err)
		}
		b.WriteString("---\n")
		b.Write(raw)
	}
	return w.text(file, what, len(objects), b.String())
}

// json writes a value. It passes the censor as an object, so that it stays JSON.
func (w *writer) json(file, what string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", what, err)
	}
	var object map[string]any
	exact := json.NewDecoder(bytes.NewReader(raw))
	exact.UseNumber()
	if err := exact.Decode(&object); err != nil {
		return fmt.Errorf("encode %s: %w", what, err)
	}
	w.censor.Object(object)
	if raw, err = json.MarshalIndent(object, "", "  "); err != nil {
		return fmt.Errorf("encode %s: %w", what, err)
	}
	return w.text(file, what, 0, string(raw)+"\n")
}

// refuse notes what could not be read.
func (w *writer) refuse(what string, err error) {
	reason := Unavailable
	switch {
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		reason = Forbidden
	case apierrors.IsNotFound(err):
		reason = NotFound
	}
	w.note(what, reason, err.Error())
}

func (w *writer) note(what, reason, message string) {
	w.manifest.Refused = append(w.manifest.Refused, Refusal{What: what, Reason: reason, Message: w.censor.Text(message)})
}
