// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// ErrClassHidden is a ClassFinder's answer when the caller may not read classes. The
// brand is then completed without one, and marked.
var ErrClassHidden = errors.New("you may not read ConnectorClasses")

// ClassFinder finds a class that no file holds; nil without an error when there is none.
type ClassFinder func(name string) (*v1alpha1.ConnectorClass, error)

// NoClasses finds none: without a cluster there are those of the files alone.
func NoClasses(string) (*v1alpha1.ConnectorClass, error) { return nil, nil }

// Complete gives each brand a namespace and its class, and holds both against every
// demand. All errors come at once. A namespace that was asked for must be the file's; otherwise
// is for the brands whose file names none.
func (s *Set) Complete(asked, otherwise string, elsewhere ClassFinder) error {
	var errs []error
	for _, c := range s.classes {
		c.object.Default()
		wrong, err := judged(v1alpha1.KindConnectorClass, c.written, c.object.Validate())
		if err != nil {
			return err
		}
		for _, e := range wrong {
			errs = append(errs, fmt.Errorf("%s: %s %s: %w", c.source, v1alpha1.KindConnectorClass, c.object.Name, e))
		}
	}
	for i := range s.Brands {
		b := &s.Brands[i]
		b.Object.Namespace = cmp.Or(b.Object.Namespace, asked, otherwise)
		if asked != "" && b.Object.Namespace != asked {
			errs = append(errs, b.fault("metadata.namespace is %q, and -n says %q: change one of them", b.Object.Namespace, asked))
		}
		class, err := s.classOf(b, elsewhere)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		b.Class = class
		defaulted := b.Object.DeepCopy()
		defaulted.Default()
		wrong, err := judged(v1alpha1.KindBrandConnector, b.written, defaulted.Validate())
		if err != nil {
			return err
		}
		for _, e := range wrong {
			errs = append(errs, b.fault("%w", e))
		}
	}
	return errors.Join(errs...)
}

func (b *Brand) fault(format string, args ...any) error {
	return fmt.Errorf("%s: BrandConnector %s: %w", b.Source, b.Object.Name, fmt.Errorf(format, args...))
}

// classOf finds the class that a brand names, or the default one if there is one.
func (s *Set) classOf(b *Brand, elsewhere ClassFinder) (*v1alpha1.ConnectorClass, error) {
	name := cmp.Or(b.Object.Spec.ConnectorClassName, v1alpha1.DefaultConnectorClass)
	for _, c := range s.classes {
		if c.object.Name == name {
			return c.object, nil
		}
	}
	c, err := elsewhere(name)
	switch {
	case errors.Is(err, ErrClassHidden):
		b.ClassHidden = true
		return nil, nil
	case err != nil:
		return nil, b.fault("spec.connectorClassName: %w", err)
	case c == nil && b.Object.Spec.ConnectorClassName != "":
		return nil, b.fault("spec.connectorClassName: there is no %s %s here: give its file with -f, too", v1alpha1.KindConnectorClass, name)
	}
	return c, nil
}

// Values finds what a brand refers to: the keys of Secrets as DIR/SECRET/KEY, as the
// connector's --credentials-dir has them, the shop table in a ConfigMap of the files or
// as DIR/CONFIGMAP/KEY. Without a directory, Secrets are not looked for. What is found
// must be what the operator demands of it.
func (s *Set) Values(b Brand, dir string) ([]render.Value, error) {
	var values []render.Value
	var errs []error
	for _, need := range render.Needs(v1alpha1.Resolve(b.Object, b.Class)) {
		value, where, err := s.value(b, need, dir)
		if err == nil && value != nil {
			value, err = demand(need, value, where)
		}
		switch {
		case err != nil:
			errs = append(errs, b.fault("%w", err))
		case value != nil:
			values = append(values, render.Value{Need: need, Bytes: value})
		}
	}
	return values, errors.Join(errs...)
}

func (s *Set) value(b Brand, need render.Need, dir string) (value []byte, where string, err error) {
	for _, c := range s.configMaps {
		if need.Source != render.SourceConfigMap || c.Name != need.Name || c.Namespace != "" && c.Namespace != b.Object.Namespace {
			continue
		}
		text, is := c.Data[need.Key]
		if !is {
			return nil, "", fmt.Errorf("%s: ConfigMap %s has no key %s: add it", need.Field, need.Name, need.Key)
		}
		return []byte(text), "ConfigMap " + need.Name, nil
	}
	if dir == "" {
		return nil, "", nil
	}
	where = filepath.Join(dir, need.Name, need.Key)
	value, err = os.ReadFile(where)
	if errors.Is(err, os.ErrNotExist) {
		if need.Optional || need.Source == render.SourceConfigMap {
			return nil, "", nil
		}
		return nil, "", fmt.Errorf("%s: there is no file %s: key %s of Secret %s is needed: add it", need.Field, where, need.Key, need.Name)
	}
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", need.Field, err)
	}
	return value, where, nil
}

// demand makes the operator's demands on a value, and returns nothing for one that it
// takes for missing. Its errors never repeat a Secret's.
func demand(need render.Need, value []byte, where string) ([]byte, error) {
	if need.Source == render.SourceConfigMap {
		if _, err := v1alpha1.ParseShops(value); err != nil {
			return nil, fmt.Errorf("%s: %s, key %s: it is no list of shops: %w", need.Field, where, need.Key, err)
		}
		return value, nil
	}
	read := v1alpha1.ReadCredential
	if need.DSN {
		read = v1alpha1.ReadDSN
	}
	_, err := read(value)
	if errors.Is(err, v1alpha1.ErrEmptyCredential) && need.Optional {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %s %w", need.Field, where, err)
	}
	return value, nil
}
