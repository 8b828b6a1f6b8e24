// SPDX-License-Identifier: Apache-2.0

package native

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hexiao-dev/hexiao/hack/cluster/progress"
)

// packageOf names the Debian package of each program that the cluster takes from the distribution.
var packageOf = map[string]string{
	"runc": "runc", "iptables": "iptables", "ip": "iproute2", "nsenter": "util-linux",
}

const pluginsPackage = "containernetworking-plugins"

// pluginDirectories are where distributions keep the network plugins.
var pluginDirectories = []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"}

// ensurePackages installs what is missing and returns the directory of the network plugins.
func ensurePackages(ctx context.Context, p progress.Printer) (string, error) {
	missing := missingPackages()
	if len(missing) > 0 {
		if err := install(ctx, p, missing); err != nil {
			return "", err
		}
		if missing = missingPackages(); len(missing) > 0 {
			return "", fmt.Errorf("the programs of the packages %s are still missing after installing them", strings.Join(missing, " "))
		}
	}
	return plugins(), nil
}

func missingPackages() []string {
	missing := map[string]bool{}
	for program, name := range packageOf {
		if _, err := exec.LookPath(program); err != nil {
			missing[name] = true
		}
	}
	if plugins() == "" {
		missing[pluginsPackage] = true
	}
	return slices.Sorted(maps.Keys(missing))
}

// plugins finds the directory that has the plugins which the cluster uses.
func plugins() string {
	for _, directory := range pluginDirectories {
		complete := true
		for _, plugin := range []string{"ptp", "host-local", "portmap", "loopback"} {
			if _, err := os.Stat(filepath.Join(directory, plugin)); err != nil {
				complete = false
			}
		}
		if complete {
			return directory
		}
	}
	return ""
}

func install(ctx context.Context, p progress.Printer, packages []string) error {
	aptGet, err := exec.LookPath("apt-get")
	if err != nil {
		return fmt.Errorf("missing programs: install the packages %s (their names in Debian)", strings.Join(packages, " "))
	}
	return p.Step("installing "+strings.Join(packages, " "), func() error {
		for _, args := range [][]string{
			{"-q", "update"},
			append([]string{"-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", "install"}, packages...),
		} {
			cmd := exec.CommandContext(ctx, aptGet, args...)
			cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w\n%s", commandLine("apt-get", args), err, out)
			}
		}
		return nil
	})
}
