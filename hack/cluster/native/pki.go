// SPDX-License-Identifier: Apache-2.0

package native

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

const certificateLife = 365 * 24 * time.Hour

// An authority signs the certificates of one cluster.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// A pair is a certificate and its key, in PEM.
type pair struct{ certificate, key []byte }

func newAuthority(now time.Time) (authority, error) {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "hexiao-cluster"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	key, err := fillTemplate(template, now)
	if err != nil {
		return authority{}, err
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return authority{}, fmt.Errorf("create the certificate authority: %w", err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		return authority{}, fmt.Errorf("create the certificate authority: %w", err)
	}
	return authority{certificate: certificate, key: key}, nil
}

func (a authority) pair() (pair, error) { return encode(a.certificate.Raw, a.key) }

// server issues a certificate for names and IP addresses.
func (a authority) server(now time.Time, hosts ...string) (pair, error) {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: hosts[0]}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return a.issue(template, now)
}

// client issues a certificate that Kubernetes reads as a user and its groups.
func (a authority) client(now time.Time, user string, groups ...string) (pair, error) {
	return a.issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: user, Organization: groups}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, now)
}

func (a authority) issue(template *x509.Certificate, now time.Time) (pair, error) {
	key, err := fillTemplate(template, now)
	if err != nil {
		return pair{}, err
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return pair{}, fmt.Errorf("issue the certificate of %s: %w", template.Subject.CommonName, err)
	}
	return encode(raw, key)
}

// fillTemplate adds what all certificates have. They start an hour back, for clocks that are not quite right.
func fillTemplate(template *x509.Certificate, now time.Time) (*ecdsa.PrivateKey, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("choose a serial number: %w", err)
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = serial, now.Add(-time.Hour), now.Add(certificateLife)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate a key: %w", err)
	}
	return key, nil
}

func encode(certificate []byte, key *ecdsa.PrivateKey) (pair, error) {
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return pair{}, fmt.Errorf("encode a key: %w", err)
	}
	return pair{
		certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
		key:         pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw}),
	}, nil
}
