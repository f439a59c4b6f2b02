/* Includes KERNELS for float and for double, at the level LEVEL. Part of each_variant.h. */

#define FN(name) JOIN3_EXPANDED(name, REAL, LEVEL)
#define TYPED(name) JOIN2_EXPANDED(name, REAL)

#define REAL float
#define SQRT sqrtf
#define POW powf
#include KERNELS
#undef REAL
#undef SQRT
#undef POW

#define REAL double
#define SQRT sqrt
#define POW pow
#include KERNELS
#undef REAL
#undef SQRT
#undef POW

#undef FN
#undef TYPED
