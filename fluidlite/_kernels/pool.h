/* A pool of threads for short jobs.

   A job is a number of chunks that own disjoint outputs. Threads claim chunks by compare-and-swap on one word, the
   ticket: job number << 32 | next chunk. The calling thread claims chunks like any worker, so a worker that wakes late
   or never costs nothing: the caller does the work itself and waits only for chunks that somebody has begun.

   Workers look for a new job for about SPIN_NS, then sleep on a condition variable. They hold no Python object, block
   all signals and are never joined at exit: the process may end while they sleep. */

#ifndef FLUIDLITE_POOL_H
#define FLUIDLITE_POOL_H

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <time.h>

#define POOL_MAX_THREADS 1024
#define POOL_CLOSED UINT32_MAX
#define POOL_SPIN_NS 10000
#define POOL_PATIENCE_NS 15000

typedef void (*pool_chunk_fn)(void *ctx, Py_ssize_t chunk);

static struct {
    pthread_mutex_t owner;    /* held while a job runs and while the set of workers changes */
    pthread_mutex_t bed;      /* guards wake */
    pthread_cond_t wake;
    int threads;              /* wanted, the calling thread included */
    int n_workers;
    int at_fork;              /* the fork handler is registered */
    pthread_t workers[POOL_MAX_THREADS];
    __attribute__((aligned(64))) uint64_t ticket;
    pool_chunk_fn fn;
    void *ctx;
    uint32_t n_chunks;
    uint32_t asleep;
    int stop;
    __attribute__((aligned(64))) uint32_t done;
} pool = {.owner = PTHREAD_MUTEX_INITIALIZER,
          .bed = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER,
          .threads = 1};

static inline void pool_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static uint64_t pool_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Runs chunks until none is left to claim; returns the number of the job that it found exhausted.

   Beware of the order: n_chunks is read with acquire after the ticket. A thread that holds an old ticket and sees the
   n_chunks of a newer job also sees that the ticket was closed, so its compare-and-swap fails. Once a claim succeeds,
   fn and ctx belong to that job, because the caller cannot leave before the chunk is counted in done. */
static uint32_t pool_work(void)
{
    for (;;) {
        uint64_t ticket = __atomic_load_n(&pool.ticket, __ATOMIC_ACQUIRE);
        uint32_t chunk = (uint32_t)ticket;
        if (chunk >= __atomic_load_n(&pool.n_chunks, __ATOMIC_ACQUIRE))
            return (uint32_t)(ticket >> 32);
        pool_chunk_fn fn = __atomic_load_n(&pool.fn, __ATOMIC_RELAXED);
        void *ctx = __atomic_load_n(&pool.ctx, __ATOMIC_RELAXED);
        if (__atomic_compare_exchange_n(&pool.ticket, &ticket, ticket + 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
            fn(ctx, (Py_ssize_t)chunk);
            __atomic_fetch_add(&pool.done, 1, __ATOMIC_RELEASE);
        }
    }
}

static int pool_idle(uint32_t seen)
{
    return (uint32_t)(__atomic_load_n(&pool.ticket, __ATOMIC_SEQ_CST) >> 32) == seen &&
           !__atomic_load_n(&pool.stop, __ATOMIC_ACQUIRE);
}

/* Waits for a job other than `seen`. The spin is bounded by time: a pause is 5 to 140 cycles, as the CPU likes. */
static void pool_wait(uint32_t seen)
{
    uint64_t end = pool_clock() + POOL_SPIN_NS;
    do {
        for (int i = 0; i < 16; i++) {
            if (!pool_idle(seen))
                return;
            pool_pause();
        }
    } while (pool_clock() < end);
    pthread_mutex_lock(&pool.bed);
    __atomic_fetch_add(&pool.asleep, 1, __ATOMIC_SEQ_CST);
    while (pool_idle(seen))
        pthread_cond_wait(&pool.wake, &pool.bed);
    __atomic_fetch_sub(&pool.asleep, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&pool.bed);
}

static void *pool_worker(void *first_seen)
{
    uint32_t seen = (uint32_t)(uintptr_t)first_seen;
    for (;;) {
        pool_wait(seen);
        if (__atomic_load_n(&pool.stop, __ATOMIC_ACQUIRE))
            return NULL;
        seen = pool_work();
    }
}

/* The child of a fork has one thread. Locks that others held at that moment would stay locked for ever. */
static void pool_forget(void)
{
    pool.n_workers = 0;
    pool.asleep = 0;
    pool.stop = 0;
    pthread_mutex_init(&pool.owner, NULL);
    pthread_mutex_init(&pool.bed, NULL);
    pthread_cond_init(&pool.wake, NULL);
}

/* The owner lock is held. A thread that the system refuses is done without. */
static void pool_start(void)
{
    sigset_t all, before;
    uint32_t seen = (uint32_t)(__atomic_load_n(&pool.ticket, __ATOMIC_RELAXED) >> 32);
    if (!pool.at_fork) {
        if (pthread_atfork(NULL, NULL, pool_forget) != 0)
            return;
        pool.at_fork = 1;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool.n_workers < pool.threads - 1) {
        if (pthread_create(&pool.workers[pool.n_workers], NULL, pool_worker, (void *)(uintptr_t)seen) != 0)
            break;
        pool.n_workers++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Linux often wakes a thread on the core of the one that wakes it although another core is idle. With one worker, keep
   it off the caller's core, within what the process may use. */
static void pool_spread(void)
{
#if defined(__linux__) && defined(CPU_SETSIZE)
    cpu_set_t mask;
    int here = sched_getcpu();
    if (pool.n_workers != 1 || here < 0 || here >= CPU_SETSIZE || sched_getaffinity(0, sizeof mask, &mask) != 0)
        return;
    CPU_CLR(here, &mask);
    if (CPU_COUNT(&mask) > 0)
        pthread_setaffinity_np(pool.workers[0], sizeof mask, &mask);
#endif
}

static void pool_wake(Py_ssize_t wanted)
{
    pool_spread();
    pthread_mutex_lock(&pool.bed);
    if (wanted >= pool.n_workers)
        pthread_cond_broadcast(&pool.wake);
    else
        for (Py_ssize_t i = 0; i < wanted; i++)
            pthread_cond_signal(&pool.wake);
    pthread_mutex_unlock(&pool.bed);
}

static void pool_finish(uint32_t n_chunks)
{
    uint64_t end = 0;
    while (__atomic_load_n(&pool.done, __ATOMIC_ACQUIRE) != n_chunks) {
        uint64_t now = pool_clock();
        if (end == 0)
            end = now + POOL_PATIENCE_NS;
        if (now < end)
            pool_pause();
        else
            sched_yield();
    }
}

static void pool_run(pool_chunk_fn fn, void *ctx, Py_ssize_t n_chunks)
{
    if (n_chunks <= 1 || n_chunks >= INT32_MAX || __atomic_load_n(&pool.threads, __ATOMIC_RELAXED) <= 1 ||
        pthread_mutex_trylock(&pool.owner) != 0) {
        for (Py_ssize_t chunk = 0; chunk < n_chunks; chunk++)
            fn(ctx, chunk);
        return;
    }
    if (pool.n_workers < pool.threads - 1)
        pool_start();
    uint64_t job = __atomic_load_n(&pool.ticket, __ATOMIC_RELAXED) >> 32;
    __atomic_store_n(&pool.ticket, job << 32 | POOL_CLOSED, __ATOMIC_RELAXED);
    __atomic_store_n(&pool.done, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&pool.fn, fn, __ATOMIC_RELAXED);
    __atomic_store_n(&pool.ctx, ctx, __ATOMIC_RELAXED);
    __atomic_store_n(&pool.n_chunks, (uint32_t)n_chunks, __ATOMIC_RELEASE);
    __atomic_store_n(&pool.ticket, (uint64_t)(uint32_t)(job + 1) << 32, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&pool.asleep, __ATOMIC_SEQ_CST) > 0)
        pool_wake(n_chunks - 1);
    pool_work();
    pool_finish((uint32_t)n_chunks);
    pthread_mutex_unlock(&pool.owner);
}

/* Ends the workers; the next job starts as many as it wants. Waits for a job of another thread to end. */
static void pool_set_threads(int threads)
{
    pthread_mutex_lock(&pool.owner);
    pthread_mutex_lock(&pool.bed);
    __atomic_store_n(&pool.stop, 1, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&pool.wake);
    pthread_mutex_unlock(&pool.bed);
    for (int i = 0; i < pool.n_workers; i++)
        pthread_join(pool.workers[i], NULL);
    pool.n_workers = 0;
    __atomic_store_n(&pool.stop, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&pool.threads, threads, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&pool.owner);
}

static int pool_get_threads(void)
{
    return __atomic_load_n(&pool.threads, __ATOMIC_RELAXED);
}

#endif
