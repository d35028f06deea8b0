# granary. `make help` lists the targets.
#
# Nothing is configured: libraries are found through pkg-config, everything is built below
# $(BUILD), and objects are made again when a header, a flag or the compiler changes.
# Local settings go into config.mak.

-include config.mak

MODE    ?= release# release | debug | sanitize | fuzz
BUILD   ?= build/$(MODE)
# The same folder has one name: the files of dependencies hold it, and know no other.
override BUILD := $(patsubst $(CURDIR)/%,%,$(abspath $(BUILD)))
PREFIX  ?= /usr/local
DESTDIR ?=
WERROR  ?=
CC      := $(if $(filter default,$(origin CC)),mpicc,$(CC))
PKG_CONFIG ?= pkg-config
VERSION := $(shell sed -n 's/.*GRANARY_VERSION "\(.*\)".*/\1/p' include/granary/base.h)
# Raised when a function or struct of a stable header changes so that programs must be built anew.
SOVERSION := 0
# Rooms to build; fewer while one of them is being worked on.
ROOMS   ?= base post privacy metric strategy config comm observe store data model train evaluate cohort federation

# ---- flags ----------------------------------------------------------------------------------

# Not asked before `make deps` could bring pkg-config and the libraries.
ifneq ($(if $(MAKECMDGOALS),$(filter-out deps demo help clean,$(MAKECMDGOALS)),all),)
HDF5_PC := $(firstword $(foreach p,hdf5-openmpi hdf5-mpi hdf5,$(if $(shell $(PKG_CONFIG) --exists $(p) && echo y),$(p))))
PACKAGES := $(HDF5_PC) libcyaml yaml-0.1 jansson libsodium zlib openblas libcurl libmicrohttpd gnutls libcrypto
DEP_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PACKAGES) gsl)
# GSL's own CBLAS is 14 to 36 times slower than OpenBLAS: leave it out.
DEP_LIBS := $(filter-out -lgslcblas,$(shell $(PKG_CONFIG) --libs $(PACKAGES) gsl)) -ldnnl -lgomp -lm
endif

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes \
            -Wmissing-prototypes -Wpointer-arith -Wcast-qual -Wvla -Wformat=2 -Wundef \
            $(if $(WERROR),-Werror)
# No contraction to fused multiply-add and no reassociation: the bits must not depend on what the
# compiler fancies.
NUMERIC  := -ffp-contract=off -fno-math-errno -fno-trapping-math
MODE_FLAGS_release  := -O3 -g -DNDEBUG
MODE_FLAGS_debug    := -O0 -g3
MODE_FLAGS_sanitize := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
MODE_FLAGS_fuzz     := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined
ifeq ($(MODE_FLAGS_$(MODE)),)
$(error MODE=$(MODE): expected release, debug, sanitize or fuzz)
endif
MODE_LINK := $(filter -fsanitize%,$(MODE_FLAGS_$(MODE)))

ALL_CFLAGS  := -std=c17 -D_GNU_SOURCE $(MODE_FLAGS_$(MODE)) $(NUMERIC) $(WARNINGS) -fPIC \
               -Iinclude -Isrc $(DEP_CFLAGS) $(CFLAGS)
ALL_LDFLAGS := $(MODE_LINK) $(LDFLAGS)

# `make V=1` shows the commands.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $(patsubst $(BUILD)/%,%,$@))

# ---- sources --------------------------------------------------------------------------------

LIB_SOURCES := $(sort $(foreach room,$(ROOMS),$(wildcard src/$(room)/*.c)))
CLI_SOURCES := $(sort $(wildcard src/cli/*.c))
UNIT_SOURCES := $(sort $(wildcard tests/unit/test_*.c))
PARALLEL_SOURCES := $(sort $(wildcard tests/parallel/test_*.c))
BENCH_SOURCES := $(sort $(wildcard analysis/bench_*.c))
HEADERS := $(wildcard include/granary/*.h)
object = $(patsubst %.c,$(BUILD)/%.o,$(1))
program = $(patsubst %.c,$(BUILD)/%,$(1))

LIBRARY := $(BUILD)/libgranary.a
SONAME := libgranary.so.$(SOVERSION)
SHARED := $(BUILD)/$(SONAME)
COMMAND := $(BUILD)/granary
UNIT_TESTS := $(call program,$(UNIT_SOURCES))
PARALLEL_TESTS := $(call program,$(PARALLEL_SOURCES))
BENCHES := $(call program,$(BENCH_SOURCES))

.DELETE_ON_ERROR:
.PHONY: all library manual help deps test test-quick tests soak soak-sites test-sites test-hosts test-ulfm test-slurm bench demo install uninstall format lint headers clean FORCE
all: $(LIBRARY) $(SHARED) $(COMMAND)
library: $(LIBRARY) $(SHARED)

help:
	@echo 'make              library and command into $(BUILD)   (MODE=release|debug|sanitize, WERROR=1)'
	@echo 'make deps         install what is missing (Debian), or say what to install'
	@echo 'make demo         build, and train on Fashion-MNIST across 8 silos'
	@echo 'make test         all tests                make test-quick   those that take under a minute'
	@echo 'make soak         training with random faults: N=500 SEED=1 SOAK=shm|tcp|early|secure JOBS=2'
	@echo 'make soak-sites   studies of several sites with random faults: N=500 SEED=1 JOBS=2'
	@echo 'make test-sites   a study of four accounts and networks, recorded, and its faults (root)'
	@echo 'make test-hosts   faults across several hosts, emulated (root)'
	@echo 'make test-ulfm    the fault tests on Open MPI 5, in a Debian 13 root where need be (root)'
	@echo 'make test-slurm   the batch scripts on a Slurm of two pretended nodes (jobs/deps.sh --slurm)'
	@echo 'make bench        the figures of the manual (granary help figures)'
	@echo 'make manual       man pages and HTML into $(BUILD)/manual'
	@echo 'make install      PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)'
	@echo 'make format lint  clang-format; clang-tidy and cppcheck     make headers  each by itself, C and C++'

# ---- building -------------------------------------------------------------------------------

# -Werror changes no object.
FLAGS = $(filter-out -Werror,$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(DEP_LIBS))
# Rewritten only when its text changes, so that changed flags rebuild and unchanged ones do not.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(FLAGS)' | cmp -s - $@ || echo '$(FLAGS)' > $@
# The same for the list of members: a deleted source must leave the archive.
$(BUILD)/members: FORCE
	@mkdir -p $(@D)
	@echo '$(LIB_SOURCES)' | cmp -s - $@ || echo '$(LIB_SOURCES)' > $@

# What the program is built of, for ranks to compare before they train together.
$(BUILD)/build_id.h: FORCE
	@mkdir -p $(@D)
	@{ cat $(LIB_SOURCES) $(CLI_SOURCES) $(HEADERS) $(wildcard src/*/*.h); \
	   echo '$(MODE_FLAGS_$(MODE)) $(NUMERIC) $(CFLAGS)'; $(CC) --version | head -n 1; } \
	 | sha256sum | sed 's/^\(.\{16\}\).*/#define GRANARY_BUILD_ID "\1"/' > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
$(BUILD)/src/base/build.o: $(BUILD)/build_id.h
$(BUILD)/src/base/build.o: ALL_CFLAGS += -I$(BUILD)

# The strategies: each struct gr_strategy of the files below. Their order is that of help and of the
# settings in a config; a file that is new is in by itself, behind these.
STRATEGIES := $(patsubst %,src/strategy/strategy_%.c,mean adaptive robust)
STRATEGIES += $(filter-out $(STRATEGIES),$(sort $(wildcard src/strategy/strategy_*.c)))
$(BUILD)/strategy_list.h: src/strategy/list.awk $(STRATEGIES) FORCE
	@mkdir -p $(@D)
	@LC_ALL=C awk -f $< $(STRATEGIES) > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
$(BUILD)/src/strategy/registry.o: $(BUILD)/strategy_list.h
$(BUILD)/src/strategy/registry.o: ALL_CFLAGS += -I$(BUILD)

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(LIBRARY): $(call object,$(LIB_SOURCES)) $(BUILD)/members
	@rm -f $@
	$(call say,AR)
	$(Q)$(AR) rcs $@ $(filter %.o,$^)

# What the public headers declare is visible, and nothing else.
$(BUILD)/exports: include/exports.awk $(HEADERS) Makefile
	@mkdir -p $(@D)
	@LC_ALL=C awk -v version=$(SOVERSION) -f $< $(HEADERS) > $@
$(SHARED): $(call object,$(LIB_SOURCES)) $(BUILD)/members $(BUILD)/exports
	$(call say,LINK)
	$(Q)$(CC) -shared $(ALL_LDFLAGS) -Wl,-soname,$(SONAME) -Wl,--version-script,$(BUILD)/exports \
	  -o $@ $(filter %.o,$^) $(DEP_LIBS)

# The manual's pages are data of the command.
MANUAL := src/cli/manual
PAGES := $(sort $(wildcard $(MANUAL)/*.md))
$(BUILD)/pages: FORCE
	@mkdir -p $(@D)
	@echo '$(PAGES)' | cmp -s - $@ || echo '$(PAGES)' > $@
$(BUILD)/manual.c: $(MANUAL)/c.awk $(PAGES) $(BUILD)/pages
	$(call say,AWK)
	$(Q)LC_ALL=C awk -f $< $(PAGES) > $@
$(BUILD)/manual.o: $(BUILD)/manual.c src/cli/manual.h $(BUILD)/flags
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<
CLI_OBJECTS := $(call object,$(CLI_SOURCES)) $(BUILD)/manual.o

$(COMMAND): $(CLI_OBJECTS) $(LIBRARY)
	$(call say,LINK)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DEP_LIBS)

CHECK_LIBS = $(shell $(PKG_CONFIG) --libs check)
$(BUILD)/tests/unit/test_%: $(BUILD)/tests/unit/test_%.o $(LIBRARY)
	$(call say,LINK)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(CHECK_LIBS) $(DEP_LIBS)
$(BUILD)/tests/parallel/test_%: $(BUILD)/tests/parallel/test_%.o $(LIBRARY)
	$(call say,LINK)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DEP_LIBS)
$(BUILD)/analysis/bench_%: $(BUILD)/analysis/bench_%.o $(LIBRARY)
	$(call say,LINK)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DEP_LIBS)
# The command as if of another build, for the tests: its objects come before the library's.
$(BUILD)/tests/granary-other: $(CLI_OBJECTS) $(call object,tests/system/other_build.c) $(LIBRARY)
	$(call say,LINK)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DEP_LIBS)
# The command as a site that breaks the protocol behind its key.
$(BUILD)/tests/granary-hostile: $(CLI_OBJECTS) $(call object,tests/system/hostile.c) $(LIBRARY)
	$(call say,LINK)
	$(Q)$(CC) $(ALL_LDFLAGS) -Wl,--wrap=gr_gateway_send -o $@ $^ $(DEP_LIBS)
# The command with too little noise, which its own audit is to find.
$(BUILD)/tests/granary-leaky: $(CLI_OBJECTS) $(call object,tests/system/leaky.c) $(LIBRARY)
	$(call say,LINK)
	$(Q)$(CC) $(ALL_LDFLAGS) -Wl,--wrap=gr_noise_add -o $@ $^ $(DEP_LIBS)
# Private steps with bugs that the audit is to find.
AUDITED := gr_secret_make gr_secret_include gr_noise_create gr_noise_add gr_model_key_rows \
           gr_model_clipped_sum gr_private_steps_gradient gr_private_steps_of_round gr_round_to_grid
$(BUILD)/tests/unit/test_privacy_audit: $(BUILD)/tests/unit/test_privacy_audit.o $(LIBRARY)
	$(call say,LINK)
	$(Q)$(CC) $(ALL_LDFLAGS) $(AUDITED:%=-Wl,--wrap=%) -o $@ $^ $(CHECK_LIBS) $(DEP_LIBS)
# The words of the config's fuzzer: signs of YAML, and every setting that the command knows.
$(BUILD)/tests/fuzz/config.dict: tests/fuzz/yaml.dict tests/fuzz/settings.awk $(COMMAND)
	@mkdir -p $(@D)
	$(call say,AWK)
	$(Q){ cat $< && $(COMMAND) help config | LC_ALL=C awk -f tests/fuzz/settings.awk; } > $@
# Fuzzers need clang: make MODE=fuzz CC=clang build/fuzz/tests/fuzz/fuzz_config
$(BUILD)/tests/fuzz/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(LIBRARY)
	$(call say,LINK)
	$(Q)$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(DEP_LIBS) $(shell $(PKG_CONFIG) --libs ompi-c 2>/dev/null)

-include $(patsubst %.o,%.d,$(call object,$(LIB_SOURCES) $(CLI_SOURCES) $(UNIT_SOURCES) \
           $(PARALLEL_SOURCES) $(BENCH_SOURCES)))
.SECONDARY:

# ---- tests ----------------------------------------------------------------------------------

# Benchmarks too, so that they go on to compile.
tests: all $(UNIT_TESTS) $(PARALLEL_TESTS) $(BENCHES) $(BUILD)/tests/granary-other $(BUILD)/tests/granary-hostile $(BUILD)/tests/granary-leaky
test: tests
	tests/run.sh $(BUILD) all
test-quick: tests
	tests/run.sh $(BUILD) quick
# make soak N=500 SEED=1 SOAK=shm|tcp|early|secure [JOBS=2]; each case is repeated alone by its seed
N    ?= 500
SEED ?= 1
SOAK ?= shm
JOBS ?= 2
soak: all
	GRANARY=$(abspath $(COMMAND)) tests/faults/soak.sh $(N) $(SEED) $(SOAK) $(JOBS)
# make soak-sites N=300 SEED=1 [JOBS=2]
soak-sites: all
	tests/faults/sites.sh $(BUILD) $(N) $(SEED) $(JOBS)
test-sites: all
	tests/sites/run.sh $(abspath $(COMMAND))
test-hosts: all
	tests/hosts/run.sh $(abspath $(COMMAND))
	tests/hosts/nfs.sh $(abspath $(COMMAND))
test-ulfm:
	tests/faults/ulfm.sh
test-slurm: all
	GRANARY=$(abspath $(COMMAND)) tests/slurm/run.sh
	GRANARY=$(abspath $(COMMAND)) tests/slurm/study.sh
bench: all $(BENCHES)
	analysis/bench.sh $(BUILD)

# ---- use ------------------------------------------------------------------------------------

deps:
	jobs/deps.sh
demo:
	@jobs/deps.sh --quiet
	@$(MAKE) --no-print-directory -s all
	@jobs/demo.sh $(COMMAND)

# ---- installation ---------------------------------------------------------------------------

# The manual as man pages and HTML, and the completions of shells; the command tells its own part.
manual: $(COMMAND)
	$(MANUAL)/make-pages.sh $(COMMAND) $(BUILD)/manual
	$(COMMAND) completion bash > $(BUILD)/manual/granary.bash
	$(COMMAND) completion zsh > $(BUILD)/manual/_granary
BASH_COMPLETIONS := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSH_COMPLETIONS := $(DESTDIR)$(PREFIX)/share/zsh/site-functions
MAN := $(DESTDIR)$(PREFIX)/share/man
DOC := $(DESTDIR)$(PREFIX)/share/doc/granary

install: all manual
	install -d $(BASH_COMPLETIONS) $(ZSH_COMPLETIONS)
	install -d $(DESTDIR)$(PREFIX)/share/granary/configs/study
	install -d $(MAN)/man1 $(MAN)/man7 $(DOC) $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig \
	           $(DESTDIR)$(PREFIX)/include/granary $(DESTDIR)$(PREFIX)/share/granary/configs/schemas $(DESTDIR)$(PREFIX)/share/granary/jobs
	install -m 755 $(COMMAND) $(DESTDIR)$(PREFIX)/bin/granary
	install -m 644 $(LIBRARY) $(DESTDIR)$(PREFIX)/lib/libgranary.a
	install -m 755 $(SHARED) $(DESTDIR)$(PREFIX)/lib/libgranary.so.$(SOVERSION).$(VERSION)
	ln -sf libgranary.so.$(SOVERSION).$(VERSION) $(DESTDIR)$(PREFIX)/lib/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(PREFIX)/lib/libgranary.so
	install -m 644 $(HEADERS) $(DESTDIR)$(PREFIX)/include/granary/
	install -m 644 $(wildcard configs/*.yaml) $(DESTDIR)$(PREFIX)/share/granary/configs/
	install -m 644 $(wildcard configs/schemas/*.yaml) $(DESTDIR)$(PREFIX)/share/granary/configs/schemas/
	install -m 644 $(wildcard configs/study/*.yaml) $(DESTDIR)$(PREFIX)/share/granary/configs/study/
	install -m 755 $(wildcard jobs/make-*.sh) $(DESTDIR)$(PREFIX)/share/granary/jobs/
	install -m 644 jobs/batch.sh jobs/party.sh $(wildcard jobs/*.sbatch) $(DESTDIR)$(PREFIX)/share/granary/jobs/
	install -m 644 $(BUILD)/manual/man1/granary.1 $(MAN)/man1/
	install -m 644 $(BUILD)/manual/man7/granary-*.7 $(MAN)/man7/
	install -m 644 $(BUILD)/manual/html/*.html $(DOC)/
	install -m 644 $(BUILD)/manual/granary.bash $(BASH_COMPLETIONS)/granary
	install -m 644 $(BUILD)/manual/_granary $(ZSH_COMPLETIONS)/_granary
	printf '%s\n' 'prefix=$(PREFIX)' 'Name: granary' \
	  'Description: cross-silo federated learning on MPI' 'Version: $(VERSION)' \
	  'Requires.private: $(PACKAGES)' 'Libs: -L$${prefix}/lib -lgranary' \
	  'Libs.private: -lgsl -ldnnl -lgomp -lm' 'Cflags: -I$${prefix}/include' \
	  > $(DESTDIR)$(PREFIX)/lib/pkgconfig/granary.pc
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/granary $(DESTDIR)$(PREFIX)/lib/libgranary.a \
	      $(DESTDIR)$(PREFIX)/lib/libgranary.so* \
	      $(DESTDIR)$(PREFIX)/lib/pkgconfig/granary.pc
	rm -rf $(DESTDIR)$(PREFIX)/include/granary $(DESTDIR)$(PREFIX)/share/granary $(DOC)
	rm -f $(MAN)/man1/granary.1 $(MAN)/man7/granary-*.7 \
	      $(BASH_COMPLETIONS)/granary $(ZSH_COMPLETIONS)/_granary

# ---- care -----------------------------------------------------------------------------------

C_FILES = $(shell git ls-files '*.c' '*.h')
format:
	clang-format -i $(C_FILES)
lint: $(BUILD)/strategy_list.h
	@if grep -rnE 'gr_comm_(sum|max)_int64|gr_comm_gather\(|[^_]gr_aggregate\(' $(wildcard src/cohort src/federation src/evaluate src/study) | \
	  grep -v '^src/cohort/door.c:'; then echo 'a bare reduction: values of silos leave through the door, granary/release.h'; exit 1; fi
	clang-format --dry-run --Werror $(C_FILES)
	cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr --enable=warning,performance,portability \
	  --suppress=missingIncludeSystem -D_GNU_SOURCE -Iinclude -Isrc -I$(BUILD) src
	@echo 'clang-tidy, on all processors'
	@printf '%s\n' $(LIB_SOURCES) $(CLI_SOURCES) | xargs -P $(shell nproc) -n 8 sh -c \
	  'clang-tidy --quiet --warnings-as-errors="*" "$$@" -- -std=c17 -D_GNU_SOURCE -Iinclude -Isrc -I$(BUILD) \
	   $(DEP_CFLAGS) $(shell $(PKG_CONFIG) --cflags ompi-c) 2>/dev/null || exit 255' tidy
# Each public header by itself, as C and as C++.
headers:
	@for header in $(HEADERS); do \
	  for compiler in 'gcc -std=c17 -xc' 'g++ -std=c++17 -xc++ -DOMPI_SKIP_MPICXX'; do \
	    echo "#include <$${header#include/}>" | $$compiler -Wall -Wextra -Werror -fsyntax-only -Iinclude \
	      $(DEP_CFLAGS) $(shell $(PKG_CONFIG) --cflags ompi-c) - || exit 1; \
	  done; done

clean:
	rm -rf build
