/* Included by elementwise.h once per CPU level and floating type, with REAL and FN defined. */

#define CHUNK(name, result)                                                                                            \
    static inline void FN(name)(void *ctx, Py_ssize_t chunk)                                                           \
    {                                                                                                                  \
        const elementwise_job *job = (const elementwise_job *)ctx;                                                     \
        Py_ssize_t begin = chunk * job->step, n = smaller(job->step, job->size - begin);                               \
        const REAL *x = (const REAL *)job->x + begin, *y = (const REAL *)job->y + begin;                               \
        REAL *out = (REAL *)job->out + begin, factor = (REAL)job->factor;                                              \
        (void)y;                                                                                                       \
        (void)factor;                                                                                                  \
        INDEPENDENT                                                                                                    \
        for (Py_ssize_t j = 0; j < n; j++)                                                                             \
            out[j] = result;                                                                                           \
    }

CHUNK(add_chunk, x[j] + y[j])
CHUNK(subtract_chunk, x[j] - y[j])
CHUNK(multiply_chunk, x[j] * y[j])
CHUNK(add_scaled_chunk, x[j] + factor * y[j])
CHUNK(scale_chunk, factor * x[j])

#undef CHUNK
