#!/bin/sh
# Prints what the console is linked with, for its bill of materials: a line for each library,
# SONAME-PREFIX NAME VERSION LICENCE (SPDX), the version as the build found it, `-` where it cannot be asked.
# The console adds what is really loaded when it runs: see sbom.c.
# usage: libraries.sh COMPILER
set -eu
cc=${1:-cc}
package() { # SONAME-PREFIX NAME LICENCE PKG-CONFIG-NAME
  version=$(pkg-config --modversion "$4" 2>/dev/null || echo -)
  echo "$1 $2 $version $3"
}
macro() { # HEADER MACRO: its value, a number
  echo "#include <$1>" | "$cc" -E -dM - 2>/dev/null | sed -n "s/^#define $2 \([0-9]*\).*/\1/p" | head -n 1
}
package libncursesw. ncurses X11-distribute-modifications-variant ncursesw
package libtinfo. ncurses X11-distribute-modifications-variant ncursesw
package libcurl. curl curl libcurl
package libjansson. jansson MIT jansson
package libsqlite3. sqlite blessing sqlite3
package libsodium. libsodium ISC libsodium
package libcrypto. openssl Apache-2.0 libcrypto
package libinih. inih BSD-3-Clause inih
package libcmark-gfm. cmark-gfm BSD-2-Clause libcmark-gfm
package libcmark-gfm-extensions. cmark-gfm BSD-2-Clause libcmark-gfm
major=$(macro nng/nng.h NNG_MAJOR_VERSION)
echo "libnng. nng ${major:+$major.$(macro nng/nng.h NNG_MINOR_VERSION).$(macro nng/nng.h NNG_PATCH_VERSION)} MIT" | sed 's/nng  MIT/nng - MIT/'
echo 'libstemmer. libstemmer - BSD-3-Clause'
libc=$(macro features.h __GLIBC__)
[ -z "$libc" ] || echo "libc. glibc $libc.$(macro features.h __GLIBC_MINOR__) LGPL-2.1-or-later"
[ -z "$libc" ] || echo "libm. glibc $libc.$(macro features.h __GLIBC_MINOR__) LGPL-2.1-or-later"
