package servers

// Unpack and Check are tested with packages npm would not give us.
var (
	Unpack = unpack
	Check  = check
)

// Bare is o on a machine that has nothing but what PATH names.
func Bare(o Options) Options {
	o.bare = true
	return o
}
