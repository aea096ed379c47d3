// The selective scan and the short convolution on a CUDA device, forward and backward (TSM2.md section 3).
//
// What ../scan_kernel.rs and ../conv.rs compute on the processor, in the same order and so with the same bits, but for the gradients
// of the parameters that the latter sum over all sequences in one go. No thread reads what another of its launch writes, nothing is
// added by atomics, and there are neither shared memory nor barriers: every number is written by one thread, so the results do not
// depend on the order in which threads run, and the tests compile this very file for the processor (host.cpp) and run them in turn.
//
// Every kernel takes pointers first, then sizes; plan.rs says which and how many threads. `./make-ptx` compiles this file to the PTX
// that lies beside it.

// There are fewer than 2^32 threads, numbers of [O, L, I, E] among them; places in longer buffers are counted in size_t.
#define THREAD (blockIdx.x * blockDim.x + threadIdx.x)

// Of tsm2_core::math, operation by operation.
namespace math {

__device__ inline float exp(float x) {
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    const float shift = 12582912.0f;
    float shifted = x * 1.44269504088896340736f + shift;
    float n = shifted - shift;
    float r = (x - n * 0.6933594f) - n * -2.1219444e-4f;
    float p = 1.9875691e-4f;
    p = p * r + 1.3982e-3f;
    p = p * r + 8.333452e-3f;
    p = p * r + 4.1665796e-2f;
    p = p * r + 1.6666665e-1f;
    p = p * r + 0.5f;
    float y = p * r * r + r + 1.0f;
    return y * __uint_as_float((__float_as_uint(shifted) + 127u) << 23);
}

__device__ inline float sigmoid(float x) { return 1.0f / (1.0f + exp(-x)); }

__device__ inline float softplus(float x) {
    float u = exp(x < 0.0f ? x : -x);
    float s = u / (2.0f + u);
    float z = s * s;
    float p = 1.0f / 13.0f;
    p = p * z + 1.0f / 11.0f;
    p = p * z + 1.0f / 9.0f;
    p = p * z + 1.0f / 7.0f;
    p = p * z + 1.0f / 5.0f;
    p = p * z + 1.0f / 3.0f;
    float positive = x > 0.0f ? x : 0.0f;
    return positive + 2.0f * (s + s * z * p);
}

} // namespace math

// Sequences of steps in numbers [O, L, I, E]; "step" counts in the order of the recurrence, "position" in memory.
struct Sequences {
    unsigned outer, length, inner, d_inner;
    bool reverse;

    __device__ unsigned count() const { return outer * inner; }
    __device__ unsigned features() const { return count() * d_inner; }
    __device__ unsigned numbers() const { return features() * length; }
    __device__ unsigned position(unsigned step) const { return reverse ? length - 1 - step : step; }
};

// A feature of a sequence.
struct Place {
    unsigned outer, inner, feature;

    // Number `at` of [O, I, E].
    __device__ Place(unsigned at, const Sequences &s)
        : outer(at / s.d_inner / s.inner), inner(at / s.d_inner % s.inner), feature(at % s.d_inner) {}
    // The row of [O, L, I] at a step.
    __device__ size_t row(unsigned step, const Sequences &s) const {
        return size_t(outer * s.length + s.position(step)) * s.inner + inner;
    }
    // The number of [O, L, I, E] at a step.
    __device__ size_t at(unsigned step, const Sequences &s) const { return row(step, s) * s.d_inner + feature; }
};

// States that a thread carries at once, in registers; more are taken in turn.
const unsigned STATES = 4;

// One step of one state: h = exp(dt A) h + dt B c, or with the input held. Returns exp(dt A).
__device__ inline float advance(float &h, float a, float dt, float c, float b, bool zoh) {
    float decay = math::exp(dt * a);
    float held = zoh ? (decay - 1.0f) / a : dt;
    h = decay * h + held * b * c;
    return decay;
}

// The third argument of the scan is packed: B and C of every row [rows, 2N], a_log [E, N], D [E].
struct Packed {
    const float *selection, *a_log, *skip;

    __device__ Packed(const float *packed, const Sequences &s, unsigned d_state)
        : selection(packed), a_log(packed + size_t(s.count()) * s.length * 2 * d_state), skip(a_log + s.d_inner * d_state) {}
};

// y [O, L, I, E], the state after the last step [O, I, E, N], and that before every step [O, L, I, N, E], from `state` [O, I, E, N]:
// one thread per feature of a sequence.
extern "C" __global__ void scan_forward(const float *__restrict__ c, const float *__restrict__ dt_raw,
                                        const float *__restrict__ packed, const float *__restrict__ state, float *y, float *last,
                                        float *before, unsigned outer, unsigned length, unsigned inner, unsigned d_inner,
                                        unsigned d_state, unsigned reverse, unsigned zoh) {
    Sequences s = {outer, length, inner, d_inner, reverse != 0};
    unsigned thread = THREAD;
    if (thread >= s.features()) return;
    Place place(thread, s);
    unsigned feature = place.feature;
    size_t states = size_t(thread) * d_state;
    Packed p(packed, s, d_state);
    float skip = p.skip[feature];
    for (unsigned first = 0; first < d_state; first += STATES) {
        float a[STATES], h[STATES];
#pragma unroll
        for (unsigned k = 0; k < STATES; ++k) {
            if (first + k < d_state) {
                a[k] = -math::exp(p.a_log[feature * d_state + first + k]);
                h[k] = state[states + first + k];
            }
        }
        bool all = first + STATES >= d_state;
        for (unsigned step = 0; step < s.length; ++step) {
            size_t row = place.row(step, s), at = row * s.d_inner + feature;
            float x = c[at], dt = math::softplus(dt_raw[at]);
            float out = first == 0 ? 0.0f : y[at];
#pragma unroll
            for (unsigned k = 0; k < STATES; ++k) {
                if (first + k < d_state) {
                    unsigned n = first + k;
                    before[(row * d_state + n) * s.d_inner + feature] = h[k];
                    advance(h[k], a[k], dt, x, p.selection[row * 2 * d_state + n], zoh);
                    out += p.selection[(row * 2 + 1) * d_state + n] * h[k];
                }
            }
            y[at] = all ? out + skip * x : out;
        }
#pragma unroll
        for (unsigned k = 0; k < STATES; ++k) {
            if (first + k < d_state) last[states + first + k] = h[k];
        }
    }
}

// Gradients of c and of dt_raw [O, L, I, E]: one thread per feature of a sequence. To those of B and C, of A and of D many threads add:
// each leaves its terms [O, L, I, 2N, E], [O, I, E, N] and [O, I, E] for scan_sums.
extern "C" __global__ void scan_backward(const float *__restrict__ c, const float *__restrict__ dt_raw,
                                         const float *__restrict__ packed, const float *__restrict__ before,
                                         const float *__restrict__ grad_y, float *grad_c, float *grad_dt, float *of_selection,
                                         float *of_a, float *of_skip, unsigned outer, unsigned length, unsigned inner,
                                         unsigned d_inner, unsigned d_state, unsigned reverse, unsigned zoh) {
    Sequences s = {outer, length, inner, d_inner, reverse != 0};
    unsigned thread = THREAD;
    if (thread >= s.features()) return;
    Place place(thread, s);
    unsigned feature = place.feature;
    size_t states = size_t(thread) * d_state;
    Packed p(packed, s, d_state);
    float skip = p.skip[feature], grad_skip = 0.0f;
    for (unsigned first = 0; first < d_state; first += STATES) {
        // The gradients of A, and of the state that comes from the steps after.
        float a[STATES], grad_a[STATES], grad_h[STATES];
#pragma unroll
        for (unsigned k = 0; k < STATES; ++k) {
            if (first + k < d_state) a[k] = -math::exp(p.a_log[feature * d_state + first + k]);
            grad_a[k] = grad_h[k] = 0.0f;
        }
        bool all = first + STATES >= d_state;
        for (unsigned step = s.length; step-- > 0;) {
            size_t row = place.row(step, s), at = row * s.d_inner + feature;
            float x = c[at], raw = dt_raw[at], dt = math::softplus(raw), gy = grad_y[at];
            // What reaches c and dt through the input, and dt through the decay.
            float to_c = first == 0 ? 0.0f : grad_c[at], to_dt = first == 0 ? 0.0f : grad_dt[at];
#pragma unroll
            for (unsigned k = 0; k < STATES; ++k) {
                if (first + k < d_state) {
                    size_t of_b = row * 2 * d_state + first + k, of_c = of_b + d_state;
                    float b = p.selection[of_b], h = before[(row * d_state + first + k) * s.d_inner + feature], after = h;
                    float decay = advance(after, a[k], dt, x, b, zoh);
                    float g = grad_h[k] + p.selection[of_c] * gy;
                    of_selection[of_c * s.d_inner + feature] = gy * after;
                    float carried = decay * g;
                    float to_exponent = carried * h;
                    grad_a[k] += to_exponent * dt;
                    to_dt += to_exponent * a[k];
                    if (zoh) {
                        float held = (decay - 1.0f) / a[k];
                        float to_held = g * b * x;
                        of_selection[of_b * s.d_inner + feature] = g * held * x;
                        to_c += g * held * b;
                        to_dt += to_held * decay;
                        grad_a[k] += to_held * (dt * decay - held) / a[k];
                    } else {
                        of_selection[of_b * s.d_inner + feature] = g * dt * x;
                        to_c += g * b;
                    }
                    grad_h[k] = carried;
                }
            }
            if (all) {
                if (!zoh) {
                    to_dt += to_c * x;
                    to_c *= dt;
                }
                to_c += skip * gy;
                to_dt *= math::sigmoid(raw);
                grad_skip += gy * x;
            }
            grad_c[at] = to_c;
            grad_dt[at] = to_dt;
        }
#pragma unroll
        for (unsigned k = 0; k < STATES; ++k) {
            if (first + k < d_state) of_a[states + first + k] = grad_a[k];
        }
    }
    of_skip[thread] = grad_skip;
}

// The sum of a row: sixteen sums of every sixteenth number, then halves, as ../lanes.rs.
__device__ inline float sum_row(const float *row, unsigned width) {
    const unsigned lanes = 16;
    float sums[lanes] = {};
    for (unsigned start = 0; start < width; start += lanes) {
#pragma unroll
        for (unsigned k = 0; k < lanes; ++k) {
            if (start + k < width) sums[k] += row[start + k];
        }
    }
#pragma unroll
    for (unsigned half = lanes / 2; half > 0; half /= 2) {
        for (unsigned k = 0; k < half; ++k) sums[k] += sums[k + half];
    }
    return sums[0];
}

// The sum of a column, in order.
__device__ inline float sum_column(const float *column, unsigned rows, unsigned width) {
    float sum = 0.0f;
    for (unsigned row = 0; row < rows; ++row) sum += column[size_t(row) * width];
    return sum;
}

// The gradient of the packed argument of the scan, a thread for every number: B's and C's summed over features, a_log's and D's over
// sequences.
extern "C" __global__ void scan_sums(const float *packed, const float *of_selection, const float *of_a, const float *of_skip,
                                     float *grad_packed, unsigned outer, unsigned length, unsigned inner, unsigned d_inner,
                                     unsigned d_state) {
    Sequences s = {outer, length, inner, d_inner, false};
    Packed p(packed, s, d_state);
    unsigned thread = THREAD, selections = p.a_log - packed, states = d_inner * d_state;
    if (thread < selections) {
        grad_packed[thread] = sum_row(of_selection + size_t(thread) * d_inner, d_inner);
    } else if (thread < selections + states) {
        // A = -exp(a_log) is its own derivative.
        unsigned at = thread - selections;
        grad_packed[thread] = sum_column(of_a + at, s.count(), states) * -math::exp(p.a_log[at]);
    } else if (thread < selections + states + d_inner) {
        grad_packed[thread] = sum_column(of_skip + (thread - selections - states), s.count(), d_inner);
    }
}

// The convolution over sequences [O, L, I, E]; `state` [O, K-1, I, E] lies before their first step.
struct Convolution {
    Sequences s;
    unsigned taps;
    const float *v, *state;

    // What a tap reads at a step; the last reads the step itself.
    __device__ float value(const Place &place, unsigned step, unsigned tap) const {
        unsigned before = taps - 1, source = step + tap;
        if (source >= before) return v[place.at(source - before, s)];
        return state[(size_t(place.outer * before + source) * s.inner + place.inner) * s.d_inner + place.feature];
    }
    __device__ float sum(const Place &place, unsigned step, const float *weight, const float *bias) const {
        float sum = bias[place.feature];
#pragma unroll 1
        for (unsigned tap = 0; tap < taps; ++tap) sum += weight[place.feature * taps + tap] * value(place, step, tap);
        return sum;
    }
};

// SiLU of the convolution, one thread per number and so, in steps, [L, O, I, E].
extern "C" __global__ void conv_forward(const float *v, const float *weight, const float *bias, const float *state, float *out,
                                        unsigned outer, unsigned length, unsigned inner, unsigned d_inner, unsigned taps,
                                        unsigned reverse) {
    Convolution conv = {{outer, length, inner, d_inner, reverse != 0}, taps, v, state};
    if (THREAD >= conv.s.numbers()) return;
    Place place(THREAD % conv.s.features(), conv.s);
    unsigned step = THREAD / conv.s.features();
    float sum = conv.sum(place, step, weight, bias);
    out[place.at(step, conv.s)] = sum * math::sigmoid(sum);
}

// The gradient of the convolution before its SiLU, one thread per number.
extern "C" __global__ void conv_slopes(const float *v, const float *weight, const float *bias, const float *state,
                                       const float *grad_out, float *grad_sum, unsigned outer, unsigned length, unsigned inner,
                                       unsigned d_inner, unsigned taps, unsigned reverse) {
    Convolution conv = {{outer, length, inner, d_inner, reverse != 0}, taps, v, state};
    if (THREAD >= conv.s.numbers()) return;
    Place place(THREAD % conv.s.features(), conv.s);
    unsigned step = THREAD / conv.s.features();
    float sum = conv.sum(place, step, weight, bias), s = math::sigmoid(sum);
    size_t at = place.at(step, conv.s);
    grad_sum[at] = grad_out[at] * (s * (1.0f + sum * (1.0f - s)));
}

// The gradient of v, one thread per number; then the terms of that of the weight [O, I, E, K], and of the bias [O, I, E].
extern "C" __global__ void conv_gradients(const float *v, const float *weight, const float *state, const float *grad_sum,
                                          float *grad_v, float *of_weight, float *of_bias, unsigned outer, unsigned length,
                                          unsigned inner, unsigned d_inner, unsigned taps, unsigned reverse) {
    Sequences s = {outer, length, inner, d_inner, reverse != 0};
    Convolution conv = {s, taps, v, state};
    unsigned thread = THREAD, numbers = s.numbers(), features = s.features();
    float sum = 0.0f;
    if (thread < numbers) {
        Place place(thread % features, s);
        unsigned step = thread / features;
#pragma unroll 1
        for (unsigned tap = taps; tap-- > 0;) {
            unsigned reader = step + taps - 1 - tap;
            if (reader < length) sum += grad_sum[place.at(reader, s)] * weight[place.feature * taps + tap];
        }
        grad_v[place.at(step, s)] = sum;
    } else if (thread < numbers + features * taps) {
        unsigned at = thread - numbers, tap = at % taps;
        Place place(at / taps, s);
#pragma unroll 1
        for (unsigned step = 0; step < length; ++step) sum += grad_sum[place.at(step, s)] * conv.value(place, step, tap);
        of_weight[at] = sum;
    } else if (thread < numbers + features * (taps + 1)) {
        unsigned at = thread - numbers - features * taps;
        Place place(at, s);
#pragma unroll 1
        for (unsigned step = 0; step < length; ++step) sum += grad_sum[place.at(step, s)];
        of_bias[at] = sum;
    }
}

// The gradients of the weight [E, K] and of the bias [E], one thread per number.
extern "C" __global__ void conv_sums(const float *of_weight, const float *of_bias, float *grad_weight, float *grad_bias,
                                     unsigned outer, unsigned inner, unsigned d_inner, unsigned taps) {
    unsigned thread = THREAD, sequences = outer * inner, weights = d_inner * taps;
    if (thread < weights) {
        grad_weight[thread] = sum_column(of_weight + thread, sequences, weights);
    } else if (thread < weights + d_inner) {
        grad_bias[thread - weights] = sum_column(of_bias + (thread - weights), sequences, d_inner);
    }
}
