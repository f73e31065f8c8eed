# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# The few things a person types. The work is done in kmod/, libuser/ and
# selftests/, each of which has its own Makefile.

VERSION	:= $(shell sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' kmod/dkms.conf 2>/dev/null)
DKMS	:= $(DESTDIR)/usr/src/rpccancel-$(VERSION)
RUNNING	:= /lib/modules/$(shell uname -r)/build
VM	:= selftests/vm
KERNEL	?=
TESTS	?=
export KERNEL TESTS FORCE
MAKEFLAGS += --no-print-directory

# The module is built for the running kernel if its headers are here, else for
# the first kernel of the tests.
KDIR	?= $(or $(wildcard $(RUNNING)),cloud-6.1)
FLAVOUR	 = $(or $(firstword $(KERNEL)),cloud-6.1)

.PHONY: all modules lib selftests demo check check-debug check-all check-nightly \
	fuzz model coverage soak bench style install modules-install dkms-install vm \
	vm-modules prepare clean help

all: modules lib	## the module and the library

modules:		## kmod/rpccancel.ko, for KDIR=
ifeq ($(KDIR),cloud-6.1)
	@$(VM)/setup.sh
	@$(VM)/fetch.sh $(KDIR)
endif
	@echo "rpccancel.ko for $(KDIR)"
	@$(VM)/build-module.sh $(KDIR)

lib:			## libuser/librpccancel.so and .a
	@$(MAKE) -C libuser

selftests: lib prepare
	@$(MAKE) -C libuser ../build/libuser/tests/io_test
	@$(MAKE) -C selftests
	@$(MAKE) -C selftests/demo
	@$(MAKE) -C selftests/rpc
	@$(MAKE) -C selftests/container
	@$(MAKE) -C selftests/soak

# What every target that boots a VM needs.
prepare:
	@$(VM)/setup.sh $(FLAVOUR)
	@$(VM)/fetch.sh --kselftest
	@$(VM)/fetch.sh $(FLAVOUR)

vm-modules: prepare
	@$(VM)/build-module.sh $(FLAVOUR) >/dev/null
	@$(VM)/build-module.sh $(FLAVOUR) test >/dev/null
	@$(VM)/build-module.sh $(FLAVOUR) backoff >/dev/null
	@$(VM)/build-module.sh $(FLAVOUR) hold >/dev/null

# What is stuck in others' libraries needs the module, hence a VM; calls of our
# own do not.
demo: lib vm-modules	## cancel what is stuck in libtirpc, libpq, curl, and in an RPC
	@$(MAKE) -s -C selftests/demo
	@$(MAKE) -s -C selftests/demo/calls
	@$(VM)/run.sh -q -k $(FLAVOUR) selftests/demo/demo
	@selftests/demo/calls/calls

check:			## all tests, on each kernel (KERNEL=, TESTS= for a part)
	@$(VM)/check.sh

check-debug:		## selftests/ on kernels that watch memory, locks and races
	@$(VM)/check.sh debug

check-all:		## both, and what other groups of kernels there are
	@$(VM)/check.sh stock debug arm64

check-nightly:		## the same with a million races
	@RPCCANCEL_NIGHTLY=1 $(VM)/check.sh

HOURS	?= 1
fuzz:			## the parsers of packets, and the device in VMs, for HOURS=1
	@$(VM)/setup.sh
	@seconds=$$(($(HOURS) * 3600)); \
	$(MAKE) -C libuser/fuzz run SECONDS=$$seconds & parsers=$$!; \
	selftests/fuzz/fuzz.sh $$seconds; device=$$?; \
	wait $$parsers && exit $$device

coverage:		## the lines of kmod/ that selftests/ reach, in a VM with gcov
	@selftests/coverage/coverage.sh

model:			## verify the protocol of cancel, deadline and exit with spin
	@$(VM)/setup.sh
	@selftests/model/model.sh full

# In the kernel that finds what others do not notice. What is not the load's
# own time is that of a slow start and end.
MINUTES	?= 60
THREADS	?= 10000
soak: FLAVOUR = $(or $(firstword $(KERNEL)),kasan-6.1)
soak: vm-modules selftests	## THREADS=10000, cancels and kills, for MINUTES=60
	@RPCCANCEL_SOAK_SECONDS=$$(($(MINUTES) * 60)) RPCCANCEL_SOAK_THREADS=$(THREADS) \
		QEMU_ARGS="-m 6G" $(VM)/run.sh -k $(FLAVOUR) \
		-t $$(($(MINUTES) * 60 + 3600)) selftests/soak/soak_test.sh

bench:			## remote procedure calls, side by side with others' (an hour)
	@selftests/bench/bench.sh

style:			## checkpatch, sparse, clang-format, shellcheck, codespell
	@selftests/style/style.sh

vm: vm-modules selftests	## a shell in a VM with everything in it (KERNEL=)
	@$(VM)/run.sh -k $(FLAVOUR)

install: lib		## library, headers, man pages; module, if headers are here
	@$(MAKE) -C libuser install
ifneq ($(wildcard $(RUNNING)),)
	@$(MAKE) modules-install
else
	@echo "no headers of the running kernel: the module is not installed"
endif

modules-install: modules
	$(MAKE) -C $(KDIR) M=$(CURDIR)/build/$(shell uname -r)/kmod modules_install
	install -D -m 644 kmod/99-rpccancel.rules $(DESTDIR)/usr/lib/udev/rules.d/99-rpccancel.rules

dkms-install:		## the module, rebuilt by dkms for each new kernel
	@command -v dkms >/dev/null || { echo "dkms is missing: apt-get install dkms" >&2; exit 1; }
	@[ -n "$(VERSION)" ] || { echo "kmod/dkms.conf has no PACKAGE_VERSION" >&2; exit 1; }
	install -d $(DKMS)/include
	cp -R kmod $(DKMS)/
	cp -R include/uapi $(DKMS)/include/
	cp kmod/dkms.conf $(DKMS)/
	dkms add -m rpccancel -v $(VERSION)
	dkms build -m rpccancel -v $(VERSION)
	dkms install -m rpccancel -v $(VERSION)

clean:			## everything that was built (not the cache of kernels)
	@rm -rf build
	@for d in libuser selftests; do [ ! -e $$d/Makefile ] || $(MAKE) -s -C $$d clean; done

help:			## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile | expand -t 16
