# eipd: one non-recursive Makefile. `make help` lists the targets, V=1 shows the commands.

VERSION    := 0.1.0
O          ?= build
PREFIX     ?= /usr
SYSCONFDIR ?= /etc
DESTDIR    ?=
CC         ?= cc
PKG_CONFIG ?= pkg-config
CFLAGS     ?= -O2 -g
# fields that an initialiser does not name are zero, as C says
WARNINGS   := -Wall -Wextra -Wconversion -Wshadow -Wswitch-enum -Wmissing-prototypes \
	-Wno-missing-field-initializers
# WERROR=1: warnings are errors
WARNINGS   += $(if $(WERROR),-Werror)

# Against what an attacker makes of a bug; HARDEN=no leaves it out. CFLAGS and LDFLAGS come after it
# and win. What the compiler does not know is left out: `try` prints its argument if it compiles.
HARDEN ?= yes
try = $(shell echo 'int main(void) { return 0; }' | \
	$(CC) -O2 $(1) $(2) -Werror -x c -o /dev/null - 2>/dev/null && echo '$(1)')
ifeq ($(HARDEN),yes)
HARDEN_CFLAGS := -fPIE $(call try,-fstack-protector-strong) $(call try,-fstack-clash-protection) \
	$(call try,-fcf-protection) $(call try,-mbranch-protection=standard)
# it wants an optimising compiler, and gets into the way of a sanitizer
ifneq ($(filter-out -O0,$(filter -O%,$(CFLAGS))),)
ifeq ($(findstring -fsanitize,$(CFLAGS))$(findstring _FORTIFY_SOURCE,$(CFLAGS) $(CPPFLAGS)),)
HARDEN_CFLAGS += -U_FORTIFY_SOURCE $(or \
	$(call try,-D_FORTIFY_SOURCE=3,-U_FORTIFY_SOURCE -include stdlib.h),-D_FORTIFY_SOURCE=2)
endif
endif
HARDEN_LDFLAGS := $(if $(findstring -static,$(LDFLAGS)),,-pie) -Wl,-z,relro,-z,now,-z,noexecstack
endif

Q := $(if $(V),,@)
say = $(if $(V),,@echo "  $(1)	$(2)";)

# SECCOMP=1: with a filter of system calls
PACKAGES := libpcap libip4tc libnl-3.0 jansson $(if $(SECCOMP),libseccomp)
CPPFLAGS += -I. -D_GNU_SOURCE -DVERSION='"$(VERSION)"' -DSYSCONFDIR='"$(SYSCONFDIR)"'
# headers of libraries are not ours to warn about
INCLUDES := $(patsubst -I%,-isystem %,$(shell $(PKG_CONFIG) --cflags $(PACKAGES)))
ALL_CFLAGS = $(INCLUDES) -std=c11 $(WARNINGS) -MMD -MP -pthread $(HARDEN_CFLAGS) $(CFLAGS)
ALL_LDFLAGS = $(HARDEN_CFLAGS) $(CFLAGS) $(HARDEN_LDFLAGS) $(LDFLAGS)
LDLIBS   += $(shell $(PKG_CONFIG) --libs $(PACKAGES)) -liniparser -pthread
CTL_LIBS := $(shell $(PKG_CONFIG) --libs jansson)

# everything but the two doors: the programs, the tests and the fuzz targets link it
LEFT_OUT := multicall $(if $(SECCOMP),sandbox_none,sandbox_seccomp)
SOURCES := $(filter-out $(LEFT_OUT:%=common/%.c),$(wildcard common/*.c dhcpd/*.c natmgr/*.c))
CORE    := $(SOURCES:%.c=$(O)/%.o)
# of common/, what the client needs
CTL     := arguments client memory table
TESTS   := $(patsubst %.c,$(O)/%,$(wildcard tests/unit/test_*.c))

FUZZ    := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
BENCH   := $(patsubst tests/bench/%.c,$(O)/bench/%,$(wildcard tests/bench/*.c))
# seconds for each fuzz target
T       ?= 60

.PHONY: FORCE all check demo bench bench-tools torture soak install uninstall clean help \
	build-tests unit asan valgrind fuzz fuzz-build afl $(FUZZ:%=fuzz-%) static dist-static image
.DELETE_ON_ERROR:

all: $(O)/eipd $(O)/eipctl

help:
	@echo "all       build $(O)/eipd and $(O)/eipctl (default)"
	@echo "static    build $(STATIC)/eipd: one static file that is daemon and client"
	@echo "dist-static  pack it with scripts and samples into $(DIST)"
	@echo "image     make the appliance: $(IMAGE)/vmlinuz and $(IMAGE)/initramfs"
	@echo "check     run all tests (as root; scripts/check installs what they need)"
	@echo "unit      run the unit tests only"
	@echo "asan      build programs and unit tests with sanitizers, in $(O)/asan"
	@echo "valgrind  the unit tests and a life of the daemon under valgrind (as root; a few minutes)"
	@echo "fuzz      fuzz each parser for T=$(T) seconds (clang); fuzz-NAME: one of them"
	@echo "afl       build the fuzz targets for AFL++, in $(O)/afl"
	@echo "torture   kill it at every system call that changes something (as root; ten minutes)"
	@echo "soak      all at once for T=$(SOAK_MINUTES) minutes, and every answer looked at (as root)"
	@echo "bench     measure it beside other servers (as root; QUICK=1: in two minutes)"
	@echo "demo      show the whole appliance at work (as root)"
	@echo "install   install; honours DESTDIR, PREFIX ($(PREFIX)), SYSCONFDIR ($(SYSCONFDIR)), INIT"
	@echo "uninstall uninstall; the configuration stays"
	@echo "clean     remove $(O)/"
	@echo "variables: V=1 show commands, WERROR=1 warnings are errors, O=DIR build there,"
	@echo "           HARDEN=no without the hardening flags, SECCOMP=1 with a filter of system calls"

$(O)/eipd: $(O)/eipd.o $(CORE)
	$(call say,LINK,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

$(O)/eipctl: $(O)/eipctl.o $(CTL:%=$(O)/common/%.o)
	$(call say,LINK,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(CTL_LIBS)

$(O)/%.o: %.c $(O)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

# other flags than last time make all of it anew
$(O)/flags: export FLAGS = $(CC) $(PACKAGES) $(CPPFLAGS) $(INCLUDES) $(HARDEN_CFLAGS) $(CFLAGS) $(HARDEN_LDFLAGS) $(LDFLAGS)
$(O)/flags: FORCE
	@mkdir -p $(@D)
	@echo "$$FLAGS" | cmp -s - $@ || echo "$$FLAGS" >$@
FORCE:

# --- one static file, daemon and client in one, with musl as its libc
STATIC         := $(O)/static
STATIC_CC      ?= musl-gcc
# tables for unwinding are for debuggers and exceptions
STATIC_CFLAGS  ?= -Os -fPIE -fstack-protector-strong -fstack-clash-protection \
	-fno-asynchronous-unwind-tables -ffunction-sections -fdata-sections
STATIC_LDFLAGS ?= -static-pie -s -Wl,-z,relro,-z,now,-z,noexecstack,--gc-sections,--fatal-warnings
STATIC_OBJECTS := $(patsubst %.c,$(STATIC)/obj/%.o,eipd.c eipctl.c common/multicall.c $(SOURCES))
STATIC_LIBS    := -lpcap -lip4tc -lnl-3 -ljansson -liniparser $(if $(SECCOMP),-lseccomp)
LIBRARIES      := $(STATIC)/libraries$(if $(SECCOMP),-seccomp)
# its start files and archive; musl-gcc itself does not know how to link what is static and can be
# loaded anywhere
MUSL            = /usr/lib/$(patsubst %-gnu,%-musl,$(shell $(STATIC_CC) -dumpmachine))

static: $(STATIC)/eipd
	$(Q)scripts/size-report $< $(STATIC)/eipd.map

$(STATIC)/eipd: $(STATIC_OBJECTS)
	$(call say,LINK,$@)$(CC) -nostdlib $(STATIC_LDFLAGS) -Wl,-Map,$(STATIC)/eipd.map -o $@ \
		$(MUSL)/rcrt1.o $(MUSL)/crti.o $^ -L$(STATIC)/lib $(STATIC_LIBS) \
		-L$(MUSL) -lc -lgcc $(MUSL)/crtn.o
	$(Q)ln -sf eipd $(STATIC)/eipctl

$(STATIC)/obj/eipd.o $(STATIC)/obj/eipctl.o: RENAME = -Dmain=$(*F)_main -include common/multicall.h
$(STATIC)/obj/%.o: %.c $(LIBRARIES) $(O)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(STATIC_CC) -isystem $(STATIC)/include $(CPPFLAGS) -std=c11 $(WARNINGS) \
		-MMD -MP $(STATIC_CFLAGS) $(RENAME) -c -o $@ $<

# the Makefile has the flags, which all of it must be built with to be the same everywhere
$(LIBRARIES): scripts/static-libraries Makefile
	$(Q)CC="$(STATIC_CC)" CFLAGS="$(STATIC_CFLAGS)" SECCOMP="$(SECCOMP)" \
		scripts/static-libraries $(STATIC) $(O)/downloads
	@touch $@

# reproducible: the same sources give the same bytes
DIST = $(O)/eipd-$(VERSION)-$(firstword $(subst -, ,$(shell $(CC) -dumpmachine))).tar.gz
dist-static: $(STATIC)/eipd
	$(Q)scripts/dist-static $< $(DIST)
	@echo "$(DIST)"

# the appliance; IMAGE_CONF=DIR: with the eipd.conf and network.conf there. Reproducible, too
IMAGE := $(O)/image
image: $(STATIC)/eipd
	$(Q)scripts/image $< $(O)/downloads/vm $(IMAGE)
	@ls -l $(IMAGE)/vmlinuz $(IMAGE)/initramfs

build-tests: $(TESTS)

$(O)/tests/unit/%: $(O)/tests/unit/%.o $(CORE)
	$(call say,LINK,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

unit: build-tests
	$(Q)failed=0; for t in $(TESTS); do $$t || failed=1; done; exit $$failed

# libFuzzer needs all of it instrumented: a build of its own
FUZZ_CC    ?= clang
FUZZ_FLAGS ?= -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined \
	-Werror=incompatible-pointer-types
FUZZ_MAKE   = $(MAKE) --no-print-directory O=$(O)/fuzz CC="$(FUZZ_CC)" CFLAGS="$(FUZZ_FLAGS)"
# dumps of links are long
MAX_LEN_kernel := 20000

fuzz-build:
	$(Q)+$(FUZZ_MAKE) $(FUZZ:%=$(O)/fuzz/tests/fuzz/fuzz_%)

fuzz: $(FUZZ:%=fuzz-%)

$(FUZZ:%=fuzz-%): fuzz-%:
	$(Q)+$(FUZZ_MAKE) $(O)/fuzz/tests/fuzz/fuzz_$*
	$(Q)mkdir -p $(O)/fuzz/corpus/$*
	$(Q)$(O)/fuzz/tests/fuzz/fuzz_$* -max_total_time=$(T) -timeout=30 \
		-max_len=$(or $(MAX_LEN_$*),4096) -verbosity=0 -print_final_stats=1 \
		-artifact_prefix=$(O)/fuzz/$*- $(O)/fuzz/corpus/$* tests/fuzz/seeds/$*

# AFL++ brings a driver for what libFuzzer calls: make afl, then
#   afl-fuzz -i tests/fuzz/seeds/plan -o build/afl/out build/afl/tests/fuzz/fuzz_plan
afl:
	$(Q)AFL_USE_ASAN=1 AFL_USE_UBSAN=1 $(MAKE) --no-print-directory O=$(O)/afl \
		HARDEN=no CC=afl-clang-fast CFLAGS="-O1 -g" $(FUZZ:%=$(O)/afl/tests/fuzz/fuzz_%)

$(O)/tests/fuzz/%: $(O)/tests/fuzz/%.o $(CORE)
	$(call say,LINK,$@)$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)

# Programs and unit tests with sanitizers that end the process at the first finding. By gcc, whose
# runtime names the lines by itself; it is linked in, so that any root directory will do.
SANITIZE := -fsanitize=address,undefined
asan:
	$(Q)$(MAKE) --no-print-directory O=$(O)/asan CC=gcc \
		CFLAGS="-O1 -g -fno-omit-frame-pointer $(SANITIZE) -fno-sanitize-recover=all" \
		LDFLAGS="-static-libasan -static-libubsan" all build-tests

check: all
	$(Q)scripts/check --no-install

VALGRIND := valgrind -q --leak-check=full --errors-for-leak-kinds=definite,indirect,possible \
	--error-exitcode=99
valgrind: all build-tests
	$(Q)for t in $(TESTS); do $(VALGRIND) $$t >$(O)/valgrind 2>&1 || { cat $(O)/valgrind; exit 1; }; done
	$(Q)tests/e2e/56-valgrind.t

torture: all
	$(Q)EIPD_POINTS=0 tests/e2e/53-torture.t

# T is minutes here
SOAK_MINUTES = $(if $(filter command environment,$(firstword $(origin T))),$(T),5)
soak: all
	$(Q)EIPD_MINUTES=$(SOAK_MINUTES) tests/e2e/55-soak.t

demo:
	$(Q)scripts/demo

bench:
	$(Q)tests/bench/run $(if $(QUICK),--quick)

bench-tools: $(BENCH)

$(O)/bench/%: tests/bench/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< -lpcap

# a configuration that is there is never overwritten; INIT=lsb|openrc|runit|systemd|none
install: all
	$(Q)scripts/install.sh $(INSTALL_OPTIONS) --programs $(O) $(if $(INIT),--init $(INIT))

uninstall:
	$(Q)scripts/install.sh --uninstall $(INSTALL_OPTIONS)

INSTALL_OPTIONS = --prefix $(PREFIX) --sysconfdir $(SYSCONFDIR) $(if $(DESTDIR),--root "$(DESTDIR)")

# but for what was downloaded: the kernel of image and guests, the sources of static libraries
clean:
	rm -rf $(filter-out $(O)/downloads,$(wildcard $(O)/*))

# kept, so that many can be built at once
.SECONDARY: $(FUZZ:%=$(O)/tests/fuzz/fuzz_%.o)

-include $(CORE:.o=.d) $(O)/eipd.d $(O)/eipctl.d $(TESTS:=.d) $(FUZZ:%=$(O)/tests/fuzz/fuzz_%.d) $(BENCH:=.d) $(STATIC_OBJECTS:.o=.d)
