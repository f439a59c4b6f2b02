/* Integers and floats from decimal text.

   A token begins at `*at` and ends at a blank or a newline, one of which must lie before the end of the text. If all is
   well, `*at` moves to that end; else it stays. */

#ifndef FLUIDLITE_DECIMAL_H
#define FLUIDLITE_DECIMAL_H

#include <stdint.h>
#include <string.h>

enum { DECIMAL_OK, DECIMAL_BAD, DECIMAL_BIG, DECIMAL_HARD };

enum { DECIMAL_DIGITS = 19, DECIMAL_POWERS = 60 }; /* digits that always fit into 64 bits; powers in the table */

static inline int decimal_is_blank(char c) { return c == ' ' || (c >= 9 && c <= 13 && c != '\n'); }

static inline int decimal_ends_token(char c) { return c == ' ' || (c >= 9 && c <= 13); }

/* 0 to 9, or a number above 9 */
static inline unsigned decimal_digit(char c) { return (unsigned char)(c - '0'); }

/* -2^63 <= value < 2^64; from 2^63 on the bits of the unsigned number. */
static inline int decimal_read_integer(const char **at, int64_t *out) {
    const char *p = *at, *begin;
    const int negative = *p == '-';
    uint64_t n = 0;
    unsigned digit;
    if (negative || *p == '+') p++;
    if (decimal_digit(*p) > 9) return DECIMAL_BAD;
    while (*p == '0') p++;
    begin = p;
    while ((digit = decimal_digit(*p)) <= 9 && p - begin < DECIMAL_DIGITS) {
        n = n * 10 + digit;
        p++;
    }
    if (digit <= 9) {
        if (decimal_digit(p[1]) <= 9 || n > (UINT64_MAX - digit) / 10) {
            while (decimal_digit(*p) <= 9) p++;
            return decimal_ends_token(*p) ? DECIMAL_BIG : DECIMAL_BAD;
        }
        n = n * 10 + digit;
        p++;
    }
    if (!decimal_ends_token(*p)) return DECIMAL_BAD;
    if (negative) {
        if (n > (uint64_t)INT64_MAX + 1) return DECIMAL_BIG;
        n = 0 - n;
    }
    *out = (int64_t)n;
    *at = p;
    return DECIMAL_OK;
}

static const double decimal_powers[DECIMAL_POWERS + 1] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22, 1e23, 1e24, 1e25, 1e26, 1e27, 1e28, 1e29, 1e30, 1e31,
    1e32, 1e33, 1e34, 1e35, 1e36, 1e37, 1e38, 1e39, 1e40, 1e41, 1e42, 1e43, 1e44, 1e45, 1e46, 1e47,
    1e48, 1e49, 1e50, 1e51, 1e52, 1e53, 1e54, 1e55, 1e56, 1e57, 1e58, 1e59, 1e60};

/* The number as n * 10^exponent, with the first 19 digits in n. */
static inline int decimal_scan(const char **at, uint64_t *n, int64_t *exponent) {
    const char *p = *at;
    unsigned digit;
    int n_digits = 0, any = 0, power = 0, negative;
    *n = 0;
    *exponent = 0;
    for (; (digit = decimal_digit(*p)) <= 9; p++, any = 1) {
        if (n_digits < DECIMAL_DIGITS) {
            *n = *n * 10 + digit;
            n_digits += *n != 0;
        } else {
            ++*exponent;
        }
    }
    if (*p == '.') {
        for (p++; (digit = decimal_digit(*p)) <= 9; p++, any = 1) {
            if (n_digits < DECIMAL_DIGITS) {
                *n = *n * 10 + digit;
                n_digits += *n != 0;
                --*exponent;
            }
        }
    }
    if (!any) return 0;
    if (*p == 'e' || *p == 'E') {
        p++;
        negative = *p == '-';
        if (negative || *p == '+') p++;
        if (decimal_digit(*p) > 9) return 0;
        for (; decimal_digit(*p) <= 9; p++)
            if (power < 100000) power = power * 10 + (int)decimal_digit(*p);
        *exponent += negative ? -power : power;
    }
    *at = p;
    return decimal_ends_token(*p);
}

/* The nearest float32, or DECIMAL_HARD with the end of the token in *end.

   The digits times a power of ten, in double, are wrong by at most 4 units in the last place of the double. Rounding that
   to float32 is right unless the double lies within those few units of the middle between two floats, which happens about
   once in 30 million numbers. These, the ends of the range, and what is no number, are hard. */
static inline int decimal_read_float(const char **at, float *out, const char **end) {
    const char *p = *at;
    const int negative = *p == '-';
    uint64_t n, bits;
    int64_t exponent;
    double value;
    if (negative || *p == '+') p++;
    if (decimal_scan(&p, &n, &exponent)) {
        *end = p;
        value = (double)n;
        if (n != 0 && !(exponent == 0 && n < (uint64_t)1 << 53)) {
            if (exponent < -DECIMAL_POWERS || exponent > DECIMAL_POWERS) return DECIMAL_HARD;
            value = exponent < 0 ? value / decimal_powers[-exponent] : value * decimal_powers[exponent];
            memcpy(&bits, &value, sizeof bits);
            bits &= 0x1FFFFFFF; /* what a float has no room for */
            if (!(value > 1.2e-38 && value < 3.4e38) || (bits >= 0x10000000 - 8 && bits <= 0x10000000 + 8))
                return DECIMAL_HARD;
        }
        *out = (float)(negative ? -value : value);
        *at = p;
        return DECIMAL_OK;
    }
    for (p = *at; !decimal_ends_token(*p);) p++;
    *end = p;
    return DECIMAL_HARD;
}

#endif
