# mcp-console. `make run` and `make check` are all that is needed; `make help` lists the rest.
# Objects stand under build/VARIANT (release, asan, tsan, ...), never beside the sources.
VERSION   := 0.3.0
PREFIX    ?= /usr/local
DESTDIR   ?=
SYSCONFDIR ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)
VARIANT   ?= release
ifeq ($(origin CC),default)
CC := gcc
endif
# All processors, unless -j says otherwise.
ifeq ($(filter -j%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 2)
endif
Q := $(if $(V),,@)
B := build/$(if $(findstring clang,$(CC)),clang-)$(VARIANT)
PKGS := ncursesw libcurl jansson sqlite3 libsodium libcrypto inih
LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lnng -lcmark-gfm -lcmark-gfm-extensions -lstemmer -lm -lpthread
WARN := -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
# clang's objects also count what was reached, so that the fuzzers and the other tests are made of the same ones.
FUZZED := $(if $(findstring clang,$(CC)), -fsanitize=fuzzer-no-link)
# DWARF 4: Debian 12's valgrind reads no later form from clang.
OPT_release := -O2 -gdwarf-4
OPT_asan := -O1 -gdwarf-4 -DMCPC_SANITIZED -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer$(FUZZED)
OPT_tsan := -O1 -gdwarf-4 -DMCPC_SANITIZED -fsanitize=thread
OPT := $(OPT_$(VARIANT))
HARDEN_release := -fstack-protector-strong -D_FORTIFY_SOURCE=2
CPPFLAGS_ := -D_GNU_SOURCE -DMCPC_VERSION='"$(VERSION)"' -I.
# Only these know where things are installed: another PREFIX compiles them anew and nothing else.
PATHS := -DMCPC_SYSCONFDIR='"$(SYSCONFDIR)"' -DMCPC_LOCALEDIR='"$(PREFIX)/share/locale"'
PATHS_OBJS := $(B)/tui/screen.o $(B)/backend/base/paths.o
CFLAGS_ := -std=gnu17 -pthread $(WARN) $(OPT) $(HARDEN_$(VARIANT)) $(CFLAGS)

SRCS := $(filter-out tui/main.c,$(wildcard tui/*.c views/*.c server/*.c backend/*.c backend/*/*.c backend/*/*/*.c))
OBJS := $(SRCS:%.c=$(B)/%.o)
# Data that is built into the binary: set name = files. See backend/base/embed.h.
DATA_runbooks := $(sort $(wildcard backend/knowledge/runbooks/*/*.md))
DATA_themes   := $(sort $(wildcard themes/*.theme))
DATA_prices   := $(sort $(wildcard backend/cost/prices/*.json))
DATA_conf     := mcp-console.conf
DATA_bundle   := $(sort $(wildcard backend/provenance/bundle/*))
DATA_mcp      := $(sort $(wildcard server/tools/*.json server/prompts/*.json))
DATA_flows    := $(sort $(wildcard backend/orchestrator/flows/*.json))
DATA_evals    := $(sort $(wildcard backend/eval/sets/*.jsonl))
DATA_libraries = $(B)/gen/libraries
DATA_SETS     := runbooks themes prices conf bundle libraries mcp flows evals
DATA_OBJS     := $(DATA_SETS:%=$(B)/gen/embed_%.o)
# What objects depend on besides files: written anew only when it changed.
STAMP_flags   := $(CC) $(CPPFLAGS_) $(CPPFLAGS) $(CFLAGS_) $(LDFLAGS) $(LIBS)
STAMP_paths   := $(PATHS)
STAMP_sources := $(SRCS)
STAMP_data    := $(foreach set,$(DATA_SETS),$(DATA_$(set)))
LIB := $(B)/libconsole.a
BIN := $(B)/mcp-console
MO := $(B)/locale/ru/LC_MESSAGES/mcp-console.mo
TEST_SRCS := $(wildcard tests/unit/test_*.c)
TESTS := $(TEST_SRCS:tests/%.c=$(B)/tests/%)
TOOL_SRCS := $(wildcard tests/peers/*.c tests/screens/*.c tests/bench/*.c tests/fault/*.c tests/lint/*.c)
TOOLS := $(TOOL_SRCS:tests/%.c=$(B)/tests/%)
FUZZ_SRCS := $(wildcard tests/fuzz/fuzz_*.c)
FUZZERS := $(FUZZ_SRCS:tests/%.c=$(B)/tests/%)

all: $(BIN) $(MO)

run:
	@CC='$(CC)' .ci/deps run
	@$(MAKE) --no-print-directory -s all && exec $(BIN) $(ARGS)

check:
	@CC='$(CC)' .ci/deps check
	@CC='$(CC)' tests/check

lint:
	@CC='$(CC)' .ci/deps lint
	@CC='$(CC)' tests/lint/lint

# A part of `make check`; Node 22 and the suite come from npm, into build/peers.
conformance:
	@$(MAKE) --no-print-directory -s VARIANT=asan build/asan/tests/peers/conformance_client
	@tests/peers/conformance.test

bench:
	@CC='$(CC)' .ci/deps bench
	@$(MAKE) --no-print-directory -s all tools VARIANT=release
	@tests/bench/bench

lib: $(LIB)
tests: $(TESTS) tools
tools: $(TOOLS) $(MO)
fuzzers: $(FUZZERS)

$(BIN): $(B)/tui/main.o $(LIB) $(DATA_OBJS)
	$(Q)$(CC) $(CFLAGS_) -o $@ $^ $(LDFLAGS) $(LIBS)

# Without msgfmt the console is built all the same, and speaks English.
$(B)/locale/%/LC_MESSAGES/mcp-console.mo: tui/po/%.po
	@mkdir -p $(@D)
	@if command -v msgfmt >/dev/null; then msgfmt -o $@ $<; else echo '  no msgfmt: no $*'; fi

po:
	@mkdir -p build/po
	@tui/po/extract >build/po/mcp-console.pot
	@msgmerge -q -U --backup=none --no-fuzzy-matching --no-location --sort-output tui/po/ru.po build/po/mcp-console.pot
	@msgattrib --no-obsolete --sort-output -o tui/po/ru.po tui/po/ru.po
	@msgfmt --check --statistics -o /dev/null tui/po/ru.po

$(LIB): $(OBJS) $(B)/sources.stamp
	@rm -f $@
	@$(AR) rcs $@ $(OBJS)

$(B)/%.o: %.c $(B)/flags.stamp | $(B)/deps.stamp
	@mkdir -p $(@D)
	@echo '  CC $<'
	$(Q)$(CC) $(CPPFLAGS_) $(CPPFLAGS) $(if $(filter $(PATHS_OBJS),$@),$(PATHS)) $(CFLAGS_) -MMD -MP -c -o $@ $<
$(PATHS_OBJS): $(B)/paths.stamp

$(B)/%.stamp: FORCE
	$(shell mkdir -p $(@D))$(file >$@.new,$(STAMP_$*))
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
# Once a build directory: names what is missing before the compiler stumbles over it.
$(B)/deps.stamp: .ci/deps
	@mkdir -p $(@D)
	@CC='$(CC)' .ci/deps --only-name run
	@touch $@

$(B)/gen/libraries: backend/libraries.sh $(B)/flags.stamp
	@mkdir -p $(@D)
	@backend/libraries.sh '$(CC)' >$@
define EMBED
$(B)/gen/embed_$(1).S: $$(DATA_$(1)) backend/base/embed.sh $(B)/data.stamp
	@mkdir -p $$(@D)
	@backend/base/embed.sh $(1) $$(DATA_$(1)) > $$@
$(B)/gen/embed_$(1).o: $(B)/gen/embed_$(1).S
	@$$(CC) -c -o $$@ $$<
endef
$(foreach set,$(DATA_SETS),$(eval $(call EMBED,$(set))))

# Unit tests find the mock model server beside them (tests/unit/mock_harness.h).
$(TESTS): | $(B)/tests/peers/mock_model
$(B)/tests/unit/%: tests/unit/%.c $(LIB) $(DATA_OBJS)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_) $(CFLAGS_) -MMD -MP -MF $@.d -o $@ $< $(LIB) $(DATA_OBJS) $(LDFLAGS) $(LIBS) -lcmocka
$(B)/tests/fuzz/%: tests/fuzz/%.c $(LIB) $(DATA_OBJS)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_) $(CFLAGS_) -fsanitize=fuzzer -MMD -MP -MF $@.d -o $@ $< $(LIB) $(DATA_OBJS) $(LDFLAGS) $(LIBS)
$(B)/tests/%: tests/%.c $(LIB) $(DATA_OBJS)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_) $(CFLAGS_) -MMD -MP -MF $@.d -o $@ $< $(LIB) $(DATA_OBJS) $(LDFLAGS) $(LIBS) $(if $(findstring screens,$@),-lvterm -lutil)

docs: $(B)/tests/lint/wire_doc $(B)/tests/lint/conf_doc $(B)/tests/lint/metrics_doc
	$(B)/tests/lint/wire_doc > docs/protocol.md
	$(B)/tests/lint/conf_doc > docs/configuration.md
	$(B)/tests/lint/metrics_doc > docs/metrics_taxonomy.md

install: all
	install -Dm755 $(BIN) $(DESTDIR)$(PREFIX)/bin/mcp-console
	install -Dm644 mcp-console.conf $(DESTDIR)$(PREFIX)/share/doc/mcp-console/mcp-console.conf
	[ ! -f $(MO) ] || install -Dm644 $(MO) $(DESTDIR)$(PREFIX)/share/locale/ru/LC_MESSAGES/mcp-console.mo
	install -Dm644 docs/mcp-console.1 $(DESTDIR)$(PREFIX)/share/man/man1/mcp-console.1

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

clean:
	rm -rf build

help:
	@echo 'make run       install what is missing, build, start the console (ARGS="--role demo" passes options)'
	@echo 'make check     install what the tests need, build with sanitizers, run every test'
	@echo 'make conformance  the public MCP conformance suite against the connectors'
	@echo 'make lint      layers, formatting, static analysis, fresh generated files'
	@echo 'make bench     figures beside references measured in the same run'
	@echo 'make           build build/release/mcp-console'
	@echo 'make po        bring tui/po/ru.po up to the sources'
	@echo 'make install   PREFIX=/usr/local DESTDIR='
	@echo 'make clean     remove build/'

-include $(OBJS:.o=.d) $(B)/tui/main.d $(TESTS:=.d) $(TOOLS:=.d) $(FUZZERS:=.d)
FORCE:
.PHONY: FORCE all lib run check conformance lint bench tests tools fuzzers docs po install format clean help
.DELETE_ON_ERROR:
.SECONDARY:
