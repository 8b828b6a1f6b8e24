// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/controllers/render"
)

func TestARevisionThatIsTakenOverGivesTheSameObjects(t *testing.T) {
	known := load(t, "testdata/postgres.in.yaml")
	want, err := render.Render(known)
	if err != nil {
		t.Fatal(err)
	}
	// The key is not known, and of the values only that which the network policy needs.
	unknown := known
	unknown.Installation.RevisionKey = nil
	got, err := render.Render(unknown)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(marshal(t, want), marshal(t, got)) {
		t.Fatal("another key gave the same objects: the test shows nothing")
	}
	if err := got.SetConfigRevision(want.ConfigRevision); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(marshal(t, want)), string(marshal(t, got))); diff != "" {
		t.Errorf("with the revision taken over (-want +got):\n%s", diff)
	}
	if got.ConfigRevision != want.ConfigRevision || got.TemplateHash != want.TemplateHash {
		t.Errorf("revision %s and hash %s, want %s and %s", got.ConfigRevision, got.TemplateHash, want.ConfigRevision, want.TemplateHash)
	}
}
