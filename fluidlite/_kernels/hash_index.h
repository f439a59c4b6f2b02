/* A hash index: int64 ids -> row numbers 1, 2, 3 ... in the order in which ids arrive.

   PARTITIONS open-addressing tables with linear probing; the top bits of an id's hash choose the partition, the low 32
   bits the place in it. An entry is an id and its number, packed into 12 bytes; number 0 marks an empty entry, so any
   id is legal. Places grow with the hash (place = hash * capacity >> 32), so capacities need not be powers of two and
   rehashing reads and writes memory in order.

   Partition q starts with a capacity proportional to GROWTH^(q / PARTITIONS). As ids spread evenly, partitions reach
   their limits one after the other, and no batch has to grow them all. */

#ifndef FLUIDLITE_HASH_INDEX_H
#define FLUIDLITE_HASH_INDEX_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PARTITIONS 64
#define PARTITION_SHIFT 58
#define ENTRY_BYTES 12
#define SMALLEST_CAPACITY 16
/* Entries in use per hundred, at most. 0.47 to 0.7 of the entries are in use, 20.5 bytes for each id on average. */
#define LOAD_PERCENT 70
/* Positions of a chunk of work, and of a group whose entries are fetched together. */
#define INDEX_STEP 4096
#define GROUP 64
/* How many ids before its use an entry is fetched where ids are inserted. */
#define INSERT_AHEAD 16

typedef struct {
    char *entries;
    uint64_t capacity;        /* < 2^32 */
    uint64_t count;
} hash_partition;

/* One call. Arrays of misses are ordered by partition, and within a partition by position. */
typedef struct {
    hash_partition *partitions;
    uint64_t seed;
    const char *ids;
    Py_ssize_t id_stride;
    Py_ssize_t n;
    int64_t *numbers;
    int64_t padding_id;
    int has_padding;
    uint32_t *seen;           /* NULL, or by row: the step in which it was seen last */
    uint32_t step;
    int64_t *names;           /* by row: its id */
    uint32_t *misses;         /* [chunk][partition], then where the misses of the chunk begin */
    Py_ssize_t *begins;       /* by partition, one more than there are */
    int64_t *missing;         /* ids */
    Py_ssize_t *positions;
    uint32_t *copies;         /* which of the partition's new ids a miss is */
    Py_ssize_t *firsts;       /* positions of the partition's new ids, from begins[partition] on */
    uint32_t *places;         /* a small table for each partition, to find duplicates */
    Py_ssize_t *n_new;        /* by partition */
    Py_ssize_t *ranks;        /* by chunk: new ids, then the number of the first */
    int failed;
} index_job;

/* degski's mixer: shifts by half a word and a multiplication, twice, so that all bits of the id reach all bits. */
static inline uint64_t hash_id(int64_t id, uint64_t seed)
{
    uint64_t x = (uint64_t)id ^ seed;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    return x ^ x >> 32;
}

static inline uint64_t place_of(uint64_t hash, uint64_t capacity)
{
    return (uint64_t)(uint32_t)hash * capacity >> 32;
}

static inline int64_t entry_id(const char *entry)
{
    int64_t id;
    memcpy(&id, entry, 8);
    return id;
}

static inline uint32_t entry_number(const char *entry)
{
    uint32_t number;
    memcpy(&number, entry + 8, 4);
    return number;
}

static inline void set_entry(char *entry, int64_t id, uint32_t number)
{
    memcpy(entry, &id, 8);
    memcpy(entry + 8, &number, 4);
}

/* Beware: a function that only prefetches has no effect in GCC's eyes, and a call that is not inlined is removed. */
static inline __attribute__((always_inline)) void fetch_entry(const hash_partition *partition, uint64_t hash)
{
    const char *at = partition->entries + place_of(hash, partition->capacity) * ENTRY_BYTES;
    __builtin_prefetch(at);
    __builtin_prefetch(at + 3 * ENTRY_BYTES - 1);
}

/* The number of an id, 0 if it has none. An empty entry has id 0 and number 0, so id 0 needs no care. */
static inline uint32_t find_id(const hash_partition *partition, uint64_t hash, int64_t id)
{
    uint64_t place = place_of(hash, partition->capacity);
    const char *entry = partition->entries + place * ENTRY_BYTES;
    for (;;) {
        if (entry_id(entry) == id)
            return entry_number(entry);
        if (!entry_number(entry))
            return 0;
        entry += ENTRY_BYTES;
        if (++place == partition->capacity) {
            place = 0;
            entry = partition->entries;
        }
    }
}

/* Into the first free entry; the id is not there yet. */
static inline void put_id(hash_partition *partition, uint64_t hash, int64_t id, uint32_t number)
{
    uint64_t place = place_of(hash, partition->capacity);
    char *entry = partition->entries + place * ENTRY_BYTES;
    while (entry_number(entry)) {
        entry += ENTRY_BYTES;
        if (++place == partition->capacity) {
            place = 0;
            entry = partition->entries;
        }
    }
    set_entry(entry, id, number);
}

static inline int64_t job_id(const index_job *job, Py_ssize_t i)
{
    return *(const int64_t *)(job->ids + i * job->id_stride);
}

static inline int is_padding(const index_job *job, int64_t id)
{
    return job->has_padding && id == job->padding_id;
}

/* numbers[i] = the number of ids[i], 0 if it has none or is the padding id; counts those that have none. */
static inline void find_chunk(void *ctx, Py_ssize_t chunk)
{
    index_job *job = (index_job *)ctx;
    Py_ssize_t begin = chunk * INDEX_STEP, end = begin + INDEX_STEP < job->n ? begin + INDEX_STEP : job->n;
    uint32_t *misses = job->misses + chunk * PARTITIONS;
    uint64_t hashes[GROUP];
    memset(misses, 0, PARTITIONS * sizeof(uint32_t));
    for (Py_ssize_t at = begin; at < end; at += GROUP) {
        int count = end - at < GROUP ? (int)(end - at) : GROUP;
        for (int k = 0; k < count; k++) {
            hashes[k] = hash_id(job_id(job, at + k), job->seed);
            fetch_entry(job->partitions + (hashes[k] >> PARTITION_SHIFT), hashes[k]);
        }
        for (int k = 0; k < count; k++) {
            int64_t id = job_id(job, at + k);
            uint64_t partition = hashes[k] >> PARTITION_SHIFT;
            if (is_padding(job, id)) {
                job->numbers[at + k] = 0;
                continue;
            }
            uint32_t number = find_id(job->partitions + partition, hashes[k], id);
            job->numbers[at + k] = number;
            misses[partition] += !number;
            if (job->seen)
                __builtin_prefetch(job->seen + number, 1);
        }
        if (job->seen)
            for (int k = 0; k < count; k++)
                if (job->numbers[at + k])
                    __atomic_store_n(job->seen + job->numbers[at + k], job->step, __ATOMIC_RELAXED);
    }
}

/* Sorts the misses of a chunk by partition; `misses` says where each partition's begin. */
static inline void scatter_misses_chunk(void *ctx, Py_ssize_t chunk)
{
    index_job *job = (index_job *)ctx;
    Py_ssize_t begin = chunk * INDEX_STEP, end = begin + INDEX_STEP < job->n ? begin + INDEX_STEP : job->n;
    Py_ssize_t next[PARTITIONS];
    for (int q = 0; q < PARTITIONS; q++)
        next[q] = job->begins[q] + job->misses[chunk * PARTITIONS + q];
    for (Py_ssize_t i = begin; i < end; i++) {
        int64_t id = job_id(job, i);
        if (job->numbers[i] || is_padding(job, id))
            continue;
        Py_ssize_t to = next[hash_id(id, job->seed) >> PARTITION_SHIFT]++;
        job->missing[to] = id;
        job->positions[to] = i;
    }
}

/* Finds the first occurrence of every new id of a partition, and gives it the number -1 until ranks are known. */
static inline void find_firsts_chunk(void *ctx, Py_ssize_t partition)
{
    index_job *job = (index_job *)ctx;
    Py_ssize_t begin = job->begins[partition], count = job->begins[partition + 1] - begin, n_new = 0;
    const int64_t *ids = job->missing + begin;
    Py_ssize_t *firsts = job->firsts + begin;
    uint32_t *places = job->places + 4 * begin;
    uint64_t mask = 1;
    while (mask < 2 * (uint64_t)count)
        mask *= 2;
    mask--;
    if (count)
        memset(places, 0, (mask + 1) * sizeof(uint32_t));
    for (Py_ssize_t k = 0; k < count; k++) {
        uint64_t place = hash_id(ids[k], job->seed) & mask;
        while (places[place] && ids[firsts[places[place] - 1]] != ids[k])
            place = (place + 1) & mask;
        if (!places[place]) {
            firsts[n_new++] = k;
            places[place] = (uint32_t)n_new;
            job->numbers[job->positions[begin + k]] = -1;
        }
        job->copies[begin + k] = places[place] - 1;
    }
    job->n_new[partition] = n_new;
}

static inline void count_firsts_chunk(void *ctx, Py_ssize_t chunk)
{
    index_job *job = (index_job *)ctx;
    Py_ssize_t begin = chunk * INDEX_STEP, end = begin + INDEX_STEP < job->n ? begin + INDEX_STEP : job->n, count = 0;
    for (Py_ssize_t i = begin; i < end; i++)
        count += job->numbers[i] < 0;
    job->ranks[chunk] = count;
}

/* Numbers new ids by their first occurrence. */
static inline void number_firsts_chunk(void *ctx, Py_ssize_t chunk)
{
    index_job *job = (index_job *)ctx;
    Py_ssize_t begin = chunk * INDEX_STEP, end = begin + INDEX_STEP < job->n ? begin + INDEX_STEP : job->n;
    Py_ssize_t next = job->ranks[chunk];
    for (Py_ssize_t i = begin; i < end; i++)
        if (job->numbers[i] < 0) {
            job->names[next] = job_id(job, i);
            if (job->seen)
                job->seen[next] = job->step;
            job->numbers[i] = next++;
        }
}

static inline uint64_t room_of(uint64_t capacity)
{
    return capacity * LOAD_PERCENT / 100;
}

/* Room for the new ids of a partition, which keeps what it has: failing leaves it as it is. */
static inline void grow_chunk(void *ctx, Py_ssize_t q)
{
    index_job *job = (index_job *)ctx;
    hash_partition *old = job->partitions + q, grown = *old;
    uint64_t wanted = old->count + (uint64_t)job->n_new[q];
    if (room_of(old->capacity) >= wanted)
        return;
    while (room_of(grown.capacity) < wanted)
        grown.capacity += grown.capacity / 2;
    grown.entries = grown.capacity < (uint64_t)1 << 32 ? (char *)calloc(grown.capacity, ENTRY_BYTES) : NULL;
    if (!grown.entries) {
        __atomic_store_n(&job->failed, 1, __ATOMIC_RELAXED);
        return;
    }
    for (uint64_t k = 0; k < old->capacity; k++) {
        const char *entry = old->entries + k * ENTRY_BYTES;
        if (entry_number(entry))
            put_id(&grown, hash_id(entry_id(entry), job->seed), entry_id(entry), entry_number(entry));
    }
    free(old->entries);
    *old = grown;
}

/* Enters the new ids of a partition and tells all their occurrences the number. */
static inline void insert_chunk(void *ctx, Py_ssize_t q)
{
    index_job *job = (index_job *)ctx;
    hash_partition *partition = job->partitions + q;
    Py_ssize_t begin = job->begins[q], count = job->begins[q + 1] - begin, n_new = job->n_new[q];
    const int64_t *ids = job->missing + begin;
    const Py_ssize_t *firsts = job->firsts + begin, *positions = job->positions + begin;
    for (Py_ssize_t k = 0; k < n_new; k++) {
        if (k + INSERT_AHEAD < n_new)
            fetch_entry(partition, hash_id(ids[firsts[k + INSERT_AHEAD]], job->seed));
        int64_t id = ids[firsts[k]];
        put_id(partition, hash_id(id, job->seed), id, (uint32_t)job->numbers[positions[firsts[k]]]);
    }
    partition->count += (uint64_t)n_new;
    for (Py_ssize_t k = 0; k < count; k++)
        job->numbers[positions[k]] = job->numbers[positions[firsts[job->copies[begin + k]]]];
}

#endif
