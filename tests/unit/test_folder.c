/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The post over a folder, both ends in one process: sessions begin, messages come once and in
 * order, whatever happens to the files on their way, and whoever is started anew is taken up again.
 */
#include <dirent.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "parties.h"
#include "post/folder.h"
#include "post/session.h"

static struct gr_carrier *folder_of(uint32_t p, const char *path) {
    const struct gr_carrier_options who = who_is(p);
    static struct gr_carrier_options kept[PARTIES];
    struct gr_carrier *carrier;
    kept[p] = who;
    MUST(gr_carrier_open_folder(&kept[p], path, &carrier));
    return carrier;
}

static struct gr_carrier *carriers[PARTIES];
static struct gr_post *posts[PARTIES];

static void make_all(void) {
    scratch_make();
    parties_make();
    mkdir(in_scratch("mail"), 0700);
}

static void remove_all(void) {
    parties_free();
    scratch_remove();
}

START_TEST(messages_come_once_and_in_order) {
    char text[40];
    for (uint32_t p = 0; p < PARTIES; p++) {
        carriers[p] = folder_of(p, in_scratch("mail"));
        posts[p] = post_of(p, carriers[p]);
    }
    for (uint32_t p = 1; p < PARTIES; p++) {
        ck_assert_uint_eq(gr_post_session(posts[p], 0), 0);
        ck_assert_int_eq(gr_post_send(posts[0], p, NULL, 0), GR_STOPPED);
        expect(wait_for(posts[p], p == 1 ? posts[0] : NULL), GR_POST_GREETING, 0, 1, "coordinator");
        expect(wait_for(posts[0], posts[p]), GR_POST_GREETING, p, 1, parties[p].name);
        ck_assert_uint_eq(gr_post_session(posts[0], p), 1);
        ck_assert_uint_eq(gr_post_session(posts[p], 0), 1);
        for (int i = 0; i < 50; i++) {
            snprintf(text, sizeof text, "down %d to %u", i, p);
            send_text(posts[0], p, text);
            snprintf(text, sizeof text, "up %d of %u", i, p);
            send_text(posts[p], 0, text);
        }
        for (int i = 0; i < 50; i++) {
            snprintf(text, sizeof text, "up %d of %u", i, p);
            expect(wait_for(posts[0], NULL), GR_POST_MESSAGE, p, 1, text);
            snprintf(text, sizeof text, "down %d to %u", i, p);
            expect(wait_for(posts[p], NULL), GR_POST_MESSAGE, 0, 1, text);
        }
    }
    for (uint32_t p = 0; p < PARTIES; p++) {
        const struct gr_post_refused none = {0}, *refused = gr_post_refused(posts[p]);
        ck_assert_mem_eq(refused, &none, sizeof none);
        ck_assert_str_eq(said[p], "");
        gr_post_close(posts[p]);
        gr_carrier_close(carriers[p]);
    }
}
END_TEST

/* ---- what else lies in the folder ----------------------------------------------------------- */

/* The coordinator and site 1, in folders of their own or one for both, with a session. */
static void begin(const char *mine, const char *theirs) {
    for (uint32_t p = 0; p < 2; p++) {
        carriers[p] = folder_of(p, in_scratch(p ? theirs : mine));
        posts[p] = post_of(p, carriers[p]);
    }
}

static void greet_both(void) {
    expect(wait_for(posts[1], posts[0]), GR_POST_GREETING, 0, 1, "coordinator");
    expect(wait_for(posts[0], posts[1]), GR_POST_GREETING, 1, 1, "site-1");
}

static void end(void) {
    for (uint32_t p = 0; p < 2; p++) {
        gr_post_close(posts[p]);
        gr_carrier_close(carriers[p]);
    }
}

static uint64_t n_refused(const struct gr_post *post) {
    const struct gr_post_refused *r = gr_post_refused(post);
    return r->forged + r->repeated + r->other_session + r->other_study + r->other_version +
           r->too_large + r->unreadable + r->early;
}

/* Calls the post until the condition holds, for a minute at most. */
#define UNTIL(post, condition)                                                                     \
    do {                                                                                           \
        struct gr_post_message none_;                                                              \
        int left_ = 12000;                                                                         \
        for (; left_ > 0 && !(condition); left_--) {                                               \
            MUST(gr_post_receive((post), &none_));                                                 \
            ck_assert_int_eq(none_.kind, GR_POST_NOTHING);                                         \
            rest(0.005);                                                                           \
        }                                                                                          \
        ck_assert_msg(left_ > 0, "%s has not come about", #condition);                             \
    } while (0)

static const char *name_in(const char *folder, uint32_t from, uint32_t to, uint64_t counter) {
    static char paths[4][1024];
    static unsigned turn;
    char *path = paths[turn++ % 4], name[GR_FOLDER_NAME];
    struct gr_letter_label label = {
        .from = from, .to = to, .session = "another session", .counter = counter};
    gr_folder_name(&label, name);
    snprintf(path, sizeof paths[0], "%s/%s/%s", scratch, folder, name);
    return path;
}

/* A letter of party 2, which does not run, to the coordinator, in a session that nobody knows. */
static struct gr_letter *stray(uint64_t counter) {
    static const unsigned char key[GR_KEY_BYTES] = "a key";
    struct gr_letter *letter;
    const struct gr_letter_head head = {
        .label = {.from = 2, .to = 0, .session = "another session", .counter = counter},
        .kind = GR_LETTER_MESSAGE};
    MUST(gr_letter_create(0, 1000, &letter));
    memset(gr_letter_body(letter), 'x', 1000);
    gr_letter_seal(letter, head, 0, key, keys_of[2], study);
    return letter;
}

static void spill_letter(const char *path, const struct gr_letter *letter, size_t n) {
    spill(path, (const char *)letter->bytes, n);
}

START_TEST(all_else_is_left_alone_and_told_once) {
    static const char *const others[] = {"README.txt", "0-1-x.letter", "1-0-5.letter",
                                         "notes",      ".nfs0001",     "99-0-00.tmp"};
    char path[64];
    begin("mail", "mail");
    greet_both();
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        snprintf(path, sizeof path, "mail/%s", others[i]);
        spill(in_scratch(path), "mine", 4);
    }
    /* By the names of letters to the coordinator: no file, or none to be read. */
    ck_assert_int_eq(symlink("/etc/passwd", name_in("mail", 2, 0, 11)), 0);
    ck_assert_int_eq(mkfifo(name_in("mail", 2, 0, 12), 0600), 0);
    ck_assert_int_eq(mkdir(name_in("mail", 2, 0, 13), 0700), 0);
    spill(name_in("mail", 2, 0, 14), "", 0);
    ck_assert_int_eq(truncate(name_in("mail", 2, 0, 14), 10000000000), 0);
    spill(name_in("mail", 2, 0, 15), "GET / HTTP/1.1", 14);
    char garbage[5000];
    for (size_t i = 0; i < sizeof garbage; i++)
        garbage[i] = (char)(i * i / 7 + i);
    spill(name_in("mail", 2, 0, 16), garbage, sizeof garbage);
    /* A link to a good letter is none. */
    struct gr_letter *letter = stray(19);
    spill_letter(in_scratch("elsewhere"), letter, letter->n);
    ck_assert_int_eq(symlink(in_scratch("elsewhere"), name_in("mail", 2, 0, 19)), 0);
    gr_free(letter);
    letter = stray(17);
    spill_letter(name_in("mail", 2, 0, 18), letter, letter->n); /* by the name of another */
    letter->bytes[letter->n - 1] ^= 1;
    spill_letter(name_in("mail", 2, 0, 17), letter, letter->n); /* changed */
    letter->bytes[letter->n - 1] ^= 1;
    gr_free(letter);
    for (int i = 0; i < 20; i++)
        send_text(posts[1], 0, "x");
    for (int i = 0; i < 20; i++)
        expect(wait_for(posts[0], NULL), GR_POST_MESSAGE, 1, 1, "x");
    /* Two links, FIFO, folder, 10 GB, garbage, the wrong name, a change; the short one may grow. */
    UNTIL(posts[0], n_refused(posts[0]) == 8);
    ck_assert_uint_eq(gr_post_refused(posts[0])->too_large, 1);
    ck_assert_uint_eq(gr_post_refused(posts[0])->forged, 2);
    ck_assert_uint_eq(gr_post_refused(posts[0])->unreadable, 5);
    for (uint64_t i = 11; i <= 19; i++)
        ck_assert(exists(name_in("mail", 2, 0, i)));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        snprintf(path, sizeof path, "mail/%s", others[i]);
        ck_assert(exists(in_scratch(path)));
    }
    for (int i = 0; i < 50; i++) { /* several looks more change nothing */
        send_text(posts[1], 0, "x");
        expect(wait_for(posts[0], NULL), GR_POST_MESSAGE, 1, 1, "x");
    }
    ck_assert_uint_eq(n_refused(posts[0]), 8);
    const char *first = strstr(said[0], "has files that are no letters");
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_null(strstr(first + 1, "has files that are no letters"));
    end();
}
END_TEST

/* A file that grows in place: at no length is it taken, refused or removed. */
START_TEST(a_file_that_is_being_brought_is_waited_for) {
    begin("mail", "mail");
    greet_both();
    struct gr_letter *letter = stray(9);
    const char *path = name_in("mail", 2, 0, 9);
    for (size_t n = 0; n < letter->n; n += n < 200 ? 23 : 101) {
        spill_letter(path, letter, n);
        send_text(posts[1], 0, "x");
        expect(wait_for(posts[0], NULL), GR_POST_MESSAGE, 1, 1, "x");
        ck_assert(exists(path));
    }
    /* However long it stays as it is. */
    spill_letter(path, letter, letter->n - 1);
    for (int i = 0; i < 10; i++) {
        send_text(posts[1], 0, "x");
        expect(wait_for(posts[0], NULL), GR_POST_MESSAGE, 1, 1, "x");
        rest(0.3);
    }
    ck_assert(exists(path));
    ck_assert_uint_eq(n_refused(posts[0]), 0);
    /* Whole at last, it is handed over, and the post finds its session unknown. */
    spill_letter(path, letter, letter->n);
    UNTIL(posts[0], gr_post_refused(posts[0])->other_session == 1);
    UNTIL(posts[0], !exists(path));
    gr_free(letter);
    end();
}
END_TEST

static int n_letters_in(const char *folder) {
    int n = 0;
    DIR *directory = opendir(in_scratch(folder));
    ck_assert_ptr_nonnull(directory);
    for (const struct dirent *entry; (entry = readdir(directory));)
        n += entry->d_name[0] != '.' || strstr(entry->d_name, "letter");
    closedir(directory);
    return n;
}

/* Of all letters no more stays than the last receipt of each side, and the note by which site 2,
 * which does not run, is to learn of the coordinator. */
START_TEST(what_was_read_is_removed) {
    struct gr_post_message message;
    begin("mail", "mail");
    greet_both();
    for (int i = 0; i < 200; i++) {
        send_text(posts[1], 0, "x");
        send_text(posts[0], 1, "y");
    }
    for (int i = 0; i < 200; i++) {
        expect(wait_for(posts[0], NULL), GR_POST_MESSAGE, 1, 1, "x");
        expect(wait_for(posts[1], NULL), GR_POST_MESSAGE, 0, 1, "y");
    }
    for (int i = 0; i < 2000 && n_letters_in("mail") > 1; i++) {
        MUST(gr_post_receive(posts[0], &message));
        MUST(gr_post_receive(posts[1], &message));
        rest(0.01);
    }
    ck_assert_int_eq(n_letters_in("mail"), 1);
    ck_assert_str_eq(said[0], "");
    ck_assert_str_eq(said[1], "");
    end();
}
END_TEST

/* ---- when the folder fails ------------------------------------------------------------------ */

static size_t n_times(const char *text, const char *word) {
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, word)); at++)
        n++;
    return n;
}

START_TEST(a_folder_that_goes_away_and_comes_back) {
    char words[512];
    begin("mail", "mail");
    greet_both();
    for (size_t turn = 1; turn <= 2; turn++) {
        ck_assert_int_eq(rename(in_scratch("mail"), in_scratch("away")), 0);
        for (int i = 0; i < 30; i++)
            send_text(posts[1], 0, "x");
        UNTIL(posts[1], n_times(said[1], "letters cannot be written: No such file") == turn);
        UNTIL(posts[0], n_times(said[0], "letters cannot be read: No such file") == turn);
        carriers[1]->kind->describe(carriers[1], words, sizeof words);
        ck_assert_ptr_nonnull(strstr(words, "cannot be written: No such file"));
        ck_assert_int_eq(rename(in_scratch("away"), in_scratch("mail")), 0);
        for (int i = 0; i < 30; i++)
            expect(wait_for(posts[0], NULL), GR_POST_MESSAGE, 1, 1, "x");
        UNTIL(posts[1], n_times(said[1], "letters are written again") == turn);
        UNTIL(posts[0], n_times(said[0], "letters are read again") == turn);
        carriers[1]->kind->describe(carriers[1], words, sizeof words);
        ck_assert_ptr_null(strstr(words, "cannot"));
    }
    end();
}
END_TEST

/* A limit of file size stands for a disk that is full: a letter is cut while it is written. */
START_TEST(a_full_folder_loses_nothing) {
    static unsigned char large[300000];
    const struct gr_post_part part = {large, sizeof large};
    struct rlimit limit;
    struct gr_post_message message;
    begin("mail", "mail");
    greet_both();
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    const struct rlimit small = {100000, limit.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (unsigned char i = 0; i < 5; i++) {
        large[7] = i;
        MUST(gr_post_send(posts[1], 0, &part, 1));
    }
    UNTIL(posts[1], n_times(said[1], "letters cannot be written: File too large") == 1);
    ck_assert_int_le(n_letters_in("mail"), 2); /* notes; nothing half-written */
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (unsigned char i = 0; i < 5; i++) {
        message = wait_for(posts[0], NULL);
        ck_assert_uint_eq(message.n, sizeof large);
        ck_assert_uint_eq(message.bytes[7], i);
        gr_free(message.memory);
    }
    end();
}
END_TEST

START_TEST(no_folder_is_named) {
    const struct gr_carrier_options who = who_is(0);
    struct gr_carrier *carrier;
    ck_assert_int_eq(gr_carrier_open_folder(&who, in_scratch("none"), &carrier), GR_ERROR_CONFIG);
    ck_assert_ptr_nonnull(strstr(gr_message(), "/none: No such file"));
    spill(in_scratch("file"), "", 0);
    ck_assert_int_eq(gr_carrier_open_folder(&who, in_scratch("file"), &carrier), GR_ERROR_CONFIG);
    ck_assert_ptr_nonnull(strstr(gr_message(), "/file: found a file, expected a folder"));
    ck_assert_ptr_null(carrier);
    gr_carrier_close(NULL);
}
END_TEST

START_TEST(names_are_in_one_form) {
    static const char *const bad[] = {
        "",
        "1-0-6120736573730000000000000000000-0000000000000001.letter",
        "1-0-61207365737300000000000000000000-0000000000000001.lette",
        "1-0-61207365737300000000000000000000-0000000000000001.letter2",
        "01-0-61207365737300000000000000000000-0000000000000001.letter",
        "1--0-61207365737300000000000000000000-0000000000000001.letter",
        "+1-0-61207365737300000000000000000000-0000000000000001.letter",
        "1-0-6120736573730000000000000000000A-0000000000000001.letter",
        "1-0-61207365737300000000000000000000-000000000000000A.letter",
        "1-0-61207365737300000000000000000000-1.letter",
        "1-0-61207365737300000000000000000000-0000000000000001.letter.tmp-00000000",
        "99999999999-0-61207365737300000000000000000000-0000000000000001.letter",
        " 1-0-61207365737300000000000000000000-0000000000000001.letter"};
    struct gr_letter_label label;
    char name[GR_FOLDER_NAME];
    const char *good = "12-0-61207365737300000000000000000000-8000000000000a01.letter";
    ck_assert(gr_folder_parse(good, &label));
    ck_assert_uint_eq(label.from, 12);
    ck_assert_uint_eq(label.counter, GR_LETTER_NOTE | 0xa01);
    ck_assert_mem_eq(label.session, "a sess\0\0", 8);
    gr_folder_name(&label, name);
    ck_assert_str_eq(name, good);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!gr_folder_parse(bad[i], &label), "%s", bad[i]);
}
END_TEST

/* ---- folders that something synchronises ---------------------------------------------------- */

static uint32_t state;
static uint32_t draw(uint32_t below) {
    state = state * 1664525 + 1013904223;
    return (state >> 8) % below;
}

/* Copies a file, cut or in place at times, as one that synchronises may. */
static void carry(const char *from, const char *to, const char *name) {
    char path[1200], temporary[1200];
    size_t n = 0;
    char *bytes = NULL;
    snprintf(path, sizeof path, "%s/%s", in_scratch(from), name);
    if (gr_file_read(path, 64 << 20, GR_ERROR_DATA, &bytes, &n) != GR_OK) return; /* gone since */
    snprintf(path, sizeof path, "%s/%s", in_scratch(to), name);
    const uint32_t how = draw(10);
    if (how == 0) {
        spill(path, bytes, draw((uint32_t)n + 1));
    } else if (how < 4) {
        spill(path, bytes, n);
    } else {
        snprintf(temporary, sizeof temporary, "%s/.%s.Xy12", in_scratch(to), name);
        spill(temporary, bytes, n);
        rename(temporary, path);
    }
    gr_free(bytes);
}

/* Each file with some chance, in the order in which they are found; nothing is ever deleted, so
 * that what one side has removed comes back. A party's own letters are not written over. */
static void synchronise(const char *from, const char *to, char owner) {
    char path[200];
    DIR *directory = opendir(in_scratch(from));
    for (const struct dirent *entry; (entry = readdir(directory));) {
        if (entry->d_name[0] == '.' || draw(2) == 0) continue;
        snprintf(path, sizeof path, "%s/%.90s", to, entry->d_name);
        if (entry->d_name[0] != owner || !exists(in_scratch(path))) carry(from, to, entry->d_name);
    }
    closedir(directory);
}

/* Letters of a folder that are no notes. */
static int n_in_order(const char *folder) {
    struct gr_letter_label label;
    int n = 0;
    DIR *directory = opendir(in_scratch(folder));
    for (const struct dirent *entry; (entry = readdir(directory));)
        n += gr_folder_parse(entry->d_name, &label) && !(label.counter & GR_LETTER_NOTE);
    closedir(directory);
    return n;
}

START_TEST(two_folders_that_are_carried_both_ways) {
    struct gr_post_message message;
    uint32_t sent[2] = {0}, taken[2] = {0};
    enum { MESSAGES = 150 };
    state = 5;
    mkdir(in_scratch("left"), 0700);
    mkdir(in_scratch("right"), 0700);
    begin("left", "right");
    for (int turn = 0; turn < 6000 && (taken[0] < MESSAGES || taken[1] < MESSAGES); turn++) {
        for (uint32_t p = 0; p < 2; p++) {
            MUST(gr_post_receive(posts[p], &message));
            if (message.kind == GR_POST_MESSAGE) {
                ck_assert_uint_eq(message.n, 4 + 5000 * (taken[p] % 3));
                ck_assert_mem_eq(message.bytes, &taken[p], 4);
                taken[p]++;
                gr_free(message.memory);
            } else if (message.kind == GR_POST_GREETING) {
                ck_assert_uint_eq(message.session, 1);
                gr_free(message.memory);
            }
            static const char zeros[10000];
            const struct gr_post_part parts[] = {{&sent[p], 4}, {zeros, 5000 * (sent[p] % 3)}};
            if (sent[p] < MESSAGES && gr_post_room(posts[p], 1 - p) > 10004) {
                MUST(gr_post_send(posts[p], 1 - p, parts, 2));
                sent[p]++;
            }
        }
        if (turn % 3 == 0) synchronise("left", "right", '1');
        if (turn % 3 == 1) synchronise("right", "left", '0');
        rest(0.01);
    }
    ck_assert_uint_eq(taken[0], MESSAGES);
    ck_assert_uint_eq(taken[1], MESSAGES);
    /* Though nothing but the parties deletes, no letter stays in the end; a last note may. */
    for (int turn = 0; turn < 3000 && n_in_order("left") + n_in_order("right") > 0; turn++) {
        MUST(gr_post_receive(posts[turn % 2], &message));
        if (turn % 20 == 0) synchronise("left", "right", '1');
        if (turn % 20 == 10) synchronise("right", "left", '0');
        rest(0.01);
    }
    ck_assert_int_eq(n_in_order("left") + n_in_order("right"), 0);
    end();
}
END_TEST

/* ---- a side that is killed ------------------------------------------------------------------ */

/* A site's process: in each session it sends 0, 1, 2, ... */
static void run_site(void) {
    struct gr_carrier *carrier = folder_of(1, in_scratch("mail"));
    struct gr_post *post = post_of(1, carrier);
    uint32_t session = 0, number = 0;
    for (;;) {
        struct gr_post_message message;
        if (gr_post_receive(post, &message) != GR_OK) _exit(1);
        gr_free(message.memory);
        if (gr_post_session(post, 0) != session) {
            session = gr_post_session(post, 0);
            number = 0;
        }
        const struct gr_post_part part = {&number, sizeof number};
        if (gr_post_room(post, 0) >= sizeof number && gr_post_send(post, 0, &part, 1) == GR_OK)
            number++;
        rest(0.0005);
    }
}

enum { SITES = 5 };
static struct {
    pid_t child;
    int gate; /* a byte opens it */
} sites[SITES];

/* Before there is a carrier: its thread may hold a lock of the allocator while this process forks,
 * and the child would wait for it for ever. */
static void prepare_sites(void) {
    for (int i = 0; i < SITES; i++) {
        int gate[2];
        char byte;
        ck_assert_int_eq(pipe(gate), 0);
        sites[i].gate = gate[1];
        sites[i].child = fork();
        ck_assert_int_ge(sites[i].child, 0);
        if (sites[i].child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (read(gate[0], &byte, 1) == 1) run_site();
            _exit(0);
        }
        close(gate[0]);
    }
}

static pid_t start_site(uint32_t i) {
    ck_assert_int_eq(write(sites[i].gate, "", 1), 1);
    close(sites[i].gate);
    return sites[i].child;
}

static void kill_site(pid_t child) {
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
}

/* Takes messages until so many have come of a session later than `after`; in each session they are
 * 0, 1, 2, ... */
static uint32_t take_some(uint32_t n, uint32_t after, uint32_t *session, uint32_t *next) {
    for (uint32_t i = 0, tries = 0; i < n; tries++) {
        struct gr_post_message message;
        ck_assert_msg(tries < 60000, "message %u of %u of a session after %u, in session %u", i, n,
                      after, *session);
        MUST(gr_post_receive(posts[0], &message));
        if (message.kind == GR_POST_NOTHING) rest(0.001);
        if (message.kind == GR_POST_GREETING) {
            ck_assert_uint_eq(message.session, *session + 1);
            *session = message.session;
            *next = 0;
        }
        if (message.kind == GR_POST_MESSAGE) {
            ck_assert_uint_eq(message.session, *session);
            ck_assert_uint_eq(message.n, sizeof *next);
            ck_assert_mem_eq(message.bytes, next, sizeof *next);
            ++*next;
            i += *session > after;
        }
        gr_free(message.memory);
    }
    return *session;
}

START_TEST(each_side_is_killed_and_started_again) {
    uint32_t session = 0, next = 0, last = 0;
    prepare_sites();
    carriers[0] = folder_of(0, in_scratch("mail"));
    posts[0] = post_of(0, carriers[0]);
    for (uint32_t turn = 0; turn < 4; turn++) { /* the site, at different places */
        const pid_t child = start_site(turn);
        last = take_some(1 + 40 * turn, last, &session, &next);
        ck_assert_uint_eq(last, turn + 1);
        kill_site(child);
    }
    const pid_t child = start_site(SITES - 1);
    for (uint32_t turn = 0; turn < 3; turn++) { /* the coordinator, without a farewell */
        take_some(30, turn == 0 ? last : 0, &session, &next);
        gr_post_close(posts[0]);
        gr_carrier_close(carriers[0]);
        carriers[0] = folder_of(0, in_scratch("mail"));
        posts[0] = post_of(0, carriers[0]);
        session = next = 0;
    }
    take_some(30, 0, &session, &next);
    kill_site(child);
    gr_post_close(posts[0]);
    gr_carrier_close(carriers[0]);
}
END_TEST

/* A site that has nothing to write, and would not show by itself that it is there. */
START_TEST(a_new_coordinator_is_heard_of_at_once) {
    int n_notes = 0;
    begin("mail", "mail");
    greet_both();
    posts[1]->beat_s = 3e10;
    for (uint32_t turn = 2; turn <= 4; turn++) {
        gr_post_close(posts[0]);
        gr_carrier_close(carriers[0]);
        carriers[0] = folder_of(0, in_scratch("mail"));
        posts[0] = post_of(0, carriers[0]);
        expect(wait_for(posts[1], posts[0]), GR_POST_GREETING, 0, turn, "coordinator");
        expect(wait_for(posts[0], posts[1]), GR_POST_GREETING, 1, 1, "site-1");
    }
    end();
    /* For a site that is not there, one of its notes stays, however often it was started. */
    carriers[0] = folder_of(0, in_scratch("mail"));
    posts[0] = post_of(0, carriers[0]);
    for (int i = 0; i < 6000 && n_notes != 1; i++) {
        struct gr_letter_label label;
        struct gr_post_message message;
        MUST(gr_post_receive(posts[0], &message));
        rest(0.01);
        n_notes = 0;
        DIR *directory = opendir(in_scratch("mail"));
        for (const struct dirent *entry; (entry = readdir(directory));)
            n_notes += gr_folder_parse(entry->d_name, &label) && label.to == 2;
        closedir(directory);
    }
    ck_assert_int_eq(n_notes, 1);
    gr_post_close(posts[0]);
    gr_carrier_close(carriers[0]);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {messages_come_once_and_in_order,
                                  all_else_is_left_alone_and_told_once,
                                  a_file_that_is_being_brought_is_waited_for,
                                  what_was_read_is_removed,
                                  a_folder_that_goes_away_and_comes_back,
                                  a_full_folder_loses_nothing,
                                  no_folder_is_named,
                                  names_are_in_one_form,
                                  two_folders_that_are_carried_both_ways,
                                  each_side_is_killed_and_started_again,
                                  a_new_coordinator_is_heard_of_at_once};
    if (gr_base_start() != GR_OK) return 1;
    return run_with("folder", make_all, remove_all, tests, sizeof tests / sizeof *tests);
}
