/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of a process before any command: its streams, its signals, and whether it is one of
 * many without knowing it.
 */
#include "cli/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- streams ----------------------------------------------------------------------------------
 */

void gr_start_streams(bool output_matters) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
        /* A result that nobody can read is still to fail at its first byte. */
        bool refuses = fd == STDOUT_FILENO && output_matters;
        int opened = open("/dev/null", refuses ? O_RDONLY : O_RDWR);
        if (opened >= 0 && opened != fd) close(opened);
    }
}

/* ---- signals ----------------------------------------------------------------------------------
 */

/*
 * The last signal that asked for a stop; 0: none. Shared by all signals that gr_catch_stop has
 * caught.
 */
static volatile sig_atomic_t stop_signal;

/*
 * Only sets a flag: all else is unsafe in a handler. Ranks look at it once their silos have
 * trained.
 */
static void on_stop_signal(int number) {
    stop_signal = number;
}

/*
 * SA_RESTART: a signal must not make reads and writes fail with EINTR in libraries that do not
 * expect it.
 */
const volatile sig_atomic_t *gr_catch_stop(int number) {
    struct sigaction action = {.sa_handler = on_stop_signal, .sa_flags = SA_RESTART};
    sigaction(number, &action, NULL);
    return &stop_signal;
}

/* ---- alone ------------------------------------------------------------------------------------
 */

static long number_in(const char *name) {
    const char *text = getenv(name);
    char *end = NULL;
    long number = text ? strtol(text, &end, 10) : 0;
    return text && end != text && !*end ? number : 0;
}

/* Before MPI starts only the environment tells; without any such variable the process is alone. */
bool gr_start_is_first(void) {
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *rank = getenv(names[i]);
        if (rank) return strcmp(rank, "0") == 0;
    }
    return true;
}

/*
 * How many processes the launcher of this one says there are, by the variable *name; 0: it does not
 * say. by_mpi: also variables of MPI launchers.
 */
static long count_told(bool by_mpi, const char **name) {
    static const char *const of_mpi[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "FLUX_JOB_SIZE"};
    const size_t n = sizeof of_mpi / sizeof *of_mpi;
    for (size_t i = 0; by_mpi && i < n; i++)
        if ((*name = of_mpi[i], number_in(of_mpi[i]) > 0)) return number_in(of_mpi[i]);
    /* A step's own count; the job's stands in the batch script as well, where one process is right.
     * Below mpirun it counts the launcher's daemons. */
    *name = "SLURM_STEP_NUM_TASKS";
    return getenv("SLURM_PROCID") ? number_in(*name) : 0;
}

struct gr_company gr_start_company(void) {
    struct gr_company company;
    company.told = count_told(true, &company.by);
    return company;
}

/*
 * Processes that do not know each other would each train all silos, and write into the same
 * directory.
 */
gr_status gr_start_check_company(const struct gr_company *company, int size) {
    if (size > 1 || company->told <= 1) return GR_OK;
    return gr_fail(
        GR_ERROR_USAGE,
        "%s says that %ld processes were started, but each is alone for MPI and would do "
        "all of the work: the launcher and this MPI do not know each other. Under Slurm "
        "start with `srun --mpi=pmix`, or with `granary run -n %ld`, or with the mpirun "
        "of this MPI",
        company->by, company->told, company->told);
}

/* Variables by which MPI processes find each other. */
static bool has_way_to_others(void) {
    static const char *const ways[] = {"PMIX_NAMESPACE", "PMIX_RANK", "PMI_RANK", "PMI_FD"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (getenv(ways[i])) return true;
    return false;
}

/* With a way to others MPI_Init may succeed, and the check afterwards is the better one. */
gr_status gr_start_check_launcher(const struct gr_company *company) {
    return has_way_to_others() ? GR_OK : gr_start_check_company(company, 1);
}

/*
 * Open MPI opens ports on all interfaces, and starts a daemon that has others, even for a process
 * that nobody can ever call. Lone processes of one user on one host share a folder of theirs by
 * name, and one that starts while another removes it fails: nothing of a lone process lies in it.
 * Whoever has set these variables keeps what they say.
 */
void gr_start_alone(void) {
    static const char *const settings[][2] = {{"OMPI_MCA_btl", "self"},
                                              {"OMPI_MCA_pml", "ob1"},
                                              {"OMPI_MCA_ess_singleton_isolated", "1"},
                                              {"OMPI_MCA_orte_create_session_dirs", "0"}};
    if (has_way_to_others()) return;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        (void)setenv(settings[i][0], settings[i][1], 0);
}

gr_status gr_start_check_once(void) {
    const char *name;
    long tasks = count_told(false, &name);
    if (tasks <= 1) return GR_OK;
    return gr_fail(GR_ERROR_USAGE,
                   "run: %s says that it was started %ld times: `granary run` starts the ranks by "
                   "itself, and is to be started once (without srun, or with srun -n 1)",
                   name, tasks);
}
