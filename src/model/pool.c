/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool: the largest or the mean of each window, channel by channel, by loops over channels that the
 * compiler makes vectors of, once for each instruction set; they add in one order in all of them.
 * oneDNN's pools take 2.5 times as long for the forward pass as a 5x5 convolution before it, where
 * channels are the fastest.
 */
#include <model/images.h>
#include <model/network.h>
#include <model/pool.h>

#include <string.h>

/* The windows of a layer, all by height first, then width. */
struct windows {
    size_t kernel[2], stride[2], before[2];
    struct gr_extent from, to;
    bool cuts; /* relu was before, and its derivative is taken here */
};

/* The loops over one image. `places`: of max pools. Derivatives are added to `to`, zeroed. */
struct kernels {
    void (*largest)(const struct windows *w, const float *in, float *out, int32_t *places);
    void (*mean)(const struct windows *w, const float *in, float *out);
    void (*largest_back)(const struct windows *w, const float *delta, const int32_t *places,
                         float *to);
    void (*mean_back)(const struct windows *w, const float *delta, float *to);
};

struct pool {
    struct windows windows;
    const struct kernels *kernels;
    int32_t *places; /* n x outputs, of the last forward pass; owned */
    size_t room;     /* rows of it */
};

static gr_status shape(struct gr_layer *layer) {
    struct gr_kernel_window window;
    layer->to.channels = layer->from.channels;
    return gr_images_window(layer, &window, &layer->to);
}

/* ---- loops -------------------------------------------------------------------------------- */

#define INLINE static inline __attribute__((always_inline))

/* The part of a window, [first, end) of kernel, that lies inside the image. */
struct overlap {
    size_t first, end;
};

INLINE struct overlap inside(const struct windows *w, size_t d, size_t at, size_t size) {
    const size_t start = at * w->stride[d], before = w->before[d];
    const size_t first = start < before ? before - start : 0, reach = size + before - start;
    return (struct overlap){first, reach < w->kernel[d] ? reach : w->kernel[d]};
}

/* The first of ties, as in PyTorch; a NaN is the largest. */
INLINE void keep_larger(const float *in, int32_t place, size_t channels, float *restrict best,
                        int32_t *restrict places) {
    for (size_t c = 0; c < channels; c++) {
        const bool take = in[c] > best[c] || in[c] != in[c];
        best[c] = take ? in[c] : best[c];
        places[c] = take ? place : places[c];
    }
}

/* An image of `to` in its order, window by window at (y, x); `at`: where the window's channels
 * begin in `to`. FROM(w, i, j): where those of element (i, j) of the window begin in `from`. */
#define EACH_WINDOW(w)                                                                             \
    for (size_t y = 0, at = 0; y < (w)->to.height; y++)                                            \
        for (size_t x = 0; x < (w)->to.width; x++, at += (w)->to.channels)
#define FROM(w, i, j)                                                                              \
    (((y * (w)->stride[0] + (i) - (w)->before[0]) * (w)->from.width + x * (w)->stride[1] + (j) -   \
      (w)->before[1]) *                                                                            \
     (w)->from.channels)

INLINE void take_largest(const struct windows *w, const float *in, float *out, int32_t *places) {
    const size_t channels = w->from.channels;
    EACH_WINDOW(w) {
        const struct overlap down = inside(w, 0, y, w->from.height);
        const struct overlap across = inside(w, 1, x, w->from.width);
        float *const best = out + at;
        int32_t *const place = places + at;
        memcpy(best, in + FROM(w, down.first, across.first), channels * sizeof *best);
        for (size_t c = 0; c < channels; c++)
            place[c] = (int32_t)(down.first * w->kernel[1] + across.first);
        for (size_t i = down.first; i < down.end; i++)
            for (size_t j = across.first; j < across.end; j++)
                keep_larger(in + FROM(w, i, j), (int32_t)(i * w->kernel[1] + j), channels, best,
                            place);
        for (size_t c = 0; w->cuts && c < channels; c++)
            place[c] = best[c] > 0.0f ? place[c] : GR_POOL_NOWHERE;
    }
}

INLINE void take_mean(const struct windows *w, const float *in, float *out) {
    const size_t channels = w->from.channels;
    EACH_WINDOW(w) {
        const struct overlap down = inside(w, 0, y, w->from.height);
        const struct overlap across = inside(w, 1, x, w->from.width);
        const float n = (float)((down.end - down.first) * (across.end - across.first));
        float *restrict const sum = out + at;
        memset(sum, 0, channels * sizeof *sum);
        for (size_t i = down.first; i < down.end; i++)
            for (size_t j = across.first; j < across.end; j++) {
                const float *const from = in + FROM(w, i, j);
                for (size_t c = 0; c < channels; c++)
                    sum[c] += from[c];
            }
        for (size_t c = 0; c < channels; c++)
            sum[c] /= n;
    }
}

INLINE void spread_largest(const struct windows *w, const float *delta, const int32_t *places,
                           float *to) {
    EACH_WINDOW(w) {
        const struct overlap down = inside(w, 0, y, w->from.height);
        const struct overlap across = inside(w, 1, x, w->from.width);
        for (size_t i = down.first; i < down.end; i++)
            for (size_t j = across.first; j < across.end; j++) {
                float *restrict const by = to + FROM(w, i, j);
                const int32_t place = (int32_t)(i * w->kernel[1] + j);
                for (size_t c = 0; c < w->from.channels; c++)
                    by[c] += places[at + c] == place ? delta[at + c] : 0.0f;
            }
    }
}

INLINE void spread_mean(const struct windows *w, const float *delta, float *to) {
    EACH_WINDOW(w) {
        const struct overlap down = inside(w, 0, y, w->from.height);
        const struct overlap across = inside(w, 1, x, w->from.width);
        const float n = (float)((down.end - down.first) * (across.end - across.first));
        for (size_t i = down.first; i < down.end; i++)
            for (size_t j = across.first; j < across.end; j++) {
                float *restrict const by = to + FROM(w, i, j);
                for (size_t c = 0; c < w->from.channels; c++)
                    by[c] += delta[at + c] / n;
            }
    }
}

/* NOLINTBEGIN(bugprone-macro-parentheses): neither an attribute nor a name can stand in them */
#define DEFINE(name, isa)                                                                          \
    isa static void name##_largest(const struct windows *w, const float *in, float *out,           \
                                   int32_t *places) {                                              \
        take_largest(w, in, out, places);                                                          \
    }                                                                                              \
    isa static void name##_mean(const struct windows *w, const float *in, float *out) {            \
        take_mean(w, in, out);                                                                     \
    }                                                                                              \
    isa static void name##_largest_back(const struct windows *w, const float *delta,               \
                                        const int32_t *places, float *to) {                        \
        spread_largest(w, delta, places, to);                                                      \
    }                                                                                              \
    isa static void name##_mean_back(const struct windows *w, const float *delta, float *to) {     \
        spread_mean(w, delta, to);                                                                 \
    }                                                                                              \
    static const struct kernels name##_kernels = {name##_largest, name##_mean,                     \
                                                  name##_largest_back, name##_mean_back};
/* NOLINTEND(bugprone-macro-parentheses) */

#if defined(__x86_64__)
DEFINE(avx512, __attribute__((target("avx512f,avx2"))))
DEFINE(avx2, __attribute__((target("avx2"))))
#endif
DEFINE(portable, )

/* By enum gr_vectors. */
static const struct kernels *const by_vectors[] = {
    &portable_kernels,
#if defined(__x86_64__)
    &avx2_kernels,
    &avx512_kernels,
#endif
};

/* ---- making ------------------------------------------------------------------------------- */

static gr_status prepare(struct gr_model *model, struct gr_layer *layer) {
    struct gr_kernel_window window;
    struct gr_extent to;
    struct pool *pool;
    gr_status status;
    GR_TRY(gr_allocate_zero(1, sizeof *pool, "a pool", &pool));
    layer->state = pool;
    GR_TRY(gr_images_window(layer, &window, &to));
    pool->kernels = by_vectors[model->tiles->vectors];
    pool->windows = (struct windows){.from = layer->from, .to = layer->to};
    for (size_t d = 0; d < 2; d++) {
        pool->windows.kernel[d] = (size_t)window.kernel[d];
        pool->windows.stride[d] = (size_t)window.stride[d];
        pool->windows.before[d] = (size_t)window.before[d];
    }
    /* The first layer has none before it. */
    pool->windows.cuts = layer > model->layers && layer[-1].slope_behind;
out:
    return status;
}

static void release(struct gr_layer *layer) {
    struct pool *pool = layer->state;
    gr_free(pool->places);
    gr_free(pool);
    layer->state = NULL;
}

bool gr_pool_merges(const struct gr_layer *pool) {
    const size_t stride = pool->config.stride ? pool->config.stride : pool->config.kernel;
    const bool whole = pool->from.height % 2 == 0 && pool->from.width % 2 == 0;
    return pool->config.type == GR_LAYER_MAX_POOL && pool[-1].slope_behind &&
           pool->config.kernel == 2 && stride == 2 &&
           (whole || pool->config.padding != GR_PADDING_SAME);
}

gr_status gr_pool_places(struct gr_layer *layer, size_t n, int32_t **out) {
    struct pool *pool = layer->state;
    gr_status status = GR_OK;
    if (n > pool->room) {
        gr_free(pool->places);
        pool->places = NULL;
        pool->room = 0;
        GR_TRY(gr_allocate(n, layer->outputs * sizeof *pool->places, "a pool's places",
                           &pool->places));
        pool->room = n;
    }
out:
    *out = pool->places;
    return status;
}

/* ---- running ------------------------------------------------------------------------------ */

static gr_status forward(struct gr_model *model, struct gr_layer *layer, const float *parameters,
                         size_t n, bool training) {
    const struct pool *pool = layer->state;
    const bool largest = layer->config.type == GR_LAYER_MAX_POOL;
    int32_t *places = NULL;
    gr_status status = GR_OK;
    (void)model;
    (void)parameters;
    (void)training;
    if (largest) GR_TRY(gr_pool_places(layer, n, &places));
    for (size_t i = 0; i < n; i++) {
        const float *const in = layer->in + i * layer->inputs;
        float *const to = layer->out + i * layer->outputs;
        if (largest)
            pool->kernels->largest(&pool->windows, in, to, places + i * layer->outputs);
        else
            pool->kernels->mean(&pool->windows, in, to);
    }
out:
    return status;
}

/* By the places of the last forward pass, which is why a backward pass must follow it. */
static gr_status backward_data(struct gr_model *model, struct gr_layer *layer,
                               const float *parameters, size_t n) {
    const struct pool *pool = layer->state;
    (void)parameters;
    for (size_t i = 0; i < n; i++) {
        const float *const delta = model->delta + i * layer->outputs;
        float *const to = model->delta_before + i * layer->inputs;
        memset(to, 0, layer->inputs * sizeof *to);
        if (layer->config.type == GR_LAYER_MAX_POOL)
            pool->kernels->largest_back(&pool->windows, delta, pool->places + i * layer->outputs,
                                        to);
        else
            pool->kernels->mean_back(&pool->windows, delta, to);
    }
    return GR_OK;
}

#define FUNCTIONS                                                                                  \
    .shape = shape, .prepare = prepare, .forward = forward, .backward_data = backward_data,        \
    .release = release
const struct gr_layer_kind gr_layer_max_pool = {FUNCTIONS};
const struct gr_layer_kind gr_layer_average_pool = {FUNCTIONS};
