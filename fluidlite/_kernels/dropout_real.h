/* Included by dropout.h once per CPU level and floating type, with REAL and FN defined. */

/* Word `w` of blocks `block` to `block` + 15 of the stream; `block` is a multiple of 16, so its low word never wraps.
   The rounds are written out, since compilers vectorise a loop of straight code only. */
#define ROUND(r)                                                                                                       \
    {                                                                                                                  \
        uint64_t even = (uint64_t)0xD2511F53u * c0, odd = (uint64_t)0xCD9E8D57u * c2;                                  \
        c0 = (uint32_t)(odd >> 32) ^ c1 ^ (k0 + (r) * 0x9E3779B9u);                                                    \
        c1 = (uint32_t)odd;                                                                                            \
        c2 = (uint32_t)(even >> 32) ^ c3 ^ (k1 + (r) * 0xBB67AE85u);                                                   \
        c3 = (uint32_t)even;                                                                                           \
    }

static inline void FN(philox_side_by_side)(const dropout_job *job, uint64_t block, uint32_t *restrict words)
{
    const uint32_t k0 = (uint32_t)job->seed, k1 = (uint32_t)(job->seed >> 32);
    const uint32_t low = (uint32_t)block, high = (uint32_t)(block >> 32);
    const uint32_t stream_low = (uint32_t)job->stream, stream_high = (uint32_t)(job->stream >> 32);
    INDEPENDENT
    for (int j = 0; j < DROP_BLOCKS; j++) {
        uint32_t c0 = low + (uint32_t)j, c1 = high, c2 = stream_low, c3 = stream_high;
        ROUND(0u) ROUND(1u) ROUND(2u) ROUND(3u) ROUND(4u) ROUND(5u) ROUND(6u) ROUND(7u) ROUND(8u) ROUND(9u)
        words[j] = c0;
        words[DROP_BLOCKS + j] = c1;
        words[2 * DROP_BLOCKS + j] = c2;
        words[3 * DROP_BLOCKS + j] = c3;
    }
}

#undef ROUND

static inline void FN(drop_chunk)(void *ctx, Py_ssize_t chunk)
{
    const dropout_job *job = (const dropout_job *)ctx;
    Py_ssize_t begin = chunk * job->step, end = smaller(begin + job->step, job->size);
    REAL scale = (REAL)job->scale;
    uint32_t words[DROP_GROUP];
    for (Py_ssize_t i = begin; i < end; i += DROP_GROUP) {
        Py_ssize_t n = smaller(DROP_GROUP, end - i);
        const REAL *x = (const REAL *)job->x + i;
        REAL *out = (REAL *)job->out + i;
        uint8_t *mask = job->mask + i;
        FN(philox_side_by_side)(job, (uint64_t)i / 4, words);
        INDEPENDENT
        for (Py_ssize_t j = 0; j < n; j++)
            mask[j] = (uint8_t)(words[j] >= job->threshold) & job->any;
        INDEPENDENT
        for (Py_ssize_t j = 0; j < n; j++)
            out[j] = mask[j] ? scale * x[j] : 0;
    }
}

static inline void FN(drop_grad_chunk)(void *ctx, Py_ssize_t chunk)
{
    const dropout_job *job = (const dropout_job *)ctx;
    Py_ssize_t begin = chunk * job->step, n = smaller(job->step, job->size - begin);
    const REAL *x = (const REAL *)job->x + begin;
    const uint8_t *mask = job->mask + begin;
    REAL *out = (REAL *)job->out + begin, scale = (REAL)job->scale;
    INDEPENDENT
    for (Py_ssize_t j = 0; j < n; j++)
        out[j] = mask[j] ? scale * x[j] : 0;
}
