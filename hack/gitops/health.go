// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// Flux reads an object as Flux (`wait: true`), Helm (`--wait`) and everybody else do who
// follow kstatus.
func Flux(object map[string]any) (status.Status, error) {
	result, err := status.Compute(&unstructured.Unstructured{Object: object})
	if err != nil {
		return status.UnknownStatus, fmt.Errorf("compute the status: %w", err)
	}
	return result.Status, nil
}

// FluxExpressions reads an object as Flux does where a Kustomization has
// healthCheckExprs for its kind. It is safe for concurrent use.
type FluxExpressions struct {
	evaluator *cel.StatusEvaluator
}

// NewFluxExpressions compiles expressions. An error says which of them is wrong.
func NewFluxExpressions(expressions kustomize.HealthCheckExpressions) (FluxExpressions, error) {
	evaluator, err := cel.NewStatusEvaluator(&expressions)
	if err != nil {
		return FluxExpressions{}, fmt.Errorf("compile healthCheckExprs: %w", err)
	}
	return FluxExpressions{evaluator}, nil
}

// Read reads an object.
func (f FluxExpressions) Read(ctx context.Context, object map[string]any) (status.Status, error) {
	result, err := f.evaluator.Evaluate(ctx, &unstructured.Unstructured{Object: object})
	if err != nil {
		return status.UnknownStatus, fmt.Errorf("evaluate healthCheckExprs: %w", err)
	}
	return result.Status, nil
}

// Health is what Argo CD shows for an object.
type Health struct{ Status, Message string }

// The values of Health.Status that the product's script gives.
const (
	Healthy     = "Healthy"
	Progressing = "Progressing"
	Degraded    = "Degraded"
	Suspended   = "Suspended"
)

// ArgoCD reads an object by a script as Argo CD does when the script comes out of
// argocd-cm: a fresh interpreter, and of Lua's libraries the base and
// the table functions alone. (Argo CD has two functions of os beside them, which a
// health has no use for.) An error is what Argo CD would show instead of a health. A script has ten seconds, where Argo CD gives it one: a
// busy machine is no fault of the script's.
func ArgoCD(ctx context.Context, script string, object map[string]any) (Health, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
			return Health{}, fmt.Errorf("open Lua's library %q: %w", name, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	state.SetContext(ctx)
	state.SetGlobal("obj", luaValue(state, object))
	if err := state.DoString(script); err != nil {
		return Health{}, fmt.Errorf("run the health script: %w", err)
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return Health{}, fmt.Errorf("the health script returned a %s, not a table", state.Get(-1).Type())
	}
	h := Health{Status: lua.LVAsString(table.RawGetString("status")), Message: lua.LVAsString(table.RawGetString("message"))}
	switch h.Status {
	case Healthy, Progressing, Degraded, Suspended:
		return h, nil
	}
	return Health{}, fmt.Errorf("the health script returned the status %q", h.Status)
}

func luaValue(state *lua.LState, value any) lua.LValue {
	switch v := value.(type) {
	case bool:
		return lua.LBool(v)
	case int64:
		return lua.LNumber(v)
	case string:
		return lua.LString(v)
	case []any:
		list := state.CreateTable(len(v), 0)
		for _, item := range v {
			list.Append(luaValue(state, item))
		}
		return list
	case map[string]any:
		table := state.CreateTable(0, len(v))
		for key, item := range v {
			table.RawSetString(key, luaValue(state, item))
		}
		return table
	}
	return lua.LNil
}

// ShippedExpressions are those for a kind in a manifest under config/flux. The root is the
// repository's.
func ShippedExpressions(root, file, kind string) (FluxExpressions, error) {
	f, err := read(root, filepath.Join(root, file))
	if err != nil {
		return FluxExpressions{}, err
	}
	for _, o := range f.Objects {
		var k struct {
			Spec struct {
				HealthCheckExprs []kustomize.CustomHealthCheck `json:"healthCheckExprs"`
			} `json:"spec"`
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &k); err != nil {
			return FluxExpressions{}, fmt.Errorf("%s: %w", file, err)
		}
		for _, check := range k.Spec.HealthCheckExprs {
			if check.Kind == kind {
				return NewFluxExpressions(check.HealthCheckExpressions)
			}
		}
	}
	return FluxExpressions{}, fmt.Errorf("%s has no healthCheckExprs for %s", file, kind)
}
