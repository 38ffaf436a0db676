# Two commands for a fresh machine: `make demo` shows a real program running, `make test` runs the
# tests. The others are for longer work. Every target installs what it needs.
SWIFT ?= swift
# With these every case of the interpreter's switch jumps to the next one itself (Docs/decisions/0002-interpreter.md);
# a compiler whose LLVM does not know them builds without.
DISPATCH = -Xllvm -tail-dup-pred-size=100000 -Xllvm -tail-dup-succ-size=100000
KNOWN = $(shell echo | $(SWIFT)c $(DISPATCH) -O -emit-object -o /dev/null - >/dev/null 2>&1 \
  && echo $(patsubst %,-Xswiftc %,$(DISPATCH)))
RELEASE = $(SWIFT) build -c release --static-swift-stdlib $(KNOWN)
EMU = .build/release/emu
IMAGES_PYTHON = $(CURDIR)/.build/images-venv/bin/python

.PHONY: all demo test conformance bench images images-check docs lint setup setup-oracles setup-images clean

all: setup
	$(RELEASE) --product emu

demo: all
	./scripts/demo.sh $(EMU)

# Debug build, all tests, and that the committed images are what their MANIFEST says.
test: setup
	./images/check.sh --sums
	$(SWIFT) build --build-tests
	$(SWIFT) test --skip-build

# Against oracles that nobody here wrote: qemu-riscv64, qemu-system-riscv64, objdump.
conformance: setup setup-oracles
	$(RELEASE) --product emu
	$(RELEASE) --product emu-conformance
	.build/release/emu-conformance random --insns 1000000
	.build/release/emu-conformance programs --emu $(EMU)
	.build/release/emu-conformance bare --emu $(EMU)
	.build/release/emu-conformance bare --isa x86_64 --emu $(EMU)
	.build/release/emu-conformance busybox --emu $(EMU)
	.build/release/emu-conformance verify --emu $(EMU)
	./scripts/harness-tutorial.sh
	.build/release/emu-conformance replay --emu $(EMU)
	.build/release/emu-conformance fuzz --seconds 60
	.build/release/emu-conformance jit --stops 10000000
	.build/release/emu-conformance busybox --isa x86_64 --emu $(EMU)
	.build/release/emu-conformance native
	.build/release/emu-conformance x86 --instances 2000000
	.build/release/emu-conformance x86 --capstone
	.build/release/emu-conformance x86 --fuzz 30
	.build/release/emu-conformance snapshot --stops 20000

bench: setup setup-oracles
	$(RELEASE) --product emu
	$(RELEASE) --product emu-bench
	.build/release/emu-bench --emu $(EMU)

# Rebuilds the committed guest images from source; images-check only compares.
images: setup-images
	PYTHON=$(IMAGES_PYTHON) ./images/build.sh images
	touch images/kernel/embed/kernels.S

images-check: setup-images
	PYTHON=$(IMAGES_PYTHON) ./images/check.sh

# The DocC catalogue: links and structure.
docs: setup
	$(SWIFT) build --target HarnessTesting
	./scripts/check-docc.sh

lint:
	$(SWIFT) format lint --strict -r Package.swift Sources Tests

setup:
	./scripts/setup.sh build

setup-oracles:
	./scripts/setup.sh oracles

setup-images:
	./scripts/setup.sh images

clean:
	rm -rf .build
