/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that the ranks of a node share, and the barrier in it.
 *
 * Each rank makes its own part, anonymous memory that the others map through /proc/PID/fd. No
 * collective of MPI is needed to make it, so it can be made anew whenever the membership changes;
 * it has no name that could stay behind; and it is not limited by the size of /dev/shm.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "comm/communicator.h"

/* The descriptor stays open as long as the part lives, for others open it by its number; it is
 * closed on exec, so programs that this process starts do not keep the memory. */
gr_status gr_part_create(size_t bytes, struct gr_part *out) {
    *out = (struct gr_part){.fd = memfd_create("granary", MFD_CLOEXEC), .bytes = bytes};
    if (out->fd < 0 || ftruncate(out->fd, (off_t)bytes) != 0)
        return gr_fail(GR_ERROR_INTERNAL, "%zu bytes of shared memory: %s", bytes, strerror(errno));
    out->base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, out->fd, 0);
    if (out->base != MAP_FAILED) return GR_OK;
    out->base = NULL;
    gr_status status =
        gr_fail(GR_ERROR_INTERNAL, "%zu bytes of shared memory: %s", bytes, strerror(errno));
    gr_part_release(out);
    return status;
}

/* Safe on an empty part. A descriptor of 0 in a zeroed struct is not closed: a part that was made
 * has bytes. */
void gr_part_release(struct gr_part *part) {
    if (part->base) munmap(part->base, part->bytes);
    if (part->base || part->bytes > 0) {
        if (part->fd >= 0) close(part->fd);
    }
    *part = (struct gr_part){.fd = -1};
}

/*
 * The size is compared, since a peer that has died may have had its process id or descriptor given
 * to something else; a file of another size is not mapped, for access past its end would kill this
 * process.
 */
gr_status gr_part_map(pid_t pid, int fd, size_t bytes, void **base) {
    char path[64];
    struct stat info;
    gr_status status = GR_OK;
    snprintf(path, sizeof path, "/proc/%ld/fd/%d", (long)pid, fd);
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0 || fstat(file, &info) != 0 || (size_t)info.st_size != bytes ||
        (*base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)) == MAP_FAILED) {
        *base = NULL;
        status = gr_fail(GR_ERROR_INTERNAL, "shared memory of process %ld: %s", (long)pid,
                         strerror(errno));
    }
    if (file >= 0) close(file);
    return status;
}

/* Descriptors travel in the window of the gr_comm, which every epoch has. Both barriers are met by
 * all, whatever fails here: a rank that returned early would leave the others waiting in them. */
gr_status gr_window_create(struct gr_comm *comm, size_t bytes, struct gr_window *out) {
    const size_t n = (size_t)comm->node_size;
    int64_t *offer = gr_comm_member(comm, comm->node_rank)->offer;
    *out = (struct gr_window){.mine.fd = -1, .own = comm->node_rank};
    gr_status status = gr_allocate_zero(n, sizeof *out->part, "window", &out->part);
    if (status == GR_OK) status = gr_allocate_zero(n, sizeof *out->bytes, "window", &out->bytes);
    if (status == GR_OK) out->n = comm->node_size;
    if (status == GR_OK) status = gr_part_create(bytes, &out->mine);
    /* Whatever has failed here: the barriers are the others' as well. */
    offer[0] = status == GR_OK ? out->mine.fd : -1;
    offer[1] = (int64_t)bytes;
    gr_status met = gr_node_barrier(comm, "to make a window");
    for (int i = 0; i < comm->node_size && status == GR_OK && met == GR_OK; i++) {
        const int64_t *theirs = gr_comm_member(comm, i)->offer;
        out->bytes[i] = (size_t)theirs[1];
        if (i == comm->node_rank)
            out->part[i] = out->mine.base;
        else if (theirs[0] < 0)
            status = gr_fail(GR_ERROR_INTERNAL, "a peer has no shared memory");
        else
            status = gr_part_map(comm->peers[comm->node_slot[i]].pid, (int)theirs[0], out->bytes[i],
                                 &out->part[i]);
    }
    /* Nobody offers anything else before all have looked. */
    if (met == GR_OK) met = gr_node_barrier(comm, "to make a window");
    return met == GR_OK ? status : met;
}

/* Unmaps the others' parts; memory itself is freed by the kernel with the last mapping, so nobody
 * has to wait for anybody. */
void gr_window_release(struct gr_window *window) {
    for (int i = 0; window->part && i < window->n; i++)
        if (i != window->own && window->part[i]) munmap(window->part[i], window->bytes[i]);
    gr_part_release(&window->mine);
    gr_free(window->part);
    gr_free(window->bytes);
    *window = (struct gr_window){.mine.fd = -1};
}

/*
 * A central counter, and a word to sleep on, which the last to arrive changes. The word is read
 * before arriving, so a barrier completed meanwhile is seen as a change. The counter is set back
 * before the word changes: who wakes may arrive at the next barrier at once. After GR_LOST the
 * counter is wrong, but the epoch has ended for this node.
 */
gr_status gr_node_barrier(struct gr_comm *comm, const char *what) {
    gr_status status;
    if (comm->lost) return gr_comm_lose(comm, what);
    if (comm->node_size == 1) return GR_OK;
    struct gr_comm_node *node = comm->shared;
    uint32_t seen = atomic_load(&node->barrier.value);
    if (atomic_fetch_add(&node->arrived, 1) + 1 == (unsigned)comm->node_size) {
        atomic_store(&node->arrived, 0);
        gr_wait_event_signal(&node->barrier);
        return GR_OK;
    }
    struct gr_wait wait;
    gr_wait_start(&wait, comm, what, GR_WAIT_NODE, false);
    while (atomic_load_explicit(&node->barrier.value, memory_order_acquire) == seen) {
        status = gr_wait_pause(&wait, &node->barrier, seen);
        if (status == GR_OK) continue;
        /* It may have been completed while this rank looked around: then it has succeeded. */
        if (atomic_load(&node->barrier.value) != seen) return GR_OK;
        return status;
    }
    return GR_OK;
}
