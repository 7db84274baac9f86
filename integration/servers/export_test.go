package servers

// Unpack and Check are tested with packages npm would not give us. InMemory is
// where clusters should lie.
var (
	Unpack = unpack
	Check  = check

	InMemory = inMemory
)

// Bare is o on a machine that has nothing but what PATH names.
func Bare(o Options) Options {
	o.bare = true
	return o
}
