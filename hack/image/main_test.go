// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// buildHello builds the image of the test program from scratch and returns what the command printed, without the path.
func buildHello(t *testing.T) (v1.Image, string) {
	t.Helper()
	output := filepath.Join(t.TempDir(), "hello.tar")
	var printed bytes.Buffer
	cmd := root()
	cmd.SetOut(&printed)
	cmd.SetArgs([]string{
		"--source", ".", "--target", "hello", "--package", "./testdata/hello", "--output", output,
		"--tag", "hexiao/hello:test", "--version", "1.2.3", "--arch", "arm64",
	})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	image, err := tarball.ImageFromPath(output, nil)
	if err != nil {
		t.Fatal(err)
	}
	return image, strings.TrimPrefix(printed.String(), output)
}

func TestImage(t *testing.T) {
	image, first := buildHello(t)
	t.Run("says what runs, as whom and which version it is", func(t *testing.T) {
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		want := v1.Config{
			Entrypoint: []string{"/hexiao-hello"}, User: "65532:65532", WorkingDir: "/",
			Env: []string{"PATH=/", "ZONEINFO=/usr/share/zoneinfo.zip", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"},
			Labels: map[string]string{
				"org.opencontainers.image.title":    "hexiao-hello",
				"org.opencontainers.image.version":  "1.2.3",
				"org.opencontainers.image.source":   "https://github.com/hexiao-dev/hexiao",
				"org.opencontainers.image.licenses": "Apache-2.0",
			},
		}
		if diff := cmp.Diff(want, config.Config); diff != "" {
			t.Errorf("configuration (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff("linux/arm64", config.OS+"/"+config.Architecture); diff != "" {
			t.Errorf("platform (-want +got):\n%s", diff)
		}
	})
	t.Run("is the same when built again", func(t *testing.T) {
		_, second := buildHello(t)
		if diff := cmp.Diff(first, second); diff != "" {
			t.Errorf("tag and digest (-want +got):\n%s", diff)
		}
	})
}

func TestSourceDate(t *testing.T) {
	for name, tc := range map[string]struct {
		epoch   string
		want    int64
		wantErr string
	}{
		"seconds are taken":           {epoch: "1700000000", want: 1700000000},
		"a date is refused with help": {epoch: "2026-01-01", wantErr: "SOURCE_DATE_EPOCH"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := sourceDate(tc.epoch)
			if (tc.wantErr == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tc.wantErr) {
				t.Fatalf("error %v, want %q", err, tc.wantErr)
			}
			if err == nil && got.Unix() != tc.want {
				t.Errorf("time %v, want second %d", got, tc.want)
			}
		})
	}
	t.Run("nothing stands for the default", func(t *testing.T) {
		if got, err := sourceDate(""); err != nil || !got.IsZero() {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

func TestMain(m *testing.M) {
	// The caller's own time stamp would get into the images.
	if err := os.Unsetenv("SOURCE_DATE_EPOCH"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
