/* Includes KERNELS for float and for double, at the level LEVEL. Part of each_variant.h. */

#define FN(name) JOIN3_EXPANDED(name, REAL, LEVEL)
#define TYPED(name) JOIN2_EXPANDED(name, REAL)

#define REAL float
#define SQRT sqrtf
#include KERNELS
#undef REAL
#undef SQRT

#define REAL double
#define SQRT sqrt
#include KERNELS
#undef REAL
#undef SQRT

#undef FN
#undef TYPED
