/* The rules: what an update does to element j of the parameter and of its states, given its gradient g.

   Included by row_update_real.h once per CPU level and floating type, with REAL, SQRT, POW and FN defined. All rules
   have one signature, so that the loops around them are written once (update_loops_real.h). With restrict pointers and
   inlined into a loop over j they vectorise. Products and quotients associate as in Fluid's functors. */

typedef struct {
    REAL rate, decay1, gain1, decay2, gain2, root_scale, epsilon, momentum, l1, l2, power;
} FN(coefficients);

static inline FN(coefficients) FN(coefficients_of)(const row_job *job)
{
    const coefficients *s = &job->settings;
    FN(coefficients) c = {(REAL)s->rate,  (REAL)s->decay1,     (REAL)s->gain1,   (REAL)s->decay2,
                          (REAL)s->gain2, (REAL)s->root_scale, (REAL)s->epsilon, (REAL)s->momentum,
                          (REAL)s->l1,    (REAL)s->l2,         (REAL)s->power};
    return c;
}

#define RULE_OF(name)                                                                                                  \
    static inline __attribute__((always_inline)) void FN(name)(                                                        \
        REAL *restrict param, REAL *restrict state0, REAL *restrict state1, REAL *restrict state2, Py_ssize_t j,       \
        REAL g, const FN(coefficients) c)
#define UNUSED(state) (void)state

RULE_OF(sgd)
{
    UNUSED(state0), UNUSED(state1), UNUSED(state2);
    param[j] -= c.rate * g;
}

RULE_OF(momentum)
{
    UNUSED(state1), UNUSED(state2);
    state0[j] = c.momentum * state0[j] + g;
    param[j] -= c.rate * state0[j];
}

RULE_OF(nesterov)
{
    UNUSED(state1), UNUSED(state2);
    state0[j] = c.momentum * state0[j] + g;
    param[j] -= (g + c.momentum * state0[j]) * c.rate;
}

RULE_OF(adagrad)
{
    UNUSED(state1), UNUSED(state2);
    state0[j] += g * g;
    param[j] -= c.rate * g / (SQRT(state0[j]) + c.epsilon);
}

/* state0, state1: the first and the second moment. */
RULE_OF(adam)
{
    UNUSED(state2);
    REAL m = c.decay1 * state0[j] + c.gain1 * g;
    REAL v = c.decay2 * state1[j] + c.gain2 * g * g;
    state0[j] = m;
    state1[j] = v;
    param[j] -= c.rate * (m / (SQRT(v) * c.root_scale + c.epsilon));
}

/* state0: the mean square; state1: what is subtracted, with its momentum. */
RULE_OF(rmsprop)
{
    UNUSED(state2);
    REAL square = c.decay1 * state0[j] + c.gain1 * g * g;
    REAL move = c.momentum * state1[j] + c.rate * g / SQRT(square + c.epsilon);
    state0[j] = square;
    state1[j] = move;
    param[j] -= move;
}

/* state2: the mean gradient, whose square is taken from the mean square. */
RULE_OF(centered_rmsprop)
{
    REAL square = c.decay1 * state0[j] + c.gain1 * g * g;
    REAL mean = c.decay1 * state2[j] + c.gain1 * g;
    REAL move = c.momentum * state1[j] + c.rate * g / SQRT(square - mean * mean + c.epsilon);
    state0[j] = square;
    state1[j] = move;
    state2[j] = mean;
    param[j] -= move;
}

/* From the linear accumulator and the root (or power) of the squares the weight follows, whatever it was before. */
static inline REAL FN(ftrl_weight)(REAL linear, REAL root, const FN(coefficients) c)
{
    REAL size = linear < 0 ? -linear : linear;
    REAL x = (linear < 0 ? -c.l1 : c.l1) - linear;
    REAL weight = x / (root / c.rate + 2 * c.l2);
    return size > c.l1 ? weight : (REAL)0;
}

/* state0: the sum of squares; state1: the linear accumulator. */
RULE_OF(ftrl)
{
    UNUSED(state2);
    REAL squares = state0[j] + g * g;
    REAL root = SQRT(squares);
    REAL linear = state1[j] + (g - (root - SQRT(state0[j])) / c.rate * param[j]);
    state0[j] = squares;
    state1[j] = linear;
    param[j] = FN(ftrl_weight)(linear, root, c);
}

/* ftrl with another power than 1/2 of the squares; c.power is the exponent. */
RULE_OF(ftrl_of_power)
{
    UNUSED(state2);
    REAL squares = state0[j] + g * g;
    REAL root = POW(squares, c.power);
    REAL linear = state1[j] + (g - (root - POW(state0[j], c.power)) / c.rate * param[j]);
    state0[j] = squares;
    state1[j] = linear;
    param[j] = FN(ftrl_weight)(linear, root, c);
}

#undef RULE_OF
#undef UNUSED
