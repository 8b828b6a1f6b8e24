// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/secure-systems-lab/go-securesystemslib/signerverifier"
)

// keyFile holds a private key as openssl genpkey writes it.
func keyFile(t *testing.T, key any) string {
	t.Helper()
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// verifier is the library's own, which knows the public key alone.
func verifier(t *testing.T, public crypto.PublicKey) dsse.Verifier {
	t.Helper()
	raw, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	key, err := signerverifier.LoadKey(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: raw}))
	if err != nil {
		t.Fatal(err)
	}
	var v dsse.Verifier
	if _, is := public.(ed25519.PublicKey); is {
		v, err = signerverifier.NewED25519SignerVerifierFromSSLibKey(key)
	} else {
		v, err = signerverifier.NewECDSASignerVerifierFromSSLibKey(key)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestWhatIsSignedIsVerifiedByThePublicKeyAlone(t *testing.T) {
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{"Ed25519": edwards, "ECDSA": curve} {
		t.Run(name, func(t *testing.T) {
			r := quick(t)
			r.platforms, r.key, r.builder = []string{"linux/amd64"}, keyFile(t, key), "https://ci.example.com/hexiao"
			if err := r.run(t.Context(), io.Discard); err != nil {
				t.Fatal(err)
			}
			v, sums, signature := verifier(t, key.Public()), r.read(t, "checksums.txt"), r.read(t, signatureFile)
			if err := v.Verify(t.Context(), sums, signature); err != nil {
				t.Error(err)
			}
			if v.Verify(t.Context(), append(sums, '\n'), signature) == nil {
				t.Error("checksums that were changed pass")
			}
			var e dsse.Envelope
			if err := json.Unmarshal(r.read(t, envelopeFile), &e); err != nil {
				t.Fatal(err)
			}
			all, err := dsse.NewEnvelopeVerifier(v)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := all.Verify(t.Context(), &e); err != nil {
				t.Error(err)
			}
			if payload, err := e.DecodeB64Payload(); err != nil || !bytes.Equal(payload, r.read(t, "provenance.json")) || e.PayloadType != payloadType {
				t.Errorf("%v, %s: another statement is signed than lies beside it", err, e.PayloadType)
			}
			e.PayloadType = "text/plain"
			if _, err := all.Verify(t.Context(), &e); err == nil {
				t.Error("an envelope of another type passes")
			}

			r.key = ""
			if err := r.run(t.Context(), io.Discard); err != nil {
				t.Fatal(err)
			}
			for _, old := range []string{signatureFile, envelopeFile} {
				if _, err := os.Stat(filepath.Join(r.output, old)); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s of the run before is still there: %v", old, err)
				}
			}
		})
	}
}

func TestAKeyThatCannotSignIsRefusedBeforeAnythingIsBuilt(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	const ci = "https://ci.example.com/hexiao"
	for name, tc := range map[string]struct{ key, builder, want string }{
		"a file that is not there": {filepath.Join(t.TempDir(), "none.pem"), ci, "openssl genpkey -algorithm ed25519"},
		"no PEM":                   {"sign_test.go", ci, "PKCS#8"},
		"RSA":                      {keyFile(t, weak), ci, "Ed25519 or ECDSA"},
		"nobody who signs":         {keyFile(t, weak), byHand, "--builder"},
	} {
		t.Run(name, func(t *testing.T) {
			r := quick(t)
			r.key, r.builder = tc.key, tc.builder
			if err := r.run(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "--key") || !strings.Contains(err.Error(), tc.want) {
				t.Error(err)
			}
			if made, err := os.ReadDir(r.output); err != nil || len(made) > 0 {
				t.Errorf("%v, %v", made, err)
			}
		})
	}
}
