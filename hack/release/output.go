// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// artefact is a file of the release, or with a slash in its name an image as a registry has
// it, and its SHA-256: a file's, or a manifest's.
type artefact struct{ Name, SHA256 string }

func (a artefact) isFile() bool { return !strings.Contains(a.Name, "/") }

// output is the folder that a release is written to, and what was written, in this order.
type output struct {
	folder string
	made   []artefact
}

func (o *output) write(name string, text []byte) error {
	o.made = append(o.made, artefact{name, sum(text)})
	return os.WriteFile(filepath.Join(o.folder, name), text, 0o644)
}

// checksums are the files' as sha256sum -c takes them.
func (o *output) checksums() []byte {
	var b strings.Builder
	for _, a := range o.made {
		if a.isFile() {
			fmt.Fprintf(&b, "%s  %s\n", a.SHA256, a.Name)
		}
	}
	return []byte(b.String())
}

func sum(text []byte) string {
	s := sha256.Sum256(text)
	return hex.EncodeToString(s[:])
}
