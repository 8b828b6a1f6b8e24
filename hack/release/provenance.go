// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"

	slsa "github.com/in-toto/attestation/go/predicates/provenance/v1"
	intoto "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

const (
	predicateType = "https://slsa.dev/provenance/v1"
	repository    = "git+https://github.com/hexiao-dev/hexiao"
	page          = "https://github.com/hexiao-dev/hexiao/blob/main/docs/guides/verify.md"
	buildType     = page + "#build-type-1"  // what the parameters mean stands there
	byHand        = page + "#built-by-hand" // a machine that nobody vouches for
)

// provenance says from which commit, by whom and with which parameters the artefacts were
// built: an in-toto statement with SLSA's predicate. It has no times, so that whoever builds
// the same commit with the same parameters gets the same statement.
func provenance(ctx context.Context, r *release, made []artefact) ([]byte, error) {
	goVersion, err := ask(ctx, r.source, "go", "env", "GOVERSION")
	if err != nil {
		return nil, fmt.Errorf("ask for Go's version: %w", err)
	}
	external, err := structpb.NewStruct(map[string]any{
		"version": r.version, "platforms": list(r.platforms), "images": list(r.images), "url": r.url, "sourceDateEpoch": r.at.Unix(),
	})
	if err != nil {
		return nil, err
	}
	p := &slsa.Provenance{
		BuildDefinition: &slsa.BuildDefinition{
			BuildType: buildType, ExternalParameters: external,
			ResolvedDependencies: []*intoto.ResourceDescriptor{{Uri: repository, Digest: map[string]string{"gitCommit": r.revision}}},
		},
		RunDetails: &slsa.RunDetails{Builder: &slsa.Builder{Id: r.builder, Version: map[string]string{"go": goVersion}}},
	}
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("provenance: %w", err)
	}
	predicate := &structpb.Struct{}
	raw, err := stable(p)
	if err != nil {
		return nil, err
	}
	if err := protojson.Unmarshal(raw, predicate); err != nil {
		return nil, err
	}
	s := &intoto.Statement{Type: intoto.StatementTypeUri, PredicateType: predicateType, Predicate: predicate}
	for _, a := range made {
		s.Subject = append(s.Subject, &intoto.ResourceDescriptor{Name: a.Name, Digest: map[string]string{"sha256": a.SHA256}})
	}
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("provenance: %w", err)
	}
	return stable(s)
}

// stable is a message's JSON; protojson puts blanks where it pleases.
func stable(m proto.Message) ([]byte, error) {
	raw, err := protojson.Marshal(m)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = json.Indent(&b, raw, "", "  ")
	b.WriteByte('\n')
	return b.Bytes(), err
}

func list(texts []string) []any {
	all := make([]any, len(texts))
	for i, t := range texts {
		all[i] = t
	}
	return all
}

var commit = regexp.MustCompile(`^[0-9a-f]{40}$`)

// sourceRevision is the commit that is built. A tree that differs from its commit has none:
// a statement that names one would be false.
func sourceRevision(ctx context.Context, source, given string) (string, error) {
	if given != "" {
		if !commit.MatchString(given) {
			return "", fmt.Errorf("--revision %q: give the whole name of the commit that is built, 40 hexadecimal digits (git rev-parse HEAD)", given)
		}
		return given, nil
	}
	head, err := ask(ctx, source, "git", "rev-parse", "HEAD")
	if err != nil {
		return "", fmt.Errorf("ask git which commit is built: %w; outside of a repository name it with --revision", err)
	}
	changes, err := ask(ctx, source, "git", "status", "--porcelain")
	if err != nil {
		return "", fmt.Errorf("ask git whether all is committed: %w", err)
	}
	if changes != "" {
		first, _, _ := strings.Cut(changes, "\n")
		return "", fmt.Errorf("the source differs from commit %.12s (%s): build from a clean clone, or name with --revision the commit that it equals", head, first)
	}
	return head, nil
}

// ask is what a program prints.
func ask(ctx context.Context, folder, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = folder
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		return "", fmt.Errorf("%w: %s", err, bytes.TrimSpace(failed.Stderr))
	}
	return strings.TrimSpace(string(out)), err
}
