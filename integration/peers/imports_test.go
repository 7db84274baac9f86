package peers

// The suites of other libraries need these modules. They are compiled from an
// overlay, which go mod tidy does not see.
import (
	_ "github.com/antonlindstrom/pgstore"
	_ "github.com/labstack/echo-contrib/session"
	_ "github.com/labstack/echo/v4"
	_ "github.com/markbates/goth/gothic"
	_ "github.com/markbates/goth/providers/faux"
	_ "github.com/stretchr/testify/assert"
)
