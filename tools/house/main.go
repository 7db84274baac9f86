// Command house measures the coupling inside the packages of a module. It
// prints for each package its files and lines, how many pairs of files refer to
// each other, the number of files in its largest circle, and how many names it
// exports.
//
//	go run ./house [-circle N] [-names PACKAGE=N] [-list] DIR
//
// A circle is a set of files in which each refers to every other, directly or
// through others. To understand one of them, a reader has to read all. A
// reference is a use of a function, type, variable, constant, method or field
// that another file of the package declares, by the type checker. Tests and
// generated code are not measured.
//
// With -circle and -names it exits with status 1 if a package has a larger
// circle or exports more names.
package main

import (
	"flag"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/packages"
)

func main() {
	const most = "the most files of a circle, 0 for any number; not for examples"
	circle := flag.Int("circle", 0, most)
	list := flag.Bool("list", false, "print the files of each circle")
	limits := map[string]int{}
	const names = "PACKAGE=N: the most names that a package may export"
	flag.Func("names", names, func(text string) error {
		name, number, _ := strings.Cut(text, "=")
		n, err := strconv.Atoi(number)
		limits[name] = n
		return err
	})
	flag.Parse()
	rooms, err := load(flag.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, "house:", err)
		os.Exit(2)
	}
	failed := false
	fmt.Printf("%-28s %5s %6s %5s %6s %5s\n", "package", "files", "lines", "pairs", "circle",
		"names")
	for _, r := range rooms {
		mark := ""
		program := strings.HasPrefix(r.name, "examples/")
		if *circle > 0 && len(r.circle) > *circle && !program {
			mark += fmt.Sprintf(" circle over %d", *circle)
		}
		if limit, ok := limits[r.name]; ok && r.names > limit {
			mark += fmt.Sprintf(" names over %d", limit)
		}
		failed = failed || mark != ""
		fmt.Printf("%-28s %5d %6d %5d %6d %5d%s\n", r.name, r.files, r.lines, r.pairs,
			len(r.circle), r.names, mark)
		if *list && len(r.circle) > 1 {
			fmt.Println("   ", strings.Join(r.circle, " "))
		}
	}
	if failed {
		os.Exit(1)
	}
}

// room is a package.
type room struct {
	name         string // relative to the module, "." for its root
	files, lines int
	pairs        int      // of files that refer to each other in at least one direction
	circle       []string // the files of the largest circle; one file without a circle
	names        int      // exported, with the methods of exported types
}

func load(dir string) ([]room, error) {
	cfg := &packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes |
			packages.NeedTypesInfo | packages.NeedImports | packages.NeedModule,
		Dir: dir,
	}
	found, err := packages.Load(cfg, "./...")
	if err != nil {
		return nil, err
	}
	var rooms []room
	for _, p := range found {
		if len(p.Errors) > 0 {
			return nil, p.Errors[0]
		}
		if r := measure(p); r.files > 0 {
			rooms = append(rooms, r)
		}
	}
	return rooms, nil
}

func measure(p *packages.Package) room {
	r := room{name: "."}
	if p.Module != nil {
		if inside, ok := strings.CutPrefix(p.PkgPath, p.Module.Path+"/"); ok {
			r.name = inside
		}
	}
	refs := map[string]map[string]bool{} // from each file to the files that it refers to
	for _, file := range p.Syntax {
		if ast.IsGenerated(file) {
			continue
		}
		position := p.Fset.Position(file.FileStart)
		name := filepath.Base(position.Filename)
		refs[name] = map[string]bool{}
		r.files++
		r.lines += p.Fset.Position(file.FileEnd).Line
	}
	for id, object := range p.TypesInfo.Uses {
		if object.Pkg() != p.Types || !object.Pos().IsValid() || local(object) {
			continue
		}
		from, to := base(p.Fset, id.Pos()), base(p.Fset, object.Pos())
		if from != to && refs[from] != nil && refs[to] != nil {
			refs[from][to] = true
		}
	}
	for from, all := range refs {
		for to := range all {
			if from < to || !refs[to][from] {
				r.pairs++
			}
		}
	}
	for _, c := range circles(refs) {
		if len(c) > len(r.circle) {
			r.circle = c
		}
	}
	for _, name := range p.Types.Scope().Names() {
		if token.IsExported(name) {
			r.names += 1 + methods(p.Types.Scope().Lookup(name))
		}
	}
	return r
}

// methods returns the number of exported methods of a type.
func methods(object types.Object) int {
	name, ok := object.(*types.TypeName)
	if !ok || name.IsAlias() {
		return 0
	}
	named, ok := name.Type().(*types.Named)
	if !ok {
		return 0
	}
	n := 0
	for m := range named.Methods() {
		if m.Exported() {
			n++
		}
	}
	return n
}

// local reports whether an object is declared inside a function.
func local(object types.Object) bool {
	if v, ok := object.(*types.Var); ok && v.IsField() {
		return false
	}
	if f, ok := object.(*types.Func); ok && f.Signature().Recv() != nil {
		return false
	}
	return object.Parent() != object.Pkg().Scope()
}

func base(fset *token.FileSet, pos token.Pos) string {
	return filepath.Base(fset.Position(pos).Filename)
}

// circles returns the strongly connected sets of files (Tarjan, 1972).
func circles(refs map[string]map[string]bool) [][]string {
	var (
		index, low = map[string]int{}, map[string]int{}
		on         = map[string]bool{}
		stack      []string
		found      [][]string
		visit      func(string)
	)
	visit = func(file string) {
		index[file] = len(index) + 1
		low[file] = index[file]
		stack, on[file] = append(stack, file), true
		for _, to := range slices.Sorted(maps.Keys(refs[file])) {
			if index[to] == 0 {
				visit(to)
				low[file] = min(low[file], low[to])
			} else if on[to] {
				low[file] = min(low[file], index[to])
			}
		}
		if low[file] != index[file] {
			return
		}
		at := slices.Index(stack, file)
		circle := slices.Clone(stack[at:])
		for _, f := range circle {
			on[f] = false
		}
		stack = stack[:at]
		slices.Sort(circle)
		found = append(found, circle)
	}
	for _, file := range slices.Sorted(maps.Keys(refs)) {
		if index[file] == 0 {
			visit(file)
		}
	}
	return found
}
