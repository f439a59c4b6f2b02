/* Compiled for every target: the sizes that the build machine's pyconfig.h states have to be the target's.

   Three are left out, because no public header of Python uses them and macOS differs: fpos_t, pthread_key_t and, on
   arm64, long double. */

#include <Python.h>
#include <stdint.h>
#include <sys/types.h>
#include <pthread.h>
#include <time.h>
#include <wchar.h>

#define SAME(type, size) _Static_assert(sizeof(type) == (size), "pyconfig.h has another size of " #type)

SAME(_Bool, SIZEOF__BOOL);
SAME(short, SIZEOF_SHORT);
SAME(int, SIZEOF_INT);
SAME(long, SIZEOF_LONG);
SAME(long long, SIZEOF_LONG_LONG);
SAME(float, SIZEOF_FLOAT);
SAME(double, SIZEOF_DOUBLE);
SAME(void *, SIZEOF_VOID_P);
SAME(size_t, SIZEOF_SIZE_T);
SAME(Py_ssize_t, SIZEOF_SIZE_T);
SAME(uintptr_t, SIZEOF_UINTPTR_T);
SAME(off_t, SIZEOF_OFF_T);
SAME(pid_t, SIZEOF_PID_T);
SAME(time_t, SIZEOF_TIME_T);
SAME(wchar_t, SIZEOF_WCHAR_T);
SAME(pthread_t, SIZEOF_PTHREAD_T);

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "pyconfig.h is that of a little-endian machine");
