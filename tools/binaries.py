"""What is wrong with an extension module, read out of its bytes: ELF and Mach-O, by LIEF and the standard library."""

import hashlib
import re
import struct
from pathlib import PurePosixPath

import lief

lief.logging.disable()  # it prints of files that are in order

# Functions of the C library that modules may call. Linkers accept what a system older than the one they know lacks, so
# a new name has to be looked up by hand: is it in glibc 2.17, in macOS 10.13 and in 11.0?
C_NAMES = frozenset(
    "memcpy memmove memset memcmp bcmp bzero memchr strlen strcmp strncmp strchr strrchr snprintf vsnprintf"
    " malloc calloc realloc free posix_memalign aligned_alloc abort clock_gettime sched_yield sigfillset"
    " pthread_atfork pthread_cond_broadcast pthread_cond_init pthread_cond_signal pthread_cond_wait pthread_create"
    " pthread_join pthread_mutex_init pthread_mutex_lock pthread_mutex_trylock pthread_mutex_unlock pthread_sigmask"
    " exp expf log logf log1p log1pf expm1 expm1f pow powf sqrt sqrtf sin sinf cos cosf tan tanf asin acos atan atan2"
    " sinh cosh tanh tanhf floor floorf ceil ceilf rint rintf round roundf trunc truncf fmod fmodf erf erff"
    " lgamma tgamma nextafter nextafterf ldexp frexp modf fma fmaf strtod strtol strtoll strtoull qsort".split()
)
LINUX_NAMES = C_NAMES | frozenset(
    "__sched_cpucount sched_getaffinity sched_getcpu pthread_setaffinity_np __register_atfork __cxa_finalize"
    " __stack_chk_fail __gmon_start__ _ITM_registerTMCloneTable _ITM_deregisterTMCloneTable __errno_location"
    " madvise __assert_fail __memcpy_chk __memset_chk __snprintf_chk __vsnprintf_chk"
    " __isnan __isnanf __isinf __isinff __finite __finitef".split()
)
MACOS_NAMES = C_NAMES | frozenset(
    "dyld_stub_binder __bzero memset_pattern4 memset_pattern8 memset_pattern16 __stack_chk_fail __stack_chk_guard"
    " __error __assert_rtn __memcpy_chk __memset_chk __snprintf_chk __vsnprintf_chk __exp10 __sincos_stret"
    " __sincosf_stret".split()
)
LINUX_LIBRARIES = re.compile(r"lib(c|m|pthread)\.so\.6|libpthread\.so\.0|ld-linux-(x86-64|aarch64)\.so\.[12]")
SYSTEM_LIBRARY = "/usr/lib/libSystem.B.dylib"
FLAT_LOOKUP, SYSTEM_ORDINAL = -2, 1

# The newest minimum that the wheel's tag allows.
MACOS_MINIMUM = {"macos-arm64": (11, 0), "macos-x86_64": (10, 15)}
MACHINE = {
    "linux-x86_64": lief.ELF.ARCH.X86_64,
    "linux-aarch64": lief.ELF.ARCH.AARCH64,
    "macos-arm64": lief.MachO.Header.CPU_TYPE.ARM64,
    "macos-x86_64": lief.MachO.Header.CPU_TYPE.X86_64,
}
PATHS_OF_SYSTEM = ("/usr/lib/libSystem.B.dylib", "/usr/lib/dyld", "/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-")
PATH = re.compile(rb"(?<![\w./~%*)>@-])/(?:[\w.+-]{2,}/)+[\w.+-]+")

SUPERBLOB, CODE_DIRECTORY, LINKER_SIGNED_AD_HOC, AD_HOC = 0xFADE0CC0, 0xFADE0C02, 0x20002, 0x2
SHA256 = 2


def suffix(abi, platform):
    """Of the files of modules of a wheel, by its ABI tag and platform."""
    if abi == "abi3":
        return ".abi3.so"
    name = "cpython-" + abi.removeprefix("cp")
    system, _, machine = platform.partition("-")
    return f".{name}-{machine}-linux-gnu.so" if system == "linux" else f".{name}-darwin.so"


def check(path, data, platform, python_names, newest_glibc):
    """Sentences about a module at `path` in a wheel; `python_names` may be None, where they are not known."""
    module = PurePosixPath(path).name.split(".")[0]
    yield from _check_paths(data)
    if platform.startswith("linux"):
        yield from _check_elf(data, platform, module, python_names, newest_glibc)
    else:
        yield from _check_macho(path, data, platform, module, python_names)


def _check_paths(data):
    for found in sorted(set(PATH.findall(data))):
        if not found.decode().startswith(PATHS_OF_SYSTEM):
            yield f"holds a path, perhaps of the machine that built it: {found.decode()}"


def _check_names(imported, allowed, python_names, own):
    for name in sorted(imported):
        if re.match(r"_?Py", name):
            if python_names is not None and name not in python_names:
                yield f"imports {name}, which is not in the C API that its tag promises"
        elif name not in allowed and name not in own:
            yield f"imports {name}, which is not in the list of what every supported system has"


# ---- Linux


def _check_elf(data, platform, module, python_names, newest_glibc):
    binary = lief.ELF.parse(list(data))
    if binary is None or binary.header.machine_type != MACHINE[platform]:
        yield f"is no ELF file for {platform}"
        return
    for library in binary.libraries:
        if not LINUX_LIBRARIES.fullmatch(library):
            yield f"needs {library}"
    for entry in binary.dynamic_entries:
        if entry.tag in (lief.ELF.DynamicEntry.TAG.RPATH, lief.ELF.DynamicEntry.TAG.RUNPATH):
            yield "has an RPATH"
        if entry.tag == lief.ELF.DynamicEntry.TAG.TEXTREL:
            yield "has text relocations"
    for symbol in binary.imported_symbols:
        version = re.match(r"GLIBC_(\d+)\.(\d+)", str(symbol.symbol_version))
        if version and tuple(map(int, version.groups())) > newest_glibc:
            yield f"needs {symbol.name} of {version[0]}, newer than its tag says"
    stack = [segment for segment in binary.segments if segment.type == lief.ELF.Segment.TYPE.GNU_STACK]
    if any(segment.has(lief.ELF.Segment.FLAGS.X) for segment in stack):
        yield "wants an executable stack"
    exported = {symbol.name for symbol in binary.exported_symbols}
    if f"PyInit_{module}" not in exported:
        yield f"does not export PyInit_{module}"
    yield from _check_names({s.name for s in binary.imported_symbols}, LINUX_NAMES, python_names, exported)


# ---- macOS


def _check_macho(path, data, platform, module, python_names):
    fat = lief.MachO.parse(list(data))
    if fat is None or len(fat) != 1 or fat.at(0).header.cpu_type != MACHINE[platform]:
        yield f"is no Mach-O file of the one architecture of {platform}"
        return
    binary = fat.at(0)
    kinds = lief.MachO.Header.FILE_TYPE
    if binary.header.file_type not in (kinds.DYLIB, kinds.BUNDLE):
        yield f"is a {binary.header.file_type}, neither a dylib nor a bundle"
    yield from _check_load_commands(path, binary, platform)
    exported = {symbol.name.removeprefix("_") for symbol in binary.exported_symbols}
    if f"PyInit_{module}" not in exported:
        yield f"does not export PyInit_{module}"
    imported = set()
    for binding in binary.bindings:
        if not binding.has_symbol:
            continue
        name = binding.symbol.name
        name = name if name == "dyld_stub_binder" else name.removeprefix("_")
        imported.add(name)
        expected = FLAT_LOOKUP if re.match(r"_?Py", name) else SYSTEM_ORDINAL
        if binding.library_ordinal != expected and name not in exported:
            yield f"looks up {name} with ordinal {binding.library_ordinal}, expected {expected}"
    yield from _check_names(imported, MACOS_NAMES, python_names, exported)
    if platform == "macos-arm64":
        yield from check_signature(data, binary)


def _check_load_commands(path, binary, platform):
    commands = lief.MachO.LoadCommand.TYPE
    loaded = [one.name for one in binary.libraries if one.command != commands.ID_DYLIB]
    if loaded != [SYSTEM_LIBRARY]:
        yield f"loads {loaded}, expected {SYSTEM_LIBRARY} alone"
    names = [one.name for one in binary.libraries if one.command == commands.ID_DYLIB]
    if names not in ([], ["@rpath/" + PurePosixPath(path).name]):
        yield f"has the install name {names}"
    if any(one.command == commands.RPATH for one in binary.commands):
        yield "has an LC_RPATH"
    if binary.has_build_version:
        minimum = binary.build_version.minos
    elif binary.has_version_min:
        minimum = binary.version_min.version
    else:
        yield "does not say which macOS it needs"
        return
    if tuple(minimum[:2]) > MACOS_MINIMUM[platform]:
        yield f"needs macOS {'.'.join(map(str, minimum))}, newer than its tag says"


def check_signature(data, binary):
    """An arm64 Mac runs only code whose every page has the hash that the signature states; ad hoc is enough."""
    if not binary.has_code_signature:
        yield "has no signature, which arm64 demands"
        return
    start, size = binary.code_signature.data_offset, binary.code_signature.data_size
    magic, _, count = struct.unpack_from(">III", data, start)
    blobs = [struct.unpack_from(">II", data, start + 12 + 8 * i)[1] + start for i in range(count)]
    directories = [at for at in blobs if struct.unpack_from(">I", data, at)[0] == CODE_DIRECTORY]
    if magic != SUPERBLOB or not directories or start + size > len(data):
        yield "has a signature without a code directory"
        return
    at = directories[0]
    flags, hashes, _, _, n_pages, limit = struct.unpack_from(">IIIIII", data, at + 12)
    hash_size, hash_type, _, page_bits = struct.unpack_from(">BBBB", data, at + 36)
    if flags not in (LINKER_SIGNED_AD_HOC, AD_HOC) or (hash_size, hash_type) != (32, SHA256):
        yield f"has a signature with flags {flags:#x} and hashes of kind {hash_type}, expected ad hoc and SHA-256"
        return
    page = 1 << page_bits
    if limit != start or n_pages != -(-limit // page):
        yield f"is signed up to byte {limit} in {n_pages} pages; the signature starts at byte {start}"
        return
    for i in range(n_pages):
        digest = hashlib.sha256(data[i * page : min((i + 1) * page, limit)]).digest()
        if digest != data[at + hashes + 32 * i : at + hashes + 32 * (i + 1)]:
            yield f"has a signature that does not fit page {i}: it was changed after it was linked"
