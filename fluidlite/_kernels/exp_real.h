/* Included by exp.h for float and for double. */

/* x rounded to an integer n, and a word that ends in the bits of n, more of them than an exponent has. */
ALWAYS_INLINE EXP_BITS EXP_FN(rounded)(EXP_REAL x, EXP_REAL *n)
{
    EXP_REAL shifted = x + EXP_ROUNDER;
    EXP_BITS bits;
    memcpy(&bits, &shifted, sizeof bits);
    *n = shifted - EXP_ROUNDER;
    return bits;
}

/* 2^n times a value between 1/2 and 2, where the result is a normal number. */
ALWAYS_INLINE EXP_REAL EXP_FN(times_two_to)(EXP_REAL value, EXP_BITS n)
{
    EXP_BITS bits;
    memcpy(&bits, &value, sizeof bits);
    bits += n << EXP_DIGITS;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Outside of [EXP_LOWEST, EXP_HIGHEST] nonsense is computed and replaced; x * EXP_HUGE is infinity there, or NaN. */
ALWAYS_INLINE EXP_REAL EXP_FN(exp)(EXP_REAL x)
{
    EXP_REAL n, r, value;
    EXP_BITS bits = EXP_FN(rounded)(x * (EXP_REAL)0x1.71547652b82fep+0, &n);
    r = x - n * EXP_LN2_HIGH - n * EXP_LN2_LOW;
    value = EXP_FN(times_two_to)(1 + (r + r * r * EXP_FN(exp_tail)(r)), bits);
    value = x < EXP_LOWEST ? 0 : value;
    return x <= EXP_HIGHEST ? value : x * EXP_HUGE;
}

ALWAYS_INLINE EXP_REAL EXP_FN(sigmoid)(EXP_REAL x)
{
    return 1 / (1 + EXP_FN(exp)(-x));
}

/* tanh |x| = -m / (2 + m) with m = e^(-2|x|) - 1, which loses no digits near 0: there n is 0 and m is the excess. One
   part of ln 2 is enough, because the larger n is, the less e^(-2|x|) counts. */
ALWAYS_INLINE EXP_REAL EXP_FN(tanh)(EXP_REAL x)
{
    EXP_REAL y = -2 * EXP_ABS(x), r, m, power;
    EXP_BITS n;
    y = y < -64 ? -64 : y;
    n = EXP_FN(rounded)(y * (EXP_REAL)0x1.71547652b82fep+0, &r);
    r = y - r * (EXP_REAL)0x1.62e42fefa39efp-1;
    power = EXP_FN(times_two_to)(1, n);
    m = power * (r + r * r * EXP_FN(exp_tail)(r)) + (power - 1);
    return EXP_COPYSIGN(m / (2 + m), x);
}

/* log(1 + e^-|x|) */
ALWAYS_INLINE EXP_REAL EXP_FN(log_one_plus_exp)(EXP_REAL x)
{
    EXP_REAL e = EXP_FN(exp)(-EXP_ABS(x));
    EXP_REAL s = e / (2 + e), z = s * s;
    return 2 * (s + s * z * EXP_FN(atanh_tail)(z));
}

#undef EXP_FN
#undef EXP_REAL
#undef EXP_BITS
#undef EXP_ABS
#undef EXP_COPYSIGN
#undef EXP_DIGITS
#undef EXP_ROUNDER
#undef EXP_LN2_HIGH
#undef EXP_LN2_LOW
#undef EXP_LOWEST
#undef EXP_HIGHEST
#undef EXP_HUGE
