// SPDX-License-Identifier: Apache-2.0

package brand

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/connector/redact"
)

// Files says where the configuration lies.
type Files struct {
	// Object is a YAML file with one BrandConnector.
	Object string
	// Credentials is the directory of the Secrets.
	Credentials string
	// Shops is the file of a large shop table, which spec.shopsConfigMapRef names in
	// a cluster; empty when there is none.
	Shops string
}

// Brand is a brand as configured: defaulted and valid.
type Brand struct {
	Object  v1alpha1.BrandConnector
	Shops   map[string]v1alpha1.Shop // by kryShopID
	Keruyun KeruyunCredentials
	Zhimai  ZhimaiCredentials // when spec.providers.zhimai is set
	Alsc    AlscCredentials   // when spec.providers.alsc is set
	// LedgerDSN of PostgreSQL, when spec.ledger.postgres is set.
	LedgerDSN redact.Secret
	// Revision identifies the configuration, without the credentials.
	Revision string
}

// KeruyunCredentials authenticate the point of sale.
type KeruyunCredentials struct {
	AppKey string
	Token  redact.Secret
}

// ZhimaiCredentials authenticate this connector to Zhimai.
type ZhimaiCredentials struct {
	OpenID    string
	OpenKey   redact.Secret
	GrantCode redact.Secret
}

// AlscCredentials authenticate this connector to the Taobao Open Platform.
type AlscCredentials struct {
	AppKey    string
	AppSecret redact.Secret
	Session   redact.Secret // empty: not sent
}

// maxFile bounds each file that is read; the largest shop table of a ConfigMap is
// smaller.
const maxFile = 4 << 20

// Load reads and judges everything. The error lists every fault that was found.
func Load(files Files) (*Brand, error) {
	b := &Brand{}
	if err := b.readObject(files.Object); err != nil {
		return nil, err
	}
	if err := b.readShops(files.Shops); err != nil {
		return nil, err
	}
	b.Object.Default()
	if errs := b.Object.Validate(); len(errs) > 0 {
		return nil, fmt.Errorf("%s: %w", files.Object, errs.ToAggregate())
	}
	if l := b.Object.Spec.Ledger; l.Postgres == nil && l.Embedded == nil {
		return nil, fmt.Errorf("%s: spec.ledger is missing: outside of a cluster there is no ConnectorClass to take it from; give spec.ledger.postgres or spec.ledger.embedded", files.Object)
	}
	if err := b.readCredentials(files.Credentials); err != nil {
		return nil, err
	}
	return b, b.revise()
}

func (b *Brand) readObject(path string) error {
	raw, err := readFile(path)
	if err != nil {
		return fmt.Errorf("read the BrandConnector: %w", err)
	}
	if err := v1alpha1.Decode(raw, &b.Object); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if b.Object.Kind != v1alpha1.KindBrandConnector || b.Object.APIVersion != v1alpha1.GroupVersion.String() {
		return fmt.Errorf("%s holds a %s of %s, not a %s of %s", path, orNone(b.Object.Kind), orNone(b.Object.APIVersion),
			v1alpha1.KindBrandConnector, v1alpha1.GroupVersion)
	}
	return nil
}

func orNone(s string) string {
	if s == "" {
		return "(nothing)"
	}
	return s
}

// readShops fills Shops from the object or from the file.
func (b *Brand) readShops(path string) error {
	list := b.Object.Spec.Shops
	switch {
	case b.Object.Spec.ShopsConfigMapRef != nil && path == "":
		return errors.New("spec.shopsConfigMapRef is set: name the file of the shop table with --shops")
	case b.Object.Spec.ShopsConfigMapRef != nil:
		raw, err := readFile(path)
		if err != nil {
			return fmt.Errorf("read the shop table: %w", err)
		}
		if list, err = v1alpha1.ParseShops(raw); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	b.Shops = make(map[string]v1alpha1.Shop, len(list))
	for _, s := range list {
		b.Shops[s.KryShopID] = s
	}
	return nil
}

func (b *Brand) readCredentials(dir string) error {
	r := &secretReader{dir: dir, read: v1alpha1.ReadCredential}
	spec := &b.Object.Spec
	name := spec.Keruyun.CredentialsSecretRef.Name
	b.Keruyun.AppKey = r.need(name, v1alpha1.KeyKeruyunAppKey).Reveal()
	b.Keruyun.Token = r.need(name, v1alpha1.KeyKeruyunToken)
	if z := spec.Providers.Zhimai; z != nil {
		name := z.CredentialsSecretRef.Name
		b.Zhimai.OpenID = r.need(name, v1alpha1.KeyZhimaiOpenID).Reveal()
		b.Zhimai.OpenKey = r.need(name, v1alpha1.KeyZhimaiOpenKey)
		b.Zhimai.GrantCode = r.need(name, v1alpha1.KeyZhimaiGrantCode)
	}
	if a := spec.Providers.Alsc; a != nil {
		name := a.CredentialsSecretRef.Name
		b.Alsc.AppKey = r.need(name, v1alpha1.KeyAlscAppKey).Reveal()
		b.Alsc.AppSecret = r.need(name, v1alpha1.KeyAlscAppSecret)
		b.Alsc.Session = r.want(name, v1alpha1.KeyAlscSession)
	}
	if p := spec.Ledger.Postgres; p != nil {
		r.read = v1alpha1.ReadDSN
		b.LedgerDSN = r.need(p.DSNSecretRef.Name, p.DSNSecretRef.Key)
	}
	return errors.Join(r.errs...)
}

// secretReader reads keys of mounted Secrets and gathers what is wrong.
type secretReader struct {
	dir string
	// read is how a key is read. The operator reads it by the same function, before it
	// rolls a connector out.
	read func([]byte) (string, error)
	errs []error
}

// need reads a key that must be there and must not be empty.
func (r *secretReader) need(secret, key string) redact.Secret {
	faults := len(r.errs)
	value := r.want(secret, key)
	if value.IsZero() && len(r.errs) == faults {
		r.errs = append(r.errs, fmt.Errorf("the Secret %s needs the key %s (file %s): it is missing or empty",
			secret, key, filepath.Join(r.dir, secret, key)))
	}
	return value
}

// want reads a key that may be absent; an empty one is.
func (r *secretReader) want(secret, key string) redact.Secret {
	raw, err := readFile(filepath.Join(r.dir, secret, key))
	if errors.Is(err, os.ErrNotExist) {
		return redact.Secret{}
	}
	if err != nil {
		r.errs = append(r.errs, fmt.Errorf("read the key %s of the Secret %s: %w", key, secret, err))
		return redact.Secret{}
	}
	text, err := r.read(raw)
	if err != nil && !errors.Is(err, v1alpha1.ErrEmptyCredential) {
		r.errs = append(r.errs, fmt.Errorf("the key %s of the Secret %s %w", key, secret, err))
	}
	return redact.NewSecret(text)
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s has %d bytes, more than the %d that are read", path, info.Size(), maxFile)
	}
	return os.ReadFile(path)
}

// revise computes Revision over what shapes redemptions.
func (b *Brand) revise() error {
	raw, err := json.Marshal(struct {
		Spec  v1alpha1.BrandConnectorSpec
		Shops map[string]v1alpha1.Shop
	}{b.Object.Spec, b.Shops})
	if err != nil {
		return fmt.Errorf("compute the configuration's revision: %w", err)
	}
	sum := sha256.Sum256(raw)
	b.Revision = hex.EncodeToString(sum[:6])
	return nil
}
