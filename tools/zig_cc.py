"""A C compiler for another system: `zig cc` with the target of FLUIDLITE_ZIG_TARGET.

setuptools calls it as CC and in LDSHARED. It does what the two cannot say:

* paths of the build machine's own libraries are dropped: they are of another system;
* a Mach-O module is a dynamic library, because zig's linker crashes on `-bundle`. Python loads both alike. Its install
  name would be the path it was built at; symbols of Python are looked up when it is loaded; local names are left out.
"""

import os
import subprocess
import sys


def arguments_for(target, arguments):
    """The arguments of `zig cc` in place of those of a C compiler of this machine."""
    kept = [word for word in arguments if not word.startswith(("-Wl,-rpath", "-L/"))]
    if "macos" in target and "-shared" in kept:
        name = os.path.basename(kept[kept.index("-o") + 1])
        kept += ["-undefined", "dynamic_lookup", "-Wl,-x", f"-Wl,-install_name,@rpath/{name}"]
    return ["cc", "-target", target, *kept]


if __name__ == "__main__":
    zig = [sys.executable, "-m", "ziglang"]
    sys.exit(subprocess.call([*zig, *arguments_for(os.environ["FLUIDLITE_ZIG_TARGET"], sys.argv[1:])]))
