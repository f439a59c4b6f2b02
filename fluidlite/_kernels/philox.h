/* Philox4x32-10, a counter-based generator: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3",
   SC 2011. And the quantile of the normal distribution: Wichura, "Algorithm AS 241", Applied Statistics 37 (1988). */

#ifndef FLUIDLITE_PHILOX_H
#define FLUIDLITE_PHILOX_H

#include <math.h>
#include <stdint.h>

#include "exp.h"

static inline void philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t even = (uint64_t)0xD2511F53u * c0;
        uint64_t odd = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(odd >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)odd;
        c2 = (uint32_t)(even >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)even;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* The counter is (index, stream); the top 8 bits of the index tell the attempts of a rejection apart. */
#define PHILOX_INDEX_BITS 56

static inline void philox_at(uint64_t seed, uint64_t stream, uint64_t index, uint32_t attempt, uint32_t out[4])
{
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    const uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32) | attempt << 24, (uint32_t)stream,
                                 (uint32_t)(stream >> 32)};
    philox(counter, key, out);
}

static inline uint64_t philox_join(const uint32_t words[2])
{
    return (uint64_t)words[1] << 32 | words[0];
}

/* PPND16: the z with Phi(z) = 0.5 + q, |q| < 0.5. Relative error about 1e-16. */
static inline double normal_quantile(double q)
{
    double r, z;
    if (fabs(q) <= 0.425) {
        r = 0.180625 - q * q;
        return q *
               (((((((2509.0809287301226727 * r + 33430.575583588128105) * r + 67265.770927008700853) * r +
                    45921.953931549871457) * r + 13731.693765509461125) * r + 1971.5909503065514427) * r +
                 133.14166789178437745) * r + 3.387132872796366608) /
               (((((((5226.495278852854561 * r + 28729.085735721942674) * r + 39307.89580009271061) * r +
                    21213.794301586595867) * r + 5394.1960214247511077) * r + 687.1870074920579083) * r +
                 42.313330701600911252) * r + 1.0);
    }
    r = sqrt(-log_double(0.5 - fabs(q)));
    if (r <= 5.0) {
        r -= 1.6;
        z = (((((((7.7454501427834140764e-4 * r + 0.0227238449892691845833) * r + 0.24178072517745061177) * r +
                1.27045825245236838258) * r + 3.64784832476320460504) * r + 5.7694972214606914055) * r +
             4.6303378461565452959) * r + 1.42343711074968357734) /
            (((((((1.05075007164441684324e-9 * r + 5.475938084995344946e-4) * r + 0.0151986665636164571966) * r +
                0.14810397642748007459) * r + 0.68976733498510000455) * r + 1.6763848301838038494) * r +
             2.05319162663775882187) * r + 1.0);
    } else {
        r -= 5.0;
        z = (((((((2.01033439929228813265e-7 * r + 2.71155556874348757815e-5) * r + 0.0012426609473880784386) * r +
                0.026532189526576123093) * r + 0.29656057182850489123) * r + 1.7848265399172913358) * r +
             5.4637849111641143699) * r + 6.6579046435011037772) /
            (((((((2.04426310338993978564e-15 * r + 1.4215117583164458887e-7) * r + 1.8463183175100546818e-5) * r +
                7.868691311456132591e-4) * r + 0.0148753612908506148525) * r + 0.13692988092273580531) * r +
             0.59983220655588793769) * r + 1.0);
    }
    return q < 0 ? -z : z;
}

/* Uniform in (-0.5, 0.5), symmetric, never at the ends: 52 bits, because 53 and a half would round up to 0.5. */
static inline double centred32(uint32_t word)
{
    return ((double)word + 0.5) * 0x1p-32 - 0.5;
}

static inline double centred64(uint64_t word)
{
    return ((double)(word >> 12) + 0.5) * 0x1p-52 - 0.5;
}

#endif
