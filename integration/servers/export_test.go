package servers

// Unpack and Check are tested with packages that npm does not have. InMemory
// returns the folder for clusters.
var (
	Unpack = unpack
	Check  = check

	InMemory = inMemory
)

// Bare returns o for a machine that has only the programs in PATH.
func Bare(o Options) Options {
	o.bare = true
	return o
}
