// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	slsa "github.com/in-toto/attestation/go/predicates/provenance/v1"
	intoto "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

func TestTheProvenanceIsOfEveryFileAndNamesTheCommit(t *testing.T) {
	r := quick(t)
	if err := r.run(t.Context(), io.Discard); err != nil {
		t.Fatal(err)
	}
	var s intoto.Statement
	if err := protojson.Unmarshal(r.read(t, "provenance.json"), &s); err != nil {
		t.Fatal(err)
	}
	raw, err := protojson.Marshal(s.GetPredicate())
	if err != nil {
		t.Fatal(err)
	}
	var p slsa.Provenance
	if err := protojson.Unmarshal(raw, &p); err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
	if err := p.Validate(); err != nil {
		t.Error(err)
	}
	var subjects strings.Builder
	registry := 0
	for _, a := range s.GetSubject() {
		if strings.Contains(a.GetName(), "/") {
			registry++
			continue
		}
		subjects.WriteString(a.GetDigest()["sha256"] + "  " + a.GetName() + "\n")
	}
	subjects.WriteString(sum(r.read(t, "provenance.json")) + "  provenance.json\n")
	if d := cmp.Diff(string(r.read(t, "checksums.txt")), subjects.String()); d != "" || registry != 1 {
		t.Errorf("%d images; files (-checksums.txt +subjects):\n%s", registry, d)
	}
	from := p.GetBuildDefinition().GetResolvedDependencies()[0]
	got := []string{s.GetPredicateType(), from.GetUri(), from.GetDigest()["gitCommit"], p.GetRunDetails().GetBuilder().GetId(), p.GetBuildDefinition().GetExternalParameters().GetFields()["version"].GetStringValue()}
	want := []string{"https://slsa.dev/provenance/v1", "git+https://github.com/hexiao-dev/hexiao", r.revision, byHand, "v1.2.3"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("provenance (-want +got):\n%s", d)
	}
}

func TestOnlyACommitThatIsBuiltIsNamed(t *testing.T) {
	folder := t.TempDir()
	inGit := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
		cmd.Dir = folder
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	refused := func(given, want string) {
		t.Helper()
		if got, err := sourceRevision(t.Context(), folder, given); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--revision") {
			t.Errorf("%q: %q, %v", given, got, err)
		}
	}
	refused("", "git")
	refused("v1.2.3", "git rev-parse HEAD")
	inGit("init", "--quiet")
	inGit("commit", "--quiet", "--allow-empty", "--message", "first")
	head := inGit("rev-parse", "HEAD")
	if got, err := sourceRevision(t.Context(), folder, ""); got != head || err != nil {
		t.Errorf("%q, %v, want %q", got, err, head)
	}
	if err := os.WriteFile(filepath.Join(folder, "new.go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	refused("", "new.go")
	if got, err := sourceRevision(t.Context(), folder, head); got != head || err != nil {
		t.Errorf("%q, %v, want %q", got, err, head)
	}
}
