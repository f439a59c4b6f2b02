/* The floor of the row update: Adam over rows that are given unique and sorted, their gradients in the same order.

   No search for duplicates, no bounds checks, no bias correction, and all the freedom of -ffast-math: what is left is
   reading and writing the rows of three tables. With `starts` the gradient of row i is the sum of the gradient rows
   starts[i] to starts[i + 1], so that every gradient row has to be read too. */
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { CHUNK = 128, AHEAD = 8, MAX_WIDTH = 4096, MAX_THREADS = 256, SPINS = 20000 };

struct job {
  float *param, *moment1, *moment2;
  const float *grad;
  const int64_t *rows, *starts;
  int64_t count, width;
};

static struct job job;
static _Atomic uint64_t claim; /* the number of the job in the high half, the next chunk of it in the low half */
static _Atomic uint32_t current;
static atomic_long done;
static int helpers;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static void adam_row(float *restrict p, float *restrict m, float *restrict v, const float *restrict g, int64_t width) {
  for (int64_t k = 0; k < width; k++) {
    float x = g[k], a = 0.9f * m[k] + 0.1f * x, b = 0.999f * v[k] + 0.001f * x * x;
    m[k] = a;
    v[k] = b;
    p[k] -= 0.01f * a / (sqrtf(b) + 1e-8f);
  }
}

static const float *grad_of(const struct job *j, int64_t i, float *restrict sum) {
  if (!j->starts) return j->grad + i * j->width;
  const float *first = j->grad + j->starts[i] * j->width;
  if (j->starts[i + 1] - j->starts[i] == 1) return first;
  memcpy(sum, first, (size_t)j->width * sizeof *sum);
  for (int64_t s = j->starts[i] + 1; s < j->starts[i + 1]; s++) {
    const float *restrict more = j->grad + s * j->width;
    for (int64_t k = 0; k < j->width; k++) sum[k] += more[k];
  }
  return sum;
}

static void run_chunk(const struct job *j, int64_t i) {
  float sum[MAX_WIDTH];
  int64_t end = i + CHUNK < j->count ? i + CHUNK : j->count;
  for (; i < end; i++) {
    if (i + AHEAD < j->count) {
      int64_t at = j->rows[i + AHEAD] * j->width;
      for (int64_t k = 0; k < j->width; k += 16) {
        __builtin_prefetch(j->param + at + k, 1);
        __builtin_prefetch(j->moment1 + at + k, 1);
        __builtin_prefetch(j->moment2 + at + k, 1);
      }
    }
    int64_t at = j->rows[i] * j->width;
    adam_row(j->param + at, j->moment1 + at, j->moment2 + at, grad_of(j, i, sum), j->width);
  }
}

/* Chunks are claimed, so that a helper that wakes late holds nobody up: it finds its job gone. */
static void run_chunks(uint32_t number) {
  for (;;) {
    uint64_t seen = atomic_load(&claim);
    int64_t first = (int64_t)(uint32_t)seen * CHUNK;
    if (seen >> 32 != number || first >= job.count) return;
    if (atomic_compare_exchange_weak(&claim, &seen, seen + 1)) {
      run_chunk(&job, first);
      atomic_fetch_add(&done, 1);
    }
  }
}

/* A helper spins between the steps of a turn and sleeps between turns, where other processes are measured. */
static void *help(void *seen_at_start) {
  uint32_t seen = (uint32_t)(uintptr_t)seen_at_start;
  for (;;) {
    for (int spin = 0; spin < SPINS && atomic_load(&current) == seen; spin++) relax();
    if (atomic_load(&current) == seen) {
      pthread_mutex_lock(&lock);
      while (atomic_load(&current) == seen) pthread_cond_wait(&wake, &lock);
      pthread_mutex_unlock(&lock);
    }
    seen = atomic_load(&current);
    run_chunks(seen);
  }
  return NULL;
}

/* One update on at most `threads` threads, the first call's number of them. Not 0: it could not be done. */
int floor_update(float *param, float *moment1, float *moment2, const float *grad, const int64_t *rows,
                 const int64_t *starts, int64_t count, int64_t width, int threads) {
  if (width > MAX_WIDTH || threads > MAX_THREADS) return 1;
  while (helpers < threads - 1) {
    pthread_t id;
    if (pthread_create(&id, NULL, help, (void *)(uintptr_t)atomic_load(&current))) return 1;
    pthread_detach(id);
    helpers++;
  }
  uint32_t number = atomic_load(&current) + 1;
  /* Closed while `job` changes: no late helper of the job before can claim a chunk of this one. */
  atomic_store(&claim, (uint64_t)number << 32 | UINT32_MAX);
  job = (struct job){param, moment1, moment2, grad, rows, starts, count, width};
  atomic_store(&done, 0);
  atomic_store(&claim, (uint64_t)number << 32);
  pthread_mutex_lock(&lock);
  atomic_store(&current, number);
  pthread_cond_broadcast(&wake);
  pthread_mutex_unlock(&lock);
  run_chunks(number);
  long chunks = (long)((count + CHUNK - 1) / CHUNK);
  for (int spin = 0; atomic_load(&done) < chunks; spin++) {
    if (spin < SPINS) relax();
    else sched_yield();
  }
  return 0;
}
