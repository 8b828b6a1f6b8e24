// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

const (
	signatureFile = "checksums.txt.sig"       // of checksums.txt, not encoded
	envelopeFile  = "provenance.intoto.jsonl" // DSSE, on one line
	payloadType   = "application/vnd.in-toto+json"
)

// signer signs with one key, as openssl verifies: Ed25519 the message itself, ECDSA its
// SHA-256, in ASN.1.
type signer struct {
	key  crypto.Signer
	opts crypto.SignerOpts
}

// readKey reads a private key. Its errors hold nothing of the file.
func readKey(path string) (*signer, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--key: %w: make one with openssl genpkey -algorithm ed25519", err)
	}
	unfit := fmt.Errorf("--key %s: no private key for Ed25519 or ECDSA, unencrypted, PKCS#8, in PEM: openssl pkcs8 -topk8 -nocrypt converts one", path)
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, unfit
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, unfit
	}
	switch key := parsed.(type) {
	case ed25519.PrivateKey:
		return &signer{key, crypto.Hash(0)}, nil
	case *ecdsa.PrivateKey:
		return &signer{key, crypto.SHA256}, nil
	}
	return nil, unfit
}

// Sign is a signature of data. It makes signer a dsse.Signer, as KeyID does.
func (s *signer) Sign(_ context.Context, data []byte) ([]byte, error) {
	return crypto.SignMessage(s.key, rand.Reader, data, s.opts)
}

// KeyID is empty: there is no one way to name a key, and verifiers pass over a signature
// whose name is not the one that they would give.
func (s *signer) KeyID() (string, error) { return "", nil }

// envelope is the statement with its signature.
func (s *signer) envelope(ctx context.Context, statement []byte) ([]byte, error) {
	e, err := dsse.NewEnvelopeSigner(s)
	if err != nil {
		return nil, err
	}
	signed, err := e.SignPayload(ctx, payloadType, statement)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(signed)
	return append(text, '\n'), err
}
