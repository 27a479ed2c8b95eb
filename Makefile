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

PACKAGES := libpcap libip4tc libnl-3.0 jansson
# headers of libraries are not ours to warn about
CPPFLAGS += -I. -D_GNU_SOURCE -DVERSION='"$(VERSION)"' \
	$(patsubst -I%,-isystem %,$(shell $(PKG_CONFIG) --cflags $(PACKAGES)))
ALL_CFLAGS = -std=c11 $(WARNINGS) -MMD -MP -pthread $(HARDEN_CFLAGS) $(CFLAGS)
ALL_LDFLAGS = $(HARDEN_CFLAGS) $(CFLAGS) $(HARDEN_LDFLAGS) $(LDFLAGS)
LDLIBS   += $(shell $(PKG_CONFIG) --libs $(PACKAGES)) -liniparser -pthread
CTL_LIBS := $(shell $(PKG_CONFIG) --libs jansson)

# everything but the two doors: the programs, the tests and the fuzz targets link it
SOURCES := $(wildcard common/*.c dhcpd/*.c natmgr/*.c)
CORE    := $(SOURCES:%.c=$(O)/%.o)
TESTS   := $(patsubst %.c,$(O)/%,$(wildcard tests/unit/test_*.c))

FUZZ    := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
# seconds for each fuzz target
T       ?= 60

.PHONY: FORCE all check demo install clean help build-tests unit fuzz $(FUZZ:%=fuzz-%)
.DELETE_ON_ERROR:

all: $(O)/eipd $(O)/eipctl

help:
	@echo "all       build $(O)/eipd and $(O)/eipctl (default)"
	@echo "check     run all tests (as root; scripts/check installs what they need)"
	@echo "unit      run the unit tests only"
	@echo "fuzz      fuzz each parser for T=$(T) seconds (clang); fuzz-NAME: one of them"
	@echo "demo      show the whole appliance at work (as root)"
	@echo "install   install; honours DESTDIR, PREFIX ($(PREFIX)), SYSCONFDIR ($(SYSCONFDIR))"
	@echo "clean     remove $(O)/"
	@echo "variables: V=1 show commands, WERROR=1 warnings are errors, O=DIR build there,"
	@echo "           HARDEN=no without the hardening flags"

$(O)/eipd: $(O)/eipd.o $(CORE)
	$(call say,LINK,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

$(O)/eipctl: $(O)/eipctl.o $(O)/common/memory.o
	$(call say,LINK,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(CTL_LIBS)

$(O)/%.o: %.c $(O)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

# other flags than last time make all of it anew
$(O)/flags: export FLAGS = $(CC) $(CPPFLAGS) $(HARDEN_CFLAGS) $(CFLAGS) $(HARDEN_LDFLAGS) $(LDFLAGS)
$(O)/flags: FORCE
	@mkdir -p $(@D)
	@echo "$$FLAGS" | cmp -s - $@ || echo "$$FLAGS" >$@
FORCE:

build-tests: $(TESTS)

$(O)/tests/unit/%: $(O)/tests/unit/%.o $(CORE)
	$(call say,LINK,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

unit: build-tests
	$(Q)failed=0; for t in $(TESTS); do $$t || failed=1; done; exit $$failed

# libFuzzer needs all of it instrumented: a build of its own
FUZZ_FLAGS := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
fuzz: $(FUZZ:%=fuzz-%)

$(FUZZ:%=fuzz-%): fuzz-%:
	$(Q)$(MAKE) --no-print-directory O=$(O)/fuzz CC=clang CFLAGS="$(FUZZ_FLAGS)" \
		$(O)/fuzz/tests/fuzz/fuzz_$*
	$(Q)mkdir -p $(O)/fuzz/corpus/$*
	$(Q)$(O)/fuzz/tests/fuzz/fuzz_$* -max_total_time=$(T) -timeout=10 -max_len=4096 \
		-verbosity=0 -print_final_stats=1 -artifact_prefix=$(O)/fuzz/$*- \
		$(O)/fuzz/corpus/$* tests/fuzz/seeds/$*

$(O)/tests/fuzz/%: $(O)/tests/fuzz/%.o $(CORE)
	$(call say,LINK,$@)$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)

check: all
	$(Q)scripts/check --no-install

demo:
	$(Q)scripts/demo

install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(SYSCONFDIR)/eipd \
		$(DESTDIR)$(SYSCONFDIR)/init.d $(DESTDIR)$(PREFIX)/share/eipd/hooks
	install -m 755 $(O)/eipd $(O)/eipctl $(DESTDIR)$(PREFIX)/sbin/
	install -m 755 scripts/lease-callback $(DESTDIR)$(PREFIX)/share/eipd/
	install -m 755 scripts/eip-vm $(DESTDIR)$(PREFIX)/sbin/
	install -m 755 scripts/hooks/libvirt-qemu scripts/hooks/xen-vif \
		$(DESTDIR)$(PREFIX)/share/eipd/hooks/
	install -m 755 scripts/init.d/eipd $(DESTDIR)$(SYSCONFDIR)/init.d/
	install -m 644 conf/eipd.conf conf/network.conf $(DESTDIR)$(PREFIX)/share/eipd/
	@# a configuration that is there is never overwritten
	for f in eipd.conf network.conf; do \
		test -e $(DESTDIR)$(SYSCONFDIR)/eipd/$$f || \
		install -m 644 conf/$$f $(DESTDIR)$(SYSCONFDIR)/eipd/; \
	done

# but for the kernel that the tests of real guests have downloaded
clean:
	rm -rf $(filter-out $(O)/vm,$(wildcard $(O)/*))

-include $(CORE:.o=.d) $(O)/eipd.d $(O)/eipctl.d $(TESTS:=.d)
